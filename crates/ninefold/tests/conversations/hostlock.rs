//! Locks between clients and the host: its programs, and other servers of the same folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninefold::{Export, ExportOptions, SecurityModel};
use ninefold_wire::Reply;
use ninefold_wire::flags::lock::{BLOCK, BLOCKED, SUCCESS};
use ninefold_wire::{LockRange, Request};

use crate::client::{Client, outcome};
use crate::foreign::{Foreigner, Nobody};
use crate::share::{Share, model, one_of_each};
use crate::verbs::{RDONLY, RDWR, range};

const READ: u8 = 0;
const WRITE: u8 = 1;
const UNLOCK: u8 = 2;

fn share() -> Share {
    Share::with(model(), false, one_of_each)
}

/// A client with the file open as fid 1.
fn locker(share: &Share) -> Client {
    let mut client = share.client();
    client.open(1, "file", RDWR);
    client
}

fn foreigner(share: &Share) -> Foreigner {
    Foreigner::open(&share.path("file"))
}

/// Descriptors of this process that are open on a file.
fn descriptors(path: &Path) -> usize {
    let target = fs::canonicalize(path).expect("the file");
    let all = fs::read_dir("/proc/self/fd").expect("a process");
    let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| *link == target).count()
}

/// Sends a request that is to wait.
fn wait(client: &mut Client, tag: u16, kind: u8, range: LockRange<'_>) {
    let request = Request::Lock {
        fid: 1,
        kind,
        flags: BLOCK,
        range,
    };
    client.send(tag, &request);
    assert_eq!(client.heard(), [], "it waits");
}

/// The late replies to Tlocks: tag and status.
fn statuses(client: &mut Client) -> Vec<(u16, u8)> {
    let status = |frame: &Vec<u8>| {
        let taken = outcome(frame, |reply| match reply {
            Reply::Lock { status } => Some(status),
            _ => None,
        });
        let tag = u16::from_le_bytes([frame[5], frame[6]]);
        (tag, taken.expect("a status"))
    };
    client.sent().iter().map(status).collect()
}

#[test]
fn the_host_sees_what_clients_hold() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert_eq!(client.lock(1, WRITE, 0, range(100, 50, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, READ, 0, range(200, 0, 2)), Ok(SUCCESS));
    assert_eq!(host.sees(READ, 0, 0), Some((WRITE, 100, 50)));
    assert_eq!(host.sees(WRITE, 150, 0), Some((READ, 200, 0)));
    assert!(!host.lock(READ, 149, 1) && !host.process_lock(READ, 149, 1));
    assert!(!host.lock(WRITE, 1 << 40, 1));
    assert!(host.lock(WRITE, 0, 100) && host.lock(WRITE, 150, 50));
    assert!(host.lock(READ, 200, 0), "both read");
    assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(host.lock(WRITE, 100, 50));
}

#[test]
fn clients_see_what_the_host_holds() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(WRITE, 100, 50) && host.lock(READ, 200, 0));
    assert_eq!(client.lock(1, READ, 0, range(0, 101, 1)), Ok(BLOCKED));
    assert_eq!(client.lock(1, WRITE, 0, range(300, 1, 1)), Ok(BLOCKED));
    assert_eq!(client.lock(1, READ, 0, range(300, 1, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 100, 1)), Ok(SUCCESS));
    assert!(host.lock(UNLOCK, 0, 0));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(!host.lock(READ, 5000, 1));
}

/// A request that the host refuses leaves what was, to the byte.
#[test]
fn a_refusal_changes_nothing() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert_eq!(client.lock(1, READ, 0, range(0, 30, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, WRITE, 0, range(10, 10, 1)), Ok(SUCCESS));
    assert!(host.lock(READ, 25, 20));
    for asked in [range(5, 25, 1), range(0, 0, 1)] {
        assert_eq!(client.lock(1, WRITE, 0, asked), Ok(BLOCKED));
        let has = |byte| host.at(byte);
        assert_eq!(
            [has(9), has(10), has(19), has(20), has(29), has(30)],
            [
                Some(READ),
                Some(WRITE),
                Some(WRITE),
                Some(READ),
                Some(READ),
                None
            ]
        );
        assert!(share.export().locks().expire(Instant::now()).is_none());
    }
    assert_eq!(
        client.getlock(1, WRITE, range(0, 0, 9)),
        Ok((READ, 0, 10, 1))
    );
}

#[test]
fn the_middle_is_given_back_unless_another_has_it() {
    let share = share();
    let (mut one, mut two, host) = (locker(&share), locker(&share), foreigner(&share));
    assert_eq!(one.lock(1, READ, 0, range(0, 100, 1)), Ok(SUCCESS));
    assert_eq!(two.lock(1, READ, 0, range(45, 2, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, UNLOCK, 0, range(40, 20, 1)), Ok(SUCCESS));
    let held: Vec<_> = (0..110).filter(|byte| host.at(*byte).is_some()).collect();
    let expected: Vec<_> = (0..40).chain(45..47).chain(60..100).collect();
    assert_eq!(held, expected);
    // Put together again.
    assert_eq!(two.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, WRITE, 0, range(30, 40, 1)), Ok(SUCCESS));
    assert_eq!(one.lock(1, READ, 0, range(30, 40, 1)), Ok(SUCCESS));
    assert_eq!(host.sees(WRITE, 0, 0), Some((READ, 0, 100)));
}

#[test]
fn what_the_host_has_in_the_way_is_told() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(READ, 10, 5) && host.lock(WRITE, 100, 0));
    // Without a lock of any client, and with one.
    for _ in 0..2 {
        assert_eq!(
            client.getlock(1, WRITE, range(0, 50, 9)),
            Ok((READ, 10, 5, 0))
        );
        assert_eq!(
            client.getlock(1, READ, range(0, 0, 9)),
            Ok((WRITE, 100, 0, 0))
        );
        assert_eq!(
            client.getlock(1, READ, range(0, 50, 9)),
            Ok((UNLOCK, 0, 50, 9))
        );
        assert_eq!(client.lock(1, WRITE, 0, range(50, 1, 9)), Ok(SUCCESS));
    }
    let asked = Request::Getlock {
        fid: 1,
        kind: WRITE,
        range: range(0, 50, 9),
    };
    let client_id = client.call(&asked, |reply| match reply {
        Reply::Getlock { range, .. } => Some(range.client_id.to_vec()),
        _ => None,
    });
    assert_eq!(client_id.as_deref(), Ok(&b"host"[..]));
    // A lock of a process has its number.
    assert!(host.lock(UNLOCK, 0, 0) && host.process_lock(WRITE, 10, 5));
    let me = std::process::id();
    assert_eq!(
        client.getlock(1, WRITE, range(0, 50, 9)),
        Ok((WRITE, 10, 5, me))
    );
    assert!(host.process_lock(UNLOCK, 0, 0));
}

/// Calls `expire` at the times it names, until a reply comes. Returns how long that took, as far as
/// the export knows.
fn pass_time(share: &Share, client: &mut Client) -> (Duration, Vec<(u16, u8)>) {
    let begun = Instant::now();
    let mut now = begun;
    loop {
        let next = share.export().expire(now);
        let replies = statuses(client);
        if !replies.is_empty() {
            return (now - begun, replies);
        }
        now = next.expect("somebody waits");
        assert!(now - begun < Duration::from_secs(60), "for ever");
    }
}

#[test]
fn a_waiter_gets_what_the_host_gives_back() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(WRITE, 0, 10));
    wait(&mut client, 5, WRITE, range(5, 1, 1));
    let (mut now, mut pauses) = (Instant::now(), Vec::new());
    for _ in 0..8 {
        let next = share.export().expire(now).expect("a waiter");
        pauses.push(next - now);
        now = next;
    }
    assert_eq!(client.heard(), [], "the host has it");
    let millis = |pause: &Duration| pause.as_millis();
    assert!(millis(&pauses[0]) <= 10, "soon at first: {pauses:?}");
    assert_eq!(pauses[6], pauses[7], "{pauses:?}");
    assert!((100..=200).contains(&millis(&pauses[7])), "{pauses:?}");
    assert!(host.lock(UNLOCK, 0, 0));
    share.export().expire(now);
    assert_eq!(statuses(&mut client), [(5, SUCCESS)]);
    assert_eq!(share.export().expire(now), None);
    assert_eq!(host.at(5), Some(WRITE));
}

#[test]
fn nobody_waits_for_the_host_for_ever() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(READ, 0, 0));
    wait(&mut client, 5, WRITE, range(0, 0, 1));
    let (waited, replies) = pass_time(&share, &mut client);
    assert_eq!(replies, [(5, BLOCKED)]);
    assert!(waited > Duration::from_secs(5) && waited < Duration::from_secs(30));
    assert!(host.lock(WRITE, 0, 0), "nothing is left");
}

#[test]
fn a_client_in_the_way_and_then_the_host() {
    let share = share();
    let (mut one, mut two, host) = (locker(&share), locker(&share), foreigner(&share));
    assert!(host.lock(READ, 0, 10));
    assert_eq!(one.lock(1, READ, 0, range(0, 10, 1)), Ok(SUCCESS));
    wait(&mut two, 5, WRITE, range(0, 1, 1));
    let (told, hears) = std::sync::mpsc::channel();
    share
        .export()
        .locks()
        .on_sooner(move || told.send(()).is_ok());
    assert_eq!(one.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(two.heard(), [], "the host still reads");
    // Whoever looks at the clock thought that nothing would happen for seconds.
    assert_eq!(hears.try_iter().count(), 1);
    assert!(host.lock(UNLOCK, 0, 0));
    let (waited, replies) = pass_time(&share, &mut two);
    assert_eq!(replies, [(5, SUCCESS)]);
    assert!(waited < Duration::from_secs(1));
}

#[test]
fn a_cancelled_waiter_asks_no_more() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(WRITE, 0, 10));
    wait(&mut client, 5, WRITE, range(5, 1, 1));
    client.send(6, &Request::Flush { oldtag: 5 });
    client.heard();
    assert_eq!(share.export().expire(Instant::now()), None);
    assert!(host.lock(UNLOCK, 0, 0));
    assert!(host.lock(WRITE, 0, 0));
    drop(host);
    assert_eq!(descriptors(&share.path("file")), open_of_one_client());
}

/// Descriptors of a file that a client walked to and opened.
fn open_of_one_client() -> usize {
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
fn a_lock_of_the_whole_file_is_a_flock_too() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(!host.flock(READ));
    assert_eq!(client.lock(1, READ, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(host.flock(READ), "both read");
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert!(host.flock(UNLOCK));
    assert!(!host.flock(WRITE), "the client reads as before");
    assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert!(host.flock(WRITE));
    assert_eq!(client.lock(1, READ, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert_eq!(
        client.lock(1, WRITE, 0, range(0, 1 << 40, 1)),
        Ok(SUCCESS),
        "a part"
    );
    assert!(host.flock(UNLOCK));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
    // What is not the whole any more is no flock.
    assert_eq!(client.lock(1, UNLOCK, 0, range(5, 1, 1)), Ok(SUCCESS));
    assert!(host.flock(WRITE));
    assert!(!host.lock(READ, 4, 1) && host.lock(WRITE, 5, 1));
}

/// Taken first, the flock(2) goes again when the bytes are not to be had.
#[test]
fn a_flock_for_nothing_is_undone() {
    let share = share();
    let (mut client, host) = (locker(&share), foreigner(&share));
    assert!(host.lock(READ, 3, 1));
    assert_eq!(client.lock(1, READ, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert!(host.flock(READ) && !host.flock(WRITE));
    assert_eq!(client.lock(1, UNLOCK, 0, range(0, 0, 1)), Ok(SUCCESS));
    assert_eq!(client.lock(1, WRITE, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert!(host.flock(WRITE));
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

/// A second server of the same folder.
fn other_server(share: &Share) -> Client {
    let options = ExportOptions::new(model());
    let export = Export::open(&share.path("."), &options).expect("an export");
    let mut client = Client::new(&Arc::new(export));
    client.version(1 << 20, b"9P2000.L").expect("a version");
    client.attach(0).expect("a root");
    client.open(1, "file", RDWR);
    client
}

#[test]
fn two_servers_of_one_folder_see_each_other() {
    let share = share();
    let (mut here, mut there) = (locker(&share), other_server(&share));
    assert_eq!(here.lock(1, WRITE, 0, range(10, 10, 1)), Ok(SUCCESS));
    assert_eq!(there.lock(1, READ, 0, range(0, 0, 1)), Ok(BLOCKED));
    assert_eq!(
        there.getlock(1, READ, range(0, 0, 1)),
        Ok((WRITE, 10, 10, 0))
    );
    assert_eq!(there.lock(1, WRITE, 0, range(20, 0, 1)), Ok(SUCCESS));
    assert_eq!(here.lock(1, WRITE, 0, range(0, 0, 1)), Ok(BLOCKED));
    wait(&mut here, 5, READ, range(0, 25, 1));
    there.clunk(1).expect("a clunk");
    let (_, replies) = pass_time(&share, &mut here);
    assert_eq!(replies, [(5, SUCCESS)]);
    there.open(1, "file", RDWR);
    assert_eq!(
        there.lock(1, READ, 0, range(0, 0, 1)),
        Ok(SUCCESS),
        "both read"
    );
    here.close();
    assert_eq!(there.lock(1, WRITE, 0, range(0, 0, 1)), Ok(SUCCESS));
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
