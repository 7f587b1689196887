//! Every malformed and refused frame of the golden vectors: an error or the end of that connection,
//! and nobody else notices.

use std::fs;
use std::path::Path;

use ninefold_client::wire::{Header, Reply};
use ninefold_client::{Connection, Error};
use serde_json::Value;

use crate::common::{Server, getattr, open, walk};

/// A line of the vectors: name, bytes.
type Line = (String, Vec<u8>);

fn lines() -> Vec<Line> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../ninefold-wire/testdata/vectors.jsonl");
    let text = fs::read_to_string(path).expect("the vectors");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"));
    let hostile =
        lines.filter(|line: &Value| line["refuse"].is_string() || line["malformed"].is_string());
    hostile
        .map(|line| {
            let hex = line["hex"].as_str().expect("bytes");
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
            let name = line["name"].as_str().expect("a name").to_owned();
            (name, (0..hex.len()).step_by(2).map(byte).collect())
        })
        .collect()
}

/// A session in which the fids of the vectors mean something, so that it is the frame's own fault
/// that is found.
fn session(server: &Server, name: &str) -> Connection {
    let mut connection = server.session();
    walk(&mut connection, 0, 1, &[]).expect("a clone");
    if !name.starts_with("Twalk") {
        walk(&mut connection, 0, 2, &[]).expect("a clone");
    }
    open(&mut connection, 3, &["file"], 2).expect("a file");
    connection
}

/// How a frame is met that is not cut as it was meant.
fn framing(name: &str) -> Option<bool> {
    match name {
        "size 0" | "size 4" | "size 6" | "size 0xffffffff" => Some(true),
        "size larger than the bytes given" | "size smaller than the bytes given" => Some(false),
        _ => None,
    }
}

#[test]
fn each_is_refused_or_ends_its_connection() {
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
    });
    let mut witness = server.session();
    let lines = lines();
    assert_eq!(lines.len(), 49, "the hostile lines of the vectors");
    for (name, bytes) in lines {
        let mut connection = session(&server, &name);
        connection.send_raw(&bytes).expect("to send");
        match framing(&name) {
            Some(true) => assert!(matches!(connection.recv(), Err(Error::Closed)), "{name}"),
            // Whatever the bytes left over mean, the server waits for more, and for nobody else.
            Some(false) => {}
            None => {
                let tag = Header::peek(&bytes).expect("a header").tag;
                let (came, reply) = connection.recv().expect(&name);
                assert_eq!(came, tag, "{name}");
                assert!(
                    matches!(reply, Reply::Lerror { ecode: 1.. }),
                    "{name}: {reply:?}"
                );
                connection.call(&getattr(0)).expect("the session lives");
                connection
                    .call(&getattr(3))
                    .expect("its fids are as they were");
            }
        }
        witness.call(&getattr(0)).expect("others are served");
    }
    let left: Vec<_> = fs::read_dir(server.path("")).expect("a listing").collect();
    assert_eq!(left.len(), 1, "nothing was made");
    assert_eq!(fs::read(server.path("file")).expect("the file"), b"content");
    drop(witness);
    server.wait_until_idle();
}
