//! Many clients, greedy clients, and clients in all rhythms.

use std::fs;
use std::thread;
use std::time::Duration;

use ninefold_client::Connection;
use ninefold_client::wire::{Dialect, NOTAG, Reply, Request};

use crate::common::{Batch, MSIZE, Random, Server, attach, getattr, open};

#[test]
fn a_thousand_connections() {
    ninefold::raise_descriptor_limit();
    let server = Server::new();
    let mut all: Vec<_> = (0..1000).map(|_| server.session()).collect();
    for connection in &mut all {
        connection.send(1, &getattr(0)).expect("to send");
    }
    for connection in &mut all {
        assert_eq!(connection.recv().expect("a reply").0, 1);
    }
    drop(all);
    server.wait_until_idle();
    server.session().call(&getattr(0)).expect("it goes on");
}

/// Bytes of one of the greedy client's reads, and how many it asks for at once.
const PIECE: u32 = MSIZE - 24;
const PIECES: u16 = 10_000;

#[test]
fn who_does_not_read_costs_little_and_holds_up_nobody() {
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("large"), vec![b'l'; PIECE as usize]).expect("a file");
    });
    let (mut witness, mut greedy) = (server.session(), server.session());
    open(&mut greedy, 1, &["large"], 0).expect("a file");
    let before = server.memory();
    let mut batch = Batch::default();
    for tag in 0..PIECES {
        let read = Request::Read {
            fid: 1,
            offset: 0,
            count: PIECE,
        };
        batch.add(tag, &read);
    }
    let mut sender = greedy.try_clone().expect("a second handle");
    let sending = thread::spawn(move || sender.send_raw(&batch.0).expect("to send"));
    let mut most = 0;
    for _ in 0..300 {
        witness.call(&getattr(0)).expect("others are served");
        server.session().call(&getattr(0)).expect("newcomers too");
        most = most.max(server.memory());
    }
    let grown = most.saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    // When it reads at last, all is there.
    let mut tags = vec![false; PIECES.into()];
    for _ in 0..PIECES {
        let (tag, reply) = greedy.recv().expect("a reply");
        let Reply::Read { data } = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(data.0.len(), PIECE as usize);
        assert!(!std::mem::replace(&mut tags[usize::from(tag)], true));
    }
    sending.join().expect("all was sent");
    drop((witness, greedy));
    server.wait_until_idle();
}

#[test]
fn a_version_in_the_midst_of_a_hundred_requests() {
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
    });
    let mut holder = server.session();
    open(&mut holder, 1, &["file"], 2).expect("a file");
    holder.call(&crate::blocked::lock(1, 0)).expect("a lock");
    let mut connection = server.session();
    for round in 0..100 {
        open(&mut connection, 1, &["file"], 2).expect("a file");
        let mut batch = Batch::default();
        for tag in 0..100 {
            match tag % 5 {
                0 => batch.add(tag, &crate::blocked::lock(tag.into(), 1)),
                1 => batch.add(tag, &Request::Clunk { fid: 1 }),
                _ => batch.add(tag, &getattr(1)),
            }
        }
        let version = Request::Version {
            msize: MSIZE,
            version: Dialect::Linux.version(),
        };
        batch.add(NOTAG, &version);
        batch.add(7, &attach());
        connection.send_raw(&batch.0).expect("to send");
        let mut heard = [false; 100];
        loop {
            let (tag, reply) = connection.recv().expect("a reply");
            if let Reply::Version { .. } = reply {
                break;
            }
            assert!(!std::mem::replace(&mut heard[usize::from(tag)], true));
        }
        let (tag, reply) = connection.recv().expect("a reply");
        let is_attach = matches!(reply, Reply::Attach { .. });
        assert!(tag == 7 && is_attach, "round {round}: {tag} {reply:?}");
    }
    holder.call(&getattr(1)).expect("others are served");
}

/// One client that goes on in all rhythms: single requests, bursts, pauses.
fn goes_on(mut connection: Connection, seed: u64, rounds: usize) {
    let mut random = Random::new(seed);
    for round in 0..rounds {
        let burst = match random.below(4) {
            0 => 1 + random.below(100),
            _ => 1,
        };
        let mut batch = Batch::default();
        for tag in 0..burst {
            let tag = u16::try_from(tag).expect("a few");
            if random.below(8) == 0 {
                batch.add(tag, &Request::Clunk { fid: 77 });
            } else {
                batch.add(tag, &getattr(0));
            }
        }
        connection.send_raw(&batch.0).expect("to send");
        for _ in 0..burst {
            let reply = connection.recv().map(drop);
            reply.unwrap_or_else(|error| panic!("seed {seed} round {round}: {error}"));
        }
        if random.below(50) == 0 {
            // Longer and shorter than a thread stays with a quiet connection.
            let pause = [100, 1000, 3000, 12_000][random.below(4)];
            thread::sleep(Duration::from_micros(pause));
        }
    }
}

#[test]
fn no_request_is_forgotten() {
    for threads in ["2", "3", "0"] {
        let server = Server::with(&[], threads, |_| {});
        thread::scope(|scope| {
            for seed in 0..4 {
                let connection = server.session();
                scope.spawn(move || goes_on(connection, seed, 1500));
            }
        });
    }
}
