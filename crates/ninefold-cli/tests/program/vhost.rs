//! `ninefold serve --vhost-user`: what it says to the users of VMMs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::{complaint, ninefold, run};

/// Starts a server and reads what it says until it has said how to mount.
fn start(args: &[&str], dir: &Path) -> (Child, String) {
    let mut server = ninefold()
        .args(["serve", "--security-model", "none"])
        .args(args)
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut said = String::new();
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe was asked for"));
    while !said.contains("in the guest:") {
        let len = lines.read_line(&mut said).expect("text");
        assert!(len > 0, "the server ended, having said {said:?}");
    }
    (server, said)
}

fn end(mut server: Child) {
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it runs");
    assert!(server.wait().expect("it ends").success());
}

#[test]
fn the_arguments_of_vmms_are_said() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("a,b");
    let path = socket.to_str().expect("a path of text");
    let (server, said) = start(&["--vhost-user", path, "--tag", "home"], dir.path());
    let quoted = path.replace(',', ",,");
    for expected in [
        &format!("listening on vhost-user://{path}\n"),
        "memory-backend-memfd,id=mem,size=SIZE,share=on",
        &format!("socket,id=ninefold,path={quoted}\n"),
        "virtio-id=9,num_vqs=1,vq_size=128,config_size=64\n",
        &format!("--vhost-user 9p,socket={path}\n"),
        "trans=virtio,version=9p2000.L,msize=512000,",
        " home /mnt\n",
    ] {
        assert!(said.contains(expected), "expected {expected} in {said}");
    }
    let found = fs::symlink_metadata(&socket).expect("a socket");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    end(server);
    assert!(!socket.exists(), "the socket goes with its server");
}

#[test]
fn tags_that_no_guest_could_use_are_refused() {
    let long = "x".repeat(32);
    for tag in ["", &long] {
        let output = run(["serve", "--vhost-user", "/nowhere", "--tag", tag, "/"]);
        assert_eq!(output.status.code(), Some(2));
        let said = complaint(&output);
        assert!(said.contains("a mount tag of 1 to 31 bytes"), "{said}");
    }
}

#[test]
fn a_guest_without_shared_memory_is_explained() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("socket");
    let path = socket.to_str().expect("a path of text");
    let (mut server, _) = start(&["--vhost-user", path], dir.path());
    let mut vmm = UnixStream::connect(&socket).expect("the server listens");
    // SET_FEATURES, version 1, 8 bytes: mount tag, indirect descriptors, version 1 of virtio.
    let mut message = Vec::new();
    for word in [2u32, 1, 8, 0x1000_0001, 1] {
        message.extend(word.to_ne_bytes());
    }
    vmm.write_all(&message).expect("the server is there");
    let stderr = BufReader::new(server.stderr.take().expect("a pipe was asked for"));
    let mut lines = stderr.lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.contains("share=on")));
    end(server);
}
