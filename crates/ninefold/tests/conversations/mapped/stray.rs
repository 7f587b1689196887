//! Metadata that is something else: links, directories, FIFOs, of the host's or of an attacker.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::Path;

use ninefold::Errno;
use ninefold_wire::flags::unlink::REMOVEDIR;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{beside, by_file, chmod, chown, create, shown};
use crate::client::Client;
use crate::share::Share;
use crate::verbs::{RDWR, Result};

const SECRET: &str = "virtfs.uid=666\nvirtfs.mode=35309\n";

/// A file and a directory outside, and what they are before.
fn outside(share: &Share) -> (Vec<u8>, i64, u64) {
    if !share.outside("secret").exists() {
        fs::create_dir(share.outside("secret")).expect("a directory");
        fs::write(share.outside("secret/file"), SECRET).expect("a file");
    }
    let meta = fs::metadata(share.outside("secret")).expect("attributes");
    let entries = fs::read_dir(share.outside("secret")).expect("entries");
    (
        fs::read(share.outside("secret/file")).expect("a file"),
        meta.ctime_nsec(),
        entries.count() as u64,
    )
}

/// Puts something in the place of a metadata file.
fn put(share: &Share, path: &str, make: impl FnOnce(&Path)) {
    let path = share.path(&beside(path));
    fs::create_dir_all(path.parent().expect("a directory")).expect("the hidden directory");
    // Whatever was put there before.
    let _ = fs::remove_file(&path);
    make(&path);
}

/// Reading ignores it, writing fails, and the object can be removed all the same.
fn is_ignored(share: &Share, client: &mut Client, errno: Errno) {
    let host = share.stat("file");
    let wanted = (host.uid(), host.gid(), host.mode());
    assert_eq!(shown(client, "file"), wanted);
    client.find(1, "file");
    assert_eq!(chmod(client, 1, 0o4755), Err(errno));
    assert_eq!(chown(client, 1, Some(5), None), Err(errno));
    assert_eq!(shown(client, "file"), wanted);
    client.lopen(1, RDWR).expect("the content is there");
    assert_eq!(client.read(1, 0, 9).as_deref(), Ok(&b"content"[..]));
    client.clunk(1).expect("a clunk");
}

/// A FIFO in the place of metadata has no reader, though a fid of its object is held.
fn is_never_opened(share: &Share, client: &mut Client) {
    client.find(1, "file");
    let fifo = share.path(&beside("file"));
    let opened = fs::OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(fifo);
    let refused = opened.map_err(|error| error.raw_os_error());
    assert!(matches!(refused, Err(Some(libc::ENXIO))), "{refused:?}");
    client.clunk(1).expect("a clunk");
}

#[test]
fn in_the_place_of_a_file() {
    let share = by_file();
    share.write("file", "content");
    let before = outside(&share);
    let mut client = share.client();
    put(&share, "file", |path| {
        symlink("../../secret/file", path).expect("a link");
    });
    is_ignored(&share, &mut client, Errno::LOOP);
    put(&share, "file", |path| {
        let mode = Mode::from_raw_mode(0o600);
        mknodat(CWD, path, FileType::Fifo, mode, 0).expect("a FIFO");
    });
    is_ignored(&share, &mut client, Errno::NXIO);
    is_never_opened(&share, &mut client);
    put(&share, "file", |path| {
        fs::create_dir(path).expect("a directory");
    });
    is_ignored(&share, &mut client, Errno::ISDIR);
    create(&mut client, "other", (1, 2), 0o4711);
    let refused = client.renameat((0, "other"), (0, "file"));
    assert_eq!(refused, Err(Errno::ISDIR));
    assert_eq!(shown(&mut client, "other"), (1, 2, 0o104_711));
    client.unlinkat(0, "file", 0).expect("a removal");
    assert_eq!(outside(&share), before);
}

#[test]
fn a_stray_link_gives_way_to_a_new_object() {
    let share = by_file();
    let before = outside(&share);
    let mut client = share.client();
    for name in ["a", "b", "c"] {
        put(&share, name, |path| {
            symlink("../../secret/file", path).expect("a link");
        });
    }
    create(&mut client, "a", (1, 2), 0o600);
    client.find(1, "a");
    client.link(0, 1, "b").expect("a link");
    client.renameat((0, "a"), (0, "c")).expect("a rename");
    for name in ["b", "c"] {
        assert_eq!(shown(&mut client, name), (1, 2, 0o100_600));
        assert!(share.stat(&beside(name)).is_file());
    }
    assert_eq!(outside(&share), before);
}

/// Each way to make something, under a name of its own.
fn make_each(client: &mut Client) -> Vec<Result<()>> {
    client.find(2, "dir");
    client.walk(2, 3, &[]).expect("a clone");
    let created = client.lcreate(3, "new", RDWR, 0o600);
    client.clunk(3).expect("a clunk");
    vec![
        created.map(drop),
        client.mkdir(2, "new", 0o700).map(drop),
        client.mknod(2, "new", 0o010_600, (0, 0)).map(drop),
        client.symlink(2, "new", b"target").map(drop),
        client.link(2, 1, "new"),
        client.renameat((0, "own"), (2, "new")),
        client.renameat((0, "own"), (2, "file")),
    ]
}

#[test]
fn in_the_place_of_the_hidden_directory() {
    for directory in [true, false] {
        let share = by_file();
        let mut client = share.client();
        client.mkdir(0, "dir", 0o755).expect("a directory");
        create(&mut client, "own", (1, 2), 0o600);
        client.find(1, "own");
        share.write("dir/file", "content");
        let before = outside(&share);
        if directory {
            share.symlink("../../secret", "dir/.virtfs_metadata");
        } else {
            share.write("dir/.virtfs_metadata", "a file");
        }
        for refused in make_each(&mut client) {
            let errno = refused.expect_err("no metadata can be written");
            assert!([Errno::LOOP, Errno::NOTDIR].contains(&errno), "{errno}");
        }
        assert!(!share.exists("dir/new"));
        assert_eq!(share.read("dir/file"), b"content");
        assert_eq!(shown(&mut client, "own"), (1, 2, 0o100_600));
        client.find(4, "dir/file");
        assert_ne!(attr_uid(&mut client, 4), 666, "nothing is read outside");
        assert!(chmod(&mut client, 4, 0o600).is_err());
        client.unlinkat(2, "file", 0).expect("a removal");
        // What keeps the directory is the host's.
        assert_eq!(client.unlinkat(0, "dir", REMOVEDIR), Err(Errno::NOTEMPTY));
        assert!(share.exists("dir/.virtfs_metadata"));
        assert_eq!(outside(&share), before);
    }
}

fn attr_uid(client: &mut Client, fid: u32) -> u32 {
    super::attr(client, fid).uid
}

#[test]
fn in_the_place_of_the_roots() {
    let share = by_file();
    let before = outside(&share);
    share.symlink("../secret/file", ".virtfs_metadata_root");
    let mut client = share.client();
    assert_ne!(attr_uid(&mut client, 0), 666);
    assert_eq!(chmod(&mut client, 0, 0o755), Err(Errno::LOOP));
    assert_eq!(outside(&share), before);
    fs::remove_file(share.path(".virtfs_metadata_root")).expect("a removal");
    chmod(&mut client, 0, 0o755).expect("a mode");
}

#[test]
fn a_directory_of_the_host_in_the_hidden_one() {
    let share = by_file();
    share.mkdir("dir/.virtfs_metadata/strange");
    let mut client = share.client();
    assert_eq!(client.unlinkat(0, "dir", REMOVEDIR), Err(Errno::NOTEMPTY));
    assert!(share.exists("dir/.virtfs_metadata/strange"));
}
