//! `ninefold serve` itself: what it says, what it refuses, and how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::{failure, ninefold, run, success};

/// Runs `serve` where it has to fail, and gives what it said.
fn refused(args: &[&str]) -> String {
    failure(&run(["serve"].iter().chain(args)))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn ended_by(mut server: Child, signal: Signal) -> bool {
    kill_process(Pid::from_child(&server), signal).expect("it runs");
    server.wait().expect("it ends").success()
}

#[test]
fn a_folder_that_is_none_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let missing = dir.path().join("missing");
    let said = refused(&[text(&missing)]);
    assert!(said.contains(text(&missing)), "{said}");
    assert!(said.contains("expected a directory"), "{said}");
    assert_eq!(
        said.matches("No such file or directory").count(),
        1,
        "{said}"
    );

    let file = dir.path().join("file");
    fs::write(&file, "").expect("room");
    assert!(refused(&[text(&file)]).contains("Not a directory"));
}

#[test]
fn places_that_cannot_be_listened_on_are_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let export = text(dir.path());
    let file = dir.path().join("file");
    fs::write(&file, "kept").expect("room");
    let said = refused(&["--unix", text(&file), export]);
    assert!(
        said.contains("came something that is not a socket"),
        "{said}"
    );
    assert_eq!(fs::read(&file).expect("the file"), b"kept");

    let taken = dir.path().join("taken");
    let _listener = UnixListener::bind(&taken).expect("a socket");
    let said = refused(&["--unix", text(&taken), export]);
    assert!(
        said.contains("another server listens there already"),
        "{said}"
    );

    let long = dir.path().join("x".repeat(120));
    let said = refused(&["--unix", text(&long), export]);
    assert!(said.contains("at most 107 bytes"), "{said}");

    let nowhere = dir.path().join("missing/socket");
    let said = refused(&["--unix", text(&nowhere), export]);
    assert!(said.contains("expected a directory that exists"), "{said}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let said = refused(&["--tcp", &address, export]);
    assert!(said.contains("no other program listens on"), "{said}");
}

#[test]
fn an_abandoned_socket_is_replaced_and_a_new_one_is_private() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("socket");
    drop(UnixListener::bind(&socket).expect("a socket"));
    let (server, _) = start(&["--unix", text(&socket), text(dir.path())], dir.path());
    let found = fs::symlink_metadata(&socket).expect("a socket");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert!(ended_by(server, Signal::TERM), "a clean end has status 0");
    assert!(!socket.exists(), "the socket goes with its server");
}

/// Starts a server and reads what it says until it has said how to mount.
fn start(args: &[&str], runtime: &Path) -> (Child, String) {
    let mut server = ninefold()
        .arg("serve")
        .args(args)
        .env("XDG_RUNTIME_DIR", runtime)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut said = String::new();
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe was asked for"));
    while !said.contains("on this host:") {
        let len = lines.read_line(&mut said).expect("text");
        assert!(len > 0, "the server ended, having said {said:?}");
    }
    (server, said)
}

#[test]
fn without_a_listener_it_is_a_private_socket_of_the_user() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let export = dir.path().join("my files");
    fs::create_dir(&export).expect("a directory");
    let (server, said) = start(&[text(&export)], dir.path());
    let socket = dir.path().join("ninefold/my files.sock");
    assert!(
        said.starts_with(&format!("listening on unix://{}\n", socket.display())),
        "{said}"
    );
    let folder = fs::metadata(dir.path().join("ninefold")).expect("a directory");
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let url = format!("unix://{}", socket.display());
    assert_eq!(success(run(["ls", &url])), b"");
    assert!(ended_by(server, Signal::INT), "a clean end has status 0");
    assert!(!socket.exists());
}

#[test]
fn the_lines_to_mount_fit_the_listener() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let export = text(dir.path());
    let args = [
        "--tcp",
        "127.0.0.1:0",
        "--readonly",
        "--msize-max",
        "64K",
        export,
    ];
    let (server, said) = start(&args, dir.path());
    let port = said
        .lines()
        .next()
        .and_then(|line| line.rsplit(':').next())
        .expect("a port");
    let wanted = format!("trans=tcp,port={port},version=9p2000.L,msize=65536,cache=mmap");
    assert!(
        said.contains(&format!("in a QEMU guest: mount -t 9p -o {wanted}")),
        "{said}"
    );
    assert!(said.contains(",ro 10.0.2.2 /mnt"), "{said}");
    assert!(said.contains(",ro 127.0.0.1 /mnt"), "{said}");
    assert!(ended_by(server, Signal::TERM));
}

/// The folder has a comma in its name, the socket is the default one.
#[test]
fn a_line_of_qemu_serves_its_folder() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let export = dir.path().join("my,files");
    fs::create_dir(&export).expect("a directory");
    fs::write(export.join("file"), "").expect("room");
    let path = text(&export).replace(',', ",,");
    let runtime = tempfile::tempdir().expect("a temporary directory");
    let socket = runtime.path().join("ninefold/my,files.sock");
    let url = format!("unix://{}", socket.display());
    for (flag, head) in [
        ("--fsdev", "local,id=fs0"),
        ("--virtfs", "local,mount_tag=tag0"),
    ] {
        let options = format!("{head},path={path},security_model=none,readonly=on,multidevs=remap");
        let (server, said) = start(&[flag, &options], runtime.path());
        assert!(said.starts_with(&format!("listening on {url}\n")), "{said}");
        assert!(said.contains("access=client,ro "), "{said}");
        assert_eq!(success(run(["ls", &url])), b"file\n");
        let refused = failure(&run(["rm", &format!("{url}/file")]));
        assert!(refused.contains("Read-only file system"), "{refused}");
        assert!(ended_by(server, Signal::TERM), "a clean end has status 0");
    }
}

#[test]
fn modes_reach_the_host_by_every_way_to_say_them() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = text(dir.path());
    let runtime = tempfile::tempdir().expect("a temporary directory");
    let socket = runtime.path().join("socket");
    let socket = text(&socket);
    let local = format!("path={path},security_model=mapped-file,fmode=0640,dmode=488");
    let (fsdev, virtfs) = (
        format!("local,id=a,{local}"),
        format!("local,mount_tag=a,{local}"),
    );
    let flags = [
        "--security-model=mapped-file",
        "--fmode=640",
        "--dmode=0750",
        path,
    ];
    let ways: [&[&str]; 3] = [&["--fsdev", &fsdev], &["--virtfs", &virtfs], &flags];
    for (way, args) in ways.iter().enumerate() {
        let args = [&["--unix", socket], *args].concat();
        let (server, _) = start(&args, runtime.path());
        let (made, file) = (format!("dir{way}"), format!("file{way}"));
        success(run(["mkdir", &format!("unix://{socket}/{made}")]));
        success(run([
            "put",
            "/dev/null",
            &format!("unix://{socket}/{file}"),
        ]));
        let mode = |name: &str| {
            let found = fs::metadata(dir.path().join(name)).expect("it is made");
            found.permissions().mode() & 0o7777
        };
        assert_eq!((mode(&made), mode(&file)), (0o750, 0o640), "{args:?}");
        assert!(ended_by(server, Signal::TERM), "a clean end has status 0");
    }
}

#[test]
fn a_mount_tag_is_not_passed_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = format!(
        "local,mount_tag=tag0,path={},security_model=none",
        text(dir.path())
    );
    let mut server = ninefold()
        .args(["serve", "--virtfs", &options])
        .env("XDG_RUNTIME_DIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let lines = BufReader::new(server.stdout.take().expect("a pipe was asked for"));
    let third = lines.lines().nth(2).expect("three lines").expect("text");
    assert!(third.contains("mount_tag tag0"), "{third}");
    assert!(ended_by(server, Signal::TERM), "a clean end has status 0");
}

#[test]
fn a_client_that_is_connected_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("socket");
    let (server, _) = start(&["--unix", text(&socket), text(dir.path())], dir.path());
    let mut client = std::os::unix::net::UnixStream::connect(&socket).expect("a server");
    // A first exchange, so that the server has it beyond doubt.
    let version = b"\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\09P2000.L";
    client.write_all(version).expect("room");
    client.read_exact(&mut [0; 21]).expect("an Rversion");
    assert!(ended_by(server, Signal::TERM));
    assert_eq!(client.read(&mut [0; 8]).expect("a closed connection"), 0);
}
