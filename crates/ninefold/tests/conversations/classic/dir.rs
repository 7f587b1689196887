//! Tread of a directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ninefold::{Errno, SecurityModel};
use ninefold_wire::Dialect;
use ninefold_wire::flags::classic_open as bits;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};

use super::CLASSIC;
use super::verbs::Kept;
use crate::client::Client;
use crate::share::{Share, is_root, one_of_each};

fn names(stats: &[Kept]) -> BTreeSet<&str> {
    stats.iter().map(|stat| &stat.name[..]).collect()
}

/// A folder of `count` files with names of mixed length, open as fid 1.
fn many(count: usize, dialect: Dialect) -> (Share, Client) {
    let share = Share::new();
    for number in 0..count {
        share.write(&format!("{number}{}", "n".repeat(number % 200)), "");
    }
    share.settle();
    let client = open_root(&share, dialect);
    (share, client)
}

fn open_root(share: &Share, dialect: Dialect) -> Client {
    let mut client = share.speaker(dialect);
    client.walk(0, 1, &[]).expect("a clone");
    client.topen(1, bits::READ).expect("an open");
    client
}

/// Has a link whose reading leaves its time of access: that is later than all its changes already.
fn settle_access(link: &Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let hour = now.expect("a date").as_secs() + 3600;
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(i64::try_from(hour).expect("a date"), 0),
        last_modification: time(0, UTIME_OMIT),
    };
    utimensat(CWD, link, &times, AtFlags::SYMLINK_NOFOLLOW).expect("to set a time");
}

#[test]
fn every_entry_as_its_stat() {
    for dialect in CLASSIC {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        settle_access(&share.path("link"));
        share.settle();
        let mut client = open_root(&share, dialect);
        let stats = client.list(1, 8192);
        for name in ["file", "dir", "link", "fifo", "sock"] {
            let listed = stats.iter().find(|stat| stat.name == name).expect(name);
            assert_eq!(*listed, client.stat_path(name));
        }
        assert!(!names(&stats).contains(".") && !names(&stats).contains(".."));
        let host = fs::read_dir(share.path("")).expect("a listing").count();
        assert_eq!(stats.len(), host);
        assert_eq!(client.list(1, 8192), stats, "again from the start");
    }
}

#[test]
fn any_count_lists_all_once() {
    for dialect in CLASSIC {
        let (_share, mut client) = many(300, dialect);
        let all = client.list(1, 1 << 20);
        assert_eq!((all.len(), names(&all).len()), (300, 300));
        for count in [400, 511, 1000, 4096, 8168, 65536] {
            let stats = client.list(1, count);
            assert_eq!(names(&stats), names(&all), "count {count}");
            assert_eq!(stats.len(), 300, "count {count}");
        }
    }
}

#[test]
fn any_entry_is_a_place_to_read_on_from() {
    for dialect in CLASSIC {
        let (_share, mut client) = many(50, dialect);
        let all = client.list(1, 1000);
        // As they stand one behind the other.
        let mut offsets = vec![0];
        for index in 0..all.len() {
            let at = offsets[index];
            let room = |count| client.read(1, at, count).map(|data| data.len() as u64);
            let len = (49..1000).map(room).find_map(Result::ok);
            offsets.push(at + len.expect("one stat"));
            client.list(1, 1000);
        }
        for (index, &offset) in offsets.iter().enumerate().rev().step_by(7) {
            let (rest, _) = client.read_stats(1, offset, 1 << 20).expect("stats");
            assert_eq!(rest, all[index..], "from entry {index}");
        }
    }
}

#[test]
fn other_offsets_are_refused() {
    for dialect in CLASSIC {
        let (_share, mut client) = many(50, dialect);
        let (first, len) = client.read_stats(1, 0, 1000).expect("stats");
        for wrong in [1, len - 1, len + 1, 1 << 32, 1 << 63, u64::MAX] {
            assert_eq!(client.read(1, wrong, 1000), Err(Errno::SPIPE), "{wrong}");
        }
        let (second, more) = client.read_stats(1, len, 1000).expect("stats");
        assert!(!second.is_empty() && names(&first).is_disjoint(&names(&second)));
        let (third, rest) = client.read_stats(1, len + more, 1 << 20).expect("stats");
        assert_eq!(first.len() + second.len() + third.len(), 50);
        let end = len + more + rest;
        assert_eq!(client.read(1, end + 1, 1000), Err(Errno::SPIPE));
        assert_eq!(client.read(1, end, 1000).as_deref(), Ok(&[][..]));
        assert_eq!(client.read_stats(1, 0, 1000), Ok((first, len)), "rewound");
    }
}

#[test]
fn the_end_stays_the_end() {
    for dialect in CLASSIC {
        let (share, mut client) = many(3, dialect);
        let (_, end) = client.read_stats(1, 0, 1 << 20).expect("stats");
        for _ in 0..3 {
            assert_eq!(client.read(1, end, 4096).as_deref(), Ok(&[][..]));
            assert_eq!(client.read(1, end, 0).as_deref(), Ok(&[][..]));
        }
        share.write("later", "");
        assert_eq!(client.list(1, 4096).len(), 4);
        share.mkdir("empty");
        client.topen_path(2, "empty", bits::READ);
        assert_eq!(client.read(2, 0, 4096).as_deref(), Ok(&[][..]));
    }
}

#[test]
fn too_little_room_is_an_error_not_the_end() {
    for dialect in CLASSIC {
        let (_share, mut client) = many(10, dialect);
        for count in [0, 1, 48, 49] {
            assert_eq!(client.read(1, 0, count), Err(Errno::INVAL), "{count}");
        }
        let (some, at) = client.read_stats(1, 0, 200).expect("stats");
        assert_eq!(client.read(1, at, 1), Err(Errno::INVAL));
        let (rest, _) = client
            .read_stats(1, at, 1 << 20)
            .expect("the position was kept");
        assert_eq!(some.len() + rest.len(), 10);
    }
}

#[test]
fn listing_while_deleting() {
    for dialect in CLASSIC {
        let (share, mut client) = many(500, dialect);
        let (mut seen, mut offset) = (BTreeSet::new(), 0);
        loop {
            let (some, len) = client.read_stats(1, offset, 900).expect("stats");
            if some.is_empty() {
                break;
            }
            offset += len;
            for stat in some {
                client.find(2, &stat.name);
                client.remove(2).expect("a removal");
                assert!(seen.insert(stat.name), "twice");
            }
        }
        assert_eq!(seen.len(), 500);
        assert_eq!(fs::read_dir(share.path("")).expect("a listing").count(), 0);
        assert!(client.list(1, 4096).is_empty());
    }
}

/// The names that the kernel has given already are gone when their turn comes.
#[test]
fn what_vanishes_meanwhile_is_left_out() {
    for dialect in CLASSIC {
        let (share, mut client) = many(200, dialect);
        let (some, len) = client.read_stats(1, 0, 1000).expect("stats");
        fs::remove_dir_all(share.path("")).expect("a removal");
        assert!(!some.is_empty());
        let rest = client.read(1, len, 1 << 20);
        assert!(rest == Ok(vec![]) || rest == Err(Errno::NOENT), "{rest:?}");
    }
}

/// Names can be listed in a directory that cannot be searched, by all but root.
#[test]
fn an_entry_that_cannot_be_looked_at_is_listed_all_the_same() {
    if is_root() {
        return;
    }
    for dialect in CLASSIC {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = share.speaker(dialect);
        client.topen_path(1, "dir", bits::READ);
        let search = |mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(share.path("dir"), mode).expect("a chmod");
        };
        let whole = client.list(1, 4096);
        search(0o400);
        let bare = client.list(1, 4096);
        search(0o700);
        assert_eq!(
            (bare.len(), &bare[0].name[..], bare[0].mode),
            (1, "inner", 0)
        );
        assert_eq!(bare[0].qid.path, whole[0].qid.path);
    }
}

#[test]
fn a_long_link_fits_what_a_client_sets_aside() {
    let share = Share::new();
    share.symlink(&"t".repeat(4095), "link");
    let mut client = open_root(&share, Dialect::Unix);
    let stats = client.list(1, 8168);
    assert_eq!(stats[0].extension().len(), 4095);
}

#[test]
fn dotl_reads_directories_with_treaddir() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = open_root(&share, Dialect::Linux);
    assert_eq!(client.read(1, 0, 4096), Err(Errno::ISDIR));
    assert!(!client.readdir(1, 0, 4096).expect("entries").is_empty());
    // And .u may, beside its own way, whose position is its own.
    let mut client = open_root(&share, Dialect::Unix);
    let (first, len) = client.read_stats(1, 0, 150).expect("stats");
    let host = fs::read_dir(share.path("")).expect("a listing").count();
    assert_eq!(client.readdir(1, 0, 4096).expect("entries").len(), host + 2);
    let (rest, _) = client.read_stats(1, len, 4096).expect("stats");
    assert_eq!(first.len() + rest.len(), host);
}
