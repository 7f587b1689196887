//! A file system below the export whose server does not answer: FUSE, served by the test itself. What
//! waits for it is given up when its client says so, and holds up nobody else.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ninefold_client::Connection;
use ninefold_client::wire::{Dialect, Reply, Request};

use super::leases::{SOON, expect_flushed, expect_same};
use crate::common::{Batch, LIMIT, Server, attach, getattr, walk, walk_request};

/// Requests of FUSE. Source: Linux's `include/uapi/linux/fuse.h`.
const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;

const ENOSYS: i32 = -38;
const EINTR: i32 = -4;

/// A mounted file system with nothing but a root, which answers no question for a name until it is told
/// to give up.
struct Hung {
    dir: PathBuf,
    server: Option<JoinHandle<()>>,
    asked: Receiver<()>,
}

impl Hung {
    /// Mounts it; none where this machine lets nobody do so.
    fn on(dir: PathBuf) -> Option<Self> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let device = device.ok()?;
        let mounted = Command::new("mount")
            .args(["-i", "-t", "fuse", "-o"])
            .arg("fd=0,rootmode=40000,user_id=0,group_id=0,allow_other")
            .arg("hung")
            .arg(&dir)
            .stdin(Stdio::from(device.try_clone().expect("a descriptor")))
            .stderr(Stdio::null())
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            return None;
        }
        let (ask, asked) = mpsc::channel();
        Some(Self {
            dir,
            server: Some(thread::spawn(move || answer(&device, &ask))),
            asked,
        })
    }

    /// Waits until somebody asks for a name.
    fn wait_until_asked(&self) {
        self.asked.recv_timeout(LIMIT).expect("a question");
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // The end of the mount is that of the server: its device says ENODEV.
        for how in ["-f", "-l"] {
            let mut umount = Command::new("umount");
            let _ = umount
                .arg(how)
                .arg(&self.dir)
                .stderr(Stdio::null())
                .status();
        }
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn word(request: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(request[at..at + 4].try_into().expect("4 bytes"))
}

fn answer(mut device: &File, asked: &Sender<()>) {
    let mut request = vec![0; 1 << 17];
    while let Ok(len) = device.read(&mut request) {
        let request = &request[..len];
        let (opcode, unique) = (word(request, 4), &request[8..16]);
        let (error, body, unique) = match opcode {
            INIT => (0, init(), unique),
            GETATTR => (0, root_attributes(), unique),
            LOOKUP => {
                let _ = asked.send(());
                continue;
            }
            // Names the question that is given up.
            INTERRUPT => (EINTR, Vec::new(), &request[40..48]),
            _ => (ENOSYS, Vec::new(), unique),
        };
        let len = u32::try_from(16 + body.len()).expect("a short reply");
        let reply = [&len.to_le_bytes()[..], &error.to_le_bytes(), unique, &body].concat();
        // What was given up meanwhile has no answer.
        let _ = device.write(&reply);
    }
}

/// Version 7.31, no features.
fn init() -> Vec<u8> {
    let mut words = vec![7u32, 31, 65536, 0, 0, 65536, 1];
    words.resize(16, 0);
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A directory, valid for a while.
fn root_attributes() -> Vec<u8> {
    let long = [3600u64, 0, 1, 0, 0, 1, 1, 1];
    let short = [0u32, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0];
    let long = long.iter().flat_map(|word| word.to_le_bytes());
    long.chain(short.iter().flat_map(|word| word.to_le_bytes()))
        .collect()
}

/// A server above such a file system, and a session whose fid 1 is its root.
fn above(threads: &str) -> Option<(Server, Hung, Connection)> {
    let server = Server::with(&[], threads, |dir| {
        std::fs::create_dir(dir.join("hung")).expect("a folder");
    });
    let Some(hung) = Hung::on(server.path("hung")) else {
        eprintln!("not proven: this machine has no FUSE, or lets nobody mount");
        return None;
    };
    let mut client = server.session();
    assert_eq!(walk(&mut client, 0, 1, &["hung"]).expect("a root"), 1);
    Some((server, hung, client))
}

#[test]
fn a_flush_ends_a_walk_that_waits() {
    for threads in ["4", "0"] {
        let Some((server, hung, mut client)) = above(threads) else {
            return;
        };
        let begun = Instant::now();
        client
            .send(5, &walk_request(1, 2, &["name"]))
            .expect("to send");
        hung.wait_until_asked();
        for tag in 100..120 {
            expect_same(&mut client, tag, &getattr(0));
        }
        let mut other = server.session();
        other.call(&getattr(0)).expect("others are served");
        client
            .send(6, &Request::Flush { oldtag: 5 })
            .expect("to send");
        expect_flushed(&mut client, 5, 6);
        assert!(begun.elapsed() < SOON, "it waited");
    }
}

/// Replies are gathered as long as requests are quick. Those that wait to be sent when one is not, and
/// those to what comes after it in the same batch, do not wait for its end.
#[test]
fn the_rest_of_a_batch_is_answered_while_one_request_waits() {
    const OTHERS: u16 = 8;
    for threads in ["4", "0"] {
        for place in [0, OTHERS / 2, OTHERS] {
            let Some((_server, hung, mut client)) = above(threads) else {
                return;
            };
            let mut batch = Batch::default();
            for tag in 0..=OTHERS {
                if tag == place {
                    batch.add(100, &walk_request(1, 2, &["name"]));
                } else {
                    batch.add(tag, &getattr(0));
                }
            }
            client.send_raw(&batch.0).expect("to send");
            hung.wait_until_asked();
            let mut answered: Vec<_> = (0..OTHERS)
                .map(|_| client.recv().expect("a reply").0)
                .collect();
            answered.sort_unstable();
            let others: Vec<_> = (0..=OTHERS).filter(|tag| *tag != place).collect();
            assert_eq!(answered, others, "{threads} threads, place {place}");
            client
                .send(6, &Request::Flush { oldtag: 100 })
                .expect("to send");
            expect_flushed(&mut client, 100, 6);
        }
    }
}

#[test]
fn nothing_is_left_of_a_client_that_vanishes_or_begins_anew() {
    let Some((server, hung, mut client)) = above("0") else {
        return;
    };
    let begun = Instant::now();
    client
        .send(5, &walk_request(1, 2, &["name"]))
        .expect("to send");
    hung.wait_until_asked();
    client.version(8192, Dialect::Linux).expect("a version");
    client.call(&attach()).expect("a new session");
    let reply = client.call(&walk_request(0, 1, &["hung"])).expect("a walk");
    assert!(matches!(reply, Reply::Walk { .. }));
    client
        .send(5, &walk_request(1, 2, &["other"]))
        .expect("to send");
    hung.wait_until_asked();
    drop(client);
    server.wait_until_idle();
    assert!(begun.elapsed() < SOON, "it waited");
}

/// Who stops a server does not wait for others' servers.
#[test]
fn a_server_stops_although_a_request_waits() {
    let Some((server, hung, mut client)) = above("0") else {
        return;
    };
    client
        .send(5, &walk_request(1, 2, &["name"]))
        .expect("to send");
    hung.wait_until_asked();
    let begun = Instant::now();
    let top = server.top();
    drop(server);
    assert!(begun.elapsed() < SOON, "it waited");
    drop(hung);
    drop(top);
}
