//! Metadata files that have not changed for a while: what they say is not read again, and whatever
//! changes it is seen at once all the same.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::thread;
use std::time::Duration;

use ninefold::Errno;

use super::{attr, beside, by_file, chmod, plant, shown, text};
use crate::client::Client;
use crate::share::{Share, is_root};

/// Until content may be taken for known, and some more.
const REST: Duration = Duration::from_millis(2100);

/// Of one length, so that nothing but the time tells one from another.
fn text_of(uid: u32) -> String {
    format!("virtfs.uid={uid:04}\nvirtfs.mode=33188\n")
}

/// A file whose metadata is known and was not opened for the fid 1, which holds it.
fn rested(uid: u32) -> (Share, Client) {
    let share = by_file();
    share.write("file", "content");
    plant(&share, "file", text_of(uid));
    thread::sleep(REST);
    let mut client = share.client();
    assert_eq!(shown(&mut client, "file").0, uid, "read");
    client.find(1, "file");
    assert_eq!(attr(&mut client, 1).uid, uid, "known");
    (share, client)
}

/// Writes over the metadata where it lies.
fn write_over(share: &Share, uid: u32) {
    let file = fs::File::options()
        .write(true)
        .open(share.path(&beside("file")));
    let text = text_of(uid);
    let written = file.and_then(|file| file.write_all_at(text.as_bytes(), 0));
    written.expect("metadata");
}

#[test]
fn a_change_by_the_host_is_seen_at_once() {
    for fid_first in [true, false] {
        let (share, mut client) = rested(1000);
        // Many of them within one tick of the clock.
        for round in 0..200 {
            let uid = 2000 + round;
            write_over(&share, uid);
            if fid_first {
                assert_eq!(attr(&mut client, 1).uid, uid, "round {round}");
            }
            assert_eq!(shown(&mut client, "file").0, uid, "round {round}");
            assert_eq!(attr(&mut client, 1).uid, uid, "round {round}");
        }
        thread::sleep(REST);
        client.clunk(1).expect("a clunk");
        for _ in 0..3 {
            assert_eq!(shown(&mut client, "file").0, 2199);
        }
        client.find(1, "file");
        write_over(&share, 3000);
        assert_eq!(attr(&mut client, 1).uid, 3000);
        // Emptied and written anew, as QEMU and editors do it.
        plant(&share, "file", "");
        assert_eq!(attr(&mut client, 1).uid, share.stat("file").uid());
        plant(&share, "file", text_of(3001));
        assert_eq!(attr(&mut client, 1).uid, 3001);
        assert_eq!(shown(&mut client, "file").0, 3001);
    }
}

#[test]
fn another_file_in_its_place_is_found_by_the_next_walk() {
    let (share, mut client) = rested(1000);
    fs::write(share.path("new"), text_of(1001)).expect("a file");
    fs::rename(share.path("new"), share.path(&beside("file"))).expect("a rename");
    assert_eq!(shown(&mut client, "file").0, 1001);
    assert_eq!(attr(&mut client, 1).uid, 1000, "the fid's is what it was");
    fs::remove_file(share.path(&beside("file"))).expect("a removal");
    assert_eq!(shown(&mut client, "file").0, share.stat("file").uid());
}

#[test]
fn a_change_by_a_client_is_seen_by_others() {
    let (share, mut client) = rested(1000);
    let mut other = share.client();
    other.find(1, "file");
    for round in 0..50 {
        let mode = 0o600 + round % 8;
        chmod(&mut client, 1, mode).expect("a mode");
        assert_eq!(attr(&mut other, 1).mode, 0o100_000 | mode);
        assert_eq!(
            shown(&mut other, "file"),
            (1000, share.stat("file").gid(), 0o100_000 | mode)
        );
    }
}

/// What was only named when its name went can be read and changed still.
#[test]
fn it_outlives_its_name() {
    let (share, mut client) = rested(1000);
    client.unlinkat(0, "file", 0).expect("a removal");
    assert!(!share.exists(&beside("file")));
    assert_eq!(attr(&mut client, 1).uid, 1000);
    chmod(&mut client, 1, 0o4711).expect("a mode");
    let now = attr(&mut client, 1);
    assert_eq!((now.uid, now.mode), (1000, 0o104_711));
}

#[test]
fn it_is_linked_and_moved() {
    let (share, mut client) = rested(1000);
    client.link(0, 1, "linked").expect("a link");
    assert_eq!(
        share.stat(&beside("linked")).ino(),
        share.stat(&beside("file")).ino()
    );
    client.renameat((0, "file"), (0, "moved")).expect("a move");
    chmod(&mut client, 1, 0o4711).expect("a mode");
    for name in ["linked", "moved"] {
        assert_eq!(shown(&mut client, name).2, 0o104_711, "{name}");
        assert_eq!(text(&share, name), text(&share, "moved"));
    }
}

/// What cannot be opened says nothing, though it could once.
#[test]
fn what_cannot_be_opened_says_nothing() {
    if is_root() {
        eprintln!("not proven: root may open everything");
        return;
    }
    let (share, mut client) = rested(4000);
    let host = share.stat("file").uid();
    let path = share.path(&beside("file"));
    fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("a mode");
    assert_eq!(attr(&mut client, 1).uid, host);
    assert_eq!(shown(&mut client, "file").0, host);
    assert_eq!(chmod(&mut client, 1, 0o600), Err(Errno::ACCESS));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a mode");
    assert_eq!(attr(&mut client, 1).uid, 4000);
    assert_eq!(shown(&mut client, "file").0, 4000);
}
