//! Tlcreate, Tmkdir, Tmknod and Tsymlink: what comes into being.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};

use ninefold::{Errno, SecurityModel};
use ninefold_wire::flags::{open, qid};

use crate::share::{Share, is_root, model, one_of_each};
use crate::verbs::{RDONLY, RDWR, WRONLY};

#[test]
fn a_new_file_is_open_at_once() {
    let share = Share::new();
    let mut client = share.client();
    // With and without the type bits: Linux 6.3 and 6.4 differ.
    for (fid, name, mode) in [
        (1, "a", 0x1a4),
        (2, "b", 0x81a4),
        (3, "c", 0o4751),
        (4, "d", 0),
    ] {
        client.walk(0, fid, &[]).expect("a clone");
        let made = client
            .lcreate(fid, name, RDWR | open::CREAT, mode)
            .expect("a file");
        assert_eq!(made.path, client.find(100 + fid, name).path);
        let shown = client.getattr(fid, 0x7ff).expect("attributes").mode;
        assert_eq!(shown, 0o100_000 | mode & 0o7777, "{name}");
        assert_eq!(client.write(fid, 0, b"new"), Ok(3));
        assert_eq!(client.read(fid, 0, 9).as_deref(), Ok(&b"new"[..]));
        // The test itself may not read what is nobody's to read.
        if is_root() || mode & 0o400 != 0 {
            assert_eq!(share.read(name), b"new");
        }
        // It is a file's fid now, no directory's.
        assert_eq!(client.walk(fid, 99, &[name]), Err(Errno::NOTDIR));
        assert_eq!(client.lopen(fid, RDONLY), Err(Errno::INVAL));
    }
}

#[test]
fn a_new_file_can_be_opened_for_less() {
    let share = Share::new();
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    client.lcreate(1, "w", WRONLY, 0o600).expect("a file");
    assert_eq!(client.read(1, 0, 1), Err(Errno::BADF));
    assert_eq!(client.write(1, 0, b"x"), Ok(1));
    // A clone is of the object, and can be opened for more.
    client.walk(1, 2, &[]).expect("a clone");
    client.lopen(2, RDWR).expect("an open");
    assert_eq!(client.read(2, 0, 9).as_deref(), Ok(&b"x"[..]));
    client.clunk(1).expect("a clunk");
    assert_eq!(client.read(2, 0, 9).as_deref(), Ok(&b"x"[..]));
}

#[test]
fn what_exists_is_opened_as_it_is() {
    let share = Share::with(SecurityModel::Passthrough, false, |root| {
        fs::write(root.join("old"), "contents").expect("a file");
        let mode = fs::Permissions::from_mode(0o4666);
        if is_root() {
            chown(root.join("old"), Some(77), Some(78)).expect("a chown");
        }
        fs::set_permissions(root.join("old"), mode).expect("a chmod");
    });
    let before = share.stat("old");
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    client
        .lcreate(1, "old", RDONLY | open::CREAT, 0o600)
        .expect("an open");
    let after = share.stat("old");
    assert_eq!(
        (after.ino(), after.uid(), after.gid(), after.mode()),
        (before.ino(), before.uid(), before.gid(), before.mode())
    );
    assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"contents"[..]));
    client.walk(0, 2, &[]).expect("a clone");
    client
        .lcreate(2, "old", WRONLY | open::TRUNC, 0o600)
        .expect("an open");
    assert_eq!(share.read("old"), b"");
    assert_eq!(share.stat("old").uid(), before.uid());
}

#[test]
fn exclusively_means_new() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    for name in ["file", "dir", "link", "fifo"] {
        let made = client.lcreate(1, name, RDWR | open::EXCL | open::TRUNC, 0o600);
        assert_eq!(made, Err(Errno::EXIST), "{name}");
    }
    assert_eq!(share.read("file"), b"content");
    // The fid is the directory's still.
    client
        .lcreate(1, "new", RDWR | open::EXCL, 0o600)
        .expect("a file");
    assert!(share.exists("new"));
}

#[test]
fn what_exists_and_is_no_file_is_refused() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    share.symlink("none", "dangling");
    let mut client = share.client();
    client.walk(0, 1, &[]).expect("a clone");
    for (name, errno) in [
        ("dir", Errno::ISDIR),
        ("link", Errno::LOOP),
        ("dangling", Errno::LOOP),
        ("fifo", Errno::NXIO),
        ("sock", Errno::NXIO),
    ] {
        let made = client.lcreate(1, name, RDWR | open::TRUNC, 0o600);
        assert_eq!(made, Err(errno), "{name}");
    }
    assert!(!share.exists("none"));
    assert_eq!(share.read("file"), b"content");
    client.find(2, "file");
    assert_eq!(client.lcreate(2, "x", RDWR, 0o600), Err(Errno::NOTDIR));
    assert_eq!(client.lcreate(9, "x", RDWR, 0o600), Err(Errno::BADF));
}

#[test]
fn directories() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    for (name, mode) in [("plain", 0o755), ("typed", 0o40_711), ("sticky", 0o1777)] {
        let made = client.mkdir(0, name, mode).expect("a directory");
        assert_eq!(made.kind, qid::DIR);
        assert_eq!(made.path, client.find(1, name).path);
        client.clunk(1).expect("a clunk");
        assert!(share.stat(name).is_dir());
        assert_eq!(share.mode(name), mode & 0o7777);
    }
    for name in ["plain", "file", "link"] {
        assert_eq!(client.mkdir(0, name, 0o755), Err(Errno::EXIST), "{name}");
    }
    client.find(2, "file");
    assert_eq!(client.mkdir(2, "x", 0o755), Err(Errno::NOTDIR));
    client.open(3, "dir", RDONLY);
    client
        .mkdir(3, "below", 0o755)
        .expect("in an open directory");
    assert!(share.stat("dir/below").is_dir());
}

#[test]
fn special_files() {
    let share = Share::new();
    let mut client = share.client();
    client.mknod(0, "fifo", 0o10_640, (0, 0)).expect("a FIFO");
    client
        .mknod(0, "sock", 0o140_600, (0, 0))
        .expect("a socket");
    client.mknod(0, "file", 0o100_644, (0, 0)).expect("a file");
    client.mknod(0, "bare", 0o600, (7, 7)).expect("a file");
    let made = [
        ("fifo", 0o10_640),
        ("sock", 0o140_600),
        ("file", 0o100_644),
        ("bare", 0o100_600),
    ];
    for (fid, (name, mode)) in (1..).zip(made) {
        client.find(fid, name);
        let shown = client.getattr(fid, 0x7ff).expect("attributes").mode;
        assert_eq!(shown, mode, "{name}");
        // On the host the mapped models have nothing but files.
        let host = rustix::fs::FileType::from_raw_mode(share.stat(name).mode());
        let expected = if model().is_mapped() { 0o100_000 } else { mode };
        assert_eq!(
            host,
            rustix::fs::FileType::from_raw_mode(expected),
            "{name}"
        );
    }
    assert_eq!(client.mknod(0, "fifo", 0o10_640, (0, 0)), Err(Errno::EXIST));
    assert_eq!(client.mknod(0, "dir", 0o40_755, (0, 0)), Err(Errno::PERM));
    for wrong in [0o120_777, 0o50_644, 0o170_644] {
        assert_eq!(
            client.mknod(0, "x", wrong, (0, 0)),
            Err(Errno::INVAL),
            "{wrong:o}"
        );
    }
    assert!(!share.exists("x") && !share.exists("dir"));
}

#[test]
fn devices_keep_their_numbers() {
    let share = Share::new();
    let mut client = share.client();
    let made = client.mknod(0, "dev", 0o20_666, (261, 300)).map(drop);
    if !is_root() && !model().is_mapped() {
        assert_eq!(made, Err(Errno::PERM));
        return;
    }
    made.expect("a device");
    client.mknod(0, "blk", 0o60_660, (8, 1)).expect("a device");
    if !model().is_mapped() {
        assert!(share.stat("dev").file_type().is_char_device());
        assert!(share.stat("blk").file_type().is_block_device());
        assert_eq!(share.stat("dev").rdev(), rustix::fs::makedev(261, 300));
    }
    for (fid, name, mode, (major, minor)) in [
        (1, "dev", 0o20_666, (261, 300)),
        (2, "blk", 0o60_660, (8, 1)),
    ] {
        client.find(fid, name);
        let shown = client.getattr(fid, 0x7ff).expect("attributes");
        assert_eq!(shown.mode, mode);
        assert_eq!(
            shown.rdev,
            (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
        );
    }
}

#[test]
fn symbolic_links_hold_what_they_are_given() {
    let share = Share::new();
    let mut client = share.client();
    let longest = [b'x'; 4095];
    let targets: [&[u8]; 6] = [
        b"x",
        b"/etc/passwd",
        b"../../..",
        b"a//b/./c/",
        b"\xff\x01",
        &longest,
    ];
    for (number, target) in targets.iter().enumerate() {
        let name = format!("link{number}");
        let made = client.symlink(0, &name, target).expect("a link");
        assert_eq!(made.kind, qid::SYMLINK);
        client.find(1, &name);
        assert_eq!(client.readlink(1).as_deref(), Ok(*target));
        assert_eq!(
            client.getattr(1, 0).expect("attributes").size,
            target.len() as u64
        );
        client.clunk(1).expect("a clunk");
    }
    assert_eq!(client.symlink(0, "link0", b"y"), Err(Errno::EXIST));
    assert_eq!(client.symlink(0, "e", b""), Err(Errno::NOENT));
    assert_eq!(client.symlink(0, "e", b"a\0b"), Err(Errno::INVAL));
    assert_eq!(
        client.symlink(0, "e", &[b'x'; 4096]),
        Err(Errno::NAMETOOLONG)
    );
    assert_eq!(
        client.symlink(0, "e", &[b'x'; 65535]),
        Err(Errno::NAMETOOLONG)
    );
    assert!(!share.exists("e"));
}

#[test]
fn only_symbolic_links_are_read() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    for (fid, name) in (1..).zip(["file", "dir", "fifo", "sock"]) {
        client.find(fid, name);
        assert_eq!(client.readlink(fid), Err(Errno::INVAL), "{name}");
    }
    assert_eq!(client.readlink(9), Err(Errno::BADF));
    // The longest target does not fit the smallest message.
    let mut small = share.stranger();
    small.version(4096, b"9P2000.L").expect("a version");
    small.attach(0).expect("a root");
    share.symlink(&"x".repeat(4095), "long");
    small.find(1, "long");
    assert_eq!(small.readlink(1), Err(Errno::MSGSIZE));
}
