//! Streams that are not what a client sends: garbage, halves, silence.

use std::collections::HashSet;
use std::fs;

use ninefold_client::wire::{Dialect, Header, Request};
use ninefold_client::{Connection, Error};

use crate::common::{Batch, MSIZE, MSIZE_MAX, Random, Server, attach, getattr, open, walk};

/// Whether the server has closed the connection; a reset says so too.
fn is_closed(connection: &mut Connection) -> bool {
    loop {
        match connection.recv_raw() {
            Ok(_) => {}
            Err(Error::Closed | Error::Io { .. }) => return true,
            Err(Error::Timeout { .. }) => return false,
            Err(error) => panic!("the server sent garbage: {error}"),
        }
    }
}

#[test]
fn garbage_ends_its_connection_alone() {
    let server = Server::new();
    let mut witness = server.session();
    let mut random = Random::new(1);
    for round in 0..300 {
        let mut connection = if round % 2 == 0 {
            server.connect()
        } else {
            server.session()
        };
        let len = 1 + random.below(8192);
        // The server may close at the first bytes.
        let _ = connection.send_raw(&random.bytes(len));
        let _ = connection.close_sending();
        assert!(is_closed(&mut connection), "round {round}");
        witness.call(&getattr(0)).expect("others are served");
    }
    drop(witness);
    server.wait_until_idle();
}

/// A frame of any type but Tversion, with a body that is now and then nearly right.
fn nearly(random: &mut Random, tag: u16) -> Vec<u8> {
    let number = loop {
        let number = random.next().to_be_bytes()[0] & 0x7f;
        if number != 100 {
            break number;
        }
    };
    let len = random.below(64);
    let mut body = random.bytes(len);
    for at in (0..len).step_by(4) {
        if random.below(3) > 0 {
            let small = [u8::try_from(random.below(6)).expect("small"), 0, 0, 0];
            let end = len.min(at + 4);
            body[at..end].copy_from_slice(&small[..end - at]);
        }
    }
    let size = u32::try_from(7 + len).expect("small");
    [
        &size.to_le_bytes()[..],
        &[number],
        &tag.to_le_bytes(),
        &body,
    ]
    .concat()
}

#[test]
fn every_frame_gets_one_reply() {
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
    });
    for seed in 0..30 {
        let mut random = Random::new(seed);
        let mut connection = server.session();
        walk(&mut connection, 0, 1, &[]).expect("a clone");
        open(&mut connection, 2, &["file"], 0).expect("a file");
        let frames: Vec<u8> = (0..500).flat_map(|tag| nearly(&mut random, tag)).collect();
        connection.send_raw(&frames).expect("to send");
        let mut tags = HashSet::new();
        for _ in 0..500 {
            let frame = connection.recv_raw().expect("a reply");
            let header = Header::peek(frame).expect("a header");
            assert!(
                tags.insert(header.tag),
                "seed {seed}: tag {} twice",
                header.tag
            );
        }
        assert!(tags.iter().all(|tag| *tag < 500));
        // Clunked or not: the session answers.
        let _ = connection.call(&getattr(0)).map(drop).map_err(|error| {
            assert!(error.errno().is_some(), "{error}");
        });
    }
    server.wait_until_idle();
}

#[test]
fn cut_frames_and_silence_harm_nobody() {
    let server = Server::new();
    let mut batch = Batch::default();
    batch.add(1, &getattr(0));
    let mut silent: Vec<Connection> = Vec::new();
    for len in 0..batch.0.len() {
        let mut before = server.connect();
        before.send_raw(&batch.0[..len]).expect("to send");
        let mut after = server.session();
        after.send_raw(&batch.0[..len]).expect("to send");
        silent.extend([before, after]);
    }
    // The header of a message as large as they come, and not a byte of it.
    let before = server.memory();
    for _ in 0..100 {
        let mut connection = server.session_of(MSIZE_MAX);
        let head = [&MSIZE_MAX.to_le_bytes()[..], &[118, 1, 0]].concat();
        connection.send_raw(&head).expect("to send");
        silent.push(connection);
    }
    let mut witness = server.session();
    for _ in 0..100 {
        witness.call(&getattr(0)).expect("others are served");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(
        grown < 50 << 20,
        "{grown} bytes for what was only announced"
    );
    // The rest of a frame may come at any time.
    for (len, pair) in silent.chunks_mut(2).take(batch.0.len()).enumerate() {
        let after = &mut pair[1];
        after.send_raw(&batch.0[len..]).expect("to send");
        assert_eq!(after.recv().expect("a reply").0, 1);
    }
    drop((silent, witness));
    server.wait_until_idle();
}

#[test]
fn sizes_out_of_range_end_the_connection() {
    let server = Server::new();
    let head = |size: u32| [&size.to_le_bytes()[..], &[24, 1, 0]].concat();
    let mut witness = server.session();
    for size in [0, 1, 2, 3, 4, 5, 6, 8193, MSIZE, 1 << 31, u32::MAX] {
        let mut stranger = server.connect();
        stranger.send_raw(&head(size)).expect("to send");
        assert!(is_closed(&mut stranger), "size {size} before a version");
    }
    for size in [0, 1, 2, 3, 4, 5, 6, MSIZE_MAX + 1, 1 << 31, u32::MAX] {
        let mut connection = server.session_of(MSIZE_MAX);
        connection.send_raw(&head(size)).expect("to send");
        assert!(is_closed(&mut connection), "size {size}");
        witness.call(&getattr(0)).expect("others are served");
    }
    // The largest that may come is answered.
    let mut connection = server.session_of(MSIZE_MAX);
    let mut frame = head(MSIZE_MAX);
    frame.resize(MSIZE_MAX as usize, 0);
    connection.send_raw(&frame).expect("to send");
    assert_eq!(connection.recv().expect("a reply").0, 1);
    // So is a Tversion that is as long, though a later one must wait for it.
    let mut long = [&MSIZE_MAX.to_le_bytes()[..], &[100, 255, 255]].concat();
    long.resize(MSIZE_MAX as usize, 0);
    connection.send_raw(&long).expect("to send");
    connection.recv().expect("a reply");
}

#[test]
fn half_closed_connections_end() {
    let server = Server::new();
    for requests in 0..20 {
        let mut connection = server.session();
        let mut batch = Batch::default();
        for tag in 0..requests {
            batch.add(tag, &getattr(0));
        }
        connection.send_raw(&batch.0).expect("to send");
        connection.close_sending().expect("to close");
        assert!(is_closed(&mut connection));
    }
    server.wait_until_idle();
}

#[test]
fn a_tag_in_use_ends_the_connection() {
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
    });
    let (mut one, mut two) = (server.session(), server.session());
    for connection in [&mut one, &mut two] {
        open(connection, 1, &["file"], 2).expect("a file");
    }
    one.call(&crate::blocked::lock(1, 0)).expect("a lock");
    two.send(5, &crate::blocked::lock(1, 1)).expect("to send");
    two.send(5, &getattr(0)).expect("to send");
    assert!(is_closed(&mut two));
    one.call(&getattr(0)).expect("others are served");
}

#[test]
fn a_second_session_on_the_connection() {
    let server = Server::new();
    let mut connection = server.session();
    for msize in [8192, 4096, MSIZE] {
        assert_eq!(
            connection
                .version(msize, Dialect::Linux)
                .expect("a version"),
            msize
        );
        let refused = connection.call(&getattr(0)).map(drop);
        assert_eq!(refused.expect_err("no fid").errno(), Some(9));
        connection.call(&attach()).expect("a root");
        let mut batch = Batch::default();
        batch.add(1, &Request::Clunk { fid: 0 });
        batch.add(2, &Request::Clunk { fid: 0 });
        connection.send_raw(&batch.0).expect("to send");
        let replies: Vec<_> = (0..2)
            .map(|_| connection.recv().expect("a reply").0)
            .collect();
        assert_eq!(replies, [1, 2], "a clunk waits for the one before");
    }
}
