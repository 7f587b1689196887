//! Tlock and Tgetlock, within a session and between sessions.

use std::time::{Duration, Instant};

use ninefold::{Errno, SecurityModel};
use ninefold_wire::flags::lock::{BLOCK, BLOCKED, ERROR, RECLAIM, SUCCESS};
use ninefold_wire::{LockRange, Reply, Request};

use crate::client::{Client, outcome};
use crate::share::{Share, one_of_each};
use crate::verbs::{RDONLY, RDWR, range};

const READ: u8 = 0;
const WRITE: u8 = 1;
const UNLOCK: u8 = 2;
const R_LOCK: u8 = 53;

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

/// A client with the file open as fid 1.
fn locker(share: &Share) -> Client {
    let mut client = share.client();
    client.open(1, "file", RDWR);
    client
}

/// Sends a request that is to wait.
fn wait(client: &mut Client, tag: u16, kind: u8, range: LockRange<'_>) {
    let request = Request::Lock {
        fid: 1,
        kind,
        flags: BLOCK,
        range,
    };
    client.send(tag, &request);
    assert_eq!(client.heard(), [], "it waits");
}

/// The late replies to Tlocks: tag and status.
fn statuses(client: &mut Client) -> Vec<(u16, u8)> {
    let status = |frame: &Vec<u8>| {
        let taken = outcome(frame, |reply| match reply {
            Reply::Lock { status } => Some(status),
            _ => None,
        });
        let tag = u16::from_le_bytes([frame[5], frame[6]]);
        (tag, taken.expect("a status"))
    };
    client.sent().iter().map(status).collect()
}

#[test]
fn owners_are_told_apart() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    assert_eq!(one.lock(1, WRITE, 0, range(0, 10, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, WRITE, 0, range(0, 10, 1)), Ok(SUCCESS), "again");
    assert_eq!(
        one.lock(1, READ, 0, range(9, 1, 2)),
        Ok(BLOCKED),
        "another process"
    );
    assert_eq!(
        one.lock(1, WRITE, 0, range(10, 1, 2)),
        Ok(SUCCESS),
        "beside it"
    );
    // The same node and process, but another session: another client with the same name.
    assert_eq!(two.lock(1, READ, 0, range(0, 1, 1)), Ok(BLOCKED));
    let other_node = LockRange {
        client_id: b"other",
        ..range(0, 1, 1)
    };
    assert_eq!(
        one.lock(1, READ, 0, other_node),
        Ok(BLOCKED),
        "another node"
    );
    assert_eq!(one.lock(1, UNLOCK, 0, range(0, 5, 1)), Ok(SUCCESS));
    assert_eq!(two.lock(1, READ, 0, range(0, 5, 1)), Ok(SUCCESS));
    assert_eq!(two.lock(1, READ, 0, range(0, 6, 1)), Ok(BLOCKED));
}

#[test]
fn readers_share() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    assert_eq!(one.lock(1, READ, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(two.lock(1, READ, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, WRITE, 0, range(5, 1, 1)), Ok(BLOCKED));
    assert_eq!(two.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, WRITE, 0, range(5, 1, 1)), Ok(SUCCESS));
    assert_eq!(two.lock(1, READ, RECLAIM, range(5, 1, 1)), Ok(BLOCKED));
}

#[test]
fn what_is_in_the_way_is_told() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    assert_eq!(two.getlock(1, WRITE, range(3, 4, 9)), Ok((UNLOCK, 3, 4, 9)));
    one.lock(1, READ, 0, range(10, 5, 1)).expect("a lock");
    one.lock(1, WRITE, 0, range(100, 0, 2)).expect("a lock");
    assert_eq!(two.getlock(1, WRITE, range(0, 0, 9)), Ok((READ, 10, 5, 1)));
    assert_eq!(two.getlock(1, READ, range(0, 0, 9)), Ok((WRITE, 100, 0, 2)));
    assert_eq!(
        two.getlock(1, READ, range(0, 50, 9)),
        Ok((UNLOCK, 0, 50, 9))
    );
    // All Linux clients ask about type 2, whatever the program asked about.
    assert_eq!(
        two.getlock(1, UNLOCK, range(12, 1, 9)),
        Ok((READ, 10, 5, 1))
    );
    assert_eq!(
        one.getlock(1, WRITE, range(10, 1, 1)),
        Ok((UNLOCK, 10, 1, 1)),
        "its own"
    );
}

#[test]
fn nonsense_is_refused() {
    let share = share();
    let mut client = locker(&share);
    client.find(2, "file");
    client.open(3, "dir", RDONLY);
    for kind in [3, 9, 255] {
        assert_eq!(client.lock(1, kind, 0, range(0, 1, 1)), Err(Errno::INVAL));
        assert_eq!(client.getlock(1, kind, range(0, 1, 1)), Err(Errno::INVAL));
    }
    for flags in [4, 8, u32::MAX] {
        assert_eq!(
            client.lock(1, READ, flags, range(0, 1, 1)),
            Err(Errno::INVAL)
        );
    }
    for (start, length) in [
        (u64::MAX, 2),
        (1 << 63, 1),
        (1 << 62, 1 << 63),
        (2, u64::MAX),
    ] {
        assert_eq!(
            client.lock(1, READ, 0, range(start, length, 1)),
            Err(Errno::INVAL)
        );
        assert_eq!(
            client.getlock(1, READ, range(start, length, 1)),
            Err(Errno::INVAL)
        );
    }
    assert_eq!(
        client.lock(2, READ, 0, range(0, 1, 1)),
        Err(Errno::BADF),
        "not open"
    );
    assert_eq!(client.getlock(2, READ, range(0, 1, 1)), Err(Errno::BADF));
    assert_eq!(client.lock(99, READ, 0, range(0, 1, 1)), Err(Errno::BADF));
    assert_eq!(
        client.lock(3, WRITE, 0, range(0, 0, 1)),
        Ok(SUCCESS),
        "a directory"
    );
}

#[test]
fn node_names_are_short() {
    let share = share();
    let mut client = locker(&share);
    let names = [b'n'; 65535];
    let of = |len| LockRange {
        client_id: &names[..len],
        ..range(0, 1, 1)
    };
    assert_eq!(client.lock(1, WRITE, 0, of(255)), Ok(SUCCESS));
    for len in [256, 65535] {
        let refused = Err(Errno::NAMETOOLONG);
        assert_eq!(client.lock(1, WRITE, BLOCK, of(len)), refused);
        assert_eq!(
            client.getlock(1, WRITE, of(len)).map(drop),
            refused.map(drop)
        );
    }
}

#[test]
fn a_waiter_is_woken_by_the_unlock() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.lock(1, WRITE, 0, range(0, 0, 1)).expect("a lock");
    wait(&mut two, 5, WRITE, range(0, 1, 1));
    wait(&mut two, 6, READ, range(5, 1, 2));
    // Other requests of the same session do not wait with it.
    assert!(two.getattr(1, 0).is_ok());
    one.lock(1, UNLOCK, 0, range(5, 1, 1)).expect("an unlock");
    assert_eq!(statuses(&mut two), [(6, SUCCESS)]);
    one.lock(1, UNLOCK, 0, range(0, 0, 1)).expect("an unlock");
    assert_eq!(statuses(&mut two), [(5, SUCCESS)]);
    assert_eq!(
        one.lock(1, READ, 0, range(0, 1, 1)),
        Ok(BLOCKED),
        "it is theirs"
    );
}

#[test]
fn a_weaker_lock_lets_readers_in() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.lock(1, WRITE, 0, range(0, 0, 1)).expect("a lock");
    wait(&mut two, 5, READ, range(0, 0, 1));
    assert_eq!(one.lock(1, READ, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(statuses(&mut two), [(5, SUCCESS)]);
}

#[test]
fn a_granted_waiter_lets_others_in_too() {
    let share = share();
    let (mut one, mut two, mut three) = (locker(&share), locker(&share), locker(&share));
    // One holds the end, two all before it. Three waits to read the beginning, and two to read
    // all: when two is granted, its write lock is gone and three's turn has come as well.
    one.lock(1, WRITE, 0, range(10, 0, 1)).expect("a lock");
    two.lock(1, WRITE, 0, range(0, 10, 1)).expect("a lock");
    wait(&mut three, 5, READ, range(0, 1, 1));
    wait(&mut two, 6, READ, range(0, 0, 1));
    one.lock(1, UNLOCK, 0, range(0, 0, 1)).expect("an unlock");
    assert_eq!(statuses(&mut two), [(6, SUCCESS)]);
    assert_eq!(statuses(&mut three), [(5, SUCCESS)]);
}

#[test]
fn locks_go_with_the_fid_that_took_them() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.open(2, "file", RDWR);
    one.lock(1, WRITE, 0, range(0, 10, 1)).expect("a lock");
    one.lock(2, WRITE, 0, range(10, 10, 1)).expect("a lock");
    wait(&mut two, 5, READ, range(0, 1, 1));
    wait(&mut two, 6, READ, range(10, 1, 2));
    one.clunk(1).expect("a clunk");
    assert_eq!(statuses(&mut two), [(5, SUCCESS)]);
    one.remove(2).expect("a removal");
    assert_eq!(statuses(&mut two), [(6, SUCCESS)]);
}

#[test]
fn a_clunk_does_not_wait_for_a_lock() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.lock(1, WRITE, 0, range(0, 0, 1)).expect("a lock");
    wait(&mut two, 5, WRITE, range(0, 1, 1));
    two.send(6, &Request::Clunk { fid: 1 });
    let mut heard = two.heard();
    heard.sort_unstable();
    assert_eq!(heard, [(R_LOCK, 5), (121, 6)], "both are answered");
    two.open(1, "file", RDWR);
    one.clunk(1).expect("a clunk");
    assert_eq!(
        two.heard(),
        [],
        "nothing is granted to the fid that is gone"
    );
    assert_eq!(one.heard(), []);
    let mut three = locker(&share);
    assert_eq!(three.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
}

#[test]
fn the_fid_gone_is_an_error_to_the_waiter() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.lock(1, WRITE, 0, range(0, 0, 1)).expect("a lock");
    wait(&mut two, 5, WRITE, range(0, 1, 1));
    two.send(6, &Request::Clunk { fid: 1 });
    let sent = two.sent();
    let lock = sent
        .iter()
        .find(|frame| frame[4] == R_LOCK)
        .expect("an Rlock");
    assert_eq!(lock[7], ERROR);
}

#[test]
fn locks_go_with_the_session() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.lock(1, WRITE, 0, range(0, 0, 1)).expect("a lock");
    wait(&mut two, 5, WRITE, range(0, 1, 1));
    one.close();
    assert_eq!(statuses(&mut two), [(5, SUCCESS)]);
    // Who waits and goes gets nothing, and is in nobody's way.
    let mut three = locker(&share);
    wait(&mut three, 5, WRITE, range(0, 1, 1));
    three.close();
    two.clunk(1).expect("a clunk");
    assert_eq!(three.heard(), []);
    assert_eq!(
        locker(&share).lock(1, WRITE, 0, range(0, 0, 1)),
        Ok(SUCCESS)
    );
}

#[test]
fn locks_go_with_a_new_version() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.lock(1, WRITE, 0, range(0, 0, 1)).expect("a lock");
    wait(&mut two, 5, WRITE, range(0, 1, 1));
    one.version(8192, b"9P2000.L").expect("a version");
    assert_eq!(statuses(&mut two), [(5, SUCCESS)]);
    one.attach(0).expect("a root");
    one.open(1, "file", RDWR);
    wait(&mut one, 5, READ, range(0, 1, 1));
    one.version(8192, b"9P2000.L").expect("a version");
    two.clunk(1).expect("a clunk");
    assert_eq!(one.heard(), [], "no reply to what was before the version");
}

#[test]
fn nobody_waits_for_ever() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.lock(1, WRITE, 0, range(0, 0, 1)).expect("a lock");
    wait(&mut two, 5, WRITE, range(0, 1, 1));
    let now = Instant::now();
    let next = share.export().locks().expire(now).expect("a waiter");
    assert!(next > now && next < now + Duration::from_secs(30));
    assert_eq!(two.heard(), []);
    assert_eq!(share.export().locks().expire(next), None);
    assert_eq!(statuses(&mut two), [(5, BLOCKED)]);
    one.clunk(1).expect("a clunk");
    assert_eq!(two.heard(), [], "and is not granted later");
}
