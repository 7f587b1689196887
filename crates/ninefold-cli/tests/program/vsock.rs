//! Servers behind vsock: natively, and the way of Firecracker and Cloud Hypervisor, with a VMM that is
//! played by the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use crate::server::{Served, failure, ninefold, run, success};

/// A guest has connected to port 52 of its host: the VMM goes to the socket with that number. And
/// the host connects to port 52 of the guest, where `answer` comes from.
fn play_vmm(path: &Path, answer: &'static str) {
    let listener = UnixListener::bind(path).expect("a socket");
    let server = format!("{}_52", path.display());
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a client");
            let mut line = [0; 11];
            client.read_exact(&mut line).expect("a line");
            assert_eq!(&line, b"CONNECT 52\n");
            client.write_all(answer.as_bytes()).expect("room");
            if answer.starts_with("OK") {
                let server = UnixStream::connect(&server).expect("the server");
                let ends = [&client, &server].map(|end| end.try_clone().expect("a descriptor"));
                let [to_client, to_server] = ends;
                thread::spawn(move || pass_on(client, to_server));
                thread::spawn(move || pass_on(server, to_client));
            }
        }
    });
}

fn pass_on(mut from: UnixStream, mut to: UnixStream) {
    // The end of one direction is the end of it for the other side.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn a_guest_of_firecracker_finds_its_host() {
    let served = Served::start_with(&["--vsock-uds", "v.sock:52", "--security-model", "none"]);
    let vmm = served.host("../v.sock");
    assert!(served.url.ends_with("/v.sock_52"), "{}", served.url);
    play_vmm(&vmm, "OK 1073741824\n");
    fs::write(served.host("file"), "content").expect("room");
    let url = format!("vsock+unix://{}:52", vmm.display());
    assert_eq!(success(run(["ls", &url])), b"file\n");
    assert_eq!(success(run(["cat", &format!("{url}/file")])), b"content");
}

#[test]
fn a_vmm_that_does_not_connect_is_understood() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (name, answer, want) in [
        ("a", "", "nobody listens on that port of its guest"),
        ("b", "NO\n", "expected OK from the VMM, came \\\"NO\\\""),
        (
            "c",
            "no end of a line, and more of it",
            "expected OK from the VMM",
        ),
    ] {
        let path = dir.path().join(name);
        play_vmm(&path, answer);
        let said = failure(&run(["ls", &format!("vsock+unix://{}:52", path.display())]));
        let want = want.replace("\\\"", "\"");
        assert!(said.contains(&want), "{said}");
    }
    let said = failure(&run([
        "ls",
        &format!("vsock+unix://{}/none:52", dir.path().display()),
    ]));
    assert!(said.contains("No such file or directory"), "{said}");
}

/// Says how a server on vsock begins: the first two lines, or why there are none.
fn begin(port: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut server = ninefold()
        .args(["serve", "--security-model", "none", "--vsock", port])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let stdout = server.stdout.take().expect("a pipe was asked for");
    let stderr = server.stderr.take().expect("a pipe was asked for");
    let lines = |from: &mut dyn BufRead| from.lines().map_while(Result::ok).take(2).collect();
    let mut said: Vec<_> = lines(&mut BufReader::new(stdout));
    if said.is_empty() {
        said = lines(&mut BufReader::new(stderr));
    }
    // One that has ended by itself is no more to be killed.
    let _ = server.kill();
    server.wait().expect("it ends");
    said
}

/// What can be said of a vsock listener on any kernel: it is there, or the kernel has no vsock.
#[test]
fn a_port_of_vsock_is_announced_or_missing() {
    let said = begin("56401");
    if said[0].contains("expected a kernel that has this kind of socket") {
        assert!(said[0].contains("modprobe vhost_vsock"), "{said:?}");
        return;
    }
    assert_eq!(said[0], "listening on vsock://any:56401");
    assert_eq!(
        said[1],
        "  in a guest:      ninefold mount vsock://2:56401 /mnt"
    );
    // No machine has this number.
    let said = begin("77777:56402");
    let want = "cannot listen on vsock://77777:56402: expected an address of this host";
    assert!(said[0].contains(want), "{said:?}");
}

#[test]
#[ignore = "needs the kernel module vsock_loopback; run with --ignored where it is loaded"]
fn a_machine_reaches_itself_over_vsock() {
    let served = Served::start_with(&["--vsock", "56403", "--security-model", "none"]);
    fs::write(served.host("file"), "content").expect("room");
    assert_eq!(success(run(["ls", "vsock://1:56403"])), b"file\n");
    assert_eq!(success(run(["cat", "vsock://1:56403/file"])), b"content");
}

#[test]
#[ignore = "needs the kernel module vsock_loopback; run with --ignored where it is loaded"]
fn only_machines_on_the_list_come_in() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let with_list = |port: &str, list: &str| {
        let mut command = ninefold();
        command.stderr(fs::File::create(&log).expect("room"));
        let args = ["--vsock", port, "--vsock-allow", list];
        Served::start_by(command, &args)
    };
    let _served = with_list("56404", "3,1");
    assert_eq!(success(run(["ls", "vsock://1:56404"])), b"");
    let _served = with_list("56405", "3,4");
    failure(&run(["ls", "vsock://1:56405"]));
    let said = fs::read_to_string(&log).expect("the log");
    let want = "refused a connection to vsock://any:56405: expected CID 3 or 4, came CID 1";
    assert!(said.contains(want) && said.lines().count() == 1, "{said}");
}
