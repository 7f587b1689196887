//! Servers that find their clients where somebody else has put them: descriptors by number, those of
//! systemd, standard input and output. And how such servers end, and what systemd hears of it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ninefold_client::{Client, Options};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::server::{complaint, failure, ninefold, run, success};

/// Turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with one file.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("file"), "content").expect("room");
    dir
}

fn pair() -> (UnixStream, OwnedFd) {
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    ours.set_read_timeout(Some(PATIENCE)).expect("a socket");
    (ours, theirs.into())
}

/// The server, by way of a shell that moves descriptors.
fn by_shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_ninefold"), "serve"])
        .args(["--security-model", "none"]);
    command
}

/// Has a look at a file through a connection, and ends it.
fn look_at(name: &str, content: &[u8], connection: UnixStream) {
    let options = Options {
        timeout: Some(PATIENCE),
        ..Options::default()
    };
    let client = Client::over(connection.into(), &options).expect("a server on the connection");
    let file = client.open(name, 0).expect("the file");
    let mut found = vec![0; content.len() + 1];
    let len = file.read_full_at(&mut found, 0).expect("its content");
    assert!(found.get(..len) == Some(content), "{len} bytes");
}

fn look(connection: UnixStream) {
    look_at("file", b"content", connection);
}

fn ends_well(mut server: Child) {
    let status = server.wait().expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn a_connection_by_number_is_served_and_its_end_is_the_end() {
    let dir = folder();
    let (ours, theirs) = pair();
    let server = by_shell("exec 7<&0 </dev/null; exec \"$0\" \"$@\"")
        .args(["--fd", "7"])
        .arg(dir.path())
        .stdin(theirs)
        .spawn()
        .expect("the server starts");
    look(ours);
    ends_well(server);
}

#[test]
fn two_connections_are_served_until_both_are_gone() {
    let dir = folder();
    let (first, theirs) = pair();
    let (second, also_theirs) = pair();
    let server = by_shell("exec 5<&0 6<&1 </dev/null >/dev/null; exec \"$0\" \"$@\"")
        .args(["--fd", "5", "--fd", "6"])
        .arg(dir.path())
        .stdin(theirs)
        .stdout(also_theirs)
        .spawn()
        .expect("the server starts");
    look(first);
    look(second);
    ends_well(server);
}

#[test]
fn a_listener_by_number_lets_many_in() {
    let dir = folder();
    let place = tempfile::tempdir().expect("a temporary directory");
    let socket = place.path().join("s");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let mut server = ninefold()
        .args(["serve", "--fd", "0", "--security-model", "none"])
        .arg(dir.path())
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .spawn()
        .expect("the server starts");
    let url = format!("unix://{}", socket.display());
    for _ in 0..2 {
        assert_eq!(success(run(["ls", &url])), b"file\n");
    }
    assert!(
        server.try_wait().expect("its state").is_none(),
        "it goes on"
    );
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it runs");
    ends_well(server);
    assert!(socket.exists(), "the socket is not the server's to remove");
}

#[test]
fn sockets_of_systemd_are_used_without_being_asked_for() {
    let dir = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (ours, theirs) = pair();
    let activate = "exec 3<&0 4<&1 </dev/null >/dev/null; \
                    LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" \"$@\"";
    let server = by_shell(activate)
        .arg("--once")
        .arg(dir.path())
        .stdin(OwnedFd::from(listener))
        .stdout(theirs)
        .spawn()
        .expect("the server starts");
    let url = format!("tcp://127.0.0.1:{port}");
    assert_eq!(success(run(["ls", &url])), b"file\n");
    look(ours);
    ends_well(server);
}

#[test]
fn sockets_of_systemd_for_another_process_are_not_touched() {
    let dir = folder();
    let runtime = tempfile::tempdir().expect("a temporary directory");
    let mut server = by_shell("LISTEN_PID=1 LISTEN_FDS=1 exec \"$0\" \"$@\"")
        .arg(dir.path())
        .env("XDG_RUNTIME_DIR", runtime.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut said = [0; 20];
    let stdout = server.stdout.as_mut().expect("a pipe was asked for");
    stdout.read_exact(&mut said).expect("a line");
    assert_eq!(&said, b"listening on unix://");
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it runs");
    ends_well(server);
}

#[test]
fn what_is_no_use_is_named() {
    let dir = folder();
    let export = dir.path();
    let refused = |stdin: Stdio, args: &[&str]| {
        let mut command = ninefold();
        command.arg("serve").args(args).arg(export).stdin(stdin);
        failure(&command.output().expect("the program starts"))
    };
    let said = refused(Stdio::null(), &["--fd", "97"]);
    assert!(
        said.contains("--fd 97: expected a descriptor that is open"),
        "{said}"
    );

    let said = refused(Stdio::null(), &["--fd", "0"]);
    assert!(
        said.contains("came something that is not a socket"),
        "{said}"
    );

    let (datagram, _other) = UnixDatagram::pair().expect("two sockets");
    let said = refused(OwnedFd::from(datagram).into(), &["--fd", "0"]);
    assert!(said.contains("came a socket for datagrams"), "{said}");

    let idle = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    );
    let said = refused(idle.expect("a socket").into(), &["--fd", "0"]);
    assert!(said.contains("neither listens nor is connected"), "{said}");

    let file = fs::File::open(export.join("file")).expect("the file");
    let said = refused(file.into(), &["--stdio"]);
    assert!(said.contains("as standard input, came a file"), "{said}");
}

#[test]
fn a_socket_as_standard_input_and_output_is_a_client() {
    let dir = folder();
    let (ours, theirs) = pair();
    let server = ninefold()
        .args(["serve", "--stdio", "--security-model", "none"])
        .arg(dir.path())
        .stdout(theirs.try_clone().expect("a descriptor"))
        .stdin(theirs)
        .spawn()
        .expect("the server starts");
    look(ours);
    ends_well(server);
}

/// systemd may give a socket in both ways; it is one client nevertheless.
#[test]
fn standard_input_is_not_a_socket_of_systemd_too() {
    let dir = folder();
    let (ours, theirs) = pair();
    let activate = "exec 3<&0; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    let server = by_shell(activate)
        .arg("--stdio")
        .arg(dir.path())
        .stdout(theirs.try_clone().expect("a descriptor"))
        .stdin(theirs)
        .spawn()
        .expect("the server starts");
    look(ours);
    ends_well(server);
}

/// With a reply that is larger than a pipe, and nothing on standard output that is not one: the
/// note about the mount tag must not be.
#[test]
fn pipes_as_standard_input_and_output_are_a_client() {
    let dir = folder();
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(dir.path().join("large"), &content).expect("room");
    let share = format!(
        "local,mount_tag=t,security_model=none,path={}",
        dir.path().display()
    );
    let mut server = ninefold()
        .args(["serve", "--stdio", "--virtfs", &share])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let mut stdin = server.stdin.take().expect("a pipe was asked for");
    let mut stdout = server.stdout.take().expect("a pipe was asked for");
    let (ours, theirs) = pair();
    let mut requests = UnixStream::from(theirs);
    let mut replies = requests.try_clone().expect("a descriptor");
    std::thread::scope(|scope| {
        scope.spawn(move || copy(&mut requests, &mut stdin));
        scope.spawn(move || copy(&mut stdout, &mut replies));
        look_at("large", &content, ours);
    });
    ends_well(server);
}

fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        to.write_all(&buffer[..len]).expect("a reader");
    }
}

#[test]
fn a_server_for_once_ends_with_its_client() {
    let dir = folder();
    let place = tempfile::tempdir().expect("a temporary directory");
    let socket = place.path().join("s");
    let server = start_at(&socket, dir.path(), &["--once"]);
    let (first, second) = (connect(&socket), connect(&socket));
    look(first);
    look(second);
    ends_well(server);
    assert!(!socket.exists(), "the socket goes with its server");
}

/// Starts a server and waits until it listens.
fn start_at(socket: &Path, export: &Path, args: &[&str]) -> Child {
    let mut server = ninefold()
        .args(["serve", "--security-model", "none", "--unix"])
        .arg(socket)
        .args(args)
        .arg(export)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let stdout = server.stdout.as_mut().expect("a pipe was asked for");
    stdout
        .read_exact(&mut [0])
        .expect("it says where it listens");
    server
}

/// Connects, and makes sure that the server knows.
fn connect(socket: &Path) -> UnixStream {
    let mut connection = UnixStream::connect(socket).expect("a server");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket");
    connection
        .write_all(b"\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\09P2000.L")
        .expect("room");
    connection.read_exact(&mut [0; 21]).expect("an Rversion");
    connection
}

#[test]
fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let dir = folder();
    let place = tempfile::tempdir().expect("a temporary directory");
    let path = place.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let heard = || {
        let mut text = [0; 64];
        let len = manager.recv(&mut text).expect("a message");
        String::from_utf8_lossy(&text[..len]).trim_end().to_owned()
    };
    let server = ninefold()
        .args(["serve", "--security-model", "none", "--unix"])
        .arg(place.path().join("s"))
        .arg(dir.path())
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "20000")
        .env_remove("WATCHDOG_PID")
        .stdout(Stdio::null())
        .spawn()
        .expect("the server starts");
    assert_eq!(heard(), "READY=1");
    assert_eq!(
        (heard(), heard()),
        ("WATCHDOG=1".into(), "WATCHDOG=1".into())
    );
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it runs");
    let last = std::iter::repeat_with(heard).find(|text| text != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    ends_well(server);
}

#[test]
fn standard_input_and_output_go_with_nothing_else() {
    for other in [
        "--unix=s",
        "--tcp=h:1",
        "--vsock=1",
        "--vsock-uds=p:1",
        "--fd=3",
    ] {
        let output = run(["serve", "--stdio", other, "."]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            complaint(&output).contains("cannot be used with"),
            "{other}"
        );
    }
}
