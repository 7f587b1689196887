//! What the client makes of good, short and hostile contents: files, directories, attributes, locks.

use crate::fake::{frame, is_protocol, session, session_where};
use ninefold_client::wire::{Data, Dirent, LockRange, LockType, Qid, Reply, Request};
use ninefold_client::{Client, LockStatus};
use std::io::{Read, Write};

const RANGE: LockRange<'_> = LockRange {
    start: 0,
    length: 0,
    proc_id: 1,
    client_id: b"test",
};

/// A server whose files hold `content`, given out `most` bytes at a time.
fn content_server(content: &'static [u8], most: usize) -> Client {
    let serve = move |tag, request: &Request<'_>| {
        let Request::Read { offset, count, .. } = request else {
            return None;
        };
        let start = usize::try_from(*offset).ok()?.min(content.len());
        let len = usize::try_from(*count)
            .ok()?
            .min(most)
            .min(content.len() - start);
        Some(frame(
            tag,
            &Reply::Read {
                data: Data(&content[start..start + len]),
            },
        ))
    };
    session(serve).0
}

#[test]
fn short_reads_are_put_together() {
    let content = b"the quick brown fox jumps over the lazy dog";
    let client = content_server(content, 5);
    let mut file = client.open("f", 0).expect("a file");
    let mut all = Vec::new();
    file.read_to_end(&mut all).expect("the content");
    assert_eq!(all, content);
    let mut part = [0; 9];
    assert_eq!(file.read_at(&mut part, 4).expect("a short read"), 5);
    assert_eq!(file.read_full_at(&mut part, 4).expect("all of it"), 9);
    assert_eq!(&part, b"quick bro");
    assert_eq!(file.read_full_at(&mut part, 40).expect("the end"), 3);
}

#[test]
fn short_writes_go_on_and_respect_msize() {
    let (client, requests) = session(|tag, request| {
        let Request::Write {
            data: Data(data), ..
        } = request
        else {
            return None;
        };
        let count = u32::try_from(data.len().min(3000)).ok()?;
        Some(frame(tag, &Reply::Write { count }))
    });
    let mut file = client.open("f", 1).expect("a file");
    file.write_all(&[7; 10_000]).expect("written");
    assert_eq!(file.chunk(), 4096 - 24);
    let writes: Vec<String> = requests
        .try_iter()
        .filter(|said| said.starts_with("Write"))
        .collect();
    let starts = [0, 3000, 6000, 9000].map(|offset| format!("offset: {offset},"));
    assert_eq!(writes.len(), starts.len());
    assert!(
        writes
            .iter()
            .zip(starts)
            .all(|(write, start)| write.contains(&start))
    );
}

#[test]
fn the_server_s_iounit_counts_if_it_is_less() {
    for (iounit, chunk) in [(0, 4072), (512, 512), (u32::MAX, 4072)] {
        let client = session_where(12, move |tag| {
            frame(
                tag,
                &Reply::Lopen {
                    qid: Qid::default(),
                    iounit,
                },
            )
        });
        assert_eq!(client.open("f", 0).expect("a file").chunk(), chunk);
    }
}

#[test]
fn counts_that_cannot_be() {
    let greedy = session_where(116, |tag| {
        frame(
            tag,
            &Reply::Read {
                data: Data(&[0; 11]),
            },
        )
    });
    assert!(is_protocol(
        &greedy
            .open("f", 0)
            .expect("a file")
            .read_at(&mut [0; 10], 0)
    ));
    for count in [0, 11, u32::MAX] {
        let liar = session_where(118, move |tag| frame(tag, &Reply::Write { count }));
        assert!(is_protocol(
            &liar.open("f", 1).expect("a file").write_at(&[0; 10], 0)
        ));
    }
    let long = session_where(116, |tag| {
        frame(
            tag,
            &Reply::Read {
                data: Data(&[0; 4086]),
            },
        )
    });
    assert!(is_protocol(
        &long
            .open("f", 0)
            .expect("a file")
            .read_at(&mut [0; 8192], 0)
    ));
}

fn entry(buf: &mut Vec<u8>, offset: u64, name: &[u8]) {
    let mut bytes = [0; 300];
    let dirent = Dirent {
        qid: Qid::default(),
        offset,
        kind: 8,
        name,
    };
    let len = dirent.encode(&mut bytes).expect("room");
    buf.extend(&bytes[..len]);
}

fn directory(entries: &[(u64, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (offset, name) in entries {
        entry(&mut data, *offset, name);
    }
    data
}

#[test]
fn directories_are_read_to_the_end() {
    let (client, _) = session(|tag, request| {
        let Request::Readdir { offset, .. } = request else {
            return None;
        };
        let data = match offset {
            0 => directory(&[(5, b"."), (9, b"..")]),
            9 => directory(&[(2, b"\xff\n")]),
            _ => Vec::new(),
        };
        Some(frame(tag, &Reply::Readdir { data: Data(&data) }))
    });
    let read = client
        .read_dir("")
        .expect("a directory")
        .map(|entry| entry.map(|it| it.name));
    let names: Vec<Vec<u8>> = read.collect::<Result<_, _>>().expect("sound entries");
    assert_eq!(names, [&b"."[..], b"..", b"\xff\n"]);
}

#[test]
fn hostile_directories_end() {
    let endless = directory(&[(0, b"again")]);
    let truncated = directory(&[(1, b"whole"), (2, b"cut")]);
    let cases = [
        endless,
        truncated[..truncated.len() - 1].to_vec(),
        directory(&[(1, b"a/b")]),
        directory(&[(1, b"")]),
        directory(&[(1, b"nul\0")]),
        directory(&[(1, &[b'x'; 256])]),
        vec![0; 4073],
    ];
    for data in cases {
        let client = session_where(40, move |tag| {
            frame(tag, &Reply::Readdir { data: Data(&data) })
        });
        let mut entries = client.read_dir("").expect("a directory");
        assert!(is_protocol(&entries.next().expect("an error")));
        assert!(entries.next().is_none(), "after an error it has ended");
    }
}

#[test]
fn attribute_values_have_a_limit() {
    for size in [65537, u64::MAX] {
        let client = session_where(30, move |tag| frame(tag, &Reply::Xattrwalk { size }));
        assert!(is_protocol(&client.root().xattr("user.x")));
    }
    let (client, _) = session(|tag, request| match request {
        Request::Xattrwalk { .. } => Some(frame(tag, &Reply::Xattrwalk { size: 7 })),
        Request::Read { offset: 0, .. } => Some(frame(
            tag,
            &Reply::Read {
                data: Data(b"a\0b"),
            },
        )),
        Request::Read { .. } => Some(frame(tag, &Reply::Read { data: Data(b"") })),
        _ => None,
    });
    assert!(
        is_protocol(&client.root().xattr("user.x")),
        "less than was announced"
    );
}

#[test]
fn attributes_are_listed_set_and_removed() {
    let (client, requests) = session(|tag, request| match request {
        Request::Xattrwalk { .. } => Some(frame(tag, &Reply::Xattrwalk { size: 14 })),
        Request::Read { .. } => Some(frame(
            tag,
            &Reply::Read {
                data: Data(b"user.a\0user.b\0"),
            },
        )),
        Request::Xattrcreate { .. } => Some(frame(tag, &Reply::Xattrcreate {})),
        Request::Write { data, .. } => {
            let count = u32::try_from(data.0.len()).ok()?;
            Some(frame(tag, &Reply::Write { count }))
        }
        _ => None,
    });
    assert_eq!(
        client.root().xattrs().expect("a list"),
        [b"user.a", b"user.b"]
    );
    client.root().set_xattr("user.c", "value", 1).expect("set");
    client.root().remove_xattr("user.c").expect("removed");
    let said: Vec<String> = requests.try_iter().collect();
    let created: Vec<&String> = said
        .iter()
        .filter(|it| it.starts_with("Xattrcreate"))
        .collect();
    assert!(created[0].ends_with("size: 5, flags: 1 }"), "{created:?}");
    assert!(created[1].ends_with("size: 0, flags: 2 }"), "{created:?}");
}

#[test]
fn an_attribute_that_cannot_be_set_is_reported_at_its_clunk() {
    let (client, _) = session(|tag, request| match request {
        Request::Xattrcreate { .. } => Some(frame(tag, &Reply::Xattrcreate {})),
        Request::Clunk { .. } => Some(frame(tag, &Reply::Lerror { ecode: 28 })),
        _ => None,
    });
    let error = client
        .root()
        .set_xattr("user.c", "", 0)
        .expect_err("no space");
    assert_eq!(error.errno(), Some(28));
}

#[test]
fn locks_and_their_replies() {
    let status = |status| {
        let client = session_where(52, move |tag| frame(tag, &Reply::Lock { status }));
        client
            .open("f", 2)
            .expect("a file")
            .lock(LockType::Write, 0, RANGE)
    };
    assert_eq!(status(0).expect("granted"), LockStatus::Granted);
    assert_eq!(status(1).expect("blocked"), LockStatus::Blocked);
    assert!(is_protocol(&status(4)));

    let holder = |kind| {
        let client = session_where(54, move |tag| {
            frame(tag, &Reply::Getlock { kind, range: RANGE })
        });
        client
            .open("f", 2)
            .expect("a file")
            .lock_in_the_way(LockType::Write, RANGE)
    };
    assert_eq!(holder(2).expect("nobody"), None);
    assert_eq!(
        holder(1).expect("somebody").map(|held| held.client_id),
        Some(b"test".to_vec())
    );
    assert!(is_protocol(&holder(3)));
}
