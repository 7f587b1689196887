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

/// Offers a frame. What is answered is a sound reply of the session's dialect, with the tag.
fn offer(client: &mut Client, frame: &[u8]) {
    if !client.receive(frame) {
        return;
    }
    let header = Header::peek(frame).expect("a header");
    for reply in client.sent() {
        if header.number == VERSION && reply[4] != VERSION + 1 {
            refused_version(client);
            continue;
        }
        let (tag, said) = Reply::decode(&reply, client.dialect).expect("a sound reply");
        assert_eq!(tag, header.tag);
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
