//! A host that cannot lock, or cannot now.

use std::fs;

use ninefold_client::Connection;
use ninefold_client::wire::flags::lock::{BLOCKED, SUCCESS};
use ninefold_client::wire::{LockRange, Reply, Request};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

use crate::common::{Server, open};
use crate::inject::{Calls, can_attach};

const RDWR: u32 = 2;
const READ: u8 = 0;
const WRITE: u8 = 1;
const UNLOCK: u8 = 2;

/// One server and two clients that have a file open as fid 1.
struct Stage {
    server: Server,
    clients: [Connection; 2],
}

impl Stage {
    fn new() -> Self {
        let fill = |dir: &std::path::Path| fs::write(dir.join("file"), "content").expect("a file");
        let server = Server::of(&[], "2", "none", fill);
        let clients = [server.session(), server.session()].map(|mut client| {
            open(&mut client, 1, &["file"], RDWR).expect("an open file");
            client
        });
        Self { server, clients }
    }

    /// The status of a Tlock, or its error.
    fn lock(&mut self, client: usize, kind: u8, length: u64) -> Result<u8, i32> {
        let request = Request::Lock {
            fid: 1,
            kind,
            flags: 0,
            range: LockRange {
                start: 0,
                length,
                proc_id: 1,
                client_id: b"node",
            },
        };
        match self.clients[client].call(&request) {
            Ok(Reply::Lock { status }) => Ok(status),
            Ok(other) => panic!("another reply: {other:?}"),
            Err(ninefold_client::Error::Server { errno, .. }) => Err(errno),
            Err(error) => panic!("{error}"),
        }
    }

    /// Asks once while calls fail so.
    fn lock_while(&mut self, how: &str, length: u64) -> Result<u8, i32> {
        let calls = Calls::inject(&self.server, how);
        let answer = self.lock(0, WRITE, length);
        assert!(calls.end().contains("(INJECTED)"), "{how} was met");
        answer
    }
}

#[test]
fn without_locks_on_the_host_clients_have_theirs() {
    if !can_attach() {
        return;
    }
    for error in ["ENOLCK", "EOPNOTSUPP", "EINVAL", "EACCES"] {
        let mut stage = Stage::new();
        let how = format!("fcntl:error={error}");
        assert_eq!(stage.lock_while(&how, 10), Ok(SUCCESS), "{how}");
        assert_eq!(stage.lock(1, WRITE, 10), Ok(BLOCKED), "{how}");
        assert_eq!(stage.lock(0, UNLOCK, 0), Ok(SUCCESS), "{how}");
        assert_eq!(stage.lock(1, WRITE, 10), Ok(SUCCESS), "{how}");
    }
    let mut stage = Stage::new();
    let answer = stage.lock_while("flock:error=ENOLCK", 0);
    assert_eq!(answer, Ok(SUCCESS), "bytes can be locked");
    assert_eq!(stage.lock(1, WRITE, 0), Ok(BLOCKED));
}

#[test]
fn what_the_host_fails_to_do_is_an_error_and_leaves_nothing() {
    if !can_attach() {
        return;
    }
    for (how, length, errno) in [
        ("fcntl:error=EIO", 10, 5),
        ("fcntl:error=EIO", 0, 5),
        ("openat:error=EMFILE", 10, 37),
        ("openat:error=ENFILE", 10, 37),
        ("openat:error=EIO", 10, 5),
    ] {
        let mut stage = Stage::new();
        let fds = stage.server.extra_fds();
        assert_eq!(stage.lock_while(how, length), Err(errno), "{how}");
        // When descriptors are short, some that are idle are given back.
        assert!(stage.server.extra_fds() <= fds, "{how}");
        assert_eq!(stage.lock(1, WRITE, 0), Ok(SUCCESS), "{how}");
    }
}

/// What has worked is not taken for impossible: then a lock would not hold.
#[test]
fn a_host_that_could_lock_before_must_not_be_passed_over() {
    if !can_attach() {
        return;
    }
    for (before, how) in [
        (WRITE, "fcntl:error=ENOLCK"),
        // A shared lock is to move to a descriptor that writes.
        (READ, "openat:error=EMFILE"),
        (READ, "fcntl:error=ENOLCK"),
    ] {
        let mut stage = Stage::new();
        assert_eq!(stage.lock(0, before, 10), Ok(SUCCESS));
        assert_eq!(stage.lock_while(how, 20), Err(37), "{how}");
        assert_eq!(stage.lock(1, WRITE, 10), Ok(BLOCKED), "{how}");
        assert_eq!(stage.lock(0, WRITE, 20), Ok(SUCCESS), "{how}");
        // Exclusive for the host too.
        let file = fs::File::open(stage.server.path("file")).expect("the file");
        let mine = fcntl_lock(&file, FlockOperation::NonBlockingLockShared);
        assert_eq!(mine, Err(Errno::AGAIN), "{how}");
    }
}

/// A lock that nobody else wants is opened, set and closed: closing gives it back.
#[test]
fn a_lock_costs_few_calls() {
    if !can_attach() {
        return;
    }
    let of_bytes = [
        ("openat(", 1),
        ("F_OFD_SETLK", 1),
        ("flock(", 0),
        ("fstatfs(", 0),
    ];
    let of_all = [
        ("openat(", 1),
        ("F_OFD_SETLK", 1),
        ("flock(", 1),
        ("fstatfs(", 1),
    ];
    for (length, expected) in [(10, of_bytes), (0, of_all)] {
        let mut stage = Stage::new();
        let calls = Calls::record(&stage.server);
        assert_eq!(stage.lock(0, WRITE, length), Ok(SUCCESS));
        assert_eq!(stage.lock(0, UNLOCK, length), Ok(SUCCESS));
        let trace = calls.end();
        for (call, count) in expected {
            let made = trace.lines().filter(|line| line.contains(call)).count();
            assert_eq!(made, count, "{call} {trace}");
        }
    }
}
