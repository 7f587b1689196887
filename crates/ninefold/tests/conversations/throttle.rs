//! Reads and writes that have to wait for their turn. The clock is the test's: a transfer of
//! [`LARGE`] bytes at a byte a second is over in eleven days.

use std::path::Path;
use std::time::Instant;

use ninefold::{Admission, Errno, Export, ExportOptions, SecurityModel};
use ninefold_wire::{Data, NOTAG, Reply, Request};

use crate::client::{Client, frame, outcome};
use crate::share::{Share, one_of_each};
use crate::verbs::{RDONLY, RDWR};

const R_VERSION: u8 = 101;
const R_FLUSH: u8 = 109;
const R_READ: u8 = 117;
const R_WRITE: u8 = 119;
const R_CLUNK: u8 = 121;
const R_GETATTR: u8 = 25;

/// Bytes of a read or write that nobody else will live to see the end of.
const LARGE: u32 = 1_000_000;

fn fill(root: &Path) {
    one_of_each(root);
    rustix::fs::setxattr(
        root.join("file"),
        "user.a",
        b"value",
        rustix::fs::XattrFlags::empty(),
    )
    .expect("an attribute");
}

fn share(limits: &[(&str, u64)]) -> Share {
    let mut options = ExportOptions::new(SecurityModel::None);
    for (name, value) in limits {
        options.throttle.set(name, *value).expect("a name");
    }
    Share::with_options(&options, fill)
}

/// A client with fid 1 open on `file`.
fn opener(share: &Share) -> Client {
    let mut client = share.client();
    client.open(1, "file", RDWR);
    client
}

fn read() -> Request<'static> {
    Request::Read {
        fid: 1,
        offset: 0,
        count: LARGE,
    }
}

fn write(data: &[u8]) -> Request<'_> {
    let data = Data(data);
    Request::Write {
        fid: 1,
        offset: 0,
        data,
    }
}

fn getattr(fid: u32) -> Request<'static> {
    Request::Getattr {
        fid,
        request_mask: 0x7ff,
    }
}

/// When the next one goes on. None when nobody waits.
fn next(share: &Share) -> Option<Instant> {
    share.export().expire(Instant::now())
}

/// Has the next one go on. True when others still wait.
fn pass(share: &Share) -> bool {
    let next = next(share).expect("somebody waits");
    share.export().expire(next).is_some()
}

/// A client whose reads with these tags all wait, but for the first.
fn waiter(share: &Share, tags: &[u16]) -> Client {
    let mut client = opener(share);
    client.send(900, &read());
    client.heard();
    for tag in tags {
        client.send(*tag, &read());
    }
    assert_eq!(client.heard(), [], "all wait");
    client
}

#[test]
fn they_go_on_in_their_order_when_their_time_has_come() {
    let share = share(&[("bps-total", 1)]);
    let mut client = waiter(&share, &[5, 4]);
    let mut other = opener(&share);
    other.send(5, &write(b"CONTENT"));
    client.send(6, &read());
    // Each direction has its line: the first read and the first write wait for the same.
    let first = next(&share).expect("a waiter");
    assert!(share.export().expire(first).is_some());
    let sent = client.sent();
    assert_eq!(sent.len(), 1);
    let data = outcome(&sent[0], |reply| match reply {
        Reply::Read { data } => Some(data.0.to_vec()),
        _ => None,
    });
    assert_eq!(data.as_deref(), Ok(&b"content"[..]), "tag 5");
    while pass(&share) {}
    assert_eq!(client.heard(), [(R_READ, 4), (R_READ, 6)]);
    assert_eq!(other.heard(), [(R_WRITE, 5)]);
    assert_eq!(share.read("file"), b"CONTENT");
    assert_eq!(next(&share), None);
}

#[test]
fn a_write_that_waited_is_written_once_and_whole() {
    let share = share(&[("iops-write", 1), ("bps-write", 1)]);
    let mut client = opener(&share);
    let long: Vec<u8> = (0..LARGE).map(|at| at.to_le_bytes()[0]).collect();
    let first = vec![b'f'; 10_000];
    client.send(1, &write(&first));
    client.send(2, &write(&long));
    assert_eq!(client.heard(), [(R_WRITE, 1)]);
    assert_eq!(share.read("file"), first);
    assert!(!pass(&share));
    let sent = client.sent();
    let count = outcome(&sent[0], |reply| match reply {
        Reply::Write { count } => Some(count),
        _ => None,
    });
    assert_eq!((count, sent.len()), (Ok(LARGE), 1));
    assert_eq!(share.read("file"), long);
}

#[test]
fn all_else_passes_by() {
    let share = share(&[("bps-read", 1)]);
    let mut client = waiter(&share, &[1, 2, 3]);
    let mut other = opener(&share);
    for client in [&mut client, &mut other] {
        client.getattr(1, 0x7ff).expect("attributes");
        assert_eq!(client.write(1, 0, b"written"), Ok(7), "another direction");
        client.fsync(1, None).expect("a sync");
        client.open(2, "dir", RDONLY);
        client.readdir(2, 0, LARGE).expect("entries");
        assert_eq!(client.xattrwalk(1, 3, b"user.a"), Ok(5));
        assert_eq!(client.read(3, 0, LARGE).as_deref(), Ok(&b"value"[..]));
        assert_eq!(client.read(2, 0, LARGE), Err(Errno::ISDIR));
        client.clunk(2).expect("a clunk");
    }
    // The limit is the export's: another client waits as well.
    other.send(1, &read());
    assert_eq!(other.heard(), []);
    while pass(&share) {}
    let in_order = [(R_READ, 1), (R_READ, 2), (R_READ, 3)];
    assert_eq!(client.heard(), in_order);
    assert_eq!(other.heard(), [(R_READ, 1)]);
}

#[test]
fn what_is_asked_for_is_charged_as_far_as_a_message_carries_it() {
    let share = share(&[("bps-read", 10)]);
    let mut client = share.stranger();
    client.version(4096, b"9P2000.L").expect("a version");
    client.attach(0).expect("a root");
    client.open(1, "file", RDONLY);
    let begun = Instant::now();
    let greedy = Request::Read {
        fid: 1,
        offset: 0,
        count: u32::MAX,
    };
    client.send(1, &greedy);
    client.send(2, &greedy);
    assert_eq!(client.heard(), [(R_READ, 1)]);
    // 4085 bytes at 10 a second, less the tenth of a second that fits the bucket.
    let wait = next(&share).expect("a waiter") - begun;
    assert!(wait.as_secs_f64() >= 408.4, "{wait:?}");
    // An upper limit of the charge, whatever the machine does meanwhile.
    let spent = begun.elapsed();
    assert!(
        (wait.saturating_sub(spent)).as_secs_f64() <= 408.401,
        "{wait:?}"
    );
}

#[test]
fn a_flush_gives_up_its_request_and_its_place() {
    let share = share(&[("bps-read", 1)]);
    let mut client = waiter(&share, &[1, 2, 3]);
    let before = next(&share);
    client.send(9, &Request::Flush { oldtag: 1 });
    client.send(10, &Request::Flush { oldtag: 3 });
    assert_eq!(client.heard(), [(R_FLUSH, 9), (R_FLUSH, 10)], "at once");
    // The tag is free, and the next in line goes on when the first would have.
    client.send(1, &getattr(1));
    assert_eq!(client.heard(), [(R_GETATTR, 1)]);
    assert_eq!(next(&share), before);
    assert!(!pass(&share));
    assert_eq!(client.heard(), [(R_READ, 2)]);
}

#[test]
fn a_read_about_to_wait_is_given_up() {
    let share = share(&[("bps-read", 1)]);
    let mut client = waiter(&share, &[]);
    let request = frame(5, &read());
    let Admission::Run(ticket) = client.admit(&request) else {
        panic!("expected to run");
    };
    let flush = frame(6, &Request::Flush { oldtag: 5 });
    assert_eq!(client.admit(&flush), Admission::Waits);
    client.serve(ticket, &request);
    assert_eq!(client.heard(), [(R_FLUSH, 6)]);
    assert_eq!(next(&share), None, "it has no place");
}

#[test]
fn a_read_that_goes_on_is_answered_before_its_flush() {
    let share = share(&[("bps-read", 1)]);
    let mut client = waiter(&share, &[5]);
    assert!(!pass(&share));
    // Too late: it is on its way.
    let flush = frame(6, &Request::Flush { oldtag: 5 });
    assert_eq!(client.admit(&flush), Admission::Waits);
    assert_eq!(client.heard(), [(R_READ, 5), (R_FLUSH, 6)]);
}

#[test]
fn a_version_drops_what_waits() {
    let share = share(&[("bps-read", 1), ("bps-write", 1)]);
    let mut client = waiter(&share, &[1, 2]);
    let version = Request::Version {
        msize: 8192,
        version: b"9P2000.L",
    };
    client.send(NOTAG, &version);
    assert_eq!(client.heard(), [(R_VERSION, NOTAG)], "at once");
    assert_eq!(next(&share), None);
    // What went on already and is not served yet is not served any more.
    let mut client = waiter(&share, &[1]);
    let first = vec![b'f'; 10_000];
    client.send(2, &write(&first));
    assert_eq!(client.heard(), [(R_WRITE, 2)]);
    client.send(3, &write(b"never"));
    while pass(&share) {}
    client.send(NOTAG, &version);
    assert_eq!(client.heard(), [(R_VERSION, NOTAG)]);
    assert_eq!(share.read("file"), first);
}

#[test]
fn a_client_that_goes_away_leaves_its_place() {
    let share = share(&[("bps-read", 1)]);
    let mut client = waiter(&share, &[1, 2, 3]);
    let mut other = opener(&share);
    other.send(7, &read());
    client.close();
    assert!(!pass(&share), "only the other one waits");
    assert_eq!(other.heard(), [(R_READ, 7)]);
    other.send(8, &read());
    assert!(next(&share).is_some());
    drop(other);
    assert_eq!(next(&share), None);
}

#[test]
fn a_clunk_waits_for_a_read_that_waits() {
    let share = share(&[("bps-read", 1)]);
    let mut client = waiter(&share, &[1, 2]);
    client.send(3, &Request::Clunk { fid: 1 });
    assert_eq!(client.heard(), []);
    assert!(pass(&share));
    assert_eq!(client.heard(), [(R_READ, 1)]);
    client.send(4, &Request::Flush { oldtag: 2 });
    let mut heard = client.heard();
    heard.sort_unstable();
    assert_eq!(heard, [(R_FLUSH, 4), (R_CLUNK, 3)]);
    assert!(client.is_unknown(1));
}

/// Has transfers wait until no more are taken; returns how many there were.
fn fill_up(client: &mut Client, request: &Request<'_>) -> u16 {
    for tag in 1..1000 {
        let frame = frame(tag, request);
        match client.admit(&frame) {
            Admission::Run(ticket) => client.serve(ticket, &frame),
            Admission::Hold => return tag - 1,
            other => panic!("{other:?}"),
        }
    }
    panic!("expected a limit");
}

#[test]
fn so_many_wait_and_no_more() {
    let share = share(&[("bps-total", 1)]);
    let mut client = waiter(&share, &[]);
    assert_eq!(fill_up(&mut client, &read()), 128);
    assert_eq!(client.admit(&frame(500, &write(b"x"))), Admission::Hold);
    // All other messages are taken, and others have a limit of their own.
    client.getattr(1, 0x7ff).expect("attributes");
    let mut other = opener(&share);
    other.send(1, &read());
    other.send(NOTAG, &Request::Flush { oldtag: 1 });
    assert_eq!(other.heard(), [(R_FLUSH, NOTAG)]);
    // A place is free when one is given up, and when one has been served.
    client.send(501, &Request::Flush { oldtag: 128 });
    assert_eq!(client.heard(), [(R_FLUSH, 501)]);
    client.send(128, &read());
    assert_eq!(client.admit(&frame(129, &read())), Admission::Hold);
    assert!(pass(&share));
    assert_eq!(client.admit(&frame(129, &read())), Admission::Hold, "kept");
    assert_eq!(client.heard(), [(R_READ, 1)]);
    client.send(129, &read());
    assert_eq!(client.admit(&frame(130, &read())), Admission::Hold);
    // And all when the client begins anew.
    client.version(1 << 20, b"9P2000.L").expect("a version");
    assert_eq!(next(&share), None);
    client.attach(0).expect("a root");
    client.open(1, "file", RDWR);
    assert_eq!(fill_up(&mut client, &read()), 128);
}

#[test]
fn so_many_bytes_wait_and_no_more() {
    let share = share(&[("bps-total", 1)]);
    let mut client = waiter(&share, &[]);
    let long = vec![7; LARGE as usize];
    assert_eq!(fill_up(&mut client, &write(&long)), 34, "32 MiB");
    client.getattr(1, 0x7ff).expect("attributes");
    assert!(pass(&share));
    assert_eq!(client.heard(), [(R_WRITE, 1)]);
    client.send(1, &write(&long));
    assert_eq!(client.admit(&frame(400, &read())), Admission::Hold);
    // However long, one at least.
    client.version(1 << 20, b"9P2000.L").expect("a version");
    assert_eq!(next(&share), None);
}

#[test]
fn limits_that_do_not_go_together_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut options = ExportOptions::new(SecurityModel::None);
    options.throttle.iops_size = 4096;
    let error = Export::open(dir.path(), &options).err().expect("an error");
    assert_eq!(
        error.to_string(),
        "invalid throttle configuration: iops size requires an iops value to be set"
    );
    options.throttle.iops_read = 1;
    assert!(Export::open(dir.path(), &options).is_ok());
}
