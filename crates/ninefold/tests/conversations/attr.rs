//! Tgetattr, Tsetattr and Tstatfs.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use ninefold::{Errno, SecurityModel};
use ninefold_wire::SetAttr;
use ninefold_wire::flags::{getattr as ask, setattr as set};

use crate::share::{Share, is_root, one_of_each};
use crate::verbs::{RDONLY, RDWR, WRONLY};

const EVERYTHING: u64 = 0x3fff;
/// 2001-09-09 01:46:40.
const PAST: u64 = 1_000_000_000;

/// `FS_IOC_GETVERSION`: the inode's generation as the host's programs see it.
#[allow(unsafe_code, reason = "no crate at hand has this ioctl")]
fn generation(file: &fs::File) -> Option<u32> {
    let mut version: libc::c_long = 0;
    // The number says "long", and the kernel writes an int.
    let request = libc::_IOR::<libc::c_long>(u32::from(b'v'), 1);
    // SAFETY: the descriptor is open and the kernel writes at most a long to a long.
    let status = unsafe { libc::ioctl(file.as_raw_fd(), request, &raw mut version) };
    let bytes = version.to_ne_bytes();
    let int = bytes[..4].try_into().map(u32::from_ne_bytes);
    (status == 0).then(|| int.expect("four bytes"))
}

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

#[test]
fn attributes_are_the_hosts() {
    let share = share();
    let mut client = share.client();
    for (fid, name) in (1..).zip(["file", "dir", "link", "fifo", "sock", "dir/inner"]) {
        let found = client.find(fid, name);
        let attr = client.getattr(fid, EVERYTHING).expect("attributes");
        let host = share.stat(name);
        assert_eq!(attr.valid & ask::BASIC, ask::BASIC);
        assert_eq!(attr.valid & ask::DATA_VERSION, ask::DATA_VERSION);
        assert_ne!(attr.data_version, 0);
        assert_eq!(attr.qid, found, "{name}");
        assert_eq!(
            (attr.mode, attr.uid, attr.gid, attr.nlink),
            (host.mode(), host.uid(), host.gid(), host.nlink())
        );
        assert_eq!((attr.size, attr.blocks), (host.size(), host.blocks()));
        let times = |sec: i64, nsec: i64| (sec.cast_unsigned(), nsec.cast_unsigned());
        assert_eq!(
            [
                (attr.atime_sec, attr.atime_nsec),
                (attr.mtime_sec, attr.mtime_nsec),
                (attr.ctime_sec, attr.ctime_nsec)
            ],
            [
                times(host.atime(), host.atime_nsec()),
                times(host.mtime(), host.mtime_nsec()),
                times(host.ctime(), host.ctime_nsec())
            ]
        );
        let born = host.created().ok();
        assert_eq!(attr.valid & ask::BTIME != 0, born.is_some());
        if let Some(born) = born {
            let at = Duration::new(
                attr.btime_sec,
                u32::try_from(attr.btime_nsec).expect("nsec"),
            );
            assert_eq!(SystemTime::UNIX_EPOCH + at, born);
        }
    }
    assert_eq!(client.getattr(99, EVERYTHING), Err(Errno::BADF));
}

#[test]
fn the_generation_is_the_hosts() {
    let share = share();
    let mut client = share.client();
    for (fid, name) in (1..).zip(["file", "dir", "dir/inner"]) {
        client.find(fid, name);
        let attr = client.getattr(fid, EVERYTHING).expect("attributes");
        let host = fs::File::open(share.path(name)).expect("an open");
        let shown = (attr.valid & ask::GEN != 0).then_some(attr.generation);
        match generation(&host) {
            // A file system may have one and not show it to us; never the other way round.
            Some(host) => assert!(shown.is_none_or(|shown| shown == u64::from(host)), "{name}"),
            None => assert_eq!(shown, None, "{name}"),
        }
        if shown.is_none() {
            eprintln!("not proven: no generation on this file system");
            assert_eq!(attr.generation, 0);
        }
        let attr = client.getattr(fid, ask::BASIC).expect("attributes");
        assert_eq!(
            (attr.valid & ask::GEN, attr.generation),
            (0, 0),
            "not asked"
        );
    }
}

#[test]
fn the_io_size_fits_a_message() {
    let share = share();
    for msize in [4096, 8192, 65536, 131_096, 512_000, 1 << 20] {
        let mut client = share.stranger();
        client.version(msize, b"9P2000.L").expect("a version");
        client.attach(0).expect("a root");
        client.find(1, "file");
        let shown = client.getattr(1, ask::BASIC).expect("attributes").blksize;
        let (iounit, host) = (u64::from(msize - 24), share.stat("file").blksize());
        assert!(shown > 0 && shown <= iounit, "{shown} of {iounit}");
        assert!(
            shown % host == 0 || iounit < host,
            "{shown} in blocks of {host}"
        );
        assert!(iounit - shown < host, "{shown} of {iounit}");
    }
}

/// The lengths, modes and times that Linux sends.
#[test]
fn setattr_does_what_linux_asks_for() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    let all = SetAttr {
        mode: 0o100_751,
        uid: share.stat("file").uid(),
        gid: share.stat("file").gid(),
        size: 3,
        atime_sec: PAST,
        atime_nsec: 1,
        mtime_sec: PAST + 5,
        mtime_nsec: 999_999_999,
        ..SetAttr::default()
    };
    let mut set_bits = |valid| {
        let past = SystemTime::UNIX_EPOCH + Duration::from_secs(PAST / 2);
        let times = fs::FileTimes::new().set_accessed(past).set_modified(past);
        share.write("file", "content");
        let file = fs::File::options().write(true).open(share.path("file"));
        file.expect("an open").set_times(times).expect("times");
        fs::set_permissions(share.path("file"), fs::Permissions::from_mode(0o644)).expect("a mode");
        let before = share.stat("file");
        client
            .setattr(1, SetAttr { valid, ..all })
            .expect("a change");
        let after = share.stat("file");
        let same = (
            before.size() == after.size(),
            before.mode() == after.mode(),
            before.atime() == after.atime(),
            before.mtime() == after.mtime(),
        );
        (after, same)
    };

    let (after, same) = set_bits(0);
    assert_eq!(same, (true, true, true, true), "nothing asked: {after:?}");
    let (after, same) = set_bits(set::SIZE);
    assert_eq!((after.size(), same.1, same.2), (3, true, true));
    let (after, same) = set_bits(0x41);
    assert_eq!((after.mode() & 0o7777, same.0, same.3), (0o751, true, true));
    assert!(after.is_file());
    let (_, same) = set_bits(0x46);
    assert_eq!(same, (true, true, true, true));
    let (after, same) = set_bits(0x50);
    assert!(after.atime() > 1_500_000_000 && same.3, "atime is now");
    let (after, same) = set_bits(0x68);
    assert_eq!((after.size(), same.2), (3, true));
    assert!(after.mtime() > 1_500_000_000, "mtime is now");
    let (after, _) = set_bits(0x70);
    assert!(after.atime() > 1_500_000_000 && after.mtime() > 1_500_000_000);
    let (after, same) = set_bits(0x160);
    assert_eq!(
        (after.mtime(), after.mtime_nsec()),
        (1_000_000_005, 999_999_999)
    );
    assert!(same.2);
    let (after, _) = set_bits(0x1f0);
    assert_eq!(
        (after.mtime(), after.mtime_nsec()),
        (1_000_000_005, 999_999_999)
    );
    assert_eq!((after.atime(), after.atime_nsec()), (1_000_000_000, 1));
}

#[test]
fn every_single_bit_does_its_own() {
    let share = share();
    share.write("file", "content");
    let mut client = share.client();
    client.find(1, "file");
    for bit in 0..9 {
        let valid = 1 << bit;
        let before = share.stat("file");
        let attr = SetAttr {
            valid,
            mode: 0o600,
            uid: before.uid(),
            gid: before.gid(),
            size: 2,
            ..SetAttr::default()
        };
        client.setattr(1, attr).expect("a change");
        let after = share.stat("file");
        let mode = if valid == set::MODE {
            0o100_600
        } else {
            before.mode()
        };
        let size = if valid == set::SIZE { 2 } else { before.size() };
        assert_eq!((after.mode(), after.size()), (mode, size), "bit {valid:#x}");
        if [set::ATIME_SET, set::MTIME_SET].contains(&valid) {
            assert_eq!(
                after.mtime_nsec(),
                before.mtime_nsec(),
                "no time without its bit"
            );
        }
        let attr = client.getattr(1, 0).expect("attributes");
        assert_eq!(attr.size, size);
    }
}

#[test]
fn times_reach_back_and_far() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    let times = |sec: i64, nsec| SetAttr {
        valid: 0x1f0,
        atime_sec: sec.cast_unsigned(),
        mtime_sec: sec.cast_unsigned(),
        atime_nsec: nsec,
        mtime_nsec: nsec,
        ..SetAttr::default()
    };
    for sec in [-1, 0, 1, (1 << 31) - 1, 1 << 31] {
        client.setattr(1, times(sec, 7)).expect("times");
        let host = share.stat("file");
        assert_eq!(
            (host.mtime(), host.mtime_nsec(), host.atime()),
            (sec, 7, sec)
        );
        let attr = client.getattr(1, 0).expect("attributes");
        assert_eq!(attr.mtime_sec, sec.cast_unsigned());
    }
    let before = share.stat("file").mtime();
    // Among them the host's own words for "now" and "leave".
    for nsec in [
        1_000_000_000,
        (1 << 30) - 1,
        (1 << 30) - 2,
        u64::MAX,
        1 << 32,
    ] {
        assert_eq!(
            client.setattr(1, times(5, nsec)),
            Err(Errno::INVAL),
            "{nsec}"
        );
    }
    assert_eq!(share.stat("file").mtime(), before);
}

#[test]
fn the_change_time_alone_leaves_set_id_bits() {
    let share = share();
    let mut client = share.client();
    for (fid, name) in (1..).zip(["file", "dir", "link", "fifo"]) {
        if name != "link" {
            let mode = fs::Permissions::from_mode(0o6755);
            fs::set_permissions(share.path(name), mode).expect("a chmod");
        }
        client.find(fid, name);
        let before = share.stat(name);
        std::thread::sleep(Duration::from_millis(20));
        let touch = SetAttr {
            valid: set::CTIME,
            ..SetAttr::default()
        };
        client.setattr(fid, touch).expect("a touch");
        let after = share.stat(name);
        assert_eq!(after.mode(), before.mode(), "{name}");
        let changed = |of: &fs::Metadata| (of.ctime(), of.ctime_nsec());
        assert!(changed(&after) > changed(&before), "{name} is touched");
    }
}

#[test]
fn owners_change_in_passthrough() {
    if !is_root() {
        eprintln!("not proven: only root can give files away");
        return;
    }
    let share = Share::with(SecurityModel::Passthrough, false, one_of_each);
    let mut client = share.client();
    let owner = |valid, uid, gid| SetAttr {
        valid,
        uid,
        gid,
        ..SetAttr::default()
    };
    for (fid, name) in (1..).zip(["file", "dir", "link", "fifo"]) {
        client.find(fid, name);
        client.setattr(fid, owner(0x46, 1001, 1002)).expect(name);
        assert_eq!(
            (share.stat(name).uid(), share.stat(name).gid()),
            (1001, 1002)
        );
        client.setattr(fid, owner(set::UID, 5, 6)).expect(name);
        assert_eq!((share.stat(name).uid(), share.stat(name).gid()), (5, 1002));
        client.setattr(fid, owner(set::GID, 7, 8)).expect(name);
        assert_eq!((share.stat(name).uid(), share.stat(name).gid()), (5, 8));
        client
            .setattr(fid, owner(0x46, u32::MAX, u32::MAX))
            .expect(name);
        assert_eq!((share.stat(name).uid(), share.stat(name).gid()), (5, 8));
    }
    let mode = fs::Permissions::from_mode(0o4755);
    fs::set_permissions(share.path("file"), mode).expect("a chmod");
    let both = SetAttr {
        mode: 0o4711,
        ..owner(set::MODE | set::UID, 9, 9)
    };
    client.setattr(1, both).expect("owner and mode");
    assert_eq!(
        share.mode("file"),
        0o4711,
        "the mode outlives the change of owner"
    );
}

#[test]
fn lengths() {
    let share = share();
    let mut client = share.client();
    let size = |size| SetAttr {
        valid: set::SIZE,
        size,
        ..SetAttr::default()
    };
    client.find(1, "file");
    client.setattr(1, size(1 << 32)).expect("a hole");
    assert_eq!(share.stat("file").size(), 1 << 32);
    client.setattr(1, size(1)).expect("a cut");
    assert_eq!(share.read("file"), b"c");
    for too_long in [1 << 63, u64::MAX] {
        assert_eq!(client.setattr(1, size(too_long)), Err(Errno::INVAL));
    }
    assert_eq!(client.setattr(1, size((1 << 63) - 1)), Err(Errno::FBIG));
    // By the object, whatever the fid was opened for.
    for (fid, flags) in [(2, RDONLY), (3, WRONLY), (4, RDWR)] {
        client.open(fid, "file", flags);
        client.setattr(fid, size(u64::from(fid))).expect("a length");
        assert_eq!(share.stat("file").size(), u64::from(fid));
    }
    for (fid, name, errno) in [
        (5, "dir", Errno::ISDIR),
        (6, "link", Errno::LOOP),
        (7, "fifo", Errno::NXIO),
    ] {
        client.find(fid, name);
        assert_eq!(client.setattr(fid, size(0)), Err(errno), "{name}");
    }
}

#[test]
fn a_link_has_no_mode() {
    let share = share();
    let mut client = share.client();
    client.find(1, "link");
    let mode = SetAttr {
        valid: set::MODE,
        mode: 0o600,
        ..SetAttr::default()
    };
    let before = share.mode("file");
    assert_eq!(client.setattr(1, mode), Err(Errno::OPNOTSUPP));
    assert_eq!(share.mode("file"), before);
    client.find(2, "fifo");
    client.setattr(2, mode).expect("a FIFO has one");
    assert_eq!(share.mode("fifo"), 0o600);
}

#[test]
fn file_system_figures() {
    let share = share();
    let mut client = share.client();
    let host = rustix::fs::statfs(share.path("")).expect("figures");
    for (fid, name) in (1..).zip(["file", "dir", "link", "fifo"]) {
        client.find(fid, name);
        let shown = client.statfs(fid).expect("figures");
        assert_eq!(u64::from(shown.bsize), host.f_bsize.cast_unsigned());
        assert_eq!((shown.blocks, shown.files), (host.f_blocks, host.f_files));
        assert_eq!(shown.namelen, 255);
        assert_eq!(i64::from(shown.kind), host.f_type);
    }
    client.open(9, "file", RDONLY);
    client.statfs(9).expect("of an open file");
    assert_eq!(client.statfs(99), Err(Errno::BADF));
}
