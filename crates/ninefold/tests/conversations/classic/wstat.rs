//! Twstat.

use std::fs;
use std::os::unix::fs::MetadataExt;

use ninefold::{Errno, SecurityModel};
use ninefold_wire::flags::{classic_open as bits, dm};
use ninefold_wire::{Dialect, Qid, Stat, StatUnix};

use super::verbs::untouched;
use super::{ALL, CLASSIC};
use crate::share::{Share, is_root, one_of_each};

#[test]
fn nothing_touched_is_an_fsync() {
    for dialect in ALL {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = share.speaker(dialect);
        for (fid, name) in [(1, "file"), (2, "dir"), (3, "link"), (4, "fifo")] {
            client.find(fid, name);
            client.wstat(fid, untouched(dialect)).expect(name);
        }
        client.topen(1, bits::RDWR).expect("an open");
        client.topen(2, bits::READ).expect("an open");
        for fid in [1, 2] {
            client.wstat(fid, untouched(dialect)).expect("open");
        }
        assert_eq!(client.wstat(9, untouched(dialect)), Err(Errno::BADF));
    }
}

#[test]
fn one_thing_at_a_time() {
    for dialect in ALL {
        let share = Share::new();
        share.write("file", "content");
        let mut client = share.speaker(dialect);
        client.find(1, "file");
        let no = untouched(dialect);
        let set_id = dm::SETUID | 0o755;
        client
            .wstat(1, Stat { mode: set_id, ..no })
            .expect("a chmod");
        assert_eq!(share.shown_mode("file"), 0o4755);
        client
            .wstat(1, Stat { mode: 0o600, ..no })
            .expect("a chmod");
        assert_eq!(share.shown_mode("file"), 0o600);
        client
            .wstat(1, Stat { length: 3, ..no })
            .expect("a truncation");
        assert_eq!(share.read("file"), b"con");
        client.wstat(1, Stat { length: 5, ..no }).expect("a growth");
        assert_eq!(share.read("file"), b"con\0\0");
        client
            .wstat(
                1,
                Stat {
                    mtime: 1_000_000_000,
                    ..no
                },
            )
            .expect("a time");
        client
            .wstat(
                1,
                Stat {
                    atime: 4_000_000_000,
                    ..no
                },
            )
            .expect("a time");
        let host = share.stat("file");
        assert_eq!((host.mtime(), host.atime()), (1_000_000_000, 4_000_000_000));
        client
            .wstat(
                1,
                Stat {
                    name: b"moved",
                    ..no
                },
            )
            .expect("a rename");
        assert!(share.exists("moved") && !share.exists("file"));
        assert_eq!(client.stat(1).expect("a stat").name, "moved");
        assert_eq!(share.shown_mode("moved"), 0o600);
    }
}

#[test]
fn the_open_file_will_do() {
    for dialect in ALL {
        let share = Share::new();
        share.write("file", "content");
        let mut client = share.speaker(dialect);
        client.topen_path(1, "file", bits::RDWR);
        fs::remove_file(share.path("file")).expect("a removal");
        let no = untouched(dialect);
        // As Linux truncates.
        let cut = Stat {
            length: 1,
            mtime: 1,
            ..no
        };
        client.wstat(1, cut).expect("a truncation");
        client
            .wstat(1, Stat { mode: 0o400, ..no })
            .expect("a chmod");
        assert_eq!(client.read(1, 0, 9).as_deref(), Ok(&b"c"[..]));
        let stat = client.stat(1).expect("a stat");
        assert_eq!((stat.length, stat.mtime, stat.mode), (1, 1, 0o400));
        assert_eq!(
            client.wstat(1, Stat { name: b"x", ..no }),
            Err(Errno::NOENT)
        );
    }
}

#[test]
fn a_rename_takes_the_place_of_what_was_there() {
    for dialect in CLASSIC {
        let share = Share::new();
        share.write("new", "new");
        share.write("old", "old");
        share.mkdir("dir");
        let mut client = share.speaker(dialect);
        client.find(1, "new");
        let no = untouched(dialect);
        // Linux names a muid with it.
        let named = Stat {
            name: b"old",
            muid: b"root",
            ..no
        };
        client.wstat(1, named).expect("a rename");
        assert_eq!(share.read("old"), b"new");
        assert_eq!(
            client.wstat(1, Stat { name: b"dir", ..no }),
            Err(Errno::ISDIR)
        );
        client
            .wstat(1, Stat { name: b"old", ..no })
            .expect("its own name");
        for (name, errno) in [
            (&b"a/b"[..], Errno::NOENT),
            (b"/", Errno::NOENT),
            (b".", Errno::ISDIR),
            (b"..", Errno::ISDIR),
            (b"a\0", Errno::INVAL),
            (&[b'n'; 256], Errno::NAMETOOLONG),
        ] {
            assert_eq!(client.wstat(1, Stat { name, ..no }), Err(errno), "{name:?}");
        }
        assert_eq!(client.wstat(0, Stat { name: b"x", ..no }), Err(Errno::BUSY));
        assert!(share.exists("old") && share.exists("dir"));
    }
}

#[test]
fn what_cannot_be_changed() {
    for dialect in CLASSIC {
        let share = Share::with(SecurityModel::None, false, one_of_each);
        let mut client = share.speaker(dialect);
        client.find(1, "file");
        client.find(2, "dir");
        let no = untouched(dialect);
        let qid = client.stat(1).expect("a stat").qid;
        for (fid, wrong, errno) in [
            (1, Stat { kind: 1, ..no }, Errno::INVAL),
            (1, Stat { dev: 1, ..no }, Errno::INVAL),
            (
                1,
                Stat {
                    qid: Qid { path: 1, ..qid },
                    ..no
                },
                Errno::INVAL,
            ),
            (
                1,
                Stat {
                    mode: dm::DIR | 0o700,
                    ..no
                },
                Errno::INVAL,
            ),
            (
                1,
                Stat {
                    mode: dm::APPEND | 0o600,
                    ..no
                },
                Errno::INVAL,
            ),
            (
                1,
                Stat {
                    mode: dm::DEVICE | 0o600,
                    ..no
                },
                Errno::INVAL,
            ),
            (2, Stat { mode: 0o700, ..no }, Errno::INVAL),
            (2, Stat { length: 1, ..no }, Errno::ISDIR),
            (
                1,
                Stat {
                    length: 1 << 63,
                    ..no
                },
                Errno::INVAL,
            ),
            (
                1,
                Stat {
                    gid: b"staff",
                    ..no
                },
                Errno::INVAL,
            ),
        ] {
            // A kind that is wrong counts only beside something to change.
            let wrong = Stat { atime: 1, ..wrong };
            assert_eq!(client.wstat(fid, wrong), Err(errno), "{wrong:?}");
        }
        let atime = client.stat(1).expect("a stat").atime;
        assert_ne!(atime, 1, "nothing was changed");
        // What it is may be said.
        let same = Stat {
            kind: 0,
            dev: 0,
            qid,
            atime: 1,
            ..no
        };
        client.wstat(1, same).expect("an atime");
        client
            .wstat(
                2,
                Stat {
                    length: 0,
                    atime: 1,
                    ..no
                },
            )
            .expect("an atime");
    }
}

#[test]
fn specials_have_a_mode_and_no_length() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.speaker(Dialect::Unix);
    let no = untouched(Dialect::Unix);
    client.find(1, "fifo");
    client.find(2, "link");
    let mode = dm::NAMED_PIPE | 0o600;
    client.wstat(1, Stat { mode, ..no }).expect("a chmod");
    assert_eq!(share.shown_mode("fifo"), 0o600);
    assert_eq!(
        client.wstat(1, Stat { mode: 0o644, ..no }),
        Err(Errno::INVAL)
    );
    assert_eq!(client.wstat(1, Stat { length: 1, ..no }), Err(Errno::NXIO));
    assert_eq!(client.wstat(2, Stat { length: 1, ..no }), Err(Errno::LOOP));
    let mode = dm::SYMLINK | 0o600;
    assert_eq!(client.wstat(2, Stat { mode, ..no }), Err(Errno::OPNOTSUPP));
    client.wstat(2, Stat { mtime: 5, ..no }).expect("a time");
    assert_eq!(share.stat("link").mtime(), 5);
    assert_eq!(share.read("file"), b"content");
}

#[test]
fn owners() {
    if !is_root() {
        return;
    }
    let share = Share::with(SecurityModel::Passthrough, false, one_of_each);
    let ids = |share: &Share| (share.stat("file").uid(), share.stat("file").gid());
    let mut client = share.speaker(Dialect::Unix);
    client.find(1, "file");
    let no = untouched(Dialect::Unix);
    let plain = no.unix.expect("the fields of .u");
    for (n_uid, n_gid, want) in [
        (12, 34, (12, 34)),
        (u32::MAX, 35, (12, 35)),
        (13, u32::MAX, (13, 35)),
    ] {
        let unix = Some(StatUnix {
            n_uid,
            n_gid,
            ..plain
        });
        client.wstat(1, Stat { unix, ..no }).expect("a chown");
        assert_eq!(ids(&share), want);
    }
    let named = Stat {
        uid: b"14",
        gid: b"36",
        ..no
    };
    client.wstat(1, named).expect("a chown");
    assert_eq!(ids(&share), (14, 36));
    let mut client = share.speaker(Dialect::Legacy);
    client.find(1, "file");
    let no = untouched(Dialect::Legacy);
    client.wstat(1, Stat { gid: b"37", ..no }).expect("a chgrp");
    client
        .wstat(
            1,
            Stat {
                uid: b"14",
                gid: b"38",
                ..no
            },
        )
        .expect("a chgrp");
    assert_eq!(client.wstat(1, Stat { uid: b"15", ..no }), Err(Errno::PERM));
    assert_eq!(ids(&share), (14, 38));
}

/// The rename fails at the last moment: all that was changed before is as it was.
#[test]
fn all_happens_or_nothing() {
    for dialect in ALL {
        let share = Share::with(SecurityModel::Passthrough, false, one_of_each);
        let mut client = share.speaker(dialect);
        client.find(1, "file");
        let before = share.stat("file");
        let mut change = untouched(dialect);
        (change.mode, change.atime, change.mtime) = (dm::SETUID | 0o700, 1, 2);
        (change.length, change.name) = (0, b"dir");
        if is_root() {
            change.gid = b"99";
        }
        assert_eq!(client.wstat(1, change), Err(Errno::ISDIR));
        let after = share.stat("file");
        let seen = |meta: &fs::Metadata| {
            let owner = (meta.uid(), meta.gid());
            let times = (
                meta.atime(),
                meta.atime_nsec(),
                meta.mtime(),
                meta.mtime_nsec(),
            );
            (meta.mode(), owner, times, meta.size())
        };
        assert_eq!(seen(&before), seen(&after));
        change.name = b"moved";
        client.wstat(1, change).expect("all of it");
        let after = share.stat("moved");
        assert_eq!((after.atime(), after.mtime(), after.size()), (1, 2, 0));
        assert_eq!(share.shown_mode("moved"), 0o4700);
    }
}
