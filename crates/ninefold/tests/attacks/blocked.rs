//! A request that waits holds up nobody: not its own connection, not another.

use std::collections::HashSet;
use std::fs;

use ninefold_client::Connection;
use ninefold_client::wire::{LockRange, Reply, Request};

use crate::common::{Batch, Server, getattr, open};

/// A write lock of the whole file for a process; waits when `flags` is 1.
pub fn lock(proc_id: u32, flags: u32) -> Request<'static> {
    lock_byte((0, 0), proc_id, flags, 1)
}

/// The same for a range and a type.
fn lock_byte((start, length): (u64, u64), proc_id: u32, flags: u32, kind: u8) -> Request<'static> {
    let range = LockRange {
        start,
        length,
        proc_id,
        client_id: b"node",
    };
    Request::Lock {
        fid: 1,
        kind,
        flags,
        range,
    }
}

fn unlock(proc_id: u32) -> Request<'static> {
    lock_byte((0, 0), proc_id, 0, 2)
}

fn server(threads: &str) -> Server {
    Server::with(&[], threads, |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
    })
}

fn locker(server: &Server) -> Connection {
    let mut connection = server.session();
    open(&mut connection, 1, &["file"], 2).expect("a file");
    connection
}

/// Makes a request while others are under way: the next reply is the one to it.
fn next_is(connection: &mut Connection, tag: u16, request: &Request<'_>) {
    connection.send(tag, request).expect("to send");
    let (came, reply) = connection.recv().expect("a reply");
    assert_eq!((came, reply.number()), (tag, request.number() + 1));
}

fn expect_granted(connection: &mut Connection, tag: u16) {
    let (came, reply) = connection.recv().expect("a reply");
    assert_eq!((came, reply), (tag, Reply::Lock { status: 0 }));
}

#[test]
fn others_are_answered_before_a_waiting_lock() {
    for threads in ["2", "0"] {
        let server = server(threads);
        let (mut one, mut two) = (locker(&server), locker(&server));
        one.call(&lock(1, 0)).expect("a lock");
        two.send(5, &lock(1, 1)).expect("to send");
        for tag in 100..200 {
            next_is(&mut two, tag, &getattr(1));
        }
        // Answered out of order: what came first comes last.
        one.call(&unlock(1)).expect("an unlock");
        expect_granted(&mut two, 5);
    }
}

#[test]
fn two_hundred_waiting_locks_hold_up_nobody() {
    let server = server("0");
    let (mut one, mut two, mut three) = (locker(&server), locker(&server), locker(&server));
    one.call(&lock(1, 0)).expect("a lock");
    let mut batch = Batch::default();
    for tag in 0..200u16 {
        let start = u64::from(tag);
        batch.add(tag, &lock_byte((start, 1), u32::from(tag), 1, 1));
    }
    two.send_raw(&batch.0).expect("to send");
    for tag in 1000..1100 {
        next_is(&mut two, tag, &getattr(1));
        three.call(&getattr(1)).expect("another connection");
    }
    one.call(&unlock(1)).expect("an unlock");
    let mut granted = HashSet::new();
    for _ in 0..200 {
        let (tag, reply) = two.recv().expect("a reply");
        assert_eq!(reply, Reply::Lock { status: 0 });
        assert!(granted.insert(tag));
    }
    assert!(granted.iter().all(|tag| *tag < 200));
}

#[test]
fn flushes_of_a_waiting_lock_are_answered_in_order() {
    let server = server("0");
    let (mut one, mut two) = (locker(&server), locker(&server));
    one.call(&lock(1, 0)).expect("a lock");
    for round in 0..50 {
        let mut batch = Batch::default();
        batch.add(5, &lock(1, 1));
        for tag in [8, 6, 7] {
            batch.add(tag, &Request::Flush { oldtag: 5 });
        }
        batch.add(9, &Request::Flush { oldtag: 6 });
        two.send_raw(&batch.0).expect("to send");
        let mut heard = Vec::new();
        while heard.len() < 4 {
            let (tag, reply) = two.recv().expect("a reply");
            assert_ne!(tag, 5, "round {round}: {reply:?}");
            heard.push(tag);
        }
        let at = |tag| heard.iter().position(|heard| *heard == tag);
        // The first to give up the lock is answered whenever it runs; those that waited with it,
        // in order.
        assert!(at(6) < at(9), "round {round}: {heard:?}");
        two.call(&getattr(1)).expect("no reply is left over");
    }
    one.call(&unlock(1)).expect("an unlock");
    one.call(&lock(2, 0)).expect("nobody else was granted it");
}

#[test]
fn a_reply_never_follows_its_flush() {
    let server = server("0");
    let mut connection = locker(&server);
    for round in 0..300 {
        let mut batch = Batch::default();
        for tag in 0..20 {
            let read = Request::Read {
                fid: 1,
                offset: 0,
                count: 7,
            };
            batch.add(tag, &read);
        }
        for oldtag in 0..20 {
            batch.add(100 + oldtag, &Request::Flush { oldtag });
        }
        connection.send_raw(&batch.0).expect("to send");
        let mut flushed = HashSet::new();
        while flushed.len() < 20 {
            let (tag, _) = connection.recv().expect("a reply");
            if tag >= 100 {
                assert!(flushed.insert(tag - 100));
            } else {
                assert!(
                    !flushed.contains(&tag),
                    "round {round}: {tag} after its flush"
                );
            }
        }
        connection.call(&getattr(0)).expect("no reply is left over");
    }
}
