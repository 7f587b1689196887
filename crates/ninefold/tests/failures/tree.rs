//! What the requests that are to fail work on.

use std::fs;

use ninefold_client::Connection;
use ninefold_client::wire::flags::setattr;
use ninefold_client::wire::{Dirents, Name, Reply, Request, SetAttr};

use crate::common::{Server, attempt, getattr, walk};

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).expect("a name")
}

/// Fids of the directory, of its entries `file`, `plain` and `sub`, and of a clone of the first.
const DIR: u32 = 1;
const FILE: u32 = 2;
const PLAIN: u32 = 3;
const SUB: u32 = 4;
const CLONE: u32 = 5;

pub struct Operation {
    pub what: &'static str,
    request: fn() -> Request<'static>,
}

impl Operation {
    /// The errno, if it fails.
    pub fn run(&self, connection: &mut Connection) -> Option<i32> {
        attempt(connection, &(self.request)())
    }
}

fn renameat(from: &'static str, (newdirfid, to): (u32, &'static str)) -> Request<'static> {
    Request::Renameat {
        olddirfid: DIR,
        oldname: name(from),
        newdirfid,
        newname: name(to),
    }
}

fn unlinkat(old: &'static str, flags: u32) -> Request<'static> {
    Request::Unlinkat {
        dirfid: DIR,
        name: name(old),
        flags,
    }
}

fn chmod(fid: u32) -> Request<'static> {
    let attr = SetAttr {
        valid: setattr::MODE,
        mode: 0o604,
        ..SetAttr::default()
    };
    Request::Setattr { fid, attr }
}

fn chown(fid: u32, (uid, gid): (u32, u32)) -> Request<'static> {
    let attr = SetAttr {
        valid: setattr::UID | setattr::GID,
        uid,
        gid,
        ..SetAttr::default()
    };
    Request::Setattr { fid, attr }
}

macro_rules! operations {
    ($($what:literal => $request:expr,)*) => {
        &[$(Operation { what: $what, request: || $request }),*]
    };
}

pub const OPERATIONS: &[Operation] = operations! {
    "create" => Request::Lcreate { fid: CLONE, name: name("new"), flags: 2, mode: 0o640, gid: 3 },
    "mkdir" => Request::Mkdir { dfid: DIR, name: name("new"), mode: 0o750, gid: 3 },
    "mknod" => Request::Mknod {
        dfid: DIR, name: name("new"), mode: 0o020_640, major: 1, minor: 2, gid: 3
    },
    "symlink" => Request::Symlink { dfid: DIR, name: name("new"), target: b"target", gid: 3 },
    "link" => Request::Link { dfid: DIR, fid: FILE, name: name("new") },
    "link elsewhere" => Request::Link { dfid: SUB, fid: FILE, name: name("new") },
    "link of a host's" => Request::Link { dfid: DIR, fid: PLAIN, name: name("new") },
    "rename" => renameat("file", (DIR, "new")),
    "rename over" => renameat("file", (DIR, "target")),
    "rename elsewhere" => renameat("file", (SUB, "new")),
    "rename over elsewhere" => renameat("file", (SUB, "inner")),
    "rename of a host's over" => renameat("plain", (DIR, "target")),
    "rename of a directory" => renameat("sub", (DIR, "empty")),
    "unlink" => unlinkat("file", 0),
    "rmdir" => unlinkat("empty", 0x200),
    "chmod" => chmod(FILE),
    "chown" => chown(FILE, (2000, 2001)),
    "chmod of a host's" => chmod(PLAIN),
    "chown of a host's" => chown(PLAIN, (2000, 2001)),
};

/// Sets the fids of the operations.
pub fn point_to(connection: &mut Connection, dir: &str) {
    let_go(connection);
    let paths: [(u32, &[&str]); 5] = [
        (DIR, &[dir]),
        (CLONE, &[dir]),
        (FILE, &[dir, "file"]),
        (PLAIN, &[dir, "plain"]),
        (SUB, &[dir, "sub"]),
    ];
    for (fid, names) in paths {
        assert_eq!(walk(connection, 0, fid, names).ok(), Some(names.len()));
    }
}

fn let_go(connection: &mut Connection) {
    for fid in [DIR, FILE, PLAIN, SUB, CLONE] {
        attempt(connection, &Request::Clunk { fid });
    }
}

/// Makes a directory with something of each kind and sets the fids.
pub fn furnish(server: &Server, connection: &mut Connection, dir: &str) {
    let_go(connection);
    let done = |connection: &mut Connection, request: &Request<'_>| {
        assert_eq!(attempt(connection, request), None, "{request:?}");
    };
    let mkdir = |dfid, new| Request::Mkdir {
        dfid,
        name: new,
        mode: 0o1751,
        gid: 8,
    };
    done(connection, &mkdir(0, name(dir)));
    walk(connection, 0, DIR, &[dir]).expect("a walk");
    done(connection, &mkdir(DIR, name("sub")));
    done(connection, &mkdir(DIR, name("empty")));
    walk(connection, 0, SUB, &[dir, "sub"]).expect("a walk");
    for (uid, dfid, new) in [(1000, DIR, "file"), (5, DIR, "target"), (9, SUB, "inner")] {
        walk(connection, dfid, CLONE, &[]).expect("a clone");
        let create = Request::Lcreate {
            fid: CLONE,
            name: name(new),
            flags: 2,
            mode: 0o600,
            gid: 6,
        };
        done(connection, &create);
        done(connection, &chown(CLONE, (uid, uid + 1)));
        let attr = SetAttr {
            valid: setattr::MODE | setattr::SIZE,
            mode: 0o4711,
            size: u64::from(uid),
            ..SetAttr::default()
        };
        done(connection, &Request::Setattr { fid: CLONE, attr });
        done(connection, &Request::Clunk { fid: CLONE });
    }
    // Something was in it, so that it has a hidden directory.
    walk(connection, 0, CLONE, &[dir, "empty"]).expect("a walk");
    done(connection, &mkdir(CLONE, name("gone")));
    let rmdir = Request::Unlinkat {
        dirfid: CLONE,
        name: name("gone"),
        flags: 0x200,
    };
    done(connection, &rmdir);
    done(connection, &Request::Clunk { fid: CLONE });
    fs::write(server.path(dir).join("plain"), "hosts").expect("a file");
    point_to(connection, dir);
}

/// All that a client sees of a directory: names, owners, modes, sizes.
pub fn view(connection: &mut Connection, dir: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let names: Vec<_> = path.split('/').collect();
        assert_eq!(
            walk(connection, 0, 1, &names).ok(),
            Some(names.len()),
            "{path}"
        );
        let is_dir = match connection.call(&getattr(1)).expect("attributes") {
            Reply::Getattr { attr } => {
                let shown = (attr.mode, attr.uid, attr.gid, attr.nlink, attr.rdev);
                let is_dir = attr.mode & 0o170_000 == 0o040_000;
                let size = if is_dir { 0 } else { attr.size };
                let below = path.strip_prefix(dir).expect("below");
                lines.push(format!("{below} {shown:?} {size}"));
                is_dir
            }
            other => panic!("{other:?}"),
        };
        if is_dir {
            for entry in list(connection) {
                left.push(format!("{path}/{entry}"));
            }
        }
        attempt(connection, &Request::Clunk { fid: 1 });
    }
    lines.sort();
    lines
}

/// The names in the directory that is fid 1.
fn list(connection: &mut Connection) -> Vec<String> {
    assert_eq!(
        attempt(connection, &Request::Lopen { fid: 1, flags: 0 }),
        None
    );
    let readdir = Request::Readdir {
        fid: 1,
        offset: 0,
        count: 8192,
    };
    let Ok(Reply::Readdir { data }) = connection.call(&readdir) else {
        panic!("no entries");
    };
    let entries = Dirents::new(data.0).map(|entry| entry.expect("whole").name.to_vec());
    let names = entries.map(|name| String::from_utf8(name).expect("the test's own"));
    names.filter(|name| name != "." && name != "..").collect()
}
