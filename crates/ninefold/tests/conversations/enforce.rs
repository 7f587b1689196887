//! Permissions checked by the host: every request has the rights of the user who attached.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;

use ninefold::{
    Budget, Enforce, Errno, Export, ExportError, ExportOptions, IdTranslation, SecurityModel,
    Squash, Squashed,
};
use ninefold_wire::flags::setattr;
use ninefold_wire::{Dialect, NOFID, Request, SetAttr};

use crate::client::Client;
use crate::share::{Share, is_root};
use crate::verbs::{RDONLY, RDWR, Result, WRONLY, name};

/// Users that no host has: their group is nobody's.
const ANN: u32 = 3_000_000_001;
const BOB: u32 = 3_000_000_002;
const NOBODY: u32 = 65534;

fn options(model: SecurityModel, who: Squashed) -> ExportOptions {
    let squash = Squash {
        who,
        ..Squash::default()
    };
    ExportOptions {
        enforce: Enforce::Server(squash),
        ..ExportOptions::new(model)
    }
}

fn put(path: &Path, mode: u32, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).expect("only root can give files away");
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).expect("a mode");
}

fn file(root: &Path, name: &str, mode: u32, uid: u32, gid: u32) {
    fs::write(root.join(name), "content").expect("a file");
    put(&root.join(name), mode, uid, gid);
}

fn dir(root: &Path, name: &str, mode: u32, uid: u32, gid: u32) {
    fs::create_dir(root.join(name)).expect("a directory");
    put(&root.join(name), mode, uid, gid);
}

/// A folder that everybody may search, with something of Ann's in it.
fn fill(root: &Path) {
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("a mode");
    file(root, "private", 0o600, ANN, 0);
    file(root, "shown", 0o644, ANN, 0);
    file(root, "open", 0o666, ANN, 0);
    dir(root, "closed", 0o700, ANN, 0);
    file(root, "closed/inner", 0o666, BOB, 0);
    dir(root, "listed", 0o744, ANN, 0);
    dir(root, "shared", 0o1777, 0, 0);
    file(root, "shared/hers", 0o666, ANN, 0);
    file(root, "roots", 0o600, 0, 0);
}

/// The tests' folder, passed through; none when this process may not act for others.
fn share(who: Squashed) -> Option<Share> {
    if !is_root() {
        eprintln!("not proven: only root can act for others");
        return None;
    }
    let options = options(SecurityModel::Passthrough, who);
    Some(Share::with_options(&options, fill))
}

/// Ann is fid 1, Bob is fid 2, root is fid 3.
fn users(share: &Share) -> Client {
    let mut client = share.client();
    for (fid, uid) in [(1, ANN), (2, BOB), (3, 0)] {
        client.attach_as(fid, NOFID, uid).expect("a root");
    }
    client
}

/// Opens what is at `path` as the user of `fid`.
fn open(client: &mut Client, fid: u32, path: &str, flags: u32) -> Result<()> {
    let names: Vec<_> = path.split('/').collect();
    let found = client.walk(fid, 90, &names)?;
    if found.len() < names.len() {
        return Err(Errno::ACCESS);
    }
    let opened = client.lopen(90, flags);
    client.clunk(90).expect("a clunk");
    opened.map(drop)
}

/// Walks and changes attributes as the user of `fid`.
fn set(client: &mut Client, fid: u32, path: &str, attr: SetAttr) -> Result<()> {
    client.walk(fid, 91, &[path]).expect("a file");
    let done = client.setattr(91, attr);
    client.clunk(91).expect("a clunk");
    done
}

fn mode(mode: u32) -> SetAttr {
    SetAttr {
        valid: setattr::MODE,
        mode,
        ..SetAttr::default()
    }
}

fn owner(uid: u32) -> SetAttr {
    SetAttr {
        valid: setattr::UID,
        uid,
        ..SetAttr::default()
    }
}

fn mkdir(client: &mut Client, fid: u32, new: &str, gid: u32) -> Result<()> {
    let request = Request::Mkdir {
        dfid: fid,
        name: name(new),
        mode: 0o755,
        gid,
    };
    client.call(&request, |_| Some(()))
}

#[test]
fn files_are_opened_with_the_rights_of_the_user() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    let denied = Err(Errno::ACCESS);
    for (path, flags, ann, bob) in [
        ("private", RDWR, Ok(()), denied),
        ("private", RDONLY, Ok(()), denied),
        ("shown", RDONLY, Ok(()), Ok(())),
        ("shown", WRONLY, Ok(()), denied),
        ("open", RDWR, Ok(()), Ok(())),
        ("roots", RDONLY, denied, denied),
        ("closed", RDONLY, Ok(()), denied),
        ("closed/inner", RDONLY, Ok(()), denied),
        ("listed", RDONLY, Ok(()), Ok(())),
    ] {
        assert_eq!(open(&mut client, 1, path, flags), ann, "{path} for Ann");
        assert_eq!(open(&mut client, 2, path, flags), bob, "{path} for Bob");
        assert_eq!(open(&mut client, 3, path, flags), Ok(()), "{path} for root");
    }
}

#[test]
fn a_step_needs_the_right_to_search() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    let walked = client.walk(2, 5, &["closed", "inner"]).expect("a step");
    assert_eq!(walked.len(), 1);
    client
        .walk(2, 5, &["closed"])
        .expect("the directory itself");
    assert_eq!(client.walk(5, 6, &["inner"]), Err(Errno::ACCESS));
    assert_eq!(client.walk(5, 6, &[".."]), Err(Errno::ACCESS));
    client.walk(1, 7, &["closed", "inner"]).expect("hers");
    assert_eq!(client.unlinkat(5, "inner", 0), Err(Errno::ACCESS));
    assert!(share.exists("closed/inner"));
}

#[test]
fn attributes_are_changed_with_the_rights_of_the_user() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    assert_eq!(set(&mut client, 2, "open", mode(0o777)), Err(Errno::PERM));
    assert_eq!(set(&mut client, 2, "open", owner(BOB)), Err(Errno::PERM));
    assert_eq!(set(&mut client, 1, "open", owner(BOB)), Err(Errno::PERM));
    let cut = SetAttr {
        valid: setattr::SIZE,
        ..SetAttr::default()
    };
    assert_eq!(set(&mut client, 2, "shown", cut), Err(Errno::ACCESS));
    assert_eq!(share.read("shown"), b"content");
    let times = SetAttr {
        valid: setattr::MTIME | setattr::MTIME_SET,
        ..SetAttr::default()
    };
    assert_eq!(set(&mut client, 2, "open", times), Err(Errno::PERM));

    set(&mut client, 1, "open", mode(0o640)).expect("hers");
    set(&mut client, 1, "shown", cut).expect("hers");
    set(&mut client, 3, "open", owner(BOB)).expect("root may");
    assert_eq!((share.stat("open").uid(), share.mode("open")), (BOB, 0o640));
}

#[test]
fn entries_are_made_and_removed_with_the_rights_of_the_user() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    assert_eq!(client.mkdir(1, "dir", 0o755), Err(Errno::ACCESS));
    assert_eq!(client.symlink(1, "link", b"x"), Err(Errno::ACCESS));
    client.walk(1, 5, &[]).expect("a clone");
    assert_eq!(client.lcreate(5, "file", RDWR, 0o644), Err(Errno::ACCESS));
    assert_eq!(client.unlinkat(1, "private", 0), Err(Errno::ACCESS));

    client.walk(1, 6, &["shared"]).expect("for all");
    client.walk(2, 7, &["shared"]).expect("for all");
    client.mkdir(6, "dir", 0o755).expect("hers");
    assert_eq!(client.unlinkat(7, "hers", 0), Err(Errno::PERM), "sticky");
    assert_eq!(client.renameat((7, "hers"), (7, "his")), Err(Errno::PERM));
    client.walk(7, 8, &["hers"]).expect("to be seen");
    assert_eq!(client.rename(8, 7, "his"), Err(Errno::PERM));
    assert_eq!(client.remove(8), Err(Errno::PERM));
    assert_eq!(
        client.mknod(6, "null", 0o020_666, (1, 3)),
        Err(Errno::PERM),
        "a device"
    );
    client.mknod(6, "fifo", 0o010_666, (0, 0)).expect("a FIFO");
    client.unlinkat(6, "hers", 0).expect("hers");
    assert_eq!(share.stat("shared/dir").uid(), ANN);
    assert_eq!(share.stat("shared/fifo").uid(), ANN);
}

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
fn attributes_with_names_need_their_rights_too() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    let mut put = |fid, path: &str, attribute: &[u8]| {
        client.walk(fid, 50, &[path]).expect("a file");
        client.xattrcreate(50, attribute, 1, 0).expect("a fid");
        client.write(50, 0, b"x").expect("a value");
        // It is set now, and must be so by the one who wanted it.
        client.clunk(50)
    };
    assert_eq!(put(2, "shown", b"user.a"), Err(Errno::ACCESS));
    assert_eq!(put(1, "shown", b"user.a"), Ok(()));
    assert_eq!(put(1, "shown", b"trusted.a"), Err(Errno::PERM));
    assert_eq!(put(3, "shown", b"trusted.a"), Ok(()));
    client.walk(2, 5, &["private"]).expect("to be seen");
    assert_eq!(client.xattrwalk(5, 6, b"user.a"), Err(Errno::ACCESS));
}

#[test]
fn who_writes_loses_the_set_id_bits() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = users(&share);
    set(&mut client, 1, "open", mode(0o4777)).expect("hers");
    client.walk(2, 5, &["open"]).expect("a file");
    client.lopen(5, WRONLY).expect("for all");
    assert_eq!(share.mode("open"), 0o4777);
    client.write(5, 0, b"x").expect("for all");
    assert_eq!(share.mode("open"), 0o777);
}

#[test]
fn what_is_removed_at_the_end_is_removed_by_its_user() {
    const ORCLOSE: u8 = 0x40;
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let mut client = share.speaker(Dialect::Unix);
    for (fid, path) in [(5, "one"), (6, "two")] {
        client.attach_as(fid, NOFID, ANN).expect("a root");
        client.walk(fid, fid, &["shared"]).expect("for all");
        let request = Request::Create {
            fid,
            name: name(path),
            perm: 0o600,
            mode: ORCLOSE | 2,
            extension: Some(b""),
        };
        client.call(&request, |_| Some(())).expect("a file");
    }
    client.clunk(5).expect("a clunk");
    assert!(!share.exists("shared/one"));
    put(&share.path("shared"), 0o755, 0, 0);
    client.close();
    ninefold::act_as_server().expect("the way back");
    assert!(share.exists("shared/two"), "she may not any more");
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

/// What a user has reached, and what he has opened, is his even after its descriptor was given back
/// and permissions have changed; nothing else becomes his by that.
#[test]
fn descriptors_given_back_are_had_again_but_give_no_rights() {
    if !is_root() {
        eprintln!("not proven: only root can act for others");
        return;
    }
    let budget = Budget::new(16);
    let options = ExportOptions {
        descriptors: Some(Arc::clone(&budget)),
        ..options(SecurityModel::Passthrough, Squashed::Nobody)
    };
    let share = Share::with_options(&options, |root| {
        fill(root);
        for number in 0..100 {
            file(root, &number.to_string(), 0o644, ANN, 0);
        }
    });
    let mut client = users(&share);
    client.walk(1, 10, &["closed", "inner"]).expect("hers");
    client.walk(1, 11, &["private"]).expect("hers");
    client.lopen(11, RDWR).expect("hers");
    client.walk(2, 12, &["private"]).expect("to be seen");
    put(&share.path("closed"), 0o000, 0, 0);
    put(&share.path("private"), 0o000, 0, 0);
    for number in 0..100 {
        client
            .walk(2, 100 + number, &[&number.to_string()])
            .expect("to be seen");
        client.lopen(100 + number, RDONLY).expect("for all");
    }
    assert!(budget.held() <= 16);
    assert_eq!(client.read(11, 0, 100).expect("open still"), b"content");
    client.write(11, 0, b"written").expect("open still");
    client.getattr(10, 0x7ff).expect("reached already");
    client.lopen(10, RDONLY).expect("for all who reach it");
    assert_eq!(client.lopen(12, RDONLY).map(drop), Err(Errno::ACCESS));
    for number in 0..100 {
        let got = client.read(100 + number, 0, 100).expect("open still");
        assert_eq!(got, b"content");
    }
    assert_eq!(share.read("private"), b"written");
}
