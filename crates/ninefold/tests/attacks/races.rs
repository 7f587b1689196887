//! A host that swaps things under the server while a client works: nothing outside the export is
//! ever touched or shown, and nothing hangs.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ninefold_client::Connection;
use ninefold_client::wire::{Data, Name, Reply, Request, SetAttr, Step, Steps};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags, mknodat, renameat_with, setxattr};

use crate::common::{LIMIT, Server, attempt, walk};

/// Rounds that a client makes at least; it goes on until it has met both sides of the swap.
const ROUNDS: usize = 400;

/// Exchanges two names over and over while `act` runs.
fn while_swapping<T>(one: &Path, other: &Path, act: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("an exchange");
            }
        });
        // Also when `act` panics, or the scope would never end.
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        stop.store(true, Ordering::Relaxed);
        swapping.join().expect("the swapper");
        acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// All that there is to know of a tree but access times.
pub fn state(root: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let meta = path.symlink_metadata().expect("attributes");
        let own = (
            meta.ino(),
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.nlink(),
            meta.size(),
        );
        let changed = (
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        );
        all.push(format!("{} {own:?} {changed:?}", path.display()));
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("a directory");
            left.extend(entries.map(|entry| entry.expect("an entry").path()));
        }
    }
    all.sort();
    all
}

/// The inner directory of either side: a file, a directory and a link with the same names.
fn furnish(dir: &Path, content: &str) {
    fs::create_dir_all(dir.join("sub")).expect("directories");
    fs::write(dir.join("file"), content).expect("a file");
    fs::write(dir.join("victim"), content).expect("a file");
    fs::write(dir.join("sub/file"), content).expect("a file");
    symlink(content, dir.join("link")).expect("a link");
    setxattr(
        dir.join("file"),
        "user.a",
        content.as_bytes(),
        XattrFlags::empty(),
    )
    .expect("a value");
}

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).expect("a name")
}

/// Inode numbers of the outside, as qid paths: none may ever be shown.
fn forbidden(outside: &Path) -> Vec<u64> {
    let inodes = ["", "file", "victim", "sub", "sub/file", "link"];
    let qid = |name| {
        outside
            .join(name)
            .symlink_metadata()
            .expect("attributes")
            .ino()
            << 1
            | 1
    };
    inodes.into_iter().map(qid).collect()
}

/// Walks and checks that no step leads outside. Says whether all steps were made.
fn careful_walk(
    connection: &mut Connection,
    newfid: u32,
    names: &[&str],
    forbidden: &[u64],
) -> bool {
    let steps: Vec<_> = names.iter().map(|step| Step::Down(name(step))).collect();
    let steps = Steps::of(&steps).expect("at most 16 steps");
    let request = Request::Walk {
        fid: 0,
        newfid,
        steps,
    };
    match connection.call(&request) {
        Ok(Reply::Walk { qids }) => {
            let qids = qids.as_slice();
            assert!(
                qids.iter().all(|qid| !forbidden.contains(&qid.path)),
                "{qids:?}"
            );
            qids.len() == names.len()
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            assert!(error.errno().is_some(), "{error}");
            false
        }
    }
}

/// Everything that can be done in the directory behind `fid`.
fn change_all(connection: &mut Connection, dfid: u32, dir: &[&str], forbidden: &[u64]) {
    let (mode, gid) = (0o700, 0);
    let mut ask = |request: &Request<'_>| attempt(connection, request);
    ask(&Request::Mkdir {
        dfid,
        name: name("made"),
        mode,
        gid,
    });
    ask(&Request::Symlink {
        dfid,
        name: name("madelink"),
        target: b"x",
        gid,
    });
    ask(&Request::Mknod {
        dfid,
        name: name("madefifo"),
        mode: 0o10_600,
        major: 0,
        minor: 0,
        gid,
    });
    ask(&Request::Unlinkat {
        dirfid: dfid,
        name: name("victim"),
        flags: 0,
    });
    ask(&Request::Renameat {
        olddirfid: dfid,
        oldname: name("made"),
        newdirfid: dfid,
        newname: name("moved"),
    });
    ask(&Request::Renameat {
        olddirfid: 0,
        oldname: name("own"),
        newdirfid: dfid,
        newname: name("own"),
    });
    ask(&Request::Renameat {
        olddirfid: dfid,
        oldname: name("own"),
        newdirfid: 0,
        newname: name("own"),
    });
    ask(&Request::Unlinkat {
        dirfid: dfid,
        name: name("moved"),
        flags: 0x200,
    });
    ask(&Request::Unlinkat {
        dirfid: dfid,
        name: name("madelink"),
        flags: 0,
    });
    ask(&Request::Unlinkat {
        dirfid: dfid,
        name: name("madefifo"),
        flags: 0,
    });
    let create = Request::Lcreate {
        fid: dfid,
        name: name("victim"),
        flags: 0o1002,
        mode,
        gid,
    };
    if ask(&create).is_none() {
        ask(&Request::Write {
            fid: dfid,
            offset: 0,
            data: Data(b"inside"),
        });
    }
    ask(&Request::Clunk { fid: dfid });
    let file = [dir, &["file"]].concat();
    if careful_walk(connection, 6, &file, forbidden) {
        change_file(connection);
    }
}

/// Everything that can be done with a file, fid 6.
fn change_file(connection: &mut Connection) {
    let attr = SetAttr {
        valid: 0x1ff & !0x006,
        mode: 0o640,
        size: 6,
        ..SetAttr::default()
    };
    attempt(connection, &Request::Setattr { fid: 6, attr });
    attempt(connection, &Request::Statfs { fid: 6 });
    attempt(
        connection,
        &Request::Link {
            dfid: 0,
            fid: 6,
            name: name("linked"),
        },
    );
    attempt(
        connection,
        &Request::Unlinkat {
            dirfid: 0,
            name: name("linked"),
            flags: 0,
        },
    );
    if attempt(
        connection,
        &Request::Xattrwalk {
            fid: 6,
            newfid: 7,
            name: b"user.a",
        },
    )
    .is_none()
    {
        expect_inside(connection, 7);
        attempt(connection, &Request::Clunk { fid: 7 });
    }
    walk(connection, 6, 7, &[]).expect("a clone");
    attempt(
        connection,
        &Request::Xattrcreate {
            fid: 7,
            name: b"user.b",
            size: 0,
            flags: 0,
        },
    );
    attempt(connection, &Request::Clunk { fid: 7 });
    if attempt(connection, &Request::Lopen { fid: 6, flags: 2 }).is_none() {
        attempt(
            connection,
            &Request::Write {
                fid: 6,
                offset: 0,
                data: Data(b"inside"),
            },
        );
        expect_inside(connection, 6);
    }
    attempt(connection, &Request::Clunk { fid: 6 });
}

fn expect_inside(connection: &mut Connection, fid: u32) {
    let read = Request::Read {
        fid,
        offset: 0,
        count: 100,
    };
    match connection.call(&read) {
        Ok(Reply::Read { data }) => assert_eq!(data.0, b"inside"),
        other => panic!("{other:?}"),
    }
}

/// Runs the client in `a/b/dir` while `swapped`, which is that or a part of the way there, changes
/// places with a link to the directory `secret` outside. `rest` leads on from there.
fn attack(swapped: &str, rest: &str) {
    let server = Server::with(&[], "0", |dir| {
        furnish(&dir.join("a/b/dir"), "inside");
        fs::write(dir.join("own"), "inside").expect("a file");
    });
    let outside = server.outside("secret");
    furnish(&outside.join(rest), "outside");
    let (one, other) = (server.path(swapped), server.path("swap"));
    symlink(&outside, &other).expect("a link");
    let (before, forbidden) = (state(&outside), forbidden(&outside.join(rest)));
    while_swapping(&one, &other, || be_attacked(&server, &forbidden));
    assert_eq!(state(&outside), before, "nothing outside has changed");
    let real = if one.is_symlink() { other } else { one };
    let file = real.join(rest).join("file");
    assert_eq!(fs::read(file).expect("the file"), b"inside");
}

fn be_attacked(server: &Server, forbidden: &[u64]) {
    let dir = ["a", "b", "dir"];
    let mut connection = server.session();
    let (mut reached, mut refused, begun) = (0, 0, Instant::now());
    while reached + refused < ROUNDS || reached == 0 || refused == 0 {
        assert!(
            begun.elapsed() < LIMIT,
            "{reached} reached, {refused} refused"
        );
        if !careful_walk(&mut connection, 5, &dir, forbidden) {
            refused += 1;
            continue;
        }
        // It may be the link itself that was reached: then it is refused here.
        let make = Request::Mkdir {
            dfid: 5,
            name: name("probe"),
            mode: 0o700,
            gid: 0,
        };
        match attempt(&mut connection, &make) {
            None => reached += 1,
            Some(_) => refused += 1,
        }
        let unmake = Request::Unlinkat {
            dirfid: 5,
            name: name("probe"),
            flags: 0x200,
        };
        attempt(&mut connection, &unmake);
        change_all(&mut connection, 5, &dir, forbidden);
    }
}

#[test]
fn a_directory_swapped_for_a_link() {
    attack("a/b/dir", "");
}

#[test]
fn a_parent_swapped_for_a_link() {
    attack("a/b", "dir");
}

#[test]
fn a_grandparent_swapped_for_a_link() {
    attack("a", "b/dir");
}

#[test]
fn a_fifo_swapped_in_does_not_hang() {
    let server = Server::with(&[], "0", |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
        mknodat(
            CWD,
            dir.join("fifo"),
            FileType::Fifo,
            Mode::from_raw_mode(0o666),
            0,
        )
        .expect("a FIFO");
    });
    let mut connection = server.session();
    let (mut opened, mut refused, begun) = (0, 0, Instant::now());
    let paths = (server.path("file"), server.path("fifo"));
    while_swapping(&paths.0, &paths.1, || {
        for round in 0.. {
            if round >= ROUNDS && opened > 0 && refused > 0 {
                return;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "{opened} opened, {refused} refused"
            );
            walk(&mut connection, 0, 1, &["file"]).expect("either is there");
            let flags = [0, 1, 2, 0o1001][round % 4];
            let answered = if round % 2 == 0 {
                attempt(&mut connection, &Request::Lopen { fid: 1, flags })
            } else {
                attempt(&mut connection, &Request::Clunk { fid: 1 });
                walk(&mut connection, 0, 1, &[]).expect("a clone");
                let create = Request::Lcreate {
                    fid: 1,
                    name: name("file"),
                    flags,
                    mode: 0o600,
                    gid: 0,
                };
                attempt(&mut connection, &create)
            };
            match answered {
                None => opened += 1,
                Some(6) => refused += 1,
                Some(errno) => panic!("error {errno}"),
            }
            attempt(&mut connection, &Request::Clunk { fid: 1 });
        }
    });
}
