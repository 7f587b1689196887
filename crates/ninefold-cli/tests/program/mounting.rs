//! `ninefold mount` up to the mount itself, which guests do (`tests/guest`): what it finds out about
//! a server, the lines for fstab, and what it says when something is missing.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use tempfile::TempDir;

use crate::server::{Served, complaint, failure, run, success};

fn mount_point() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The line for fstab of a server, for a folder.
fn fstab(url: &str, dir: &TempDir, options: &str) -> String {
    let dir = dir.path().to_str().expect("a UTF-8 path");
    let mut args = vec!["mount", "--fstab", url, dir];
    if !options.is_empty() {
        args.extend(["-o", options]);
    }
    String::from_utf8(success(run(args))).expect("UTF-8")
}

/// The security models differ in whether the guest's kernel is to evaluate ACLs. The server prints
/// what it knows; `mount` has to find it out.
#[test]
fn options_are_those_that_the_server_prints() {
    let dir = mount_point();
    for (model, acls) in [
        ("none", false),
        ("mapped-xattr", true),
        ("mapped-file", true),
        ("passthrough", true),
    ] {
        let served = Served::start_with(&[
            "--unix",
            "socket",
            "--msize-max=64K",
            "--security-model",
            model,
        ]);
        let acl = if acls { ",posixacl" } else { "" };
        let socket = served.url.strip_prefix("unix://").expect("a unix socket");
        let mounted = dir.path().display();
        let want = format!(
            "{socket} {mounted} 9p trans=unix,version=9p2000.L,msize=65536,cache=mmap,\
             access=client{acl} 0 0\n"
        );
        assert_eq!(fstab(&served.url, &dir, ""), want, "{model}");
    }
}

#[test]
fn options_of_the_user_go_first() {
    let dir = mount_point();
    let served = Served::start_with(&["--tcp", "127.0.0.1:0"]);
    let port = served.url.rsplit(':').next().expect("a port");
    let line = fstab(
        &served.url,
        &dir,
        "ro,noauto,access=user,cache=loose,msize=8192",
    );
    let mounted = dir.path().display();
    assert_eq!(
        line,
        format!(
            "127.0.0.1 {mounted} 9p trans=tcp,port={port},version=9p2000.L,access=user,\
             cache=loose,msize=8192,ro,noauto,_netdev 0 0\n"
        )
    );
    // By a name only the helper can connect.
    let line = fstab(&served.url.replace("127.0.0.1", "localhost"), &dir, "ro");
    assert!(line.starts_with("# needs: ln -s "), "{line}");
    let want = format!("\ntcp://localhost:{port} {mounted} ninefold version=");
    assert!(line.contains(&want), "{line}");
}

/// It is written before the server runs for the first time.
#[test]
fn lines_for_a_server_that_is_not_there() {
    let dir = mount_point();
    let mounted = dir.path().to_str().expect("a UTF-8 path");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a port").port();
    let rest = "version=9p2000.L,msize=1048576,cache=mmap,access=client,posixacl,ro";
    let socket = format!("{mounted}/socket");
    for (url, line) in [
        (
            format!("unix://{socket}"),
            format!("{socket} {mounted} 9p trans=unix,{rest} 0 0\n"),
        ),
        (
            format!("tcp://127.0.0.1:{port}"),
            format!("127.0.0.1 {mounted} 9p trans=tcp,port={port},{rest},_netdev 0 0\n"),
        ),
    ] {
        let output = run(["mount", "--fstab", "-o", "ro", &url, mounted]);
        let said = complaint(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), line);
        assert!(said.contains("the server could not be asked"), "{said}");
        // Without --fstab there is nothing to do without a server.
        failure(&run(["mount", &url, mounted]));
    }
}

/// As mount(8) calls it: by another name, and with options behind.
#[test]
fn it_is_a_helper_of_mount() {
    let dir = mount_point();
    let served = Served::start();
    let bin = tempfile::tempdir().expect("a temporary directory");
    let helper = bin.path().join("mount.ninefold");
    symlink(env!("CARGO_BIN_EXE_ninefold"), &helper).expect("room");
    let output = Command::new(helper)
        .arg(&served.url)
        .arg(dir.path())
        .args(["-sfnv", "-o", "rw,noatime,cache=none", "-t", "ninefold"])
        .output()
        .expect("the program starts");
    assert_eq!(success(output), b"");
}

#[test]
fn what_is_wrong_is_named() {
    let dir = mount_point();
    let mounted = dir.path().to_str().expect("a UTF-8 path");
    let served = Served::start();
    let refused = |args: &[&str]| failure(&run(["mount"].iter().chain(args)));

    let said = refused(&[&served.at("docs"), mounted]);
    assert!(
        said.contains("came one with a path in its folder, \"/docs\""),
        "{said}"
    );

    let said = refused(&[&served.url, "/nonexistent"]);
    assert!(
        said.contains("expected a directory to mount on, came /nonexistent"),
        "{said}"
    );
    fs::write(dir.path().join("file"), "").expect("room");
    let said = refused(&[&served.url, &format!("{mounted}/file")]);
    assert!(said.contains("expected a directory to mount on"), "{said}");

    let said = refused(&["-o", "ro,trans=fd", &served.url, mounted]);
    assert!(said.contains("expected no trans= in the options"), "{said}");

    let output = run(["mount", "ftp://host", mounted]);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("vsock://cid:port/path"));
}

#[test]
fn servers_that_are_none_are_named() {
    let dir = mount_point();
    let mounted = dir.path().to_str().expect("a UTF-8 path");
    drop(UnixListener::bind(dir.path().join("dead")).expect("a socket"));
    let said = failure(&run(["mount", &format!("unix://{mounted}/dead"), mounted]));
    assert!(said.contains("expected a server at unix://"), "{said}");
    assert!(said.contains("Connection refused"), "{said}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("tcp://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        // The Tversion; then the end.
        client.read_exact(&mut [0; 21]).expect("a request");
    });
    let said = failure(&run(["mount", &url, mounted]));
    assert!(said.contains("expected a 9P server to answer"), "{said}");
}

/// Whoever may not mount, or has no 9p in the kernel, is told so, and the folder is left alone. Where
/// the tests run as root and the kernel has 9p, the mount comes about, and its folder is the server's.
#[test]
fn it_mounts_or_says_what_is_missing() {
    let dir = mount_point();
    let served = Served::start();
    fs::write(served.host("file"), "content").expect("room");
    let mounted = dir.path().to_str().expect("a UTF-8 path");
    let output = run(["mount", &served.url, mounted]);
    let known = fs::read_to_string("/proc/filesystems").expect("a kernel");
    if output.status.success() {
        assert!(known.contains("\t9p\n"), "{known}");
        let content = fs::read(dir.path().join("file"));
        success(
            Command::new("umount")
                .arg(mounted)
                .output()
                .expect("umount"),
        );
        assert_eq!(content.expect("the server's file"), b"content");
        return;
    }
    let said = failure(&output);
    let want = if !rustix::process::geteuid().is_root() {
        "expected the right to mount (run it as root"
    } else if known.contains("\t9p\n") {
        panic!("the kernel has 9p: {said}")
    } else {
        "expected a kernel with a 9p client (modprobe 9p"
    };
    assert!(said.contains(want), "{said}");
}
