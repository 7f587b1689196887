//! A host that swaps the metadata of `mapped-file` for links to the outside while a client works:
//! nothing outside is touched or shown, and what the client is told holds.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ninefold_client::Connection;
use ninefold_client::wire::flags::setattr;
use ninefold_client::wire::{Name, Reply, Request, SetAttr};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::common::{LIMIT, Server, attempt, getattr, walk};
use crate::races::state;

/// Rounds that a client makes at least.
const ROUNDS: usize = 300;
/// What the outside says of every name, and nobody may ever be shown.
const FORBIDDEN: u32 = 666;
const NAMES: [&str; 5] = ["file", "new", "moved", "linked", "made"];

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).expect("a name")
}

fn setattr(fid: u32, uid: u32) -> Request<'static> {
    let attr = SetAttr {
        valid: setattr::MODE | setattr::UID,
        mode: 0o640,
        uid,
        ..SetAttr::default()
    };
    Request::Setattr { fid, attr }
}

/// Checks that a fid, if it is one, shows nothing of the outside.
fn look(connection: &mut Connection, fid: u32) {
    if let Ok(Reply::Getattr { attr }) = connection.call(&getattr(fid)) {
        assert_ne!(attr.uid, FORBIDDEN);
    }
}

/// Changes all kinds of metadata in the directory that is fid 1. Counts what was done and refused.
fn change_all(connection: &mut Connection, counts: &mut [usize; 2]) {
    let mut ask = |connection: &mut Connection, request: &Request<'_>| {
        let answer = attempt(connection, request);
        counts[usize::from(answer.is_some())] += 1;
        answer
    };
    let renameat = |from, to| Request::Renameat {
        olddirfid: 1,
        oldname: name(from),
        newdirfid: 1,
        newname: name(to),
    };
    let unlinkat = |old, flags| Request::Unlinkat {
        dirfid: 1,
        name: name(old),
        flags,
    };
    walk(connection, 1, 2, &[]).expect("a clone");
    let create = Request::Lcreate {
        fid: 2,
        name: name("new"),
        flags: 2,
        mode: 0o600,
        gid: 0,
    };
    ask(connection, &create);
    attempt(connection, &Request::Clunk { fid: 2 });
    for old in ["file", "new"] {
        if walk(connection, 1, 2, &[old]).is_ok_and(|count| count == 1) {
            look(connection, 2);
            ask(connection, &setattr(2, 5));
            look(connection, 2);
            let link = Request::Link {
                dfid: 1,
                fid: 2,
                name: name("linked"),
            };
            ask(connection, &link);
            attempt(connection, &Request::Clunk { fid: 2 });
        }
    }
    let mkdir = Request::Mkdir {
        dfid: 1,
        name: name("made"),
        mode: 0o700,
        gid: 0,
    };
    ask(connection, &mkdir);
    ask(connection, &renameat("new", "moved"));
    ask(connection, &renameat("moved", "linked"));
    for old in ["new", "moved", "linked"] {
        attempt(connection, &unlinkat(old, 0));
    }
    attempt(connection, &unlinkat("made", 0x200));
}

/// Runs the client while `swap` runs over and over, until it has met both sides.
fn attack(swap: impl Fn(&Server) + Sync) {
    let server = Server::of(&[], "0", "mapped-file", |dir| {
        fs::create_dir_all(dir.join("dir/.virtfs_metadata")).expect("directories");
        fs::write(dir.join("dir/file"), "inside").expect("a file");
    });
    let secret = server.outside("secret");
    fs::create_dir(&secret).expect("a directory");
    for name in NAMES {
        let text = format!("virtfs.uid={FORBIDDEN}\nvirtfs.mode=35309\n");
        fs::write(secret.join(name), text).expect("a file");
    }
    symlink("secret", server.outside("evil")).expect("a link");
    let before = state(&secret);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                swap(&server);
            }
        });
        // Also when it panics, or the scope would never end.
        let client = std::panic::AssertUnwindSafe(|| be_a_client(&server));
        let done = std::panic::catch_unwind(client);
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert_eq!(state(&secret), before);
}

fn be_a_client(server: &Server) {
    let mut connection = server.session();
    walk(&mut connection, 0, 1, &["dir"]).expect("a directory");
    let (mut counts, begun) = ([0, 0], Instant::now());
    for round in 0.. {
        if round >= ROUNDS && counts.iter().all(|count| *count > 0) {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{counts:?} done and refused");
        change_all(&mut connection, &mut counts);
    }
    eprintln!("{counts:?} done and refused");
}

#[test]
fn the_hidden_directory_swapped_for_a_link() {
    attack(|server| {
        let hidden = server.path("dir/.virtfs_metadata");
        // One of them may be missing for a moment.
        let _ = renameat_with(
            CWD,
            hidden,
            CWD,
            server.outside("evil"),
            RenameFlags::EXCHANGE,
        );
    });
}

#[test]
fn metadata_swapped_for_a_link() {
    attack(|server| {
        for name in NAMES {
            replace(
                server,
                &server.path("dir/.virtfs_metadata").join(name),
                name,
            );
        }
    });
}

/// Puts a link to the outside in the place of a metadata file.
fn replace(server: &Server, metadata: &Path, name: &str) {
    let link = server.outside("next");
    let _ = fs::remove_file(&link);
    symlink(server.outside("secret").join(name), &link).expect("a link");
    fs::rename(&link, metadata).expect("a rename");
}
