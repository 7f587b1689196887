//! Attributes through a fid whose object has lost its name, in all four models.

use std::fs;

use ninefold::{Errno, ExportOptions, SecurityModel};

use super::{BOTH, attr, beside, chmod, chown, create, of_both, shown};
use crate::client::Client;
use crate::share::{Share, is_root};
use crate::verbs::RDWR;

/// Sets an attribute of the object and reads it again.
fn xattr_works(client: &mut Client, fid: u32) {
    client.walk(fid, 800, &[]).expect("a clone");
    client.xattrcreate(800, b"user.x", 5, 0).expect("a place");
    client.write(800, 0, b"value").expect("a value");
    client.clunk(800).expect("it is set");
    assert_eq!(client.xattrwalk(fid, 800, b"user.x"), Ok(5));
    client.clunk(800).expect("a clunk");
}

/// All that can be done to attributes, through a fid of a file of mode 4711 that has no name. What
/// others see of `witness` must not change.
fn works(share: &Share, client: &mut Client, fid: u32, witness: &str) {
    let before = share.exists(witness).then(|| shown(client, witness));
    assert_eq!(attr(client, fid).mode, 0o104_711);
    chmod(client, fid, 0o640).expect("a mode");
    assert_eq!(attr(client, fid).mode, 0o100_640);
    if is_root() {
        chown(client, fid, Some(55), Some(66)).expect("an owner");
        let now = attr(client, fid);
        assert_eq!((now.uid, now.gid, now.mode), (55, 66, 0o100_640));
    }
    xattr_works(client, fid);
    client.walk(fid, 801, &[]).expect("a clone");
    share.settle();
    assert_eq!(attr(client, 801), attr(client, fid));
    client.clunk(801).expect("a clunk");
    let after = share.exists(witness).then(|| shown(client, witness));
    assert_eq!(after, before);
}

fn of_all(test: impl Fn(&Share)) {
    for model in [SecurityModel::None, SecurityModel::Passthrough]
        .into_iter()
        .chain(BOTH)
    {
        if model == SecurityModel::Passthrough && !is_root() {
            eprintln!("not proven: passthrough needs root");
            continue;
        }
        eprintln!("{model:?}");
        test(&Share::with_options(&ExportOptions::new(model), |_| {}));
    }
}

fn own() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

#[test]
fn after_an_unlink() {
    of_all(|share| {
        let mut client = share.client();
        create(&mut client, "file", own(), 0o4711);
        client.open(1, "file", RDWR);
        client.find(2, "file");
        client.unlinkat(0, "file", 0).expect("a removal");
        works(share, &mut client, 1, "file");
        assert_eq!(attr(&mut client, 2).mode & 0o777, 0o640, "the same object");
        assert!(!share.exists("file") && !share.exists(&beside("file")));
    });
}

#[test]
fn after_an_unlink_and_a_successor() {
    of_all(|share| {
        let mut client = share.client();
        create(&mut client, "file", own(), 0o4711);
        client.find(1, "file");
        client.unlinkat(0, "file", 0).expect("a removal");
        create(&mut client, "file", own(), 0o604);
        works(share, &mut client, 1, "file");
    });
}

#[test]
fn after_a_rename_over() {
    of_all(|share| {
        let mut client = share.client();
        create(&mut client, "file", own(), 0o4711);
        create(&mut client, "new", own(), 0o604);
        client.open(1, "file", RDWR);
        client.renameat((0, "new"), (0, "file")).expect("a rename");
        works(share, &mut client, 1, "file");
        assert_eq!(shown(&mut client, "file").2, 0o100_604);
    });
}

#[test]
fn after_a_rename_of_its_parents() {
    of_all(|share| {
        let mut client = share.client();
        client.mkdir(0, "a", 0o755).expect("a directory");
        client.find(1, "a");
        client.mkdir(1, "b", 0o755).expect("a directory");
        create(&mut client, "a/b/file", own(), 0o4711);
        client.open(2, "a/b/file", RDWR);
        client.renameat((0, "a"), (0, "z")).expect("a rename");
        fs::rename(share.path("z/b"), share.path("y")).expect("by the host");
        works(share, &mut client, 2, "none");
        assert_eq!(shown(&mut client, "y/file").2, 0o100_640);
        // One that is only found where the host says it is now.
        share.mkdir("d/e");
        share.write("d/e/plain", "");
        client.find(3, "d/e/plain");
        fs::rename(share.path("d"), share.path("w")).expect("by the host");
        chmod(&mut client, 3, 0o612).expect("a mode");
        assert_eq!(shown(&mut client, "w/e/plain").2, 0o100_612);
    });
}

#[test]
fn of_a_hosts_file_without_metadata() {
    of_both(|share| {
        share.write("file", "");
        let mut client = share.client();
        client.open(1, "file", RDWR);
        fs::remove_file(share.path("file")).expect("a removal");
        chmod(&mut client, 1, 0o4711).expect("a mode");
        works(share, &mut client, 1, "file");
        assert!(!share.exists(".virtfs_metadata/file"), "no orphan");
    });
}

#[test]
fn something_else_has_a_parents_name() {
    of_all(|share| {
        share.mkdir("dir");
        share.write("dir/first", "");
        let mut client = share.client();
        client.find(1, "dir/first");
        // Moved on the host, so that it is looked for where the host says it was last.
        fs::rename(share.path("dir/first"), share.path("dir/file")).expect("a rename");
        fs::remove_file(share.path("dir/file")).expect("a removal");
        fs::remove_dir(share.path("dir")).expect("a removal");
        share.write("dir", "no directory");
        assert_eq!(attr(&mut client, 1).nlink, 0);
        assert_eq!(client.rename(1, 0, "new"), Err(Errno::NOENT));
        assert_eq!(client.remove(1), Err(Errno::NOENT));
        assert_eq!(share.read("dir"), b"no directory");
    });
}

#[test]
fn of_a_removed_directory() {
    of_both(|share| {
        let mut client = share.client();
        client.mkdir(0, "dir", 0o1750).expect("a directory");
        client.find(1, "dir");
        client.find(2, "dir");
        client.remove(2).expect("a removal");
        assert_eq!(attr(&mut client, 1).mode, 0o041_750);
        chmod(&mut client, 1, 0o700).expect("a mode");
        assert_eq!(attr(&mut client, 1).mode, 0o040_700);
        assert!(!share.exists(&beside("dir")));
    });
}

#[test]
fn metadata_that_the_host_replaced_is_found_again() {
    let share = super::by_file();
    let mut client = share.client();
    create(&mut client, "file", (1, 2), 0o600);
    client.find(1, "file");
    chmod(&mut client, 0, 0o755).expect("a mode");
    for (meta, fid) in [(&beside("file")[..], 1), (".virtfs_metadata_root", 0)] {
        fs::remove_file(share.path(meta)).expect("a removal");
        share.write(meta, "virtfs.uid=7\n");
        chmod(&mut client, fid, 0o640).expect("a mode");
        let text = String::from_utf8(share.read(meta)).expect("a text");
        assert!(text.starts_with("virtfs.uid=7\nvirtfs.mode="), "{text}");
        assert_eq!(attr(&mut client, fid).uid, 7);
        fs::remove_file(share.path(meta)).expect("a removal");
        chmod(&mut client, fid, 0o600).expect("a mode");
        assert!(share.exists(meta));
    }
}
