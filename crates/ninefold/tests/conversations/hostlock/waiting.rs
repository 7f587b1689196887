//! Waiting for the host, and for another server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ninefold::{Export, ExportOptions};
use ninefold_wire::flags::lock::{BLOCK, BLOCKED, SUCCESS};
use ninefold_wire::{LockRange, Reply, Request};

use super::shadow::{descriptors, open_of_one_client};
use super::{READ, UNLOCK, WRITE, foreigner, locker, share};
use crate::client::{Client, outcome};
use crate::share::{Share, model};
use crate::verbs::{RDWR, range};

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
