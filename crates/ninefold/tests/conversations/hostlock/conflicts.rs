//! Who is in whose way, and what is told of it.

use std::time::Instant;

use ninefold_wire::flags::lock::{BLOCKED, SUCCESS};
use ninefold_wire::{Reply, Request};

use super::{READ, UNLOCK, WRITE, foreigner, locker, share};
use crate::verbs::range;

#[test]
fn the_host_sees_what_clients_hold() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert_eq!(client.lock(1, WRITE, 0, range(100, 50, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, READ, 0, range(200, 0, 2)), Ok(SUCCESS));
    assert_eq!(host.sees(READ, 0, 0), Some((WRITE, 100, 50)));
    assert_eq!(host.sees(WRITE, 150, 0), Some((READ, 200, 0)));
    assert!(!host.lock(READ, 149, 1) && !host.process_lock(READ, 149, 1));
    assert!(!host.lock(WRITE, 1 << 40, 1));
    assert!(host.lock(WRITE, 0, 100) && host.lock(WRITE, 150, 50));
    assert!(host.lock(READ, 200, 0), "both read");
    assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(host.lock(WRITE, 100, 50));
}

#[test]
fn clients_see_what_the_host_holds() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(WRITE, 100, 50) && host.lock(READ, 200, 0));
    assert_eq!(client.lock(1, READ, 0, range(0, 101, 1)), Ok(BLOCKED));
    assert_eq!(client.lock(1, WRITE, 0, range(300, 1, 1)), Ok(BLOCKED));
    assert_eq!(client.lock(1, READ, 0, range(300, 1, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 100, 1)), Ok(SUCCESS));
    assert!(host.lock(UNLOCK, 0, 0));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(!host.lock(READ, 5000, 1));
}

/// A request that the host refuses leaves what was, to the byte.
#[test]
fn a_refusal_changes_nothing() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert_eq!(client.lock(1, READ, 0, range(0, 30, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, WRITE, 0, range(10, 10, 1)), Ok(SUCCESS));
    assert!(host.lock(READ, 25, 20));
    for asked in [range(5, 25, 1), range(0, 0, 1)] {
        assert_eq!(client.lock(1, WRITE, 0, asked), Ok(BLOCKED));
        let has = |byte| host.at(byte);
        assert_eq!(
            [has(9), has(10), has(19), has(20), has(29), has(30)],
            [
                Some(READ),
                Some(WRITE),
                Some(WRITE),
                Some(READ),
                Some(READ),
                None
            ]
        );
        assert!(share.export().locks().expire(Instant::now()).is_none());
    }
    assert_eq!(
        client.getlock(1, WRITE, range(0, 0, 9)),
        Ok((READ, 0, 10, 1))
    );
}

#[test]
fn the_middle_is_given_back_unless_another_has_it() {
    let share = share();
    let (mut one, mut two, host) = (locker(&share), locker(&share), foreigner(&share));
    assert_eq!(one.lock(1, READ, 0, range(0, 100, 1)), Ok(SUCCESS));
    assert_eq!(two.lock(1, READ, 0, range(45, 2, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, UNLOCK, 0, range(40, 20, 1)), Ok(SUCCESS));
    let held: Vec<_> = (0..110).filter(|byte| host.at(*byte).is_some()).collect();
    let expected: Vec<_> = (0..40).chain(45..47).chain(60..100).collect();
    assert_eq!(held, expected);
    // Put together again.
    assert_eq!(two.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, WRITE, 0, range(30, 40, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, READ, 0, range(30, 40, 1)), Ok(SUCCESS));
    assert_eq!(host.sees(WRITE, 0, 0), Some((READ, 0, 100)));
}

#[test]
fn what_the_host_has_in_the_way_is_told() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(READ, 10, 5) && host.lock(WRITE, 100, 0));
    // Without a lock of any client, and with one.
    for _ in 0..2 {
        assert_eq!(
            client.getlock(1, WRITE, range(0, 50, 9)),
            Ok((READ, 10, 5, 0))
        );
        assert_eq!(
            client.getlock(1, READ, range(0, 0, 9)),
            Ok((WRITE, 100, 0, 0))
        );
        assert_eq!(
            client.getlock(1, READ, range(0, 50, 9)),
            Ok((UNLOCK, 0, 50, 9))
        );
        assert_eq!(client.lock(1, WRITE, 0, range(50, 1, 9)), Ok(SUCCESS));
    }
    let asked = Request::Getlock {
        fid: 1,
        kind: WRITE,
        range: range(0, 50, 9),
    };
    let client_id = client.call(&asked, |reply| match reply {
        Reply::Getlock { range, .. } => Some(range.client_id.to_vec()),
        _ => None,
    });
    assert_eq!(client_id.as_deref(), Ok(&b"host"[..]));
    // A lock of a process has its number.
    assert!(host.lock(UNLOCK, 0, 0) && host.process_lock(WRITE, 10, 5));
    let me = std::process::id();
    assert_eq!(
        client.getlock(1, WRITE, range(0, 50, 9)),
        Ok((WRITE, 10, 5, me))
    );
    assert!(host.process_lock(UNLOCK, 0, 0));
}

#[test]
fn a_lock_of_the_whole_file_is_a_flock_too() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(!host.flock(READ));
    assert_eq!(client.lock(1, READ, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(host.flock(READ), "both read");
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert!(host.flock(UNLOCK));
    assert!(!host.flock(WRITE), "the client reads as before");
    assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(host.flock(WRITE));
    assert_eq!(client.lock(1, READ, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert_eq!(
        client.lock(1, WRITE, 0, range(0, 1 << 40, 1)),
        Ok(SUCCESS),
        "a part"
    );
    assert!(host.flock(UNLOCK));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
    // What is not the whole any more is no flock.
    assert_eq!(client.lock(1, UNLOCK, 0, range(5, 1, 1)), Ok(SUCCESS));
    assert!(host.flock(WRITE));
    assert!(!host.lock(READ, 4, 1) && host.lock(WRITE, 5, 1));
}

/// Taken first, the flock(2) goes again when the bytes are not to be had.
#[test]
fn a_flock_for_nothing_is_undone() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(READ, 3, 1));
    assert_eq!(client.lock(1, READ, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert!(host.flock(READ) && !host.flock(WRITE));
    assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert!(host.flock(WRITE));
}
