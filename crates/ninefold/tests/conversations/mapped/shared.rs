//! Changes side by side, and the times that they leave.

use std::thread;
use std::time::Duration;

use ninefold::Errno;
use ninefold_wire::NOFID;

use super::{attr, chmod, chown, create, of_both, shown};
use crate::verbs::{RDONLY, RDWR};

const ROUNDS: u32 = 300;

#[test]
fn no_change_is_lost() {
    of_both(|share| {
        let mut client = share.client();
        client.mkdir(0, "dir", 0o755).expect("a directory");
        create(&mut client, "one", (0, 0), 0o600);
        client.find(1, "one");
        client.find(2, "dir");
        client.link(2, 1, "two").expect("a link");
        thread::scope(|scope| {
            // Each changes its part, by its name, and finds it as it left it.
            scope.spawn(|| {
                let mut client = share.client();
                client.find(1, "one");
                for round in 0..ROUNDS {
                    chmod(&mut client, 1, round).expect("a mode");
                    assert_eq!(attr(&mut client, 1).mode, 0o100_000 | round);
                }
            });
            scope.spawn(|| {
                let mut client = share.client();
                client.find(1, "dir/two");
                for round in 0..ROUNDS {
                    chown(&mut client, 1, Some(round), None).expect("an owner");
                    assert_eq!(attr(&mut client, 1).uid, round);
                }
            });
            scope.spawn(|| {
                let mut client = share.client();
                for round in 0..ROUNDS {
                    client.find(1, ["one", "dir/two"][round as usize % 2]);
                    chown(&mut client, 1, None, Some(round)).expect("a group");
                    assert_eq!(attr(&mut client, 1).gid, round);
                    client.clunk(1).expect("a clunk");
                }
            });
        });
        let last = ROUNDS - 1;
        for path in ["one", "dir/two"] {
            assert_eq!(shown(&mut client, path), (last, last, 0o100_000 | last));
        }
    });
}

#[test]
fn attributes_move_while_they_change() {
    of_both(|share| {
        let mut client = share.client();
        client.mkdir(0, "dir", 0o755).expect("a directory");
        create(&mut client, "file", (1, 2), 0o600);
        share.write("plain", "");
        client.find(1, "dir");
        client.find(2, "file");
        client.find(3, "plain");
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = share.client();
                client.find(1, "dir");
                for _ in 0..ROUNDS {
                    for name in ["file", "plain"] {
                        client.renameat((0, name), (1, "other")).expect("there");
                        client.renameat((1, "other"), (0, name)).expect("back");
                    }
                }
            });
            for round in 0..ROUNDS {
                chmod(&mut client, 2, round).expect("a mode");
                chmod(&mut client, 3, round).expect("a mode");
                let (file, plain) = (attr(&mut client, 2), attr(&mut client, 3));
                assert_eq!((file.uid, file.gid, file.mode), (1, 2, 0o100_000 | round));
                assert_eq!(plain.mode, 0o100_000 | round);
            }
        });
        let last = 0o100_000 | (ROUNDS - 1);
        assert_eq!(shown(&mut client, "file"), (1, 2, last));
        assert_eq!(shown(&mut client, "plain").2, last);
    });
}

#[test]
fn a_change_of_attributes_is_a_change_of_ctime() {
    of_both(|share| {
        let mut client = share.client();
        create(&mut client, "file", (1, 2), 0o600);
        client.find(1, "file");
        let mut last = attr(&mut client, 1);
        for step in 0..6 {
            // Longer than the kernel's coarse clock.
            thread::sleep(Duration::from_millis(12));
            match step {
                0 | 1 => chmod(&mut client, 1, 0o640),
                2 | 3 => chown(&mut client, 1, Some(5), Some(6)),
                4 => chown(&mut client, 1, Some(u32::MAX), Some(u32::MAX)),
                _ => chown(&mut client, 1, None, Some(6)),
            }
            .expect("a change");
            let now = attr(&mut client, 1);
            let ctime = |attr: &ninefold_wire::Attr| (attr.ctime_sec, attr.ctime_nsec);
            assert!(ctime(&now) > ctime(&last), "step {step}");
            assert_eq!(
                (now.mtime_sec, now.mtime_nsec),
                (last.mtime_sec, last.mtime_nsec)
            );
            last = now;
        }
        assert_eq!(shown(&mut client, "file"), (5, 6, 0o100_640));
    });
}

#[test]
fn a_write_that_is_refused_or_empty_leaves_set_id_bits() {
    of_both(|share| {
        let mut client = share.client();
        client.attach_as(1, NOFID, 1000).expect("a root");
        client.lcreate(1, "file", RDWR, 0o6755).expect("a file");
        client.attach_as(2, NOFID, 1000).expect("a root");
        client.walk(2, 2, &["file"]).expect("the file");
        client.lopen(2, RDONLY).expect("an open");
        assert_eq!(client.write(2, 0, b"x"), Err(Errno::BADF));
        assert_eq!(client.write(1, u64::MAX / 2, b"x"), Err(Errno::INVAL));
        assert_eq!(client.write(1, 0, b""), Ok(0));
        assert_eq!(attr(&mut client, 1).mode, 0o106_755);
        assert_eq!(client.write(1, 0, b"x"), Ok(1));
        assert_eq!(attr(&mut client, 1).mode, 0o100_755);
    });
}
