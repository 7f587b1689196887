//! Large reads, whose data does not pass through the server's memory: every byte is the file's, in
//! whatever pieces it goes and however slowly it is taken.

use std::collections::HashMap;
use std::fs;
use std::thread;
use std::time::Duration;

use ninefold_client::Connection;
use ninefold_client::wire::{Reply, Request};

use crate::common::{Batch, MSIZE_MAX, Random, Server, getattr, open};

const LEN: usize = 3_000_001;
/// Most data of one message.
const COUNT_MAX: usize = MSIZE_MAX as usize - 24;

fn server() -> (Server, Vec<u8>) {
    let content = Random::new(7).bytes(LEN);
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("file"), &content).expect("a file");
    });
    (server, content)
}

/// A session whose fid 1 is the file, read once so that the server knows that it is a large one.
fn reader(server: &Server) -> Connection {
    let mut client = server.session_of(MSIZE_MAX);
    open(&mut client, 1, &["file"], 0).expect("a file");
    client.call(&read(0, 4096)).expect("data");
    client
}

fn read(offset: usize, count: usize) -> Request<'static> {
    Request::Read {
        fid: 1,
        offset: offset as u64,
        count: u32::try_from(count).expect("an msize"),
    }
}

/// A place in the file, often a page's, and a length, often more than is there, and often the most
/// that there can be: then the pages are more than a pipe has room for.
fn some(random: &mut Random) -> (usize, usize) {
    let offset = random.below(LEN);
    let offset = offset - random.below(2) * (offset % 4096);
    let count = match random.below(3) {
        0 => COUNT_MAX,
        _ => 1 + random.below(COUNT_MAX),
    };
    (offset, count)
}

/// What a read of this place is to bring.
fn there(content: &[u8], (offset, count): (usize, usize)) -> &[u8] {
    &content[offset..LEN.min(offset + count)]
}

/// Takes the replies to the reads that stand in `asked` by their tags.
fn expect_all(client: &mut Connection, content: &[u8], asked: &mut HashMap<u16, (usize, usize)>) {
    while !asked.is_empty() {
        let (tag, reply) = client.recv().expect("a reply");
        let place = asked.remove(&tag).expect("a request of mine");
        let Reply::Read { data } = reply else {
            panic!("{place:?}: expected data, came {reply:?}");
        };
        assert!(data.0 == there(content, place), "{place:?}: other bytes");
    }
}

fn ask(random: &mut Random, batch: &mut Batch, count: u16) -> HashMap<u16, (usize, usize)> {
    let places = (0..count).map(|tag| (tag, some(random)));
    let asked: HashMap<_, _> = places.collect();
    for tag in 0..count {
        let (offset, count) = asked[&tag];
        batch.add(tag, &read(offset, count));
    }
    asked
}

#[test]
fn large_reads_bring_the_file() {
    let (server, content) = server();
    let mut client = reader(&server);
    let mut random = Random::new(1);
    for _ in 0..40 {
        let mut batch = Batch::default();
        let mut asked = ask(&mut random, &mut batch, 6);
        client.send_raw(&batch.0).expect("to send");
        expect_all(&mut client, &content, &mut asked);
        client.call(&getattr(1)).expect("attributes");
    }
}

/// Where a file ends in the last page that there is room for, nobody waits for more room.
#[test]
fn a_read_beyond_the_end_ends() {
    let (server, content) = server();
    let mut client = reader(&server);
    for missing in [1, 100, 4000, 4100] {
        for offset in [0, 5, 4096] {
            let len = (1 << 20) - offset % 4096 - missing;
            fs::write(server.path("file"), &content[..offset + len]).expect("a file");
            // The server takes a file for a large one that gave all that was asked for.
            client.call(&read(0, 4096)).expect("data");
            let mut batch = Batch::default();
            batch.add(1, &read(offset, COUNT_MAX));
            client.send_raw(&batch.0).expect("to send");
            let (_, reply) = client.recv().expect("a reply");
            let Reply::Read { data } = reply else {
                panic!("expected data, came {reply:?}");
            };
            assert!(data.0 == &content[offset..offset + len.min(COUNT_MAX)]);
        }
    }
}

#[test]
fn so_do_those_that_are_taken_late() {
    let (server, content) = server();
    let mut client = reader(&server);
    let mut witness = server.session();
    let mut random = Random::new(2);
    for _ in 0..5 {
        let mut batch = Batch::default();
        let mut asked = ask(&mut random, &mut batch, 30);
        client.send_raw(&batch.0).expect("to send");
        // Long enough for the server to find that they are not taken.
        thread::sleep(Duration::from_millis(50));
        witness.call(&getattr(0)).expect("others are served");
        expect_all(&mut client, &content, &mut asked);
    }
}

#[test]
fn nothing_is_left_of_reads_that_are_given_up() {
    let (server, content) = server();
    let mut client = reader(&server);
    let mut random = Random::new(3);
    for round in 0..40 {
        let mut batch = Batch::default();
        let mut asked = ask(&mut random, &mut batch, 6);
        for oldtag in [1, 4] {
            batch.add(100 + oldtag, &Request::Flush { oldtag });
        }
        client.send_raw(&batch.0).expect("to send");
        let mut flushes = 2;
        while flushes > 0 {
            let (tag, reply) = client.recv().expect("a reply");
            if tag > 100 {
                flushes -= 1;
                asked.remove(&(tag - 100));
                continue;
            }
            let place = asked.remove(&tag).expect("one that is not given up");
            let Reply::Read { data } = reply else {
                panic!("expected data, came {reply:?}");
            };
            assert!(data.0 == there(&content, place), "round {round}: {place:?}");
        }
        expect_all(&mut client, &content, &mut asked);
    }
    drop(client);
    server.wait_until_idle();
}

#[test]
fn clients_that_go_before_the_data_leave_nothing() {
    let (server, _) = server();
    let mut random = Random::new(4);
    for _ in 0..20 {
        let mut client = reader(&server);
        let mut batch = Batch::default();
        ask(&mut random, &mut batch, 20);
        client.send_raw(&batch.0).expect("to send");
    }
    server.wait_until_idle();
    server.check();
}
