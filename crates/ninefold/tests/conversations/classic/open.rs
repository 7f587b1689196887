//! Topen, and reading and writing after it.

use ninefold::{Errno, SecurityModel};
use ninefold_wire::Dialect;
use ninefold_wire::flags::classic_open as bits;

use super::{ALL, CLASSIC};
use crate::share::{Share, is_root, one_of_each};

#[test]
fn each_dialect_opens_reads_and_writes() {
    for dialect in ALL {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = share.speaker(dialect);
        client.find(1, "file");
        let (qid, iounit) = client.topen(1, bits::RDWR).expect("an open");
        assert_eq!(qid, client.stat(1).expect("a stat").qid);
        assert_eq!(iounit, (1 << 20) - 24);
        assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
        assert_eq!(client.write(1, 3, b"TENT!"), Ok(5));
        assert_eq!(client.read(1, 8, 99).as_deref(), Ok(&b""[..]));
        assert_eq!(
            client.topen(1, bits::READ),
            Err(Errno::INVAL),
            "open already"
        );
        client.clunk(1).expect("a clunk");
        assert_eq!(share.read("file"), b"conTENT!");
    }
}

#[test]
fn the_mode_is_kept_to() {
    for dialect in CLASSIC {
        let share = Share::new();
        share.write("file", "content");
        let mut client = share.speaker(dialect);
        client.topen_path(1, "file", bits::READ);
        assert_eq!(client.write(1, 0, b"x"), Err(Errno::BADF));
        client.topen_path(2, "file", bits::WRITE);
        assert_eq!(client.read(2, 0, 1), Err(Errno::BADF));
        // Close-on-exec is the client's business.
        client.topen_path(3, "file", bits::WRITE | bits::APPEND | 0x20);
        assert_eq!(client.write(3, 0, b"!"), Ok(1));
        assert_eq!(share.read("file"), b"content!");
        client.topen_path(4, "file", bits::WRITE | bits::TRUNC);
        assert_eq!(share.read("file"), b"");
    }
}

#[test]
fn execution_needs_the_right_and_reads() {
    for dialect in CLASSIC {
        let share = Share::new();
        share.write("file", "content");
        let mut client = share.speaker(dialect);
        client.find(1, "file");
        assert_eq!(client.topen(1, bits::EXEC).map(drop), Err(Errno::ACCESS));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(share.path("file"), mode).expect("a chmod");
        client.topen(1, bits::EXEC).expect("an open");
        assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
        assert_eq!(client.write(1, 0, b"x"), Err(Errno::BADF));
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    for dialect in CLASSIC {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = share.speaker(dialect);
        for (name, errno) in [
            ("link", Errno::LOOP),
            ("fifo", Errno::NXIO),
            ("sock", Errno::NXIO),
        ] {
            client.find(1, name);
            for mode in [bits::READ, bits::RDWR, bits::WRITE | bits::TRUNC] {
                assert_eq!(client.topen(1, mode).map(drop), Err(errno), "{name}");
            }
            client.clunk(1).expect("a clunk");
        }
        client.find(2, "dir");
        for mode in [
            bits::WRITE,
            bits::RDWR,
            bits::READ | bits::TRUNC,
            bits::READ | bits::RCLOSE,
        ] {
            assert_eq!(
                client.topen(2, mode).map(drop),
                Err(Errno::ISDIR),
                "{mode:x}"
            );
        }
        client.topen(2, bits::EXEC).expect("to search is to read");
        assert_eq!(client.write(2, 0, b"x"), Err(Errno::ISDIR));
        assert_eq!(client.topen(99, bits::READ).map(drop), Err(Errno::BADF));
    }
}

#[test]
fn an_open_file_outlives_its_name() {
    for dialect in CLASSIC {
        let share = Share::new();
        share.write("file", "content");
        let mut client = share.speaker(dialect);
        client.topen_path(1, "file", bits::RDWR);
        client.find(2, "file");
        client.remove(2).expect("a removal");
        assert!(!share.exists("file") && client.is_gone(2));
        assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
        assert_eq!(client.write(1, 0, b"C"), Ok(1));
        let stat = client.stat(1).expect("a stat");
        assert_eq!((&stat.name[..], stat.length), ("file", 7));
        if dialect == Dialect::Unix {
            assert_eq!(stat.extension(), "HARDLINKCOUNT 0");
        }
    }
}

#[test]
fn users_attach_by_number_or_by_name() {
    let share = Share::with(SecurityModel::Passthrough, false, |_| {});
    let mut client = share.stranger();
    client.version(8192, b"9P2000").expect("a version");
    client
        .attach_named(0, u32::MAX, b"1234", None)
        .expect("a root");
    client
        .attach_named(1, u32::MAX, b"glenda", None)
        .expect("a root");
    client.attach_named(2, u32::MAX, b"", None).expect("a root");
    assert_eq!(client.attach_named(3, 0, b"", None), Err(Errno::INVAL));
    for fid in [0, 1, 2] {
        assert_eq!(client.stat(fid).expect("a stat").name, "/");
    }
    if !is_root() {
        return;
    }
    for (fid, owner) in [(0, "1234"), (1, "0"), (2, "0")] {
        let name = format!("made{fid}");
        client
            .create(fid, &name, 0o644, bits::WRITE)
            .expect("a file");
        assert_eq!(client.stat(fid).expect("a stat").uid, owner);
    }
}

#[test]
fn walking_up_stays_inside() {
    for dialect in CLASSIC {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = share.speaker(dialect);
        let root = client.stat(0).expect("a stat").qid;
        let up = client
            .walk(0, 1, &["dir", "..", "..", ".."])
            .expect("a walk");
        assert_eq!((up.len(), up[3].path), (4, root.path));
    }
}
