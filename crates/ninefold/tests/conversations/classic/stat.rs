//! Tstat.

use std::fs;
use std::os::unix::fs::MetadataExt;

use ninefold::{Errno, SecurityModel};
use ninefold_wire::flags::{dm, qid};
use ninefold_wire::{Dialect, Request};

use super::{ALL, CLASSIC};
use crate::client::frame;
use crate::share::{Share, is_root, one_of_each};

#[test]
fn dotu_says_what_the_host_says() {
    for dialect in [Dialect::Unix, Dialect::Linux] {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = share.speaker(dialect);
        let mut cases = vec![
            ("file", 0, "HARDLINKCOUNT 1"),
            ("dir", dm::DIR, "HARDLINKCOUNT 2"),
            ("link", dm::SYMLINK, "file"),
            ("fifo", dm::NAMED_PIPE, ""),
            ("sock", dm::SOCKET, ""),
        ];
        if is_root() {
            cases.push(("dev", dm::DEVICE, "c 1 3"));
        }
        for (name, kind, extension) in cases {
            let (host, stat) = (share.stat(name), client.stat_path(name));
            assert_eq!(stat.name, name);
            assert_eq!(stat.mode, kind | host.mode() & 0o777, "{name}");
            assert_eq!(u32::from(stat.qid.kind), kind >> 24, "{name}");
            assert_eq!(stat.extension(), extension);
            let unix = stat.unix.as_ref().expect("the fields of .u");
            assert_eq!((unix.1, unix.2), (host.uid(), host.gid()));
            assert_eq!(i64::from(stat.atime), host.atime());
            assert_eq!(i64::from(stat.mtime), host.mtime());
            let length = if host.is_dir() { 0 } else { host.size() };
            assert_eq!(stat.length, length, "{name}");
        }
    }
}

#[test]
fn plain_9p2000_knows_files_and_directories() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.speaker(Dialect::Legacy);
    for name in ["file", "dir", "link", "fifo", "sock"] {
        let (host, stat) = (share.stat(name), client.stat_path(name));
        let kind = if host.is_dir() { qid::DIR } else { qid::FILE };
        assert_eq!(stat.qid.kind, kind);
        assert_eq!(
            stat.mode,
            u32::from(kind) << 24 | host.mode() & 0o777,
            "{name}"
        );
        assert_eq!(stat.uid, host.uid().to_string());
        assert_eq!(stat.gid, host.gid().to_string());
        assert_eq!(stat.unix, None);
    }
    let qids = client.walk(0, 1, &["link"]).expect("a walk");
    assert_eq!(qids[0].kind, qid::FILE);
}

#[test]
fn the_root_is_called_slash() {
    for dialect in ALL {
        let share = Share::new();
        let mut client = share.speaker(dialect);
        let stat = client.stat(0).expect("a stat");
        assert_eq!((&stat.name[..], stat.mode & dm::DIR), ("/", dm::DIR));
        assert_eq!(client.stat(9), Err(Errno::BADF));
    }
}

#[test]
fn the_name_is_the_present_one() {
    for dialect in CLASSIC {
        let share = Share::new();
        share.write("before", "");
        let mut client = share.speaker(dialect);
        client.find(1, "before");
        fs::rename(share.path("before"), share.path("after")).expect("a rename");
        assert_eq!(client.stat(1).expect("a stat").name, "after");
        fs::remove_file(share.path("after")).expect("a removal");
        assert_eq!(client.stat(1).expect("a stat").name, "before");
    }
}

/// Both sizes are right. QEMU sends 0 for the outer one.
#[test]
fn the_sizes_are_those_of_what_follows() {
    for dialect in CLASSIC {
        let share = Share::new();
        share.write("file", "content");
        let mut client = share.speaker(dialect);
        client.find(1, "file");
        assert!(client.receive(&frame(7, &Request::Stat { fid: 1 })));
        let sent = client.sent();
        let reply = &sent[0];
        let size = |at: usize| usize::from(u16::from_le_bytes([reply[at], reply[at + 1]]));
        assert_eq!(
            (reply[4], size(7), size(9)),
            (125, reply.len() - 9, reply.len() - 11)
        );
    }
}
