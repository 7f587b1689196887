//! Who a client's users are on the host, and in which groups.

use std::os::unix::fs::MetadataExt;

use ninefold::{
    Enforce, Errno, Export, ExportError, ExportOptions, IdTranslation, SecurityModel, Squash,
    Squashed,
};
use ninefold_wire::{Dialect, NOFID, Request};

use super::{ANN, BOB, NOBODY, dir, fill, mkdir, open, options, owner, put, set, share, users};
use crate::share::{Share, is_root};
use crate::verbs::{RDONLY, RDWR};

/// Ann is in no group that the host knows of: what the client says of hers does not count.
#[test]
fn who_has_no_groups_on_the_host_makes_files_of_nobodys_group() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    client.walk(1, 5, &["shared"]).expect("for all");
    for (new, gid) in [("a", u32::MAX), ("b", NOBODY), ("c", 0), ("d", 5)] {
        mkdir(&mut client, 5, new, gid).expect("a directory");
        let stat = share.stat(&format!("shared/{new}"));
        assert_eq!((stat.uid(), stat.gid()), (ANN, NOBODY), "{new}");
    }
    // A directory that gives its group gives it here too.
    dir(&share.path("shared"), "of 5", 0o2777, 0, 5);
    client.walk(1, 6, &["shared", "of 5"]).expect("for all");
    mkdir(&mut client, 6, "c", 5).expect("a directory");
    assert_eq!(share.stat("shared/of 5/c").gid(), 5);
    client.walk(3, 7, &["shared"]).expect("for all");
    mkdir(&mut client, 7, "roots", 5).expect("root may");
    assert_eq!(share.stat("shared/roots").gid(), 5);
}

#[test]
fn without_a_group_of_its_own_none_takes_the_users() {
    if !is_root() {
        eprintln!("not proven: only root can act for others");
        return;
    }
    let options = options(SecurityModel::None, Squashed::Nobody);
    let share = Share::with_options(&options, fill);
    let mut client = users(&share);
    client.walk(1, 5, &["shared"]).expect("for all");
    mkdir(&mut client, 5, "c", 5).expect("what is not permitted of owners is ignored");
    let stat = share.stat("shared/c");
    assert_eq!((stat.uid(), stat.gid()), (ANN, NOBODY));
    assert_eq!(open(&mut client, 2, "private", RDONLY), Err(Errno::ACCESS));
    set(&mut client, 1, "open", owner(BOB)).expect("ignored");
    assert_eq!(share.stat("open").uid(), ANN);
}

#[test]
fn who_a_user_is_without_a_number() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = share.client();
    client
        .attach_named(1, NOFID, b"root", Some(u32::MAX))
        .expect("a user of the host");
    assert_eq!(open(&mut client, 1, "roots", RDONLY), Ok(()));
    for unknown in [&b"no such user"[..], b"", b"\0", &[b'x'; 65535]] {
        let refused = client.attach_named(2, NOFID, unknown, Some(u32::MAX));
        assert_eq!(refused, Err(Errno::ACCESS));
    }
    assert!(client.is_unknown(2));

    // The oldest dialect has no numbers: there a name can be one.
    let mut client = share.stranger();
    client
        .version(1 << 20, Dialect::Legacy.version())
        .expect("a version");
    let ann = ANN.to_string();
    for (fid, user, want) in [
        (3, &b"root"[..], Ok(())),
        (4, b"no such user", Err(Errno::ACCESS)),
        (5, ann.as_bytes(), Ok(())),
    ] {
        let attached = client.attach_named(fid, NOFID, user, None);
        assert_eq!(attached.map(drop), want);
    }
    for (fid, path, want) in [(6, "private", Ok(())), (7, "roots", Err(Errno::ACCESS))] {
        client.walk(5, fid, &[path]).expect("to be seen");
        let opened = client.call(&Request::Open { fid, mode: 0 }, |_| Some(()));
        assert_eq!(opened, want, "{path}");
    }
}

#[test]
fn root_can_be_nobody() {
    let Some(share) = share(Squashed::Root) else {
        return;
    };
    let mut client = users(&share);
    assert_eq!(open(&mut client, 3, "roots", RDONLY), Err(Errno::ACCESS));
    assert_eq!(open(&mut client, 1, "private", RDONLY), Ok(()));
    client
        .attach_named(4, NOFID, b"root", Some(u32::MAX))
        .expect("a user of the host");
    assert_eq!(open(&mut client, 4, "roots", RDONLY), Err(Errno::ACCESS));
    client.walk(3, 5, &["shared"]).expect("for all");
    mkdir(&mut client, 5, "dir", u32::MAX).expect("for all");
    let stat = share.stat("shared/dir");
    assert_eq!((stat.uid(), stat.gid()), (NOBODY, NOBODY));
}

#[test]
fn everybody_can_be_one() {
    if !is_root() {
        eprintln!("not proven: only root can act for others");
        return;
    }
    let squash = Squash {
        who: Squashed::All,
        to: (ANN, 5),
    };
    let options = ExportOptions {
        enforce: Enforce::Server(squash),
        ..ExportOptions::new(SecurityModel::Passthrough)
    };
    let share = Share::with_options(&options, fill);
    let mut client = users(&share);
    client
        .attach_named(4, NOFID, b"no such user", Some(u32::MAX))
        .expect("everybody");
    for fid in 1..=4 {
        assert_eq!(open(&mut client, fid, "private", RDWR), Ok(()));
        assert_eq!(open(&mut client, fid, "roots", RDONLY), Err(Errno::ACCESS));
    }
    client.walk(2, 5, &["shared"]).expect("for all");
    mkdir(&mut client, 5, "dir", 5).expect("for all");
    let stat = share.stat("shared/dir");
    assert_eq!((stat.uid(), stat.gid()), (ANN, 5));
}

#[test]
fn the_users_are_the_hosts_also_with_id_rules() {
    if !is_root() {
        eprintln!("not proven: only root can act for others");
        return;
    }
    let options = ExportOptions {
        ids: IdTranslation {
            uids: vec![format!("map:0:{ANN}:2").parse().expect("a rule")],
            gids: vec![format!("map:0:{NOBODY}:1").parse().expect("a rule")],
        },
        ..options(SecurityModel::Passthrough, Squashed::Root)
    };
    let share = Share::with_options(&options, |root| {
        fill(root);
        put(root, 0o755, ANN, NOBODY);
        put(&root.join("private"), 0o600, ANN, NOBODY);
        put(&root.join("shared"), 0o1777, ANN, NOBODY);
    });
    let mut client = share.client();
    client
        .attach_as(1, NOFID, 0)
        .expect("the guest's root is Ann");
    client
        .attach_as(2, NOFID, 1)
        .expect("and its next user Bob");
    assert_eq!(client.attach_as(3, NOFID, 2), Err(Errno::PERM));
    assert_eq!(open(&mut client, 1, "private", RDWR), Ok(()));
    assert_eq!(open(&mut client, 2, "private", RDWR), Err(Errno::ACCESS));
    client.walk(2, 5, &["shared"]).expect("for all");
    mkdir(&mut client, 5, "dir", 0).expect("for all");
    let stat = share.stat("shared/dir");
    assert_eq!((stat.uid(), stat.gid()), (BOB, NOBODY));
    client.walk(5, 6, &["dir"]).expect("a directory");
    let attr = client.getattr(6, 0x7ff).expect("attributes");
    assert_eq!((attr.uid, attr.gid), (1, 0));
}

#[test]
fn mapped_models_have_nothing_to_check() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for model in [SecurityModel::MappedXattr, SecurityModel::MappedFile] {
        let refused = Export::open(dir.path(), &options(model, Squashed::Nobody)).map(drop);
        assert!(matches!(refused, Err(ExportError::EnforceMapped)));
    }
}
