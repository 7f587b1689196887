//! The ways in which QEMU's server loses data, one test each, named as in docs/qemu-differences.md
//! where that has a name for it. Source: QEMU 7.2 to 11.1, measured.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use ninefold::{Errno, ExportOptions, SecurityModel};
use ninefold_wire::flags::{open, unlink};

use crate::client::Client;
use crate::mapped::{by_file, create, plant, shown};
use crate::share::{Share, is_root};
use crate::verbs::{RDONLY, RDWR, WRONLY};

use SecurityModel::{MappedFile, MappedXattr, None, Passthrough};

const ALL: [SecurityModel; 4] = [Passthrough, None, MappedXattr, MappedFile];

/// More than any budget of descriptors that a test runs with, less than a host has by default.
const MANY: u32 = 400;

fn of_all(test: impl Fn(&Share)) {
    for model in ALL {
        if model == Passthrough && !is_root() {
            eprintln!("not proven: passthrough needs root");
            continue;
        }
        eprintln!("{model:?}");
        test(&Share::with_options(&ExportOptions::new(model), |_| {}));
    }
}

/// Opens so many files that a server which closes some for want of descriptors has closed all that
/// were open before.
fn crowd(client: &mut Client) {
    for number in 0..MANY {
        let fid = 1000 + number;
        client.walk(0, fid, &[]).expect("a clone");
        let name = format!("other{number}");
        client.lcreate(fid, &name, RDWR, 0o600).expect("a file");
    }
}

/// W2: a file opened with `O_TRUNC` was reopened with it when its descriptor had been needed, and
/// what had been written was gone.
#[test]
fn w2_a_reclaimed_file_is_not_truncated_again() {
    of_all(|share| {
        let mut client = share.client();
        share.write("old", "to be replaced");
        client.open(1, "old", RDWR | open::TRUNC);
        client.walk(0, 2, &[]).expect("a clone");
        let flags = RDWR | open::CREAT | open::TRUNC;
        client.lcreate(2, "new", flags, 0o600).expect("a file");
        client.walk(0, 3, &[]).expect("a clone");
        let flags = WRONLY | open::CREAT | open::EXCL | open::TRUNC;
        client
            .lcreate(3, "exclusive", flags, 0o600)
            .expect("a file");
        for fid in [1, 2, 3] {
            assert_eq!(client.write(fid, 0, b"precious"), Ok(8));
        }
        crowd(&mut client);
        for (fid, name) in [(1, "old"), (2, "new"), (3, "exclusive")] {
            assert_eq!(client.getattr(fid, 0).expect("attributes").size, 8);
            assert_eq!(client.write(fid, 8, b" words"), Ok(6));
            assert_eq!(share.read(name), b"precious words", "{name}");
        }
        assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"precious words"[..]));
        assert_eq!(client.read(2, 0, 99).as_deref(), Ok(&b"precious words"[..]));
    });
}

/// W2: it was reopened by its path, with `O_TRUNC`: whatever had taken the name was emptied.
#[test]
fn w2_what_replaced_a_reclaimed_file_is_not_truncated() {
    of_all(|share| {
        let mut client = share.client();
        share.write("file", "old");
        client.open(1, "file", RDWR | open::TRUNC);
        assert_eq!(client.write(1, 0, b"written"), Ok(7));
        share.write("precious", "precious");
        fs::rename(share.path("precious"), share.path("file")).expect("a rename");
        crowd(&mut client);
        assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"written"[..]));
        assert_eq!(client.write(1, 0, b"WRITTEN"), Ok(7));
        assert_eq!(share.read("file"), b"precious");
    });
}

/// W3: a creation that met an existing file gave it the creator's owner and mode.
#[test]
fn w3_creating_what_exists_leaves_owner_and_mode() {
    of_all(|share| {
        let mut client = share.client();
        create(&mut client, "file", (1000, 1001), 0o666);
        let before = shown(&mut client, "file");
        client.attach_as(1, !0, 2000).expect("a root");
        let flags = RDWR | open::CREAT;
        client.lcreate(1, "file", flags, 0o4700).expect("an open");
        assert_eq!(client.write(1, 0, b"x"), Ok(1));
        assert_eq!(shown(&mut client, "file"), before);
    });
}

/// W3: when it could not give it away, it removed the file that it had not made.
#[test]
fn w3_a_creation_that_fails_removes_nothing() {
    of_all(|share| {
        share.write("file", "precious");
        share.mkdir("dir");
        share.symlink("file", "link");
        let mode = fs::Permissions::from_mode(0o666);
        fs::set_permissions(share.path("file"), mode).expect("a mode");
        if is_root() {
            chown(share.path("file"), Some(4321), Some(4321)).expect("an owner");
        }
        let mut client = share.client();
        client.attach_as(1, !0, 77).expect("a root");
        let create = RDWR | open::CREAT;
        for (name, flags, errno) in [
            ("file", create | open::EXCL, Errno::EXIST),
            ("dir", create, Errno::ISDIR),
            ("dir", create | open::EXCL, Errno::EXIST),
            ("link", create | open::EXCL, Errno::EXIST),
            ("link", create, Errno::LOOP),
        ] {
            assert_eq!(client.lcreate(1, name, flags, 0o600), Err(errno), "{name}");
        }
        assert_eq!(client.mkdir(1, "file", 0o700), Err(Errno::EXIST));
        assert_eq!(client.symlink(1, "file", b"x"), Err(Errno::EXIST));
        let mknod = client.mknod(1, "file", 0o010_600, (0, 0));
        assert_eq!(mknod, Err(Errno::EXIST));
        assert_eq!(share.read("file"), b"precious");
        assert_eq!(share.mode("file"), 0o666);
        assert!(share.exists("dir") && share.exists("link"));
    });
}

/// W4: a move between directories failed when the old one had no hidden directory, and the way back
/// cost the target.
#[test]
fn w4_a_move_over_a_target_keeps_one_of_both() {
    let share = by_file();
    share.mkdir("plain");
    share.write("plain/file", "moved");
    let mut client = share.client();
    client.mkdir(0, "dir", 0o755).expect("a directory");
    create(&mut client, "dir/target", (5, 6), 0o4711);
    share.write("dir/target", "replaced");
    client.find(1, "plain");
    client.find(2, "dir");
    client
        .renameat((1, "file"), (2, "target"))
        .expect("a rename");
    assert_eq!(share.read("dir/target"), b"moved");
    assert_eq!(
        shown(&mut client, "dir/target").2 & 0o4000,
        0,
        "not the replaced one's"
    );
    // One that cannot be done costs neither: no metadata can lie where a directory is.
    share.write("plain/next", "next");
    fs::create_dir_all(share.path("plain/.virtfs_metadata/next/full")).expect("directories");
    assert!(client.renameat((1, "next"), (2, "target")).is_err());
    assert_eq!(share.read("dir/target"), b"moved");
    assert_eq!(share.read("plain/next"), b"next");
}

/// W4: the same of a new link.
#[test]
fn w4_a_link_from_a_directory_without_metadata() {
    let share = by_file();
    share.mkdir("plain");
    share.write("plain/file", "content");
    let mut client = share.client();
    client.mkdir(0, "dir", 0o755).expect("a directory");
    client.find(1, "plain/file");
    client.find(2, "dir");
    client.link(2, 1, "link").expect("a link");
    assert_eq!(share.read("dir/link"), b"content");
    assert_eq!(client.link(2, 1, "link"), Err(Errno::EXIST));
    assert_eq!(share.read("dir/link"), b"content");
}

/// W5: a removal that failed had cost the attributes; metadata left behind came back in a new file.
#[test]
fn w5_a_failed_removal_keeps_the_attributes() {
    let share = by_file();
    let mut client = share.client();
    client.mkdir(0, "dir", 0o1750).expect("a directory");
    create(&mut client, "dir/file", (7, 8), 0o4711);
    let before = shown(&mut client, "dir");
    assert_eq!(
        client.unlinkat(0, "dir", unlink::REMOVEDIR),
        Err(Errno::NOTEMPTY)
    );
    assert_eq!(client.unlinkat(0, "dir", 0), Err(Errno::ISDIR));
    assert_eq!(shown(&mut client, "dir"), before);
    assert_eq!(shown(&mut client, "dir/file"), (7, 8, 0o104_711));
    plant(&share, "dir/next", "virtfs.uid=0\nvirtfs.mode=36297\n");
    create(&mut client, "dir/next", (9, 9), 0o600);
    assert_eq!(shown(&mut client, "dir/next"), (9, 9, 0o100_600));
}

/// A file opened for truncation empties the object that was walked to, not one that has its name.
#[test]
fn a_replaced_file_is_not_truncated() {
    of_all(|share| {
        let mut client = share.client();
        share.write("file", "old");
        client.find(1, "file");
        client.find(2, "file");
        share.write("precious", "precious");
        fs::rename(share.path("precious"), share.path("file")).expect("a rename");
        client.lopen(1, RDWR | open::TRUNC).expect("an open");
        client.lopen(2, RDONLY | open::TRUNC).expect("an open");
        assert_eq!(client.read(1, 0, 9), Ok(Vec::new()));
        assert_eq!(share.read("file"), b"precious");
    });
}
