//! The messages of the older dialects.

use std::fs;
use std::os::unix::fs::MetadataExt;

use ninefold::{Errno, SecurityModel};
use ninefold_wire::{Dialect, NOFID, Reply, Request};

use super::{kept, of_all, options, own, translation};
use crate::share::{Share, is_root};
use crate::verbs::name;

#[test]
fn older_dialects_see_the_guests_ids() {
    of_all(|model, share| {
        let mut client = share.speaker(Dialect::Unix);
        client.attach_as(1, NOFID, 5).expect("a root");
        let create = Request::Create {
            fid: 1,
            name: name("file"),
            perm: 0o644,
            mode: 2,
            extension: Some(b""),
        };
        client.call(&create, |_| Some(())).expect("a file");
        assert_eq!(
            kept(model, share, "file"),
            (1005, 2000),
            "the folder's group"
        );
        let owner = client.call(&Request::Stat { fid: 1 }, |reply| match reply {
            Reply::Stat { stat } => stat.unix.map(|unix| (unix.n_uid, unix.n_gid)),
            _ => None,
        });
        assert_eq!(owner, Ok((5, 0)));
    });
}

/// A Twstat that fails at its end has not given the file away, though the guest's id for its owner
/// does not lead back to it.
#[test]
fn what_is_taken_back_goes_to_the_hosts_owner() {
    if !is_root() {
        eprintln!("not proven: only root can give files away");
        return;
    }
    let ids = translation(&["squash-host:0:7:5000", "guest:0:1000:10"], &[]);
    let share = Share::with_options(&options(SecurityModel::Passthrough, ids), |root| {
        fs::write(root.join("file"), "").expect("a file");
        fs::create_dir_all(root.join("full/file")).expect("a directory");
        own(&root.join("file"), 33, 44);
    });
    let mut client = share.speaker(Dialect::Unix);
    client.attach_as(1, NOFID, 5).expect("a root");
    client.walk(1, 2, &["file"]).expect("a file");
    let wstat = ninefold_wire::Stat {
        name: b"full",
        unix: Some(ninefold_wire::StatUnix {
            n_uid: 5,
            ..untouched().unix.unwrap_or_default()
        }),
        ..untouched()
    };
    let request = Request::Wstat {
        fid: 2,
        stat: wstat,
    };
    let refused = client.call(&request, |_| Some(()));
    assert_eq!(refused, Err(Errno::ISDIR));
    assert_eq!(
        (share.stat("file").uid(), share.stat("file").gid()),
        (33, 44)
    );
}

/// A stat that changes nothing.
fn untouched() -> ninefold_wire::Stat<'static> {
    ninefold_wire::Stat {
        kind: u16::MAX,
        dev: u32::MAX,
        qid: ninefold_wire::Qid {
            kind: u8::MAX,
            version: u32::MAX,
            path: u64::MAX,
        },
        mode: u32::MAX,
        atime: u32::MAX,
        mtime: u32::MAX,
        length: u64::MAX,
        unix: Some(ninefold_wire::StatUnix {
            extension: b"",
            n_uid: u32::MAX,
            n_gid: u32::MAX,
            n_muid: u32::MAX,
        }),
        ..ninefold_wire::Stat::default()
    }
}
