//! Treaddir.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use ninefold::{Errno, SecurityModel};

use crate::client::Client;
use crate::share::{Share, one_of_each};
use crate::verbs::{Entry, RDONLY};

/// All entries of an open directory, `count` bytes at a time.
pub fn list(client: &mut Client, fid: u32, count: u32) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let offset = all.last().map_or(0, |entry| entry.offset);
        let more = client.readdir(fid, offset, count).expect("entries");
        if more.is_empty() {
            return all;
        }
        all.extend(more);
        assert!(all.len() < 10_000, "no end");
    }
}

fn names(entries: &[Entry]) -> BTreeSet<&str> {
    entries.iter().map(|entry| &entry.name[..]).collect()
}

/// A folder of `count` files with names of mixed length.
fn many(count: usize) -> Share {
    let share = Share::new();
    for number in 0..count {
        share.write(&format!("{number}{}", "n".repeat(number % 200)), "");
    }
    share
}

#[test]
fn every_entry_with_its_type_and_qid() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    client.lopen(1, RDONLY).expect("an open");
    let entries = list(&mut client, 1, 8192);
    let expected = [
        ("file", 8),
        ("dir", 4),
        ("link", 10),
        ("fifo", 1),
        ("sock", 12),
        (".", 4),
        ("..", 4),
    ];
    for (name, kind) in expected {
        let entry = entries.iter().find(|entry| entry.name == name).expect(name);
        assert_eq!(entry.kind, kind, "{name}");
        client.walk(0, 2, &[name]).expect(name);
        let qid = client.getattr(2, 0).expect("attributes").qid;
        assert_eq!(
            (entry.qid.path, entry.qid.kind),
            (qid.path, qid.kind),
            "{name}"
        );
        client.clunk(2).expect("a clunk");
    }
    // The root's parent is the root, to the client.
    let path = |name: &str| {
        entries
            .iter()
            .find(|entry| entry.name == name)
            .map(|e| e.qid.path)
    };
    assert_eq!(path("."), path(".."));
    let outside = fs::metadata(share.outside("")).expect("the parent").ino();
    assert_ne!(
        path(".."),
        Some(outside << 1 | 1),
        "nothing of the host's parent"
    );
    client.open(3, "dir", RDONLY);
    let below = list(&mut client, 3, 8192);
    assert_eq!(names(&below), BTreeSet::from([".", "..", "inner"]));
    let up = below.iter().find(|entry| entry.name == "..");
    assert_eq!(up.map(|entry| entry.qid.path), path("."));
}

#[test]
fn any_count_lists_all_once() {
    let share = many(300);
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    client.lopen(1, RDONLY).expect("an open");
    let all = list(&mut client, 1, 1 << 20);
    assert_eq!(all.len(), 302);
    for count in [279, 300, 511, 1000, 4096, 65536, u32::MAX] {
        let entries = list(&mut client, 1, count);
        assert_eq!(entries.len(), 302, "count {count}");
        assert_eq!(names(&entries), names(&all), "count {count}");
    }
}

#[test]
fn any_cookie_leads_on_from_its_entry() {
    let share = many(100);
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    client.lopen(1, RDONLY).expect("an open");
    let all = list(&mut client, 1, 1 << 20);
    for at in (0..all.len()).rev().step_by(7) {
        let rest = client
            .readdir(1, all[at].offset, 1 << 20)
            .expect("the rest");
        assert_eq!(rest, all[at + 1..], "after entry {at}");
    }
    assert_eq!(
        client.readdir(1, 0, 1 << 20).as_ref(),
        Ok(&all),
        "from the start"
    );
    for beyond in [1 << 63, u64::MAX] {
        assert_eq!(client.readdir(1, beyond, 4096), Ok(vec![]));
    }
}

#[test]
fn too_little_room_is_an_error_not_the_end() {
    let share = many(10);
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    client.lopen(1, RDONLY).expect("an open");
    for count in [0, 1, 10, 24] {
        assert_eq!(client.readdir(1, 0, count), Err(Errno::INVAL), "{count}");
    }
    assert_eq!(list(&mut client, 1, 4096).len(), 12, "nothing was skipped");
    let last = list(&mut client, 1, 4096)[11].offset;
    assert_eq!(client.readdir(1, last, 0), Ok(vec![]), "the end is the end");
}

#[test]
fn listing_while_deleting() {
    let share = many(500);
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    client.lopen(1, RDONLY).expect("an open");
    let (mut seen, mut offset) = (BTreeSet::new(), 0);
    loop {
        let some = client.readdir(1, offset, 700).expect("entries");
        let Some(last) = some.last() else { break };
        offset = last.offset;
        for entry in some {
            if ![".", ".."].contains(&&entry.name[..]) {
                client.unlinkat(0, &entry.name, 0).expect("a removal");
            }
            assert!(seen.insert(entry.name.clone()), "{} twice", entry.name);
        }
    }
    assert_eq!(seen.len(), 502);
    assert_eq!(fs::read_dir(share.path("")).expect("a listing").count(), 0);
    assert_eq!(list(&mut client, 1, 4096).len(), 2, "from the start again");
}

#[test]
fn two_fids_list_independently() {
    let share = many(50);
    let mut client = share.client();
    for fid in [1, 2] {
        client.walk(0, fid, &[]).expect("a clone");
        client.lopen(fid, RDONLY).expect("an open");
    }
    let first = client.readdir(1, 0, 600).expect("entries");
    let other = list(&mut client, 2, 4096);
    let offset = first.last().expect("an entry").offset;
    let rest = client.readdir(1, offset, 1 << 20).expect("entries");
    assert_eq!([first, rest].concat(), other);
}

#[test]
fn only_open_directories_are_listed() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    client.find(1, "dir");
    assert_eq!(client.readdir(1, 0, 4096), Err(Errno::NOTDIR), "not open");
    client.open(2, "file", RDONLY);
    assert_eq!(client.readdir(2, 0, 4096), Err(Errno::NOTDIR));
    assert_eq!(client.readdir(99, 0, 4096), Err(Errno::BADF));
    client.lopen(1, RDONLY).expect("an open");
    fs::remove_dir_all(share.path("dir")).expect("a removal");
    let gone = client.readdir(1, 0, 4096);
    assert!(gone == Ok(vec![]) || gone == Err(Errno::NOENT), "{gone:?}");
}

#[test]
fn a_directory_moved_out_lists_no_parent() {
    let share = Share::new();
    fs::create_dir(share.outside("secret")).expect("a directory");
    share.mkdir("dir");
    let mut client = share.client();
    let dir = client.find(1, "dir").path;
    client.lopen(1, RDONLY).expect("an open");
    fs::rename(share.path("dir"), share.outside("secret/moved")).expect("a move");
    let entries = list(&mut client, 1, 4096);
    assert_eq!(names(&entries), BTreeSet::from([".", ".."]));
    assert!(entries.iter().all(|entry| entry.qid.path == dir));
}
