//! Tcreate of every kind.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use ninefold::{Errno, SecurityModel};
use ninefold_wire::Dialect;
use ninefold_wire::flags::{classic_open as bits, dm, qid};

use super::{ALL, CLASSIC};
use crate::share::{Share, is_root};

#[test]
fn a_file_is_made_and_open() {
    for dialect in ALL {
        let share = Share::new();
        let mut client = share.speaker(dialect);
        client.walk(0, 1, &[]).expect("a clone");
        let made = client.create(1, "new", 0o640, bits::RDWR);
        let (qid, iounit) = made.expect("a file");
        assert_eq!((qid.kind, iounit), (qid::FILE, (1 << 20) - 24));
        assert_eq!(client.write(1, 0, b"content"), Ok(7));
        assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
        assert_eq!(client.stat(1).expect("a stat").name, "new");
        assert_eq!(share.read("new"), b"content");
        assert_eq!(share.shown_mode("new"), 0o640);
        assert_eq!(client.create(1, "x", 0o644, 0).map(drop), Err(Errno::INVAL));
    }
}

#[test]
fn a_directory_is_made_and_open_for_reading() {
    for dialect in ALL {
        let share = Share::new();
        let mut client = share.speaker(dialect);
        // FreeBSD says "read and write".
        for (name, mode) in [("a", bits::READ), ("b", bits::RDWR)] {
            let made = client.create_at_root(1, name, dm::DIR | 0o750, mode);
            assert_eq!(made.expect("a directory").kind, qid::DIR);
            assert!(share.stat(name).is_dir());
            assert_eq!(share.shown_mode(name), 0o750);
            if dialect == Dialect::Linux {
                assert_eq!(client.readdir(1, 0, 4096).expect("entries").len(), 2);
            } else {
                assert_eq!(client.read(1, 0, 4096).as_deref(), Ok(&[][..]));
            }
            client.clunk(1).expect("a clunk");
        }
        let removed = client.create_at_root(1, "c", dm::DIR | 0o750, bits::RCLOSE);
        assert_eq!(removed.map(drop), Err(Errno::ISDIR));
        assert!(!share.exists("c"));
    }
}

#[test]
fn special_bits_are_the_hosts() {
    for dialect in ALL {
        let share = Share::new();
        let mut client = share.speaker(dialect);
        for (name, bit, host) in [
            ("u", dm::SETUID, 0o4711),
            ("g", dm::SETGID, 0o2711),
            ("t", dm::DIR | dm::SETVTX, 0o1711),
        ] {
            client
                .create_at_root(1, name, bit | 0o711, bits::READ)
                .expect(name);
            assert_eq!(share.shown_mode(name), host, "{name}");
            assert_eq!(client.stat(1).expect("a stat").mode, bit | 0o711);
            client.clunk(1).expect("a clunk");
        }
    }
}

#[test]
fn a_name_that_exists_is_refused_and_left_alone() {
    for dialect in CLASSIC {
        let share = Share::new();
        share.write("file", "content");
        share.mkdir("dir");
        let mut client = share.speaker(dialect);
        client.walk(0, 1, &[]).expect("a clone");
        for name in ["file", "dir"] {
            for perm in [0o600, dm::DIR | 0o700] {
                let made = client.create(1, name, perm, bits::RDWR | bits::TRUNC);
                assert_eq!(made.map(drop), Err(Errno::EXIST));
            }
        }
        assert_eq!(share.read("file"), b"content");
        // The fid is the directory's as before.
        client.create(1, "new", 0o600, bits::READ).expect("a file");
    }
}

#[test]
fn specials_of_dotu() {
    for dialect in [Dialect::Unix, Dialect::Linux] {
        let share = Share::with(SecurityModel::Passthrough, false, |_| {});
        share.write("file", "content");
        let mut client = share.speaker(dialect);
        let mut make = |name: &str, perm, extension: &str| {
            client.walk(0, 1, &[]).expect("a clone");
            client.create_with(1, name, (perm, 0), extension)?;
            // The fid is the new object's, and not open.
            assert_eq!(client.read(1, 0, 1), Err(Errno::BADF), "{name}");
            let stat = client.stat(1).expect("a stat");
            assert_eq!(stat.name, name);
            client.clunk(1).expect("a clunk");
            Ok::<_, Errno>(stat)
        };
        let link = make("link", dm::SYMLINK, "../some where").expect("a link");
        assert_eq!(link.extension(), "../some where");
        assert_eq!((link.qid.kind, link.mode >> 24), (qid::SYMLINK, 2));
        assert_eq!(
            fs::read_link(share.path("link")).expect("a link").to_str(),
            Some("../some where")
        );
        let fifo = make("fifo", dm::NAMED_PIPE | 0o640, "").expect("a fifo");
        assert_eq!((fifo.mode, fifo.extension()), (dm::NAMED_PIPE | 0o640, ""));
        assert!(share.stat("fifo").file_type().is_fifo());
        let socket = make("socket", dm::SOCKET | 0o600, "").expect("a socket");
        assert_eq!(socket.mode, dm::SOCKET | 0o600);
        assert!(share.stat("socket").file_type().is_socket());
        if !is_root() {
            return;
        }
        let null = make("null", dm::DEVICE | 0o666, "c 1 3").expect("a device");
        assert_eq!((null.mode, null.extension()), (dm::DEVICE | 0o666, "c 1 3"));
        assert!(share.stat("null").file_type().is_char_device());
        assert_eq!(share.stat("null").rdev(), rustix::fs::makedev(1, 3));
        let disk = make("disk", dm::DEVICE | 0o600, "b 259 300000").expect("a device");
        assert_eq!(disk.extension(), "b 259 300000");
        assert_eq!(share.stat("disk").rdev(), rustix::fs::makedev(259, 300_000));
    }
}

#[test]
fn hard_links_name_a_fid() {
    let share = Share::new();
    share.write("file", "content");
    share.mkdir("dir");
    let mut client = share.speaker(Dialect::Unix);
    client.find(3, "file");
    client.find(4, "dir");
    let mut link = |extension: &str| {
        client.walk(0, 1, &[]).expect("a clone");
        let made = client.create_with(1, "hard", (dm::LINK, 0), extension);
        let stat = client.stat(1).expect("a stat");
        client.clunk(1).expect("a clunk");
        made.map(|_| stat.extension().to_owned())
    };
    for (wrong, errno) in [
        ("", Errno::INVAL),
        ("x", Errno::INVAL),
        ("-3", Errno::INVAL),
        ("99", Errno::BADF),
        ("4294967295", Errno::BADF),
        ("4", Errno::PERM),
    ] {
        assert_eq!(link(wrong), Err(errno), "{wrong:?}");
    }
    // As Linux writes it.
    assert_eq!(link("3\n").as_deref(), Ok("HARDLINKCOUNT 2"));
    assert_eq!(share.stat("hard").ino(), share.stat("file").ino());
    assert_eq!(link("3"), Err(Errno::EXIST));
}

#[test]
fn kinds_that_cannot_be_made() {
    for dialect in CLASSIC {
        let share = Share::with(SecurityModel::Passthrough, false, |_| {});
        let mut client = share.speaker(dialect);
        client.walk(0, 1, &[]).expect("a clone");
        let mut wrong = vec![
            (dm::APPEND, "", Errno::OPNOTSUPP),
            (dm::EXCL, "", Errno::OPNOTSUPP),
            (dm::DIR | dm::APPEND, "", Errno::INVAL),
            (dm::DIR | dm::SYMLINK, "file", Errno::INVAL),
            (dm::DEVICE | dm::NAMED_PIPE, "c 1 3", Errno::INVAL),
            (0x1000_0000, "", Errno::INVAL),
            (0x0000_8000, "", Errno::INVAL),
        ];
        if dialect == Dialect::Unix {
            for extension in [
                "", "c", "c 1", "x 1 3", "c 1 3 5", "c 4096 0", "b -1 0", "c 1 x",
            ] {
                wrong.push((dm::DEVICE, extension, Errno::INVAL));
            }
            wrong.push((dm::SYMLINK, "", Errno::NOENT));
            wrong.push((dm::SYMLINK, "a\0b", Errno::INVAL));
        } else {
            for kind in [
                dm::SYMLINK,
                dm::LINK,
                dm::DEVICE,
                dm::NAMED_PIPE,
                dm::SOCKET,
            ] {
                wrong.push((kind, "", Errno::OPNOTSUPP));
            }
        }
        for (perm, extension, errno) in wrong {
            let made = client.create_with(1, "new", (perm | 0o644, bits::READ), extension);
            assert_eq!(made.map(drop), Err(errno), "{perm:x} {extension:?}");
        }
        assert!(!share.exists("new"));
        client
            .create(1, "file", 0o644, bits::READ)
            .expect("the fid is as it was");
        assert_eq!(client.create(99, "x", 0o644, 0).map(drop), Err(Errno::BADF));
        client.find(2, "file");
        assert_eq!(
            client.create(2, "x", 0o644, 0).map(drop),
            Err(Errno::NOTDIR)
        );
    }
}

#[test]
fn the_directory_is_the_mask_of_9p2000() {
    for (dialect, file, dir) in [
        (Dialect::Legacy, 0o640, 0o750),
        (Dialect::Unix, 0o666, 0o777),
    ] {
        let share = Share::new();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o750);
        fs::set_permissions(share.path(""), mode).expect("a chmod");
        let mut client = share.speaker(dialect);
        client
            .create_at_root(1, "file", 0o666, bits::READ)
            .expect("a file");
        client
            .create_at_root(2, "dir", dm::DIR | 0o777, bits::READ)
            .expect("a directory");
        client
            .create_at_root(3, "run", 0o777, bits::READ)
            .expect("a file");
        assert_eq!(
            (share.shown_mode("file"), share.shown_mode("dir")),
            (file, dir)
        );
        // Of a file the right to execute is not masked. Source: create(5).
        let run = if dialect == Dialect::Legacy {
            0o751
        } else {
            0o777
        };
        assert_eq!(share.shown_mode("run"), run);
    }
}

#[test]
fn new_objects_belong_to_the_user_and_the_directorys_group() {
    if !is_root() {
        return;
    }
    for dialect in CLASSIC {
        let share = Share::with(SecurityModel::Passthrough, false, |root| {
            std::os::unix::fs::chown(root, None, Some(4321)).expect("a chown");
        });
        let mut client = share.stranger();
        client.version(8192, dialect.version()).expect("a version");
        let numeric = dialect.has_unix_fields().then_some(1234);
        client
            .attach_named(0, u32::MAX, b"1234", numeric)
            .expect("a root");
        client
            .create_at_root(1, "file", 0o600, bits::READ)
            .expect("a file");
        client
            .create_at_root(2, "dir", dm::DIR | 0o700, bits::READ)
            .expect("a directory");
        for name in ["file", "dir"] {
            assert_eq!(
                (share.stat(name).uid(), share.stat(name).gid()),
                (1234, 4321)
            );
            let stat = client.stat_path(name);
            assert_eq!(
                (&stat.uid[..], &stat.gid[..], &stat.muid[..]),
                ("1234", "4321", "")
            );
        }
    }
}
