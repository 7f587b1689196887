//! What a user may do with the files of the host, and may not.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use ninefold::{Budget, Errno, ExportOptions, SecurityModel, Squashed};
use ninefold_wire::flags::setattr;
use ninefold_wire::{Dialect, NOFID, Request, SetAttr};

use super::{ANN, BOB, file, fill, mode, open, options, owner, put, set, share, users};
use crate::share::{Share, is_root};
use crate::verbs::{RDONLY, RDWR, WRONLY, name};

#[test]
fn files_are_opened_with_the_rights_of_the_user() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    let denied = Err(Errno::ACCESS);
    for (path, flags, ann, bob) in [
        ("private", RDWR, Ok(()), denied),
        ("private", RDONLY, Ok(()), denied),
        ("shown", RDONLY, Ok(()), Ok(())),
        ("shown", WRONLY, Ok(()), denied),
        ("open", RDWR, Ok(()), Ok(())),
        ("roots", RDONLY, denied, denied),
        ("closed", RDONLY, Ok(()), denied),
        ("closed/inner", RDONLY, Ok(()), denied),
        ("listed", RDONLY, Ok(()), Ok(())),
    ] {
        assert_eq!(open(&mut client, 1, path, flags), ann, "{path} for Ann");
        assert_eq!(open(&mut client, 2, path, flags), bob, "{path} for Bob");
        assert_eq!(open(&mut client, 3, path, flags), Ok(()), "{path} for root");
    }
}

#[test]
fn a_step_needs_the_right_to_search() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    let walked = client.walk(2, 5, &["closed", "inner"]).expect("a step");
    assert_eq!(walked.len(), 1);
    client
        .walk(2, 5, &["closed"])
        .expect("the directory itself");
    assert_eq!(client.walk(5, 6, &["inner"]), Err(Errno::ACCESS));
    assert_eq!(client.walk(5, 6, &[".."]), Err(Errno::ACCESS));
    client.walk(1, 7, &["closed", "inner"]).expect("hers");
    assert_eq!(client.unlinkat(5, "inner", 0), Err(Errno::ACCESS));
    assert!(share.exists("closed/inner"));
}

#[test]
fn attributes_are_changed_with_the_rights_of_the_user() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    assert_eq!(set(&mut client, 2, "open", mode(0o777)), Err(Errno::PERM));
    assert_eq!(set(&mut client, 2, "open", owner(BOB)), Err(Errno::PERM));
    assert_eq!(set(&mut client, 1, "open", owner(BOB)), Err(Errno::PERM));
    let cut = SetAttr {
        valid: setattr::SIZE,
        ..SetAttr::default()
    };
    assert_eq!(set(&mut client, 2, "shown", cut), Err(Errno::ACCESS));
    assert_eq!(share.read("shown"), b"content");
    let times = SetAttr {
        valid: setattr::MTIME | setattr::MTIME_SET,
        ..SetAttr::default()
    };
    assert_eq!(set(&mut client, 2, "open", times), Err(Errno::PERM));

    set(&mut client, 1, "open", mode(0o640)).expect("hers");
    set(&mut client, 1, "shown", cut).expect("hers");
    set(&mut client, 3, "open", owner(BOB)).expect("root may");
    assert_eq!((share.stat("open").uid(), share.mode("open")), (BOB, 0o640));
}

#[test]
fn entries_are_made_and_removed_with_the_rights_of_the_user() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    assert_eq!(client.mkdir(1, "dir", 0o755), Err(Errno::ACCESS));
    assert_eq!(client.symlink(1, "link", b"x"), Err(Errno::ACCESS));
    client.walk(1, 5, &[]).expect("a clone");
    assert_eq!(client.lcreate(5, "file", RDWR, 0o644), Err(Errno::ACCESS));
    assert_eq!(client.unlinkat(1, "private", 0), Err(Errno::ACCESS));

    client.walk(1, 6, &["shared"]).expect("for all");
    client.walk(2, 7, &["shared"]).expect("for all");
    client.mkdir(6, "dir", 0o755).expect("hers");
    assert_eq!(client.unlinkat(7, "hers", 0), Err(Errno::PERM), "sticky");
    assert_eq!(client.renameat((7, "hers"), (7, "his")), Err(Errno::PERM));
    client.walk(7, 8, &["hers"]).expect("to be seen");
    assert_eq!(client.rename(8, 7, "his"), Err(Errno::PERM));
    assert_eq!(client.remove(8), Err(Errno::PERM));
    assert_eq!(
        client.mknod(6, "null", 0o020_666, (1, 3)),
        Err(Errno::PERM),
        "a device"
    );
    client.mknod(6, "fifo", 0o010_666, (0, 0)).expect("a FIFO");
    client.unlinkat(6, "hers", 0).expect("hers");
    assert_eq!(share.stat("shared/dir").uid(), ANN);
    assert_eq!(share.stat("shared/fifo").uid(), ANN);
}

#[test]
fn attributes_with_names_need_their_rights_too() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    let mut put = |fid, path: &str, attribute: &[u8]| {
        client.walk(fid, 50, &[path]).expect("a file");
        client.xattrcreate(50, attribute, 1, 0).expect("a fid");
        client.write(50, 0, b"x").expect("a value");
        // It is set now, and must be so by the one who wanted it.
        client.clunk(50)
    };
    assert_eq!(put(2, "shown", b"user.a"), Err(Errno::ACCESS));
    assert_eq!(put(1, "shown", b"user.a"), Ok(()));
    assert_eq!(put(1, "shown", b"trusted.a"), Err(Errno::PERM));
    assert_eq!(put(3, "shown", b"trusted.a"), Ok(()));
    client.walk(2, 5, &["private"]).expect("to be seen");
    assert_eq!(client.xattrwalk(5, 6, b"user.a"), Err(Errno::ACCESS));
}

#[test]
fn who_writes_loses_the_set_id_bits() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    set(&mut client, 1, "open", mode(0o4777)).expect("hers");
    client.walk(2, 5, &["open"]).expect("a file");
    client.lopen(5, WRONLY).expect("for all");
    assert_eq!(share.mode("open"), 0o4777);
    client.write(5, 0, b"x").expect("for all");
    assert_eq!(share.mode("open"), 0o777);
}

#[test]
fn what_is_removed_at_the_end_is_removed_by_its_user() {
    const ORCLOSE: u8 = 0x40;
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = share.speaker(Dialect::Unix);
    for (fid, path) in [(5, "one"), (6, "two")] {
        client.attach_as(fid, NOFID, ANN).expect("a root");
        client.walk(fid, fid, &["shared"]).expect("for all");
        let request = Request::Create {
            fid,
            name: name(path),
            perm: 0o600,
            mode: ORCLOSE | 2,
            extension: Some(b""),
        };
        client.call(&request, |_| Some(())).expect("a file");
    }
    client.clunk(5).expect("a clunk");
    assert!(!share.exists("shared/one"));
    put(&share.path("shared"), 0o755, 0, 0);
    client.close();
    ninefold::act_as_server().expect("the way back");
    assert!(share.exists("shared/two"), "she may not any more");
}

/// What a user has reached, and what he has opened, is his even after its descriptor was given back
/// and permissions have changed; nothing else becomes his by that.
#[test]
fn descriptors_given_back_are_had_again_but_give_no_rights() {
    if !is_root() {
        eprintln!("not proven: only root can act for others");
        return;
    }
    let budget = Budget::new(16);
    let options = ExportOptions {
        descriptors: Some(Arc::clone(&budget)),
        ..options(SecurityModel::Passthrough, Squashed::Nobody)
    };
    let share = Share::with_options(&options, |root| {
        fill(root);
        for number in 0..100 {
            file(root, &number.to_string(), 0o644, ANN, 0);
        }
    });
    let mut client = users(&share);
    client.walk(1, 10, &["closed", "inner"]).expect("hers");
    client.walk(1, 11, &["private"]).expect("hers");
    client.lopen(11, RDWR).expect("hers");
    client.walk(2, 12, &["private"]).expect("to be seen");
    put(&share.path("closed"), 0o000, 0, 0);
    put(&share.path("private"), 0o000, 0, 0);
    for number in 0..100 {
        client
            .walk(2, 100 + number, &[&number.to_string()])
            .expect("to be seen");
        client.lopen(100 + number, RDONLY).expect("for all");
    }
    assert!(budget.held() <= 16);
    assert_eq!(client.read(11, 0, 100).expect("open still"), b"content");
    client.write(11, 0, b"written").expect("open still");
    client.getattr(10, 0x7ff).expect("reached already");
    client.lopen(10, RDONLY).expect("for all who reach it");
    assert_eq!(client.lopen(12, RDONLY).map(drop), Err(Errno::ACCESS));
    for number in 0..100 {
        let got = client.read(100 + number, 0, 100).expect("open still");
        assert_eq!(got, b"content");
    }
    assert_eq!(share.read("private"), b"written");
}
