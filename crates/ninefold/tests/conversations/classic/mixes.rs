//! Frames of every dialect to sessions of every dialect.

use std::fs;
use std::path::Path;

use ninefold::SecurityModel;
use ninefold_wire::message::number::VERSION;
use ninefold_wire::{Dialect, Header, Reply};
use serde_json::Value;

use super::ALL;
use crate::client::Client;
use crate::share::{Share, one_of_each};

/// All frames of the golden vectors, requests and replies, sound and not.
fn frames() -> Vec<Vec<u8>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../ninefold-wire/testdata/vectors.jsonl");
    let text = fs::read_to_string(path).expect("the vectors");
    let hex = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a line");
        let hex = line["hex"].as_str().expect("bytes").to_owned();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
        (0..hex.len()).step_by(2).map(byte).collect()
    };
    text.lines().map(hex).collect()
}

/// A client with fids 1 to 3 that mean something: a directory, a path, an open file.
fn client(share: &Share, dialect: Dialect) -> Client {
    let mut client = share.speaker(dialect);
    client.walk(0, 1, &[]).expect("a clone");
    client.find(2, "file");
    client.topen_path(3, "file", 2);
    client
}

/// Tlock, and what ends the wait of one.
const LOCKS: [u8; 4] = [52, 120, 122, 100];

/// Offers a frame. What is answered is a sound reply of the session's dialect, with the tag.
fn offer(client: &mut Client, frame: &[u8]) {
    if !client.receive(frame) {
        return;
    }
    let header = Header::peek(frame).expect("a header");
    let sent = client.sent();
    // A lock may wait for another one, and be answered by a later frame.
    assert!(
        sent.len() == 1 || LOCKS.contains(&header.number),
        "one answer"
    );
    for reply in sent {
        if header.number == VERSION && reply[4] != VERSION + 1 {
            refused_version(client);
            continue;
        }
        let (tag, said) = Reply::decode(&reply, client.dialect).expect("a sound reply");
        if tag != header.tag {
            assert_eq!(said.number(), LOCKS[0] + 1, "a lock's turn has come");
            continue;
        }
        let is_error = matches!(said, Reply::Lerror { .. } | Reply::Error { .. });
        assert!(is_error || said.number() == header.number + 1, "{said:?}");
        // A Tversion may agree to another dialect.
        if let Reply::Version { version, .. } = said {
            client.dialect = Dialect::of_version(version).unwrap_or(Dialect::Linux);
        }
    }
}

/// A Tversion that is refused may have ended the session, in whatever dialect it asked for.
fn refused_version(client: &mut Client) {
    let dialect = client.dialect;
    let (msize, _) = client.version(8192, dialect.version()).expect("a version");
    assert_eq!(msize, 8192);
}

#[test]
fn each_is_answered_in_the_sessions_dialect() {
    let frames = frames();
    assert!(frames.len() > 200, "the vectors");
    for dialect in ALL {
        for frame in &frames {
            let share = Share::with(SecurityModel::None, false, one_of_each);
            offer(&mut client(&share, dialect), frame);
        }
    }
}

#[test]
fn one_after_the_other_on_one_session() {
    let frames = frames();
    for dialect in ALL {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = client(&share, dialect);
        for turn in 0..3 {
            for frame in frames.iter().skip(turn).step_by(3 - turn) {
                offer(&mut client, frame);
            }
        }
        client.version(8192, dialect.version()).expect("it lives");
        client.attach(0).expect("a root");
    }
}

#[test]
fn cut_anywhere_they_are_refused() {
    for dialect in ALL {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = client(&share, dialect);
        for frame in frames().iter().filter(|frame| frame.len() < 300) {
            for len in 7..frame.len() {
                let mut cut = frame[..len].to_vec();
                let size = u32::try_from(len).expect("a length");
                cut[..4].copy_from_slice(&size.to_le_bytes());
                offer(&mut client, &cut);
            }
        }
    }
}

/// Bytes that look random and are always the same (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn byte(&mut self) -> u8 {
        // Mostly small numbers: those are fids, kinds and lengths that mean something.
        let byte = self.below(512);
        u8::try_from(byte).unwrap_or_else(|_| u8::try_from(byte % 5).expect("below 5"))
    }
}

#[test]
fn with_bytes_changed_they_are_answered() {
    let frames = frames();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for dialect in ALL {
        let mut share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = client(&share, dialect);
        for _ in 0..1500 {
            if client.dialect != dialect || client.stat(0).is_err() {
                // A Tversion or a Tclunk: all that follows would be refused.
                share = Share::with(SecurityModel::None, false, one_of_each);
                client = self::client(&share, dialect);
            }
            let mut frame = frames[random.below(frames.len())].clone();
            for _ in 0..=random.below(3) {
                // Sizes stay right: what a frame is cut to is another matter.
                if frame.len() > 7 {
                    let at = 7 + random.below(frame.len() - 7);
                    frame[at] = random.byte();
                }
            }
            offer(&mut client, &frame);
        }
    }
}
