//! `mapped-xattr` on the disk.

use std::os::unix::fs::MetadataExt;

use ninefold::{ExportOptions, SecurityModel};
use rustix::fs::{XattrFlags, removexattr, setxattr};

use super::{Shown, attr, by_xattr, chmod, chown, create, kept, make_kinds, shown};
use crate::share::Share;
use crate::verbs::RDWR;

fn word(value: u32) -> Option<Vec<u8>> {
    Some(value.to_le_bytes().to_vec())
}

fn put(share: &Share, path: &str, attribute: &str, value: &[u8]) {
    let name = format!("user.virtfs.{attribute}");
    setxattr(share.path(path), name, value, XattrFlags::empty()).expect("an attribute");
}

#[test]
fn what_is_written() {
    let share = by_xattr();
    let mut client = share.client();
    create(&mut client, "file", (1000, 1001), 0o4644);
    make_kinds(&mut client);
    let (uid, gid) = (word(1000), word(1001));
    let zero = Some(vec![0; 8]);
    let device = Some(vec![1, 5, 0, 0, 0, 0, 0, 0]);
    for (path, mode, rdev) in [
        ("file", 0o104_644, None),
        ("dir", 0o040_755, None),
        ("link", 0o120_777, None),
        ("null", 0o020_666, device),
        ("fifo", 0o010_644, zero),
    ] {
        let wanted = [uid.clone(), gid.clone(), word(mode), rdev];
        assert_eq!(kept(&share, path), wanted, "{path}");
        let host = share.stat(path);
        let (kind, permissions) = match path {
            "dir" => (0o040_000, 0o700),
            _ => (0o100_000, 0o600),
        };
        assert_eq!(host.mode(), kind | permissions, "{path}");
        assert_eq!(host.uid(), rustix::process::geteuid().as_raw());
    }
    assert_eq!(share.read("link"), b"dir/target", "without a NUL");
    assert_eq!(share.read("null"), b"");
    assert_eq!(share.read("fifo"), b"");
}

#[test]
fn the_device_of_the_specification() {
    let share = by_xattr();
    let mut client = share.client();
    client
        .mknod(0, "dev", 0o020_600, (0x345, 0x678))
        .expect("a device");
    let [_, _, mode, rdev] = kept(&share, "dev");
    assert_eq!(mode.as_deref(), Some(&[0x80, 0x21, 0, 0][..]));
    assert_eq!(
        rdev.as_deref(),
        Some(&[0x78, 0x45, 0x63, 0, 0, 0, 0, 0][..])
    );
    client.find(1, "dev");
    assert_eq!(attr(&mut client, 1).rdev, 0x0063_4578);
    // Greater than Linux has them, kept all the same.
    client
        .mknod(0, "big", 0o060_600, (0x12345, 0x0fed_cba9))
        .expect("a device");
    let rdev = rustix::fs::makedev(0x12345, 0x0fed_cba9);
    assert_eq!(kept(&share, "big")[3], Some(rdev.to_le_bytes().to_vec()));
    client.find(2, "big");
    assert_eq!(attr(&mut client, 2).rdev, rdev);
}

#[test]
fn changes_are_of_what_is_given() {
    let share = by_xattr();
    share.write("file", "");
    let mut client = share.client();
    client.find(1, "file");
    chmod(&mut client, 1, 0o640).expect("a mode");
    let nothing = || None::<Vec<u8>>;
    assert_eq!(
        kept(&share, "file"),
        [nothing(), nothing(), word(0o100_640), nothing()]
    );
    chown(&mut client, 1, None, Some(7)).expect("a group");
    assert_eq!(
        kept(&share, "file"),
        [nothing(), word(7), word(0o100_640), nothing()]
    );
    chown(&mut client, 1, Some(u32::MAX - 1), None).expect("an owner");
    assert_eq!(
        kept(&share, "file"),
        [word(u32::MAX - 1), word(7), word(0o100_640), nothing()]
    );
    assert_eq!(shown(&mut client, "file"), (u32::MAX - 1, 7, 0o100_640));
    // The root's are on the folder itself.
    chmod(&mut client, 0, 0o1777).expect("a mode");
    chown(&mut client, 0, Some(1), Some(2)).expect("an owner");
    assert_eq!(
        kept(&share, "."),
        [word(1), word(2), word(0o041_777), nothing()]
    );
    let root = attr(&mut client, 0);
    assert_eq!((root.uid, root.gid, root.mode), (1, 2, 0o041_777));
}

#[test]
fn what_is_read() {
    let share = by_xattr();
    let mut client = share.client();
    let host = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
        0o100_600,
    );
    let cases: [(&str, &[u8], Shown); 11] = [
        ("uid", &[1, 2, 3, 4], (0x0403_0201, host.1, host.2)),
        ("uid", &[255, 255, 255, 255], (u32::MAX, host.1, host.2)),
        ("uid", &[7], (7, host.1, host.2)),
        ("uid", &[], host),
        ("uid", &[1, 0, 0, 0, 0], host),
        ("gid", &[0, 0, 0, 0x80], (host.0, 1 << 31, host.2)),
        ("gid", &[1, 2], (host.0, 0x201, host.2)),
        ("mode", &[0xa4, 0x81], (host.0, host.1, 0o100_644)),
        ("mode", &[0xff, 0xa1, 0, 0], (host.0, host.1, 0o120_777)),
        ("mode", &[0xff, 0xa1, 0, 0, 0], host),
        ("mode", &[0xa4, 0x01, 0, 0], (host.0, host.1, 0o100_644)),
    ];
    for (attribute, value, wanted) in cases {
        share.write("file", "");
        rustix::fs::chmod(share.path("file"), rustix::fs::Mode::from_raw_mode(0o600))
            .expect("a mode");
        put(&share, "file", attribute, value);
        let got = shown(&mut client, "file");
        assert_eq!(got, wanted, "{attribute} of {value:?}");
        std::fs::remove_file(share.path("file")).expect("a removal");
    }
}

#[test]
fn a_change_by_the_host_is_seen_at_once() {
    let share = by_xattr();
    share.write("file", "");
    let mut client = share.client();
    client.open(1, "file", RDWR);
    put(&share, "file", "uid", &5_u32.to_le_bytes());
    put(&share, "file", "mode", &0o104_755_u32.to_le_bytes());
    let now = attr(&mut client, 1);
    assert_eq!((now.uid, now.mode), (5, 0o104_755));
    put(&share, "file", "mode", &0o020_600_u32.to_le_bytes());
    put(&share, "file", "rdev", &[3, 1]);
    let now = attr(&mut client, 1);
    assert_eq!((now.mode, now.rdev), (0o020_600, 0x103), "a short number");
}

#[test]
fn modes_of_the_host_are_options() {
    let options = ExportOptions {
        fmode: 0o4_640,
        dmode: 0o2_750,
        ..ExportOptions::new(SecurityModel::MappedXattr)
    };
    let share = Share::with_options(&options, |_| {});
    let mut client = share.client();
    create(&mut client, "file", (0, 0), 0o777);
    make_kinds(&mut client);
    for path in ["file", "link", "null", "fifo"] {
        assert_eq!(share.mode(path), 0o640, "{path}, without set-id bits");
    }
    assert_eq!(share.mode("dir"), 0o750);
    chmod_all(&mut client);
    assert_eq!((share.mode("file"), share.mode("dir")), (0o640, 0o750));
}

fn chmod_all(client: &mut crate::client::Client) {
    for (fid, path) in [(1, "file"), (2, "dir")] {
        client.find(fid, path);
        chmod(client, fid, 0o6777).expect("a mode");
    }
}

/// Attributes at rest are not read again, and a change is seen at once all the same, whoever makes
/// it and however soon it comes.
#[test]
fn a_change_by_others_is_seen_at_once() {
    let share = by_xattr();
    let mut client = share.client();
    create(&mut client, "file", (1000, 1001), 0o644);
    client.find(1, "file");
    for round in 0..60_u32 {
        if round % 3 != 0 {
            share.settle();
        }
        // Found, looked at and looked at again: the last time from memory.
        let seen: Shown = shown(&mut client, "file");
        assert_eq!(shown(&mut client, "file"), seen);
        put(&share, "file", "uid", &(2000 + round).to_le_bytes());
        assert_eq!(shown(&mut client, "file").0, 2000 + round);
        put(
            &share,
            "file",
            "mode",
            &(0o100_600 + round % 8).to_le_bytes(),
        );
        assert_eq!(attr(&mut client, 1).mode, 0o100_600 + round % 8);
        share.settle();
        removexattr(share.path("file"), "user.virtfs.gid").expect("an attribute");
        assert_eq!(attr(&mut client, 1).gid, share.stat("file").gid());
        put(&share, "file", "gid", &7_u32.to_le_bytes());
        assert_eq!(shown(&mut client, "file").1, 7);
        let mode = share.stat("file").mode();
        assert_eq!(mode, 0o100_600, "the host's stays");
    }
}

/// An inode number that is given again brings nothing along.
#[test]
fn a_new_file_has_its_own_attributes() {
    let share = by_xattr();
    let mut client = share.client();
    for round in 0..30_u32 {
        share.write("file", "");
        put(&share, "file", "uid", &(3000 + round).to_le_bytes());
        share.settle();
        for _ in 0..2 {
            assert_eq!(shown(&mut client, "file").0, 3000 + round);
        }
        std::fs::remove_file(share.path("file")).expect("a removal");
        share.write("file", "");
        assert_eq!(shown(&mut client, "file").0, share.stat("file").uid());
        std::fs::remove_file(share.path("file")).expect("a removal");
    }
}
