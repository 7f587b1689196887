//! A fid is the object, whatever becomes of its name: unlinked, renamed over, its parents moved, by
//! this client, another one or the host.

use std::fs;
use std::os::unix::fs::MetadataExt;

use ninefold::{Errno, SecurityModel};
use ninefold_wire::SetAttr;
use ninefold_wire::flags::setattr;

use crate::client::Client;
use crate::share::{Share, one_of_each};
use crate::verbs::{RDONLY, RDWR};

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

/// Does all that Linux does on a file that has lost its name, through an open fid.
fn works_without_a_name(client: &mut Client, fid: u32, content: &[u8]) {
    let attr = client.getattr(fid, 0x3fff).expect("attributes");
    assert_eq!((attr.nlink, attr.size), (0, content.len() as u64));
    assert_eq!(client.read(fid, 0, 99).as_deref(), Ok(content));
    assert_eq!(client.write(fid, 0, b"C"), Ok(1));
    let change = SetAttr {
        valid: setattr::MODE | setattr::SIZE | setattr::MTIME,
        mode: 0o4640,
        size: 3,
        ..SetAttr::default()
    };
    client.setattr(fid, change).expect("a change");
    client.walk(fid, 200, &[]).expect("a clone");
    client.xattrcreate(200, b"user.x", 1, 0).expect("a place");
    client.write(200, 0, b"v").expect("a value");
    client.clunk(200).expect("the value is set");
    assert_eq!(client.xattrwalk(fid, 200, b"user.x"), Ok(1));
    client.clunk(200).expect("a clunk");
    client.statfs(fid).expect("figures");
    client.fsync(fid, Some(0)).expect("an fsync");
    client.walk(fid, 201, &[]).expect("a clone");
    client.lopen(201, RDWR).expect("opened anew");
    let want = [b"C", &content[1..3]].concat();
    assert_eq!(client.read(201, 0, 99), Ok(want));
    let attr = client.getattr(201, 0).expect("attributes");
    assert_eq!((attr.mode & 0o7777, attr.size), (0o4640, 3));
    client.clunk(201).expect("a clunk");
    assert_eq!(client.rename(fid, 0, "revived"), Err(Errno::NOENT));
}

#[test]
fn unlinked_by_this_client() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDWR);
    client.unlinkat(0, "file", 0).expect("a removal");
    works_without_a_name(&mut client, 1, b"content");
    assert!(!share.exists("file") && !share.exists("revived"));
}

#[test]
fn unlinked_by_another_and_replaced() {
    let share = share();
    let (mut client, mut other) = (share.client(), share.client());
    client.open(1, "file", RDWR);
    other.find(1, "file");
    other.remove(1).expect("a removal");
    share.write("file", "an impostor");
    works_without_a_name(&mut client, 1, b"content");
    assert_eq!(share.read("file"), b"an impostor");
    assert_eq!(client.remove(1), Err(Errno::NOENT));
    assert!(share.exists("file"), "the impostor is not removed");
}

#[test]
fn made_and_unlinked() {
    let share = share();
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    client.lcreate(1, "temporary", RDWR, 0o600).expect("a file");
    client.write(1, 0, b"content").expect("a write");
    client.unlinkat(0, "temporary", 0).expect("a removal");
    works_without_a_name(&mut client, 1, b"content");
}

#[test]
fn renamed_over() {
    let share = share();
    share.write("new", "new");
    let mut client = share.client();
    client.open(1, "file", RDWR);
    client.open(2, "new", RDWR);
    client.renameat((0, "new"), (0, "file")).expect("a rename");
    works_without_a_name(&mut client, 1, b"content");
    assert_eq!(client.read(2, 0, 9).as_deref(), Ok(&b"new"[..]));
    assert_eq!(share.read("file"), b"new");
}

#[test]
fn a_parent_renamed() {
    let share = share();
    share.mkdir("a/b/c");
    share.write("a/b/c/file", "deep");
    let (mut client, mut other) = (share.client(), share.client());
    client.open(1, "a/b/c/file", RDWR);
    client.find(2, "a/b/c");
    client.open(3, "a/b", RDONLY);
    other
        .renameat((0, "a"), (0, "z"))
        .expect("by another client");
    fs::rename(share.path("z/b"), share.path("b")).expect("by the host");
    share.mkdir("a/b/c");
    assert_eq!(client.read(1, 0, 9).as_deref(), Ok(&b"deep"[..]));
    client.mkdir(2, "new", 0o755).expect("a directory");
    assert!(share.exists("b/c/new") && !share.exists("a/b/c/new"));
    assert_eq!(client.readdir(3, 0, 4096).expect("entries").len(), 3);
    client.rename(1, 0, "up").expect("from where it is now");
    assert_eq!(share.read("up"), b"deep");
}

#[test]
fn an_unopened_fid_outlives_its_name_too() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    client.find(2, "link");
    client.find(3, "fifo");
    client.find(4, "dir");
    for name in ["file", "link", "fifo"] {
        fs::remove_file(share.path(name)).expect("a removal");
    }
    fs::remove_dir_all(share.path("dir")).expect("a removal");
    share.mkdir("file");
    share.mkdir("dir");
    client.lopen(1, RDONLY).expect("an open");
    assert_eq!(client.read(1, 0, 9).as_deref(), Ok(&b"content"[..]));
    assert_eq!(client.readlink(2).as_deref(), Ok(&b"file"[..]));
    assert_eq!(client.getattr(3, 0).expect("attributes").mode, 0o10_644);
    assert_eq!(client.getattr(4, 0).expect("attributes").nlink, 0);
    assert_eq!(client.mkdir(4, "new", 0o755), Err(Errno::NOENT));
    assert_eq!(client.walk(4, 5, &["inner"]), Err(Errno::NOENT));
    assert!(!share.exists("dir/new"));
}

#[test]
fn replaced_by_the_host() {
    let share = share();
    share.write("other", "other");
    let mut client = share.client();
    let qid = client.find(1, "file");
    let ino = share.stat("file").ino();
    fs::rename(share.path("other"), share.path("file")).expect("a rename");
    let attr = client.getattr(1, 0).expect("attributes");
    assert_eq!((attr.qid.path, attr.size), (qid.path, 7));
    let mode = SetAttr {
        valid: setattr::MODE,
        mode: 0o600,
        ..SetAttr::default()
    };
    let before = share.mode("file");
    client.setattr(1, mode).expect("a change");
    assert_eq!(
        share.mode("file"),
        before,
        "not of the one that took its name"
    );
    assert_ne!(share.stat("file").ino(), ino);
    assert_ne!(client.find(2, "file").path, qid.path);
}

#[test]
fn a_directory_swapped_for_a_link_is_the_directory() {
    let share = share();
    fs::create_dir(share.outside("secret")).expect("a directory");
    let mut client = share.client();
    client.find(1, "dir");
    fs::rename(share.path("dir"), share.path("kept")).expect("a rename");
    share.symlink("../secret", "dir");
    client.mkdir(1, "new", 0o755).expect("a directory");
    assert!(share.exists("kept/new"));
    client.walk(1, 2, &[]).expect("a clone");
    client.lcreate(2, "made", RDWR, 0o644).expect("a file");
    client.unlinkat(1, "inner", 0).expect("a removal");
    assert_eq!(
        fs::read_dir(share.outside("secret"))
            .expect("a listing")
            .count(),
        0
    );
    client.walk(0, 3, &["dir"]).expect("the link");
    assert_eq!(client.mkdir(3, "x", 0o755), Err(Errno::NOTDIR));
}

#[test]
fn a_link_to_a_file_outside_is_the_hosts_wish() {
    let share = share();
    fs::write(share.outside("shared"), "both").expect("a file");
    fs::hard_link(share.outside("shared"), share.path("shared")).expect("a hard link");
    let mut client = share.client();
    client.open(1, "shared", RDONLY);
    assert_eq!(client.read(1, 0, 9).as_deref(), Ok(&b"both"[..]));
}
