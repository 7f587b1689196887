//! No change ever reaches the wrong file: whatever takes an object's name, a fid of the old object
//! acts on that one, in every security model.

use std::fs;
use std::path::Path;

use ninefold::{ExportOptions, SecurityModel};
use ninefold_wire::flags::setattr;
use ninefold_wire::{Attr, SetAttr};

use crate::client::Client;
use crate::share::{Share, is_root};
use crate::verbs::{RDWR, range};

/// Fids of the old object: open, and not.
const OPEN: u32 = 1;
const PATH: u32 = 2;
/// What looks at its name.
const LOOK: u32 = 900;

const OLD: &[u8] = b"the old content";
const NEW: &[u8] = b"the new content, longer";

/// How another object gets the name `d/file`. The other client has its root at fid 0 too.
type Reuse = (&'static str, fn(&Share, &mut Client, &mut Client));

const REUSES: [Reuse; 6] = [
    ("unlinked and made anew by this client", |_, client, _| {
        client.find(10, "d");
        client.unlinkat(10, "file", 0).expect("a removal");
        make(client, "d", "file");
    }),
    ("unlinked and made anew by another client", |_, _, other| {
        other.find(10, "d/file");
        other.remove(10).expect("a removal");
        make(other, "d", "file");
    }),
    ("renamed over by this client", |_, client, _| {
        make(client, "d", "new");
        client.find(10, "d");
        client
            .renameat((10, "new"), (10, "file"))
            .expect("a rename");
    }),
    ("renamed over by another client", |_, _, other| {
        make(other, "", "new");
        other.find(10, "d");
        other.find(11, "new");
        other.rename(11, 10, "file").expect("a rename");
    }),
    (
        "its directory changed places with another",
        |_, client, other| {
            client.mkdir(0, "e", 0o755).expect("a directory");
            make(client, "e", "file");
            other.renameat((0, "d"), (0, "was")).expect("a rename");
            other.renameat((0, "e"), (0, "d")).expect("a rename");
        },
    ),
    ("removed and made anew by the host", |share, _, _| {
        fs::remove_file(share.path("d/file")).expect("a removal");
        fs::write(share.path("d/file"), NEW).expect("a file");
    }),
];

/// Makes a file below the root with a value of an extended attribute.
fn make(client: &mut Client, dir: &str, name: &str) {
    let path: Vec<_> = dir.split('/').filter(|name| !name.is_empty()).collect();
    client.walk(0, 20, &path).expect("the directory");
    client.lcreate(20, name, RDWR, 0o604).expect("a file");
    client.write(20, 0, NEW).expect("a write");
    client.clunk(20).expect("a clunk");
}

fn set(client: &mut Client, fid: u32, attr: SetAttr) {
    client.setattr(fid, attr).expect("a change");
}

/// Something that is done to a fid, and what is to be seen of the object through it then.
type Act = (&'static str, fn(&mut Client, u32));

const ACTS: [Act; 9] = [
    ("fchmod", |client, fid| {
        let (valid, mode) = (setattr::MODE, 0o611);
        set(
            client,
            fid,
            SetAttr {
                valid,
                mode,
                ..SetAttr::default()
            },
        );
        assert_eq!(
            client.getattr(fid, 0).expect("attributes").mode & 0o7777,
            0o611
        );
    }),
    ("ftruncate", |client, fid| {
        let (valid, size) = (setattr::SIZE, 3);
        set(
            client,
            fid,
            SetAttr {
                valid,
                size,
                ..SetAttr::default()
            },
        );
        assert_eq!(client.getattr(fid, 0).expect("attributes").size, 3);
    }),
    ("fchown", |client, fid| {
        let valid = setattr::UID | setattr::GID;
        let (uid, gid) = (1234, 5678);
        if is_root() {
            set(
                client,
                fid,
                SetAttr {
                    valid,
                    uid,
                    gid,
                    ..SetAttr::default()
                },
            );
            let attr = client.getattr(fid, 0).expect("attributes");
            assert_eq!((attr.uid, attr.gid), (uid, gid));
        }
    }),
    ("futimens", |client, fid| {
        let valid = setattr::ATIME | setattr::ATIME_SET | setattr::MTIME | setattr::MTIME_SET;
        let (atime_sec, mtime_sec) = (11, 22);
        set(
            client,
            fid,
            SetAttr {
                valid,
                atime_sec,
                mtime_sec,
                ..SetAttr::default()
            },
        );
        let attr = client.getattr(fid, 0).expect("attributes");
        assert_eq!((attr.atime_sec, attr.mtime_sec), (11, 22));
    }),
    ("fsetxattr", |client, fid| {
        client.walk(fid, 800, &[]).expect("a clone");
        client.xattrcreate(800, b"user.x", 5, 0).expect("a place");
        client.write(800, 0, b"value").expect("a value");
        client.clunk(800).expect("it is set");
        assert_eq!(client.xattrwalk(fid, 800, b"user.x"), Ok(5));
        client.clunk(800).expect("a clunk");
    }),
    ("fremovexattr", |client, fid| {
        client.walk(fid, 800, &[]).expect("a clone");
        client.xattrcreate(800, b"user.old", 0, 2).expect("a place");
        client.clunk(800).expect("it is removed");
    }),
    ("fstatfs", |client, fid| {
        client.statfs(fid).expect("figures");
    }),
    ("open, read and write", |client, fid| {
        client.walk(fid, 800, &[]).expect("a clone");
        client.lopen(800, RDWR).expect("an open");
        assert_eq!(client.read(800, 0, 99).as_deref(), Ok(OLD));
        assert_eq!(client.write(800, 0, b"THE"), Ok(3));
        client.clunk(800).expect("a clunk");
    }),
    ("open with O_TRUNC", |client, fid| {
        client.walk(fid, 800, &[]).expect("a clone");
        client.lopen(800, RDWR | 0o1000).expect("an open");
        assert_eq!(client.getattr(fid, 0).expect("attributes").size, 0);
        client.clunk(800).expect("a clunk");
    }),
];

fn of_all(test: impl Fn(SecurityModel)) {
    use SecurityModel::{MappedFile, MappedXattr, None, Passthrough};
    for model in [Passthrough, None, MappedXattr, MappedFile] {
        if model == Passthrough && !is_root() {
            eprintln!("not proven: passthrough needs root");
            continue;
        }
        test(model);
    }
}

/// A folder with `d/file`, two clients, and fids of the first one for it.
fn begin(model: SecurityModel) -> (Share, Client, Client) {
    let share = Share::with_options(&ExportOptions::new(model), |_: &Path| {});
    let (mut client, other) = (share.client(), share.client());
    client.mkdir(0, "d", 0o755).expect("a directory");
    client.find(3, "d");
    client.walk(3, OPEN, &[]).expect("a clone");
    client.lcreate(OPEN, "file", RDWR, 0o640).expect("a file");
    client.write(OPEN, 0, OLD).expect("a write");
    client.find(PATH, "d/file");
    client.walk(PATH, 800, &[]).expect("a clone");
    client.xattrcreate(800, b"user.old", 3, 0).expect("a place");
    client.write(800, 0, b"old").expect("a value");
    client.clunk(800).expect("it is set");
    (share, client, other)
}

/// Everything of the object that has the name now.
fn holder(share: &Share) -> (Attr, Vec<u8>, Vec<u8>) {
    let mut client = share.client();
    client.find(LOOK, "d/file");
    let mut attr = client.getattr(LOOK, 0x7ff).expect("attributes");
    while attr.qid.version % 2 == 1 {
        share.settle();
        attr = client.getattr(LOOK, 0x7ff).expect("attributes");
    }
    // To look at it is no change.
    (attr.atime_sec, attr.atime_nsec) = (0, 0);
    let size = client.xattrwalk(LOOK, 901, b"").expect("names");
    let names = client.read(901, 0, 8192).expect("names");
    assert_eq!(size, names.len() as u64);
    (attr, share.read("d/file"), names)
}

#[test]
fn the_name_is_anothers() {
    of_all(|model| {
        for (how, reuse) in REUSES {
            for (what, act) in ACTS {
                for fid in [OPEN, PATH] {
                    eprintln!("{model:?}, {how}: {what} on fid {fid}");
                    let (share, mut client, mut other) = begin(model);
                    let old = client.getattr(fid, 0).expect("attributes").qid.path;
                    reuse(&share, &mut client, &mut other);
                    let before = holder(&share);
                    assert_ne!(before.0.qid.path, old);
                    assert_eq!(before.1, NEW);
                    act(&mut client, fid);
                    assert_eq!(holder(&share), before, "not of the one that has its name");
                    let attr = client.getattr(fid, 0).expect("attributes");
                    assert_eq!(attr.qid.path, old, "the same object");
                }
            }
        }
    });
}

#[test]
fn the_open_file_is_read_and_written() {
    of_all(|model| {
        for (how, reuse) in REUSES {
            eprintln!("{model:?}, {how}");
            let (share, mut client, mut other) = begin(model);
            reuse(&share, &mut client, &mut other);
            let before = holder(&share);
            assert_eq!(client.read(OPEN, 0, 99).as_deref(), Ok(OLD));
            assert_eq!(client.write(OPEN, 4, b"OLD"), Ok(3));
            client.fsync(OPEN, Some(0)).expect("an fsync");
            client.lopen(PATH, RDWR).expect("an open");
            assert_eq!(client.read(PATH, 0, 7).as_deref(), Ok(&b"the OLD"[..]));
            assert_eq!(holder(&share), before);
        }
    });
}

/// A lock on the old object is none on the new one, and the other way round.
#[test]
fn locks_stay_with_the_object() {
    const WRITE: u8 = 1;
    of_all(|model| {
        for (how, reuse) in REUSES {
            eprintln!("{model:?}, {how}");
            let (share, mut client, mut other) = begin(model);
            other.open(5, "d/file", RDWR);
            let lock = |client: &mut Client, fid| client.lock(fid, WRITE, 0, range(0, 10, 1));
            assert_eq!(lock(&mut client, OPEN), Ok(0));
            reuse(&share, &mut client, &mut other);
            other.open(6, "d/file", RDWR);
            assert_eq!(lock(&mut other, 6), Ok(0), "the new one is free");
            assert_eq!(lock(&mut other, 5), Ok(1), "the old one is not");
            client.clunk(OPEN).expect("a clunk");
            assert_eq!(lock(&mut other, 5), Ok(0));
        }
    });
}

/// What acts by a fid's name finds the object where it is now, or nothing.
#[test]
fn removal_and_rename_do_not_take_the_successor() {
    of_all(|model| {
        for (how, reuse) in REUSES {
            for removes in [true, false] {
                eprintln!("{model:?}, {how}");
                let (share, mut client, mut other) = begin(model);
                reuse(&share, &mut client, &mut other);
                let before = holder(&share);
                let done = if removes {
                    client.remove(PATH)
                } else {
                    client.rename(PATH, 0, "taken")
                };
                let moved = share.exists("was");
                assert_eq!(done.is_ok(), moved, "{done:?}");
                assert_eq!(holder(&share), before);
            }
        }
    });
}
