//! Walks, fids and what a refusal does to a session.

use crate::fake::{frame, is_protocol, session, session_where};
use ninefold_client::Error;
use ninefold_client::wire::{Attr, Qid, Qids, Reply, Request, Step};

const ENOENT: u32 = 2;

fn qids(count: usize) -> Qids {
    let mut qids = Qids::default();
    assert!((0..count).all(|_| qids.push(Qid::default())));
    qids
}

#[test]
fn long_paths_go_in_strides_of_sixteen() {
    let (client, requests) = session(|_, _| None);
    let path = "d/".repeat(40);
    drop(client.walk(&path).expect("a fid"));
    drop(client);
    let walks: Vec<String> = requests
        .iter()
        .filter(|said| said.starts_with("Walk"))
        .collect();
    let lengths: Vec<usize> = walks
        .iter()
        .map(|walk| walk.matches("Down(").count())
        .collect();
    assert_eq!(lengths, [16, 16, 8]);
    assert!(walks[0].starts_with("Walk { fid: 0, newfid: 1,"));
    assert!(walks[1].starts_with("Walk { fid: 1, newfid: 1,"));
}

#[test]
fn long_names_are_spread_over_messages_that_fit() {
    let (client, requests) = session(|_, _| None);
    let path = format!("{}/", "n".repeat(255)).repeat(16);
    client.walk(&path).expect("a fid");
    let walks = requests
        .try_iter()
        .filter(|said| said.starts_with("Walk"))
        .count();
    assert_eq!(walks, 2);
}

#[test]
fn a_short_walk_brings_out_the_error_behind_it() {
    // "a" and "b" exist, nothing else does.
    let (client, requests) = session(|tag, request| {
        let Request::Walk { fid, steps, .. } = request else {
            return None;
        };
        let names: Vec<&[u8]> = steps.iter().map(Step::bytes).collect();
        let known = if *fid == 0 { 2 } else { 0 };
        match names.len().min(known) {
            0 => Some(frame(tag, &Reply::Lerror { ecode: ENOENT })),
            made => Some(frame(tag, &Reply::Walk { qids: qids(made) })),
        }
    });
    let error = client.walk("a/b/c/d").err().expect("no such path");
    assert_eq!(error.errno(), Some(2));
    let said: Vec<String> = requests.try_iter().collect();
    assert_eq!(
        said.last().map(String::as_str),
        Some("Clunk { fid: 1 }"),
        "{said:?}"
    );
    client.walk("a/b").expect("the session lives on");
}

#[test]
fn hostile_walks() {
    for count in [0, 2] {
        let client = session_where(110, move |tag| {
            frame(tag, &Reply::Walk { qids: qids(count) })
        });
        assert!(is_protocol(&client.walk("a")));
        assert!(
            matches!(client.walk("a"), Err(Error::Broken)),
            "no trust after that"
        );
    }
}

#[test]
fn fids_are_clunked_and_used_again() {
    let (client, requests) = session(|_, _| None);
    for _ in 0..3 {
        drop(client.walk("a").expect("a fid"));
    }
    let held = client.walk("a").expect("a fid");
    client.walk("b").expect("a fid").clunk().expect("an Rclunk");
    drop(held);
    drop(client);
    let clunks: Vec<String> = requests
        .iter()
        .filter(|said| said.starts_with("Clunk"))
        .collect();
    let want: Vec<String> = [1, 1, 1, 2, 1, 0]
        .iter()
        .map(|fid| format!("Clunk {{ fid: {fid} }}"))
        .collect();
    assert_eq!(clunks, want);
}

#[test]
fn refusals_leave_the_session_alone() {
    let (client, _) = session(|tag, request| match request {
        Request::Getattr { request_mask, .. } if *request_mask != 1 => {
            Some(frame(tag, &Reply::Lerror { ecode: 13 }))
        }
        Request::Getattr { .. } => {
            let attr = Attr {
                mode: 0o100_644,
                size: 5,
                ..Attr::default()
            };
            Some(frame(tag, &Reply::Getattr { attr }))
        }
        _ => None,
    });
    assert_eq!(client.metadata("f").expect_err("refused").errno(), Some(13));
    let metadata = client.root().metadata_of(1).expect("attributes");
    assert!(metadata.is_file() && metadata.permissions() == 0o644 && metadata.size() == 5);
}

#[test]
fn names_that_cannot_be_are_not_sent() {
    let (client, requests) = session(|_, _| None);
    assert!(matches!(client.walk("a\0"), Err(Error::Name { .. })));
    assert!(matches!(
        client.root().create_dir("a/b", 0o755),
        Err(Error::Name { .. })
    ));
    assert!(matches!(
        client.root().unlink("..", 0),
        Err(Error::Name { .. })
    ));
    assert!(matches!(client.remove("/"), Err(Error::Nameless { .. })));
    let said: Vec<String> = requests.try_iter().collect();
    assert_eq!(said.len(), 2, "version and attach alone: {said:?}");
}

#[test]
fn links_that_go_round_are_given_up() {
    let (client, _) = session(|tag, request| match request {
        Request::Walk { steps, .. } if !steps.is_empty() => {
            let mut qids = Qids::default();
            let link = Qid {
                kind: 2,
                version: 0,
                path: 7,
            };
            assert!(qids.push(link));
            Some(frame(tag, &Reply::Walk { qids }))
        }
        Request::Readlink { .. } => Some(frame(tag, &Reply::Readlink { target: b"loop" })),
        _ => None,
    });
    assert!(matches!(
        client.resolve("loop"),
        Err(Error::TooManyLinks { .. })
    ));
}

#[test]
fn a_server_without_unlinkat_removes_by_fid() {
    let (client, requests) = session(|tag, request| match request {
        Request::Unlinkat { .. } => Some(frame(tag, &Reply::Lerror { ecode: 95 })),
        Request::Remove { .. } => Some(frame(tag, &Reply::Remove {})),
        _ => None,
    });
    client.remove("a/b").expect("removed");
    drop(client);
    let said: Vec<String> = requests.iter().collect();
    let removed = said
        .iter()
        .position(|it| it == "Remove { fid: 2 }")
        .expect("a Tremove");
    assert!(
        said[removed..].iter().all(|it| it != "Clunk { fid: 2 }"),
        "{said:?}"
    );
}
