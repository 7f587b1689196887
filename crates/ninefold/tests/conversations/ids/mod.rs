//! Id translation: the guest's ids in every message, the host's on the disk, in every model.

mod acl;
mod classic;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use ninefold::{Errno, Export, ExportError, ExportOptions, IdTranslation, SecurityModel};
use ninefold_wire::flags::setattr;
use ninefold_wire::{NOFID, Reply, Request, SetAttr};

use crate::client::Client;
use crate::mapped;
use crate::share::{Share, is_root};
use crate::verbs::{RDWR, Result, name};

const ALL: [SecurityModel; 4] = [
    SecurityModel::Passthrough,
    SecurityModel::None,
    SecurityModel::MappedXattr,
    SecurityModel::MappedFile,
];

/// Users 0 to 9 of the guest are 1000 to 1009, its groups 2000 to 2009.
const USERS: &str = "map:0:1000:10";
const GROUPS: &str = "map:0:2000:10";

fn translation(uids: &[&str], gids: &[&str]) -> IdTranslation {
    let rules = |texts: &[&str]| {
        let rule = |text: &&str| text.parse().expect("a rule");
        texts.iter().map(rule).collect()
    };
    IdTranslation {
        uids: rules(uids),
        gids: rules(gids),
    }
}

fn options(model: SecurityModel, ids: IdTranslation) -> ExportOptions {
    ExportOptions {
        ids,
        ..ExportOptions::new(model)
    }
}

/// A folder that belongs to the guest's root.
fn share(model: SecurityModel) -> Share {
    let options = options(model, translation(&[USERS], &[GROUPS]));
    Share::with_options(&options, |root| own(root, 1000, 2000))
}

fn own(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).expect("only root can give files away");
}

/// Runs a test on a folder of each model with [`USERS`] and [`GROUPS`].
fn of_all(test: impl Fn(SecurityModel, &Share)) {
    if !is_root() {
        eprintln!("not proven: only root can give files away");
        return;
    }
    for model in ALL {
        eprintln!("{model:?}");
        test(model, &share(model));
    }
}

/// Owner and group as the host keeps them.
fn kept(model: SecurityModel, share: &Share, path: &str) -> (u32, u32) {
    let number = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_deref().expect("it is kept");
        u32::from_le_bytes(bytes.try_into().expect("four bytes"))
    };
    match model {
        SecurityModel::MappedXattr => {
            let [uid, gid, ..] = mapped::kept(share, path);
            (number(&uid), number(&gid))
        }
        SecurityModel::MappedFile => {
            let text = mapped::text(share, path).expect("it is kept");
            let number = |word: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(word));
                line.and_then(|line| line.parse().ok()).expect(word)
            };
            (number("virtfs.uid="), number("virtfs.gid="))
        }
        SecurityModel::Passthrough | SecurityModel::None => {
            let stat = share.stat(path);
            (stat.uid(), stat.gid())
        }
    }
}

/// Owner and group as a client sees them.
fn shown(client: &mut Client, path: &str) -> Result<(u32, u32)> {
    client.walk(0, 60, &[path])?;
    let attr = client.getattr(60, 0x7ff).expect("attributes");
    client.clunk(60).expect("a clunk");
    Ok((attr.uid, attr.gid))
}

fn chown_fid(client: &mut Client, fid: u32, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let mut attr = SetAttr::default();
    if let Some(uid) = uid {
        (attr.uid, attr.valid) = (uid, attr.valid | setattr::UID);
    }
    if let Some(gid) = gid {
        (attr.gid, attr.valid) = (gid, attr.valid | setattr::GID);
    }
    client.setattr(fid, attr)
}

fn mkdir(client: &mut Client, dfid: u32, new: &str, gid: u32) -> Result<()> {
    let request = Request::Mkdir {
        dfid,
        name: name(new),
        mode: 0o755,
        gid,
    };
    client.call(&request, |reply| match reply {
        Reply::Mkdir { .. } => Some(()),
        _ => None,
    })
}

#[test]
fn the_host_has_its_ids_and_the_guest_has_its_own() {
    of_all(|model, share| {
        let mut client = share.client();
        client.attach_as(1, NOFID, 5).expect("a root");
        mkdir(&mut client, 1, "dir", 7).expect("a directory");
        assert_eq!(kept(model, share, "dir"), (1005, 2007));
        assert_eq!(shown(&mut client, "dir"), Ok((5, 7)));

        client.walk(1, 2, &[]).expect("a clone");
        let request = Request::Lcreate {
            fid: 2,
            name: name("file"),
            flags: RDWR,
            mode: 0o640,
            gid: 9,
        };
        client.call(&request, |_| Some(())).expect("a file");
        assert_eq!(kept(model, share, "file"), (1005, 2009));
        assert_eq!(shown(&mut client, "file"), Ok((5, 9)));

        chown_fid(&mut client, 2, Some(0), None).expect("a change");
        assert_eq!(kept(model, share, "file"), (1000, 2009));
        chown_fid(&mut client, 2, None, Some(0)).expect("a change");
        assert_eq!(kept(model, share, "file"), (1000, 2000));
        assert_eq!(shown(&mut client, "file"), Ok((0, 0)));
    });
}

#[test]
fn special_files_and_links_have_owners_too() {
    of_all(|model, share| {
        let mut client = share.client();
        client.attach_as(1, NOFID, 5).expect("a root");
        let fifo = Request::Mknod {
            dfid: 1,
            name: name("fifo"),
            mode: 0o010_644,
            major: 0,
            minor: 0,
            gid: 7,
        };
        client.call(&fifo, |_| Some(())).expect("a FIFO");
        let link = Request::Symlink {
            dfid: 1,
            name: name("link"),
            target: b"fifo",
            gid: 7,
        };
        client.call(&link, |_| Some(())).expect("a link");
        for path in ["fifo", "link"] {
            assert_eq!(kept(model, share, path), (1005, 2007), "{path}");
            assert_eq!(shown(&mut client, path), Ok((5, 7)), "{path}");
        }
    });
}

#[test]
fn what_the_guest_may_not_be_is_refused_and_leaves_nothing() {
    of_all(|model, share| {
        let mut client = share.client();
        client.attach_as(1, NOFID, 5).expect("a root");
        client.attach_as(2, NOFID, 10).expect("anybody may look");
        assert_eq!(mkdir(&mut client, 2, "dir", 7), Err(Errno::PERM));
        assert_eq!(mkdir(&mut client, 1, "dir", 10), Err(Errno::PERM));
        // The server's own user, root, is none of the guest's.
        assert_eq!(mkdir(&mut client, 1, "dir", u32::MAX), Err(Errno::PERM));
        client
            .attach_named(3, NOFID, b"", Some(u32::MAX))
            .expect("nobody in particular");
        assert_eq!(mkdir(&mut client, 3, "dir", 7), Err(Errno::PERM));
        assert_eq!(client.symlink(2, "dir", b"x"), Err(Errno::PERM));
        assert_eq!(client.mknod(2, "dir", 0, (0, 0)), Err(Errno::PERM));
        client.walk(2, 4, &[]).expect("a clone");
        assert_eq!(client.lcreate(4, "dir", RDWR, 0o600), Err(Errno::PERM));
        assert!(!share.exists("dir"));

        mkdir(&mut client, 1, "dir", 7).expect("a directory");
        client.find(5, "dir");
        for (uid, gid) in [
            (Some(10), None),
            (None, Some(10)),
            (Some(5), Some(1_000_000)),
        ] {
            assert_eq!(chown_fid(&mut client, 5, uid, gid), Err(Errno::PERM));
        }
        assert_eq!(kept(model, share, "dir"), (1005, 2007));
    });
}

#[test]
fn an_owner_without_a_number_in_the_guest_is_an_error() {
    if !is_root() {
        eprintln!("not proven: only root can give files away");
        return;
    }
    for model in [SecurityModel::Passthrough, SecurityModel::None] {
        let share = share(model);
        for (path, uid, gid) in [
            ("user", 999, 2000),
            ("group", 1000, 2010),
            ("ours", 1009, 2009),
        ] {
            share.write(path, "");
            own(&share.path(path), uid, gid);
        }
        let mut client = share.client();
        for path in ["user", "group"] {
            assert_eq!(shown(&mut client, path), Err(Errno::OVERFLOW), "{path}");
        }
        assert_eq!(shown(&mut client, "ours"), Ok((9, 9)));
        // They can still be listed and removed.
        client.walk(0, 1, &[]).expect("a clone");
        client.lopen(1, 0).expect("a directory");
        let listed = client.readdir(1, 0, 8192).expect("entries");
        assert_eq!(listed.len(), 5);
        client.unlinkat(0, "user", 0).expect("a removal");
    }
}

#[test]
fn all_the_guest_makes_is_mine() {
    for model in ALL {
        eprintln!("{model:?}");
        let options = options(model, IdTranslation::guest_to_me(1000, 100));
        let share = Share::with_options(&options, |root| {
            fs::write(root.join("mine"), "").expect("a file");
            fs::write(root.join("theirs"), "").expect("a file");
            if is_root() {
                own(&root.join("theirs"), 1000, 100);
            }
        });
        let me = (share.stat("mine").uid(), share.stat("mine").gid());
        let mut client = share.client();
        client.attach_as(1, NOFID, 0).expect("a root");
        client.attach_as(2, NOFID, 1000).expect("a root");
        client
            .attach_named(3, NOFID, b"", Some(u32::MAX))
            .expect("nobody in particular");
        for (fid, path) in [(1, "a"), (2, "b"), (3, "c")] {
            mkdir(&mut client, fid, path, 5).expect("a directory");
            assert_eq!((share.stat(path).uid(), share.stat(path).gid()), me);
            assert_eq!(shown(&mut client, path), Ok((1000, 100)));
            client.find(4, path);
            // As git, tar and install do it.
            chown_fid(&mut client, 4, Some(1000), Some(100)).expect("it is theirs");
            chown_fid(&mut client, 4, Some(0), Some(0)).expect("whoever that is");
            assert_eq!((share.stat(path).uid(), share.stat(path).gid()), me);
            client.clunk(4).expect("a clunk");
        }
        assert_eq!(shown(&mut client, "mine"), Ok((1000, 100)));
        if is_root() {
            assert_eq!(shown(&mut client, "theirs"), Ok((65534, 65534)));
        }
    }
}

#[test]
fn rules_that_cannot_be_kept_end_the_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = |uids: &[&str]| {
        let options = options(SecurityModel::None, translation(uids, &[]));
        Export::open(dir.path(), &options).map(drop)
    };
    let overlap = open(&["map:0:1000:10", "forbid-guest:9:1"]).expect_err("an overlap");
    assert!(matches!(overlap, ExportError::Ids(_)));
    let uid = fs::metadata(dir.path()).expect("a directory").uid();
    let nobody = format!("map:0:{}:1", uid + 1);
    let unknown = open(&[&nobody]).expect_err("nobody's folder");
    assert!(
        matches!(unknown, ExportError::UnknownOwner { uid: of, .. } if of == uid),
        "{unknown}"
    );
}
