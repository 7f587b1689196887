//! Tlopen: what can be opened, and how.

use std::fs;

use ninefold::{Errno, SecurityModel};
use ninefold_wire::flags::open;

use crate::share::{Share, is_root, one_of_each};
use crate::verbs::{RDONLY, RDWR, WRONLY};

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

#[test]
fn special_files_are_never_opened() {
    let share = share();
    let mut client = share.client();
    let names = if is_root() {
        &["fifo", "sock", "dev"][..]
    } else {
        &["fifo", "sock"]
    };
    for name in names {
        client.find(1, name);
        // Opening the FIFO for reading alone or writing alone would wait for another process.
        for flags in [RDONLY, WRONLY, RDWR, WRONLY | open::TRUNC, open::NONBLOCK] {
            assert_eq!(client.lopen(1, flags), Err(Errno::NXIO), "{name} {flags:o}");
        }
        assert!(client.getattr(1, 0).is_ok(), "the fid still names it");
        assert_eq!(client.read(1, 0, 1), Err(Errno::BADF));
        client.clunk(1).expect("a clunk");
    }
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let share = share();
    let mut client = share.client();
    client.find(1, "link");
    for flags in [RDONLY, WRONLY, RDWR, open::TRUNC, open::NOFOLLOW] {
        assert_eq!(client.lopen(1, flags), Err(Errno::LOOP), "{flags:o}");
    }
    assert_eq!(share.read("file"), b"content");
}

#[test]
fn directories_are_for_reading() {
    let share = share();
    let mut client = share.client();
    client.find(1, "dir");
    for flags in [WRONLY, RDWR, open::TRUNC, WRONLY | open::DIRECTORY] {
        assert_eq!(client.lopen(1, flags), Err(Errno::ISDIR), "{flags:o}");
    }
    // What Linux sends for opendir(3), and plain ones.
    for (fid, flags) in [(2, 0), (3, 0x800), (4, 0x18800)] {
        client.find(fid, "dir");
        client.lopen(fid, flags).expect("an open");
        assert!(!client.readdir(fid, 0, 4096).expect("entries").is_empty());
        assert_eq!(client.read(fid, 0, 10), Err(Errno::ISDIR));
        assert_eq!(client.write(fid, 0, b"x"), Err(Errno::ISDIR));
    }
    client.find(5, "file");
    assert_eq!(client.lopen(5, open::DIRECTORY), Err(Errno::NOTDIR));
}

#[test]
fn access_is_what_was_asked_for() {
    let share = share();
    let mut client = share.client();
    for (fid, flags, reads, writes) in [
        (1, RDONLY, true, false),
        (2, WRONLY, false, true),
        (3, RDWR, true, true),
    ] {
        client.open(fid, "file", flags);
        assert_eq!(client.read(fid, 0, 1).is_ok(), reads);
        assert_eq!(client.write(fid, 0, b"c").is_ok(), writes);
    }
    assert_eq!(client.write(1, 0, b"x"), Err(Errno::BADF));
    assert_eq!(client.read(2, 0, 1), Err(Errno::BADF));
    assert_eq!(share.read("file"), b"content");
}

#[test]
fn a_fid_opens_once() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    assert_eq!(client.lopen(1, RDWR), Err(Errno::INVAL));
    assert_eq!(client.write(1, 0, b"x"), Err(Errno::BADF));
    client.open(2, "dir", RDONLY);
    assert_eq!(client.lopen(2, RDONLY), Err(Errno::INVAL));
    assert_eq!(client.lcreate(2, "new", RDWR, 0o644), Err(Errno::INVAL));
    assert!(!share.exists("dir/new"));
    assert_eq!(client.lopen(9, RDONLY), Err(Errno::BADF));
}

#[test]
fn the_reply_says_what_and_how_much() {
    let share = share();
    for msize in [4096, 65536, 131_096, 512_000, 1 << 20] {
        let mut client = share.stranger();
        client.version(msize, b"9P2000.L").expect("a version");
        client.attach(0).expect("a root");
        let found = client.find(1, "file");
        assert_eq!(client.lopen(1, RDONLY), Ok((found, msize - 24)));
    }
}

#[test]
fn flags_change_what_writing_does() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", WRONLY | open::APPEND);
    assert_eq!(client.write(1, 0, b"+"), Ok(1), "the offset does not count");
    assert_eq!(share.read("file"), b"content+");
    client.open(2, "file", RDWR | open::TRUNC);
    assert_eq!(share.read("file"), b"");
    // What has no meaning here does no harm: FreeBSD's O_EXLOCK, O_CREAT, O_EXCL, O_DIRECT.
    for (fid, flags) in [
        (3, 0x80),
        (4, 0x1000),
        (5, open::CREAT | open::EXCL),
        (6, open::DIRECT),
    ] {
        client.open(fid, "file", RDWR | flags);
        assert_eq!(client.write(fid, 0, b"odd"), Ok(3));
        assert_eq!(client.read(fid, 1, 9).as_deref(), Ok(&b"dd"[..]));
    }
    client.open(7, "file", RDONLY | open::NOATIME | open::DSYNC | open::SYNC);
    assert_eq!(client.read(7, 0, 1).as_deref(), Ok(&b"o"[..]));
}

#[test]
fn opened_means_the_object_walked_to() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    fs::rename(share.path("file"), share.path("old")).expect("a rename");
    share.write("file", "another");
    client.lopen(1, RDONLY).expect("an open");
    assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
}
