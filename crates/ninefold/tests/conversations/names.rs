//! Tlink, Trename, Trenameat, Tunlinkat and Tremove: names come, move and go.

use std::os::unix::fs::MetadataExt;

use ninefold::{Errno, SecurityModel};
use ninefold_wire::{NOFID, flags};

use crate::share::{Share, one_of_each};
use crate::verbs::{RDONLY, RDWR};

const REMOVEDIR: u32 = flags::unlink::REMOVEDIR;

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

#[test]
fn hard_links() {
    let share = share();
    let mut client = share.client();
    client.find(1, "dir");
    for (fid, name) in (2..).zip(["file", "link", "fifo", "sock"]) {
        client.find(fid, name);
        client.link(1, fid, name).expect(name);
        let below = format!("dir/{name}");
        assert_eq!(share.stat(&below).ino(), share.stat(name).ino(), "{name}");
        assert_eq!(share.stat(name).nlink(), 2);
        assert_eq!(client.link(1, fid, name), Err(Errno::EXIST), "{name}");
    }
    assert_eq!(client.link(0, 1, "d2"), Err(Errno::PERM), "a directory");
    assert_eq!(client.link(2, 2, "x"), Err(Errno::NOTDIR), "into a file");
    assert_eq!(client.link(0, 99, "x"), Err(Errno::BADF));
    assert_eq!(client.link(99, 2, "x"), Err(Errno::BADF));
    client.open(9, "file", RDONLY);
    client.link(1, 9, "open").expect("of an open file");
    client.walk(0, 10, &[]).expect("a clone");
    client.lcreate(10, "new", RDWR, 0o644).expect("a file");
    client.link(1, 10, "new").expect("of a file just made");
    assert_eq!(share.stat("dir/new").nlink(), 2);
}

#[test]
fn renameat_replaces_as_rename_does() {
    let share = share();
    share.write("other", "other");
    share.mkdir("empty");
    let mut client = share.client();
    client.find(1, "dir");
    client
        .renameat((0, "file"), (0, "file2"))
        .expect("a new name");
    client
        .renameat((0, "file2"), (1, "inner"))
        .expect("over a file");
    assert_eq!(share.read("dir/inner"), b"content");
    assert!(!share.exists("file2"));
    client
        .renameat((1, "inner"), (1, "inner"))
        .expect("to itself");
    assert_eq!(client.renameat((0, "none"), (1, "x")), Err(Errno::NOENT));
    assert_eq!(
        client.renameat((0, "other"), (0, "empty")),
        Err(Errno::ISDIR)
    );
    assert_eq!(
        client.renameat((0, "empty"), (0, "other")),
        Err(Errno::NOTDIR)
    );
    assert_eq!(
        client.renameat((0, "empty"), (0, "dir")),
        Err(Errno::NOTEMPTY)
    );
    assert_eq!(client.renameat((0, "dir"), (1, "loop")), Err(Errno::INVAL));
    client
        .renameat((0, "dir"), (0, "empty"))
        .expect("over an empty one");
    assert_eq!(share.read("empty/inner"), b"content");
    client.find(2, "other");
    assert_eq!(client.renameat((2, "x"), (0, "y")), Err(Errno::NOTDIR));
    assert_eq!(client.renameat((0, "other"), (2, "y")), Err(Errno::NOTDIR));
    assert_eq!(client.renameat((99, "x"), (0, "y")), Err(Errno::BADF));
    assert_eq!(client.renameat((0, "other"), (99, "y")), Err(Errno::BADF));
    assert_eq!(client.renameat((NOFID, "x"), (0, "y")), Err(Errno::BADF));
    client
        .renameat((0, "other"), (NOFID, "same"))
        .expect("in the same directory");
    assert_eq!(share.read("same"), b"other");
}

#[test]
fn rename_moves_the_object_of_the_fid() {
    let share = share();
    let mut client = share.client();
    client.find(1, "dir");
    client.find(2, "file");
    client.rename(2, 1, "moved").expect("a rename");
    assert_eq!(share.read("dir/moved"), b"content");
    assert!(!share.exists("file"));
    client.rename(2, 0, "back").expect("from where it is now");
    assert_eq!(share.read("back"), b"content");
    client.find(3, "link");
    client.rename(3, 1, "link").expect("a link itself");
    assert!(share.stat("dir/link").is_symlink());
    assert_eq!(client.rename(0, 1, "root"), Err(Errno::BUSY));
    assert_eq!(client.rename(1, 1, "loop"), Err(Errno::INVAL));
    assert_eq!(client.rename(2, 2, "x"), Err(Errno::NOTDIR));
    assert_eq!(client.rename(99, 0, "x"), Err(Errno::BADF));
    assert_eq!(client.rename(2, 99, "x"), Err(Errno::BADF));
}

#[test]
fn rename_finds_what_others_have_moved() {
    let share = share();
    share.mkdir("a/b");
    let mut client = share.client();
    client.find(1, "file");
    client.find(2, "dir/inner");
    std::fs::rename(share.path("file"), share.path("a/b/elsewhere")).expect("a move");
    std::fs::rename(share.path("dir"), share.path("a/dir2")).expect("a move");
    share.write("file", "an impostor");
    client.rename(1, 0, "found").expect("a rename");
    client.rename(2, 0, "found2").expect("a rename");
    assert_eq!(share.read("found"), b"content");
    assert_eq!(share.read("found2"), b"inner");
    assert_eq!(share.read("file"), b"an impostor");
    std::fs::rename(share.path("found"), share.outside("found")).expect("a move");
    assert_eq!(client.rename(1, 0, "x"), Err(Errno::NOENT), "outside");
    assert_eq!(client.remove(1), Err(Errno::NOENT), "outside");
    assert!(share.outside("found").exists());
}

#[test]
fn unlinkat_takes_the_kind_it_is_told() {
    let share = share();
    share.mkdir("empty");
    let mut client = share.client();
    assert_eq!(client.unlinkat(0, "empty", 0), Err(Errno::ISDIR));
    assert_eq!(client.unlinkat(0, "file", REMOVEDIR), Err(Errno::NOTDIR));
    assert_eq!(client.unlinkat(0, "dir", REMOVEDIR), Err(Errno::NOTEMPTY));
    assert_eq!(client.unlinkat(0, "none", 0), Err(Errno::NOENT));
    for wrong in [1, 0x100, 0x201, u32::MAX] {
        assert_eq!(
            client.unlinkat(0, "file", wrong),
            Err(Errno::INVAL),
            "{wrong:x}"
        );
    }
    for name in ["file", "link", "fifo", "sock"] {
        client.unlinkat(0, name, 0).expect(name);
        assert!(!share.exists(name));
    }
    client.unlinkat(0, "empty", REMOVEDIR).expect("a directory");
    assert!(!share.exists("empty"));
    client.open(1, "dir", RDONLY);
    client
        .unlinkat(1, "inner", 0)
        .expect("in an open directory");
    client.find(2, "dir");
    client
        .unlinkat(0, "dir", REMOVEDIR)
        .expect("an open directory");
    assert_eq!(client.mkdir(2, "x", 0o755), Err(Errno::NOENT));
    assert_eq!(client.unlinkat(99, "x", 0), Err(Errno::BADF));
}

#[test]
fn remove_takes_the_fid_in_any_case() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    client.remove(1).expect("a removal");
    assert!(!share.exists("file"));
    assert!(client.is_unknown(1));
    client.find(2, "dir");
    assert_eq!(client.remove(2), Err(Errno::NOTEMPTY));
    assert!(share.exists("dir") && client.is_unknown(2));
    client.open(3, "dir/inner", RDWR);
    client.remove(3).expect("of an open file");
    client.find(4, "dir");
    client.remove(4).expect("of a directory");
    assert!(!share.exists("dir"));
    client.find(5, "link");
    client.remove(5).expect("of a link");
    assert!(!share.exists("link"));
    assert_eq!(client.remove(0), Err(Errno::BUSY), "the root");
    assert!(client.is_unknown(0));
    assert_eq!(client.remove(0), Err(Errno::BADF));
}
