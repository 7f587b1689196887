//! Clients that say that they send no more: what they have asked for is still answered.

use std::collections::HashSet;
use std::fs;
use std::time::Instant;

use ninefold_client::wire::{Reply, Request};
use ninefold_client::{Connection, Error};

use crate::blocked::lock;
use crate::common::{Batch, Server, getattr, open, walk};
use crate::leases::{Lease, SOON};

fn server(limits: &[&str]) -> Server {
    let options: Vec<_> = ["0"].iter().chain(limits).copied().collect();
    Server::with_options(&[], &options, |dir| {
        fs::write(dir.join("file"), vec![b'f'; 65536]).expect("a file");
    })
}

fn opener(server: &Server) -> Connection {
    let mut connection = server.session();
    open(&mut connection, 1, &["file"], 2).expect("a file");
    connection
}

fn read(count: u32) -> Request<'static> {
    Request::Read {
        fid: 1,
        offset: 0,
        count,
    }
}

/// Receives one reply to each tag, and then the end.
fn expect_all_and_end(connection: &mut Connection, count: u16) {
    let mut missing: HashSet<u16> = (0..count).collect();
    while !missing.is_empty() {
        let (tag, reply) = connection.recv().expect("a reply");
        assert!(!matches!(reply, Reply::Lerror { .. }), "{reply:?}");
        assert!(missing.remove(&tag), "tag {tag} once");
    }
    expect_end(connection);
}

fn expect_end(connection: &mut Connection) {
    let end = connection.recv().map(|(tag, _)| tag);
    assert!(matches!(end, Err(Error::Closed)), "{end:?}");
}

fn send_all(connection: &mut Connection, count: u16, request: &Request<'_>) {
    let mut batch = Batch::default();
    for tag in 0..count {
        batch.add(tag, request);
    }
    connection.send_raw(&batch.0).expect("to send");
    connection.close_sending().expect("to close");
}

#[test]
fn all_replies_come_before_the_end() {
    let server = server(&[]);
    for _ in 0..40 {
        for (count, request) in [(1, getattr(1)), (60, getattr(1)), (200, read(60_000))] {
            let mut connection = opener(&server);
            send_all(&mut connection, count, &request);
            expect_all_and_end(&mut connection, count);
        }
    }
    server.wait_until_idle();
}

#[test]
fn replies_that_wait_for_their_turn_come_too() {
    let server = server(&["iops-read=50"]);
    let mut connection = opener(&server);
    send_all(&mut connection, 30, &read(10));
    expect_all_and_end(&mut connection, 30);
    server.wait_until_idle();
}

#[test]
fn so_does_that_to_an_open_that_waits() {
    let server = server(&[]);
    let mut client = server.session();
    walk(&mut client, 0, 1, &["file"]).expect("a file");
    let mut lease = Lease::of(&server, "file");
    send_all(&mut client, 1, &Request::Lopen { fid: 1, flags: 2 });
    lease.wait_until_asked();
    drop(lease);
    expect_all_and_end(&mut client, 1);
    server.wait_until_idle();
}

#[test]
fn a_clunk_that_waits_is_done() {
    let server = server(&[]);
    let mut client = server.session();
    walk(&mut client, 0, 1, &["file"]).expect("a file");
    let mut lease = Lease::of(&server, "file");
    let mut batch = Batch::default();
    batch.add(0, &Request::Lopen { fid: 1, flags: 2 });
    batch.add(1, &Request::Clunk { fid: 1 });
    client.send_raw(&batch.0).expect("to send");
    client.close_sending().expect("to close");
    lease.wait_until_asked();
    drop(lease);
    expect_all_and_end(&mut client, 2);
}

/// Over TCP a client that has died looks the same, so that this has an end.
#[test]
fn an_open_that_waits_too_long_is_not_waited_for() {
    let server = server(&[]);
    let mut client = server.session();
    walk(&mut client, 0, 1, &["file"]).expect("a file");
    let mut lease = Lease::of(&server, "file");
    let begun = Instant::now();
    send_all(&mut client, 1, &Request::Lopen { fid: 1, flags: 2 });
    lease.wait_until_asked();
    expect_end(&mut client);
    server.wait_until_idle();
    assert!(begun.elapsed() < SOON, "it waited for the lease");
}

#[test]
fn who_goes_after_all_is_not_waited_for() {
    let server = server(&[]);
    for _ in 0..20 {
        let mut client = server.session();
        walk(&mut client, 0, 1, &["file"]).expect("a file");
        let mut lease = Lease::of(&server, "file");
        let begun = Instant::now();
        send_all(&mut client, 1, &Request::Lopen { fid: 1, flags: 2 });
        lease.wait_until_asked();
        drop(client);
        server.wait_until_idle();
        assert!(begun.elapsed() < SOON, "it waited for the lease");
    }
}

/// Nobody is left to release it.
#[test]
fn a_lock_is_not_waited_for() {
    let server = server(&[]);
    let (mut one, mut two) = (opener(&server), opener(&server));
    one.call(&lock(1, 0)).expect("a lock");
    send_all(&mut two, 1, &lock(1, 1));
    expect_end(&mut two);
    drop(one);
    server.wait_until_idle();
}
