//! The descriptor that holds a file's locks on the host: how it is opened, and that it goes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ninefold::SecurityModel;
use ninefold_wire::flags::lock::{BLOCKED, SUCCESS};

use super::{READ, UNLOCK, WRITE, foreigner, locker, share};
use crate::client::Client;
use crate::foreign::{Foreigner, Nobody};
use crate::share::{Share, model, one_of_each};
use crate::verbs::{RDONLY, range};

/// Descriptors of this process that are open on a file.
pub fn descriptors(path: &Path) -> usize {
    let target = fs::canonicalize(path).expect("the file");
    let all = fs::read_dir("/proc/self/fd").expect("a process");
    let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| *link == target).count()
}

/// Descriptors of a file that a client walked to and opened.
pub fn open_of_one_client() -> usize {
    let share = share();
    let _client = locker(&share);
    descriptors(&share.path("file"))
}

#[test]
fn all_ends_of_a_client_free_the_host() {
    let ends: [fn(&mut Client); 4] = [
        |client| client.clunk(1).expect("a clunk"),
        |client| client.close(),
        |client| drop(client.version(8192, b"9P2000.L").expect("a version")),
        |client| assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS)),
    ];
    for end in ends {
        let share = share();
        let (mut client, host) = (locker(&share), foreigner(&share));
        assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
        assert!(!host.lock(READ, 7, 1) && !host.flock(READ));
        end(&mut client);
        assert!(host.lock(WRITE, 0, 0) && host.flock(WRITE));
    }
}

#[test]
fn the_descriptor_goes_with_the_last_lock() {
    let share = share();
    let mut client = locker(&share);
    let before = descriptors(&share.path("file"));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 9, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, READ, 0, range(10, 9, 2)), Ok(SUCCESS));
    assert_eq!(descriptors(&share.path("file")), before + 1);
    assert_eq!(client.lock(1, UNLOCK, 0, range(0, 9, 1)), Ok(SUCCESS));
    assert_eq!(descriptors(&share.path("file")), before + 1);
    assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, 2)), Ok(SUCCESS));
    assert_eq!(descriptors(&share.path("file")), before);
}

/// Looking at a file under a lock is nothing that a program of the host should take for a change.
#[test]
fn reading_does_not_open_for_writing() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    let writable = || {
        let target = fs::canonicalize(share.path("file")).expect("the file");
        let all = fs::read_dir("/proc/self/fd").expect("a process");
        let names = all.map(|entry| entry.expect("an entry").file_name());
        names
            .filter(|name| {
                let at = |dir: &str| Path::new("/proc/self").join(dir).join(name);
                let is_it = fs::read_link(at("fd")).is_ok_and(|link| link == target);
                let info = fs::read_to_string(at("fdinfo")).unwrap_or_default();
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
                is_it && flags.is_some_and(|flags| flags.trim().ends_with('2'))
            })
            .count()
    };
    assert_eq!(client.lock(1, READ, 0, range(0, 100, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, READ, 0, range(500, 100, 2)), Ok(SUCCESS));
    assert_eq!(writable(), 0);
    // The shared ones move along with the first exclusive one.
    assert_eq!(client.lock(1, WRITE, 0, range(50, 10, 1)), Ok(SUCCESS));
    assert_eq!(writable(), 1);
    let host = foreigner(&share);
    let has = [0, 49, 50, 59, 60, 99, 100, 500, 599].map(|byte| host.at(byte));
    let (r, w) = (Some(READ), Some(WRITE));
    assert_eq!(has, [r, r, w, w, r, r, None, r, r]);
}

#[test]
fn directories_are_locked_as_a_whole() {
    let share = share();
    let mut client = share.client();
    client.open(1, "dir", RDONLY);
    let host = Foreigner::look(&share.path("dir"));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(!host.flock(READ));
    client.clunk(1).expect("a clunk");
    assert!(host.flock(WRITE));
    client.open(1, "dir", RDONLY);
    assert_eq!(client.lock(1, READ, 0, range(0, 0, 1)), Ok(BLOCKED));
}

#[test]
fn an_unlinked_file_is_locked_as_any_other() {
    let share = share();
    let (mut one, mut two, host) = (locker(&share), locker(&share), foreigner(&share));
    fs::remove_file(share.path("file")).expect("a removal");
    assert_eq!(one.lock(1, WRITE, 0, range(0, 5, 1)), Ok(SUCCESS));
    assert!(!host.lock(READ, 0, 1));
    assert_eq!(two.lock(1, READ, 0, range(0, 1, 1)), Ok(BLOCKED));
    // Another file of that name is another file.
    share.write("file", "new");
    let mut three = locker(&share);
    assert_eq!(three.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
}

#[test]
fn a_read_only_export_shares_bytes_with_the_host() {
    let share = Share::with(model(), true, one_of_each);
    let (mut one, mut two) = (share.client(), share.client());
    one.open(1, "file", RDONLY);
    two.open(1, "file", RDONLY);
    let host = foreigner(&share);
    assert_eq!(one.lock(1, WRITE, 0, range(0, 10, 1)), Ok(SUCCESS));
    assert_eq!(
        two.lock(1, READ, 0, range(0, 10, 1)),
        Ok(BLOCKED),
        "among clients"
    );
    assert!(host.lock(READ, 0, 10) && !host.lock(WRITE, 0, 10), "shared");
    assert!(host.lock(UNLOCK, 0, 0));
    assert_eq!(one.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(!host.flock(READ), "a flock(2) needs no write access");
}

/// A file that the server may not write, and one that it may not even read.
#[test]
fn a_file_that_the_host_denies() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let (mut one, mut two, host) = (locker(&share), locker(&share), foreigner(&share));
    let deny = |mode| {
        fs::set_permissions(share.path("file"), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    deny(0o444);
    let nobody = Nobody::new();
    assert_eq!(one.lock(1, WRITE, 0, range(0, 10, 1)), Ok(SUCCESS));
    assert_eq!(two.lock(1, READ, 0, range(0, 10, 1)), Ok(BLOCKED));
    assert!(host.lock(READ, 0, 10) && !host.lock(WRITE, 0, 10));
    assert!(host.lock(UNLOCK, 0, 0));
    assert_eq!(one.lock(1, UNLOCK, 0, range(0, 10, 1)), Ok(SUCCESS));
    drop(nobody);
    deny(0o000);
    let _nobody = Nobody::new();
    assert_eq!(one.lock(1, WRITE, 0, range(0, 10, 1)), Ok(SUCCESS));
    assert_eq!(two.lock(1, READ, 0, range(0, 10, 1)), Ok(BLOCKED));
    assert!(host.lock(WRITE, 0, 10), "the host cannot know");
}

#[test]
fn descriptors_are_not_left_behind() {
    let share = share();
    let mut client = locker(&share);
    for round in 0..50u32 {
        let kind = [READ, WRITE][(round % 2) as usize];
        assert_eq!(client.lock(1, kind, 0, range(0, 0, round)), Ok(SUCCESS));
        assert_eq!(
            client.getlock(1, kind, range(0, 0, round)),
            Ok((UNLOCK, 0, 0, round))
        );
        assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, round)), Ok(SUCCESS));
        assert_eq!(
            client.getlock(1, kind, range(0, 0, round)),
            Ok((UNLOCK, 0, 0, round))
        );
    }
    assert_eq!(descriptors(&share.path("file")), open_of_one_client());
}
