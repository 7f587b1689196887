//! Reads and writes that wait for their turn hold up nobody and leave nothing behind.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use ninefold_client::Connection;
use ninefold_client::wire::{Data, Request};

use crate::common::{Batch, Random, Server, getattr, open};

/// A second one waits for hours at a byte a second.
const LARGE: u32 = 60_000;

fn server(threads: &str, limits: &[&str]) -> Server {
    let options: Vec<_> = [threads].iter().chain(limits).copied().collect();
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

fn write(data: &[u8]) -> Request<'_> {
    let data = Data(data);
    Request::Write {
        fid: 1,
        offset: 0,
        data,
    }
}

/// Receives until each of the tags is answered, in any order.
fn expect_all(connection: &mut Connection, tags: std::ops::Range<u16>) {
    let mut missing: HashSet<u16> = tags.collect();
    while !missing.is_empty() {
        let (tag, _) = connection.recv().expect("a reply");
        assert!(missing.remove(&tag), "tag {tag} once");
    }
}

#[test]
fn the_rate_is_kept() {
    for (request, limit) in [(read(10), "iops-read=20"), (write(b"x"), "iops-total=20")] {
        let server = server("0", &[limit]);
        let mut connection = opener(&server);
        let mut batch = Batch::default();
        for tag in 0..25 {
            batch.add(tag, &request);
        }
        let begun = Instant::now();
        connection.send_raw(&batch.0).expect("to send");
        expect_all(&mut connection, 0..25);
        // Three at once, and one every 50 ms.
        assert!(begun.elapsed() >= Duration::from_millis(1100));
    }
}

#[test]
fn clients_share_the_rate() {
    let server = server("0", &["iops-total=20"]);
    let mut clients: Vec<_> = (0..5).map(|_| opener(&server)).collect();
    let begun = Instant::now();
    for client in &mut clients {
        for tag in 0..5 {
            client.send(tag, &read(10)).expect("to send");
        }
    }
    for client in &mut clients {
        expect_all(client, 0..5);
    }
    assert!(begun.elapsed() >= Duration::from_millis(1100));
}

#[test]
fn waiting_reads_hold_no_thread() {
    let server = server("2", &["bps-read=1"]);
    let mut reader = opener(&server);
    let mut other = opener(&server);
    reader.call(&read(LARGE)).expect("the first does not wait");
    let mut batch = Batch::default();
    for tag in 0..100 {
        batch.add(tag, &read(LARGE));
    }
    reader.send_raw(&batch.0).expect("to send");
    for tag in 1000..1100 {
        let request = match tag % 2 {
            0 => getattr(1),
            _ => write(b"data"),
        };
        for client in [&mut reader, &mut other] {
            client.send(tag, &request).expect("to send");
            let (came, reply) = client.recv().expect("a reply");
            assert_eq!((came, reply.number()), (tag, request.number() + 1));
        }
    }
    // Given up, they are answered by nothing but the flush.
    for oldtag in 0..100 {
        let (tag, flush) = (2000 + oldtag, Request::Flush { oldtag });
        reader.send(tag, &flush).expect("to send");
        assert_eq!(reader.recv().expect("a reply").0, tag);
    }
}

#[test]
fn nothing_is_left_of_those_who_vanish_while_they_wait() {
    let server = server("0", &["bps-total=1"]);
    let mut witness = opener(&server);
    witness.call(&read(LARGE)).expect("the first does not wait");
    let base = server.extra_fds();
    // So short that the server's socket holds what it does not receive.
    let data = [b'x'; 100];
    // Up to the most that may wait, and beyond.
    for count in [1, 20, 127, 128, 129, 400] {
        for request in [read(LARGE), write(&data)] {
            let mut connection = opener(&server);
            let mut batch = Batch::default();
            for tag in 0..count {
                batch.add(tag, &request);
            }
            connection.send_raw(&batch.0).expect("to send");
            if count < 128 {
                connection.send(5000, &getattr(1)).expect("to send");
                assert_eq!(connection.recv().expect("all wait").0, 5000);
            }
            drop(connection);
            let begun = Instant::now();
            while server.extra_fds() > base {
                assert!(begun.elapsed() < crate::common::LIMIT, "{count} waiting");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        witness.call(&getattr(1)).expect("it goes on");
    }
    let file = fs::read(server.path("file")).expect("a file");
    assert_eq!(file, vec![b'f'; 65536], "no write went through");
}

#[test]
fn more_than_may_wait_are_answered_in_the_end() {
    let server = server("0", &["iops-total=2000"]);
    let mut connection = opener(&server);
    let mut batch = Batch::default();
    for tag in 0..1000 {
        batch.add(tag, &read(1));
    }
    batch.add(1000, &getattr(1));
    let begun = Instant::now();
    connection.send_raw(&batch.0).expect("to send");
    expect_all(&mut connection, 0..1001);
    // 201 at once.
    assert!(begun.elapsed() >= Duration::from_millis(399));
}

#[test]
fn each_ends_in_a_reply_or_a_flush() {
    let server = server("0", &["iops-read=1000", "iops-write=500"]);
    let server = &server;
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || flush_at_random(&mut opener(server), seed));
        }
    });
}

fn flush_at_random(connection: &mut Connection, seed: u64) {
    let mut random = Random::new(seed);
    let mut batch = Batch::default();
    let mut flushed = HashSet::new();
    for tag in 0..200 {
        match random.below(2) {
            0 => batch.add(tag, &read(10)),
            _ => batch.add(tag, &write(b"ffff")),
        }
        let oldtag = tag.saturating_sub(u16::try_from(random.below(100)).expect("small"));
        if random.below(2) == 0 && flushed.insert(oldtag) {
            batch.add(1000 + oldtag, &Request::Flush { oldtag });
        }
    }
    connection.send_raw(&batch.0).expect("to send");
    let mut answered = HashSet::new();
    let mut ended = HashSet::new();
    while (0..200).any(|tag| !answered.contains(&tag) && !ended.contains(&tag))
        || ended.len() < flushed.len()
    {
        let (tag, _) = connection.recv().expect("a reply");
        if tag >= 1000 {
            assert!(ended.insert(tag - 1000), "one Rflush of {tag}");
        } else {
            assert!(!ended.contains(&tag), "{tag} after its flush");
            assert!(answered.insert(tag), "{tag} twice");
        }
    }
    connection.call(&getattr(1)).expect("no reply is left over");
}
