//! Clients that vanish in the midst of everything leave nothing behind.

use std::fs;

use ninefold_client::wire::{Data, LockRange, Name, Reply, Request, Step, Steps};

use crate::common::{Batch, Random, Server, getattr, open};

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).expect("a name")
}

fn clone_root(newfid: u32) -> Request<'static> {
    Request::Walk {
        fid: 0,
        newfid,
        steps: Steps::NONE,
    }
}

/// Adds one of the things that clients do, with the fid that it is about.
fn add(batch: &mut Batch, random: &mut Random, tag: u16) {
    let fid = u32::from(tag) + 10;
    match random.below(10) {
        0 => {
            let steps = [Step::Down(name("file"))];
            let steps = Steps::of(&steps).expect("one step");
            batch.add(
                tag,
                &Request::Walk {
                    fid: 0,
                    newfid: fid,
                    steps,
                },
            );
        }
        1 => batch.add(tag, &clone_root(fid)),
        2 => {
            let range = LockRange {
                start: 0,
                length: 0,
                proc_id: fid,
                client_id: b"node",
            };
            let lock = Request::Lock {
                fid: 1,
                kind: 1,
                flags: 1,
                range,
            };
            batch.add(tag, &lock);
        }
        3 => {
            let new = format!("new{}", random.below(1000));
            let create = Request::Lcreate {
                fid: fid - 1,
                name: name(&new),
                flags: 2,
                mode: 0o644,
                gid: 0,
            };
            batch.add(tag, &create);
        }
        4 => batch.add(
            tag,
            &Request::Xattrwalk {
                fid: 1,
                newfid: fid,
                name: b"",
            },
        ),
        5 => batch.add(
            tag,
            &Request::Flush {
                oldtag: tag.wrapping_sub(3),
            },
        ),
        6 => batch.add(tag, &Request::Clunk { fid: fid - 2 }),
        7 => {
            let data = Data(b"data");
            batch.add(
                tag,
                &Request::Write {
                    fid: 1,
                    offset: 0,
                    data,
                },
            );
        }
        8 => batch.add(
            tag,
            &Request::Lopen {
                fid: fid - 1,
                flags: 0,
            },
        ),
        _ => batch.add(
            tag,
            &Request::Read {
                fid: 1,
                offset: 0,
                count: 65536,
            },
        ),
    }
}

#[test]
fn nothing_is_left_of_a_client_that_vanishes() {
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("file"), vec![b'f'; 65536]).expect("a file");
    });
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut connection = server.session();
        open(&mut connection, 1, &["file"], 2).expect("a file");
        let mut batch = Batch::default();
        for tag in 0..200 {
            add(&mut batch, &mut random, tag);
        }
        // The last frame may be cut.
        let cut = batch.0.len() - random.below(12);
        connection.send_raw(&batch.0[..cut]).expect("to send");
        // Gone before any reply is read, or after some.
        for _ in 0..random.below(3) {
            connection.recv_raw().expect("a reply");
        }
    }
    server.wait_until_idle();
    // No lock is left, held or waiting: the whole file can be had at once.
    let mut witness = server.session();
    open(&mut witness, 1, &["file"], 2).expect("a file");
    let reply = witness.call(&crate::blocked::lock(1, 0)).expect("a reply");
    assert_eq!(reply, Reply::Lock { status: 0 });
    witness.call(&getattr(0)).expect("it goes on");
}

#[test]
fn each_message_gives_back_what_it_took() {
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
        fs::create_dir(dir.join("dir")).expect("a directory");
    });
    let mut connection = server.session();
    let base = server.extra_fds();
    for round in 0..50 {
        open(&mut connection, 1, &["file"], 2).expect("a file");
        open(&mut connection, 2, &["dir"], 0).expect("a directory");
        connection.call(&clone_root(3)).expect("a clone");
        let create = Request::Lcreate {
            fid: 3,
            name: name("new"),
            flags: 2,
            mode: 0o644,
            gid: 0,
        };
        connection.call(&create).expect("a file");
        let clone = Request::Walk {
            fid: 3,
            newfid: 4,
            steps: Steps::NONE,
        };
        connection.call(&clone).expect("a clone");
        for fid in [1, 2, 3, 4] {
            connection.call(&getattr(fid)).expect("attributes");
        }
        assert!(server.extra_fds() > base);
        // What fails keeps nothing either.
        for request in [
            clone_root(4),
            Request::Lopen { fid: 1, flags: 0 },
            Request::Lopen { fid: 99, flags: 0 },
            Request::Xattrwalk {
                fid: 1,
                newfid: 6,
                name: b"user.none",
            },
        ] {
            assert!(connection.call(&request).is_err(), "{request:?}");
        }
        for fid in [1, 2, 3] {
            connection.call(&Request::Clunk { fid }).expect("a clunk");
        }
        connection
            .call(&Request::Remove { fid: 4 })
            .expect("a removal");
        assert_eq!(server.extra_fds_beside("dir"), base, "round {round}");
    }
}
