//! Tauth and Tattach.

use ninefold::{Errno, SecurityModel};
use ninefold_wire::{NOFID, Request, flags};
use std::os::unix::fs::MetadataExt;

use crate::share::{Share, is_root};

#[test]
fn there_is_no_authentication() {
    let share = Share::new();
    let mut client = share.client();
    let request = Request::Auth {
        afid: 5,
        uname: b"root",
        aname: b"",
        n_uname: Some(0),
    };
    assert_eq!(client.call(&request, |_| Some(())), Err(Errno::OPNOTSUPP));
    assert!(client.is_unknown(5));
    assert_eq!(client.attach_as(6, 5, 0), Err(Errno::INVAL), "an afid");
    assert_eq!(
        client.attach_as(6, 0, 0),
        Err(Errno::INVAL),
        "a fid as afid"
    );
    assert!(client.is_unknown(6));
}

#[test]
fn a_fid_is_free_or_the_attach_is_refused() {
    let share = Share::new();
    let mut client = share.client();
    assert_eq!(client.attach(0), Err(Errno::INVAL), "in use");
    assert_eq!(client.attach(NOFID), Err(Errno::BADF));
    let again = client.attach(NOFID - 1).expect("the largest fid");
    assert_eq!(again.kind, flags::qid::DIR);
    assert_eq!(again.path, client.getattr(0, 0).expect("the root").qid.path);
    client.clunk(0).expect("fids are clunked in any order");
    assert!(client.getattr(NOFID - 1, 0).is_ok());
}

#[test]
fn names_of_users_and_trees_do_not_matter() {
    let share = Share::new();
    let mut client = share.client();
    let root = client.getattr(0, 0).expect("the root").qid.path;
    let long = [b'x'; 65535];
    let names: [&[u8]; 6] = [b"", b"/", b"..", b"/etc", b"../../..", &long];
    for (fid, name) in (10..).zip(names) {
        let request = Request::Attach {
            fid,
            afid: NOFID,
            uname: name,
            aname: name,
            n_uname: Some(u32::MAX),
        };
        client.call(&request, |_| Some(())).expect("a root");
        assert_eq!(client.getattr(fid, 0).expect("the root").qid.path, root);
    }
}

#[test]
fn new_objects_belong_to_who_attached() {
    if !is_root() {
        eprintln!("not proven: only root can give files away");
        return;
    }
    let share = Share::with(SecurityModel::Passthrough, false, |_| {});
    let mut client = share.client();
    client.attach_as(1, NOFID, 1234).expect("a root");
    client.mkdir(0, "roots", 0o700).expect("a directory");
    client.mkdir(1, "theirs", 0o1755).expect("a directory");
    client.walk(1, 2, &[]).expect("a clone");
    client.lcreate(2, "file", 2, 0o640).expect("a file");
    client.mkdir(0, "roots too", 0o700).expect("a directory");
    let owner = |name: &str| (share.stat(name).uid(), share.mode(name));
    assert_eq!(owner("roots"), (0, 0o700));
    assert_eq!(owner("theirs"), (1234, 0o1755));
    assert_eq!(owner("file"), (1234, 0o640));
    assert_eq!(owner("roots too"), (0, 0o700));
}
