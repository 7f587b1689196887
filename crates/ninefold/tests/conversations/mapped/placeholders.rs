//! Files that stand for links and devices; types; set-id bits.

use std::fs;
use std::os::unix::fs::symlink;

use ninefold::Errno;
use ninefold_wire::SetAttr;
use ninefold_wire::flags::setattr;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{attr, chmod, chown, create, make_kinds, of_both, plant, shown};
use crate::share::{Share, is_root};
use crate::verbs::{RDONLY, RDWR, WRONLY};

#[test]
fn they_cannot_be_opened() {
    of_both(|share| {
        let mut client = share.client();
        make_kinds(&mut client);
        let truncating = WRONLY | 0o1000;
        for (name, errno) in [
            ("link", Errno::LOOP),
            ("null", Errno::NXIO),
            ("fifo", Errno::NXIO),
        ] {
            client.find(1, name);
            for flags in [RDONLY, WRONLY, RDWR, truncating, 0o2000 | RDWR] {
                assert_eq!(client.lopen(1, flags).map(drop), Err(errno), "{name}");
                client.walk(0, 2, &[]).expect("a clone");
                let created = client.lcreate(2, name, flags, 0o600);
                assert_eq!(created.map(drop), Err(errno), "{name}");
                client.clunk(2).expect("a clunk");
            }
            let size = SetAttr {
                valid: setattr::SIZE,
                size: 3,
                ..SetAttr::default()
            };
            assert_eq!(client.setattr(1, size), Err(errno), "{name}");
            assert_eq!(client.read(1, 0, 10), Err(Errno::BADF));
            assert_eq!(client.write(1, 0, b"x"), Err(Errno::BADF));
            client.clunk(1).expect("a clunk");
        }
        assert_eq!(share.read("link"), b"dir/target");
        assert_eq!(share.read("null"), b"");
    });
}

#[test]
fn links_are_read_and_nothing_else_is() {
    of_both(|share| {
        let mut client = share.client();
        make_kinds(&mut client);
        create(&mut client, "file", (1, 2), 0o644);
        share.write("file", "content");
        client.find(1, "link");
        assert_eq!(client.readlink(1).as_deref(), Ok(&b"dir/target"[..]));
        let link = attr(&mut client, 1);
        assert_eq!((link.qid.kind, link.size, link.mode), (2, 10, 0o120_777));
        for (fid, name) in (2..).zip(["file", "dir", "null", "fifo"]) {
            client.find(fid, name);
            assert_eq!(client.readlink(fid), Err(Errno::INVAL), "{name}");
        }
        let longest = "x".repeat(4095);
        client
            .symlink(0, "longest", longest.as_bytes())
            .expect("a link");
        client.find(9, "longest");
        assert_eq!(client.readlink(9).as_deref(), Ok(longest.as_bytes()));
        for (target, errno) in [
            (&b""[..], Errno::NOENT),
            (b"a\0b", Errno::INVAL),
            (&[b'x'; 4096], Errno::NAMETOOLONG),
        ] {
            assert_eq!(client.symlink(0, "bad", target).map(drop), Err(errno));
        }
        assert!(!share.exists("bad"));
        // A huge one, that the host made.
        let huge = fs::File::create(share.path("longest")).expect("a file");
        huge.set_len(10 << 30).expect("a length");
        assert_eq!(client.readlink(9), Err(Errno::NAMETOOLONG));
    });
}

#[test]
fn the_type_stays_whatever_mode_is_sent() {
    of_both(|share| {
        let mut client = share.client();
        make_kinds(&mut client);
        create(&mut client, "file", (1000, 1001), 0o644);
        let types = [
            ("file", 0o100_000),
            ("dir", 0o040_000),
            ("null", 0o020_000),
            ("fifo", 0o010_000),
        ];
        for (fid, (name, kind)) in (1..).zip(types) {
            client.find(fid, name);
            for sent in [0o1751, 0o120_640, 0o040_711, 0o177_777, 0xffff_f000 | 0o600] {
                chmod(&mut client, fid, sent).expect(name);
                assert_eq!(shown(&mut client, name).2, kind | (sent & 0o7777), "{name}");
            }
        }
        client.find(9, "link");
        assert_eq!(chmod(&mut client, 9, 0o600), Err(Errno::OPNOTSUPP));
        chown(&mut client, 9, Some(5), Some(6)).expect("an owner");
        assert_eq!(shown(&mut client, "link"), (5, 6, 0o120_777));
        client.find(10, "dir");
        client.mkdir(10, "sub", 0o755).expect("still a directory");
    });
}

#[test]
fn what_mknod_is_asked_for() {
    of_both(|share| {
        let mut client = share.client();
        client.mknod(0, "typeless", 0o4640, (0, 0)).expect("a file");
        assert_eq!(shown(&mut client, "typeless").2, 0o104_640);
        client
            .mknod(0, "sock", 0o140_600, (0, 0))
            .expect("a socket");
        assert_eq!(shown(&mut client, "sock").2, 0o140_600);
        for (mode, errno) in [
            (0o040_755, Errno::PERM),
            (0o120_777, Errno::INVAL),
            (0o170_000, Errno::INVAL),
        ] {
            let made = client.mknod(0, "bad", mode, (0, 0));
            assert_eq!(made.map(drop), Err(errno), "{mode:o}");
        }
        assert!(!share.exists("bad"));
    });
}

#[test]
fn set_id_bits_go_with_the_owner() {
    of_both(|share| {
        let mut client = share.client();
        for (name, mode, left) in [
            ("both", 0o6755, 0o755),
            ("group", 0o2755, 0o755),
            ("locking", 0o6644, 0o2644),
            ("sticky", 0o1755, 0o1755),
        ] {
            create(&mut client, name, (1000, 1001), mode);
            client.find(1, name);
            chown(&mut client, 1, None, Some(7)).expect("a group");
            assert_eq!(shown(&mut client, name), (1000, 7, 0o100_000 | left));
            chmod(&mut client, 1, mode).expect("a mode");
            chown(&mut client, 1, Some(5), None).expect("an owner");
            assert_eq!(shown(&mut client, name), (5, 7, 0o100_000 | left));
            client.clunk(1).expect("a clunk");
        }
        client.mkdir(0, "dir", 0o2755).expect("a directory");
        client.find(1, "dir");
        chown(&mut client, 1, Some(5), Some(6)).expect("an owner");
        assert_eq!(shown(&mut client, "dir"), (5, 6, 0o042_755));
        assert_eq!(share.mode("dir"), 0o700);
    });
}

#[test]
fn set_id_bits_go_with_a_write() {
    of_both(|share| {
        let mut client = share.client();
        create(&mut client, "file", (1000, 1001), 0o6755);
        client
            .attach_as(1, ninefold_wire::NOFID, 1000)
            .expect("a root");
        client.walk(1, 2, &["file"]).expect("a walk");
        client.lopen(2, RDWR).expect("an open");
        assert_eq!(attr(&mut client, 2).mode, 0o106_755, "not by the open");
        client.write(2, 0, b"x").expect("a write");
        assert_eq!(shown(&mut client, "file").2, 0o100_755);
        chmod(&mut client, 2, 0o4755).expect("once more");
        client.write(2, 0, b"x").expect("a write");
        assert_eq!(shown(&mut client, "file").2, 0o100_755);
        chmod(&mut client, 2, 0o4755).expect("once more");
        client
            .attach_as(3, ninefold_wire::NOFID, 0)
            .expect("a root");
        client.walk(3, 4, &["file"]).expect("a walk");
        client.lopen(4, RDWR).expect("an open");
        client.write(4, 0, b"y").expect("by root");
        assert_eq!(shown(&mut client, "file").2, 0o104_755);
        assert_eq!(share.read("file"), b"y");
    });
}

/// What the host has of each kind, and cannot carry attributes.
fn natives(share: &Share) {
    share.write("outside", "");
    symlink("somewhere", share.path("native")).expect("a link");
    let mode = Mode::from_raw_mode(0o640);
    mknodat(CWD, share.path("pipe"), FileType::Fifo, mode, 0).expect("a FIFO");
    if is_root() {
        let null = rustix::fs::makedev(1, 3);
        mknodat(
            CWD,
            share.path("zero"),
            FileType::CharacterDevice,
            mode,
            null,
        )
        .expect("a device");
    }
}

#[test]
fn natives_of_the_host_are_what_they_are() {
    of_both(|share| {
        natives(share);
        let mut client = share.client();
        client.find(1, "native");
        client.find(2, "pipe");
        assert_eq!(client.readlink(1).as_deref(), Ok(&b"somewhere"[..]));
        assert_eq!(client.lopen(1, RDONLY).map(drop), Err(Errno::LOOP));
        assert_eq!(client.lopen(2, RDWR).map(drop), Err(Errno::NXIO));
        assert_eq!(attr(&mut client, 1).mode, 0o120_777);
        assert_eq!(attr(&mut client, 2).mode, 0o010_640);
        if is_root() {
            client.find(3, "zero");
            let device = attr(&mut client, 3);
            assert_eq!((device.mode, device.rdev), (0o020_640, 0x103));
            assert_eq!(client.lopen(3, RDWR).map(drop), Err(Errno::NXIO));
        }
        let by_file = share.exists(".virtfs_metadata");
        assert!(!by_file, "nothing was changed");
        let changed = chown(&mut client, 2, Some(5), None);
        if changed.is_ok() {
            // Only a file beside it can say so.
            assert_eq!(
                shown(&mut client, "pipe"),
                (5, attr(&mut client, 2).gid, 0o010_640)
            );
            chmod(&mut client, 2, 0o600).expect("a mode");
            assert_eq!(shown(&mut client, "pipe").2, 0o010_600);
        } else {
            assert_eq!(changed, Err(Errno::PERM));
            assert_eq!(chmod(&mut client, 2, 0o600), Err(Errno::PERM));
            assert_eq!(chown(&mut client, 1, Some(5), None), Err(Errno::PERM));
        }
        client.unlinkat(0, "native", 0).expect("a removal");
        client
            .renameat((0, "pipe"), (0, "moved"))
            .expect("a rename");
        assert!(!share.exists("native") && share.exists("moved"));
    });
}

#[test]
fn nothing_of_the_host_can_pretend_to_be_a_directory() {
    let share = super::by_file();
    share.write("file", "content");
    share.mkdir("dir");
    plant(&share, "file", "virtfs.mode=16877\n");
    plant(&share, "dir", "virtfs.mode=33188\n");
    let mut client = share.client();
    assert_eq!(shown(&mut client, "file").2, 0o100_755);
    assert_eq!(shown(&mut client, "dir").2, 0o040_644);
    client.open(1, "file", RDONLY);
    assert_eq!(client.read(1, 0, 9).as_deref(), Ok(&b"content"[..]));
}

#[test]
fn a_directory_tells_only_what_it_knows() {
    of_both(|share| {
        let mut client = share.client();
        make_kinds(&mut client);
        natives(share);
        client.walk(0, 1, &[]).expect("a clone");
        client.lopen(1, RDONLY).expect("an open");
        for entry in client.readdir(1, 0, 8192).expect("entries") {
            let wanted = match &entry.name[..] {
                "." | ".." | "dir" => 4,
                "native" => 10,
                "pipe" => 1,
                "zero" => 2,
                _ => 0,
            };
            assert_eq!(entry.kind, wanted, "{}", entry.name);
        }
    });
}
