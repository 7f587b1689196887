//! A read-only export: every message that would change something says EROFS, and nothing changes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ninefold::{Errno, SecurityModel};
use ninefold_wire::SetAttr;
use ninefold_wire::flags::open;
use rustix::fs::{XattrFlags, setxattr};

use crate::share::{Share, one_of_each};
use crate::verbs::{RDONLY, RDWR, WRONLY};

fn share() -> Share {
    Share::with(SecurityModel::None, true, |root| {
        one_of_each(root);
        setxattr(root.join("file"), "user.a", b"value", XattrFlags::empty()).expect("a value");
    })
}

/// All that there is to know of the tree but access times.
fn state(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        let about = |path: &Path| {
            let meta = path.symlink_metadata().expect("attributes");
            let own = (
                meta.ino(),
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.nlink(),
            );
            let times = (
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            );
            let content = meta.is_file().then(|| fs::read(path).expect("content"));
            format!("{} {own:?} {times:?} {content:?}", path.display())
        };
        all.push(about(&dir));
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.symlink_metadata().expect("attributes").is_dir() {
                dirs.push(path);
            } else {
                all.push(about(&path));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn every_change_is_refused() {
    let share = share();
    let before = state(&share.path(""));
    let mut client = share.client();
    client.find(1, "file");
    client.find(2, "dir");
    client.walk(0, 3, &[]).expect("a clone");
    let refused = Err(Errno::ROFS);
    let kept = &mut client;
    assert_eq!(kept.lcreate(3, "new", RDWR, 0o644).map(drop), refused);
    assert_eq!(
        kept.lcreate(3, "file", WRONLY | open::TRUNC, 0o644)
            .map(drop),
        refused
    );
    assert_eq!(kept.mkdir(0, "new", 0o755).map(drop), refused);
    assert_eq!(kept.mknod(0, "new", 0o10_644, (0, 0)).map(drop), refused);
    assert_eq!(kept.mknod(0, "new", 0o644, (0, 0)).map(drop), refused);
    assert_eq!(kept.symlink(0, "new", b"file").map(drop), refused);
    assert_eq!(kept.link(2, 1, "new"), refused);
    assert_eq!(kept.rename(1, 2, "new"), refused);
    assert_eq!(kept.renameat((0, "file"), (2, "new")), refused);
    assert_eq!(kept.unlinkat(0, "file", 0), refused);
    assert_eq!(kept.unlinkat(0, "dir", 0x200), refused);
    for flags in [
        WRONLY,
        RDWR,
        open::TRUNC,
        WRONLY | open::APPEND,
        RDWR | open::TRUNC,
    ] {
        assert_eq!(kept.lopen(1, flags).map(drop), refused, "{flags:o}");
    }
    for bit in 0..9 {
        let attr = SetAttr {
            valid: 1 << bit,
            mode: 0o600,
            ..SetAttr::default()
        };
        assert_eq!(kept.setattr(1, attr), refused, "bit {bit}");
    }
    assert_eq!(kept.xattrcreate(1, b"user.a", 1, 0), refused);
    assert_eq!(kept.xattrcreate(1, b"user.a", 0, 2), refused);
    kept.walk(1, 9, &[]).expect("a clone");
    assert_eq!(kept.remove(9), refused);
    assert!(kept.is_unknown(9), "the fid is gone all the same");
    drop(client);
    assert_eq!(state(&share.path("")), before);
}

#[test]
fn everything_can_be_read() {
    let share = share();
    let before = state(&share.path(""));
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
    assert_eq!(client.write(1, 0, b"x"), Err(Errno::BADF));
    client.open(2, "dir", RDONLY);
    assert_eq!(client.readdir(2, 0, 4096).expect("entries").len(), 3);
    client.find(3, "link");
    assert_eq!(client.readlink(3).as_deref(), Ok(&b"file"[..]));
    assert_eq!(client.xattrwalk(1, 4, b"user.a"), Ok(5));
    client.statfs(1).expect("figures");
    client.fsync(1, Some(0)).expect("an fsync");
    let lock = crate::verbs::range(0, 0, 1);
    assert_eq!(client.lock(1, 0, 0, lock), Ok(0));
    // Appending has no meaning without writing, and does no harm.
    client.open(5, "file", RDONLY | open::APPEND);
    assert_eq!(state(&share.path("")), before);
}
