//! Two servers of one folder, each a process: the locks of one's clients hold against the other's.

use std::time::{Duration, Instant};

use ninefold_client::wire::flags::lock;
use ninefold_client::wire::{LockRange, LockType};
use ninefold_client::{Address, Client, File, LockStatus, Options};

use crate::server::Served;

/// Linux's number of it.
const RDWR: u32 = 2;

/// Turns a hang into a failure; nothing is decided by it.
const LIMIT: Duration = Duration::from_secs(60);

fn open(served: &Served) -> File {
    let options = Options {
        timeout: Some(LIMIT),
        ..Options::default()
    };
    let socket = served.url.strip_prefix("unix://").expect("a unix socket");
    let address = Address::Unix(socket.into());
    let client = Client::connect(&address, &options).expect("a session");
    client.open("file", RDWR).expect("the file")
}

fn bytes(start: u64, length: u64) -> LockRange<'static> {
    LockRange {
        start,
        length,
        proc_id: 1,
        client_id: b"node",
    }
}

fn ask(file: &File, kind: LockType, flags: u32, range: LockRange<'_>) -> LockStatus {
    file.lock(kind, flags, range).expect("a status")
}

#[test]
fn locks_hold_between_two_servers() {
    let here = Served::start();
    let there = here.again();
    std::fs::write(here.host("file"), "content").expect("a file");
    let (one, two) = (open(&here), open(&there));
    let taken = ask(&one, LockType::Write, 0, bytes(10, 10));
    assert_eq!(taken, LockStatus::Granted);
    let taken = ask(&two, LockType::Read, 0, bytes(15, 1));
    assert_eq!(taken, LockStatus::Blocked);
    let taken = ask(&two, LockType::Write, 0, bytes(20, 0));
    assert_eq!(taken, LockStatus::Granted);
    let held = two.lock_in_the_way(LockType::Read, bytes(0, 0));
    let held = held.expect("an answer").expect("a lock");
    assert_eq!(
        (held.kind, held.start, held.length),
        (LockType::Write, 10, 10)
    );
    assert_eq!((held.proc_id, &held.client_id[..]), (0, &b"host"[..]));
    let taken = ask(&one, LockType::Write, 0, bytes(0, 0));
    assert_eq!(taken, LockStatus::Blocked);
}

#[test]
fn a_waiter_of_one_server_is_woken_by_the_end_of_the_other() {
    let here = Served::start();
    let there = here.again();
    std::fs::write(here.host("file"), "content").expect("a file");
    let (one, two) = (open(&here), open(&there));
    let taken = ask(&one, LockType::Write, 0, bytes(0, 0));
    assert_eq!(taken, LockStatus::Granted);
    let waiter = std::thread::spawn(move || {
        // Each request waits for some seconds at most.
        let begun = Instant::now();
        while ask(&two, LockType::Write, lock::BLOCK, bytes(5, 1)) == LockStatus::Blocked {
            assert!(begun.elapsed() < LIMIT, "for ever");
        }
        two
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waiter.is_finished(), "it waits");
    // Killed, it has no time to give anything back.
    drop(here);
    let two = waiter.join().expect("the lock");
    let held = two.lock_in_the_way(LockType::Write, bytes(0, 0));
    assert_eq!(held.expect("an answer"), None, "all but its own is free");
    drop(one);
}

/// The clock of a server learns from the one who unlocks that the host is to be asked from now on.
#[test]
fn a_waiter_behind_a_client_and_then_behind_the_host() {
    let here = Served::start();
    let there = here.again();
    std::fs::write(here.host("file"), "content").expect("a file");
    let (one, two, host) = (open(&here), open(&here), open(&there));
    for file in [&one, &host] {
        let taken = ask(file, LockType::Read, 0, bytes(0, 10));
        assert_eq!(taken, LockStatus::Granted);
    }
    let waiter = std::thread::spawn(move || ask(&two, LockType::Write, lock::BLOCK, bytes(0, 1)));
    std::thread::sleep(Duration::from_millis(100));
    let given = ask(&one, LockType::Unlock, 0, bytes(0, 0));
    assert_eq!(given, LockStatus::Granted);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!waiter.is_finished(), "the other server's client reads");
    let given = ask(&host, LockType::Unlock, 0, bytes(0, 0));
    assert_eq!(given, LockStatus::Granted);
    // Not looked at, it would have been told at its end that it is blocked.
    assert_eq!(waiter.join().expect("a status"), LockStatus::Granted);
}
