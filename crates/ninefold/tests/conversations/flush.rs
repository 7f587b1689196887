//! Tflush, and the order of replies where there is one.

use ninefold::{Admission, SecurityModel};
use ninefold_wire::flags::lock::BLOCK;
use ninefold_wire::{NOTAG, Request};

use crate::client::{Client, frame, raw_frame};
use crate::share::{Share, one_of_each};
use crate::verbs::{RDWR, range};

const R_LOCK: u8 = 53;
const R_VERSION: u8 = 101;
const R_FLUSH: u8 = 109;
const R_READ: u8 = 117;
const R_CLUNK: u8 = 121;
const R_GETATTR: u8 = 25;
const R_LERROR: u8 = 7;

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

fn locker(share: &Share) -> Client {
    let mut client = share.client();
    client.open(1, "file", RDWR);
    client
}

fn lock() -> Request<'static> {
    Request::Lock {
        fid: 1,
        kind: 1,
        flags: BLOCK,
        range: range(0, 0, 1),
    }
}

fn read() -> Request<'static> {
    Request::Read {
        fid: 1,
        offset: 0,
        count: 10,
    }
}

fn run(admission: Admission) -> ninefold::Ticket {
    match admission {
        Admission::Run(ticket) => ticket,
        other => panic!("expected to run, came {other:?}"),
    }
}

#[test]
fn a_waiting_lock_is_given_up() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.send(1, &lock());
    assert_eq!(one.heard(), [(R_LOCK, 1)]);
    two.send(5, &lock());
    two.send(6, &Request::Flush { oldtag: 5 });
    assert_eq!(two.heard(), [(R_FLUSH, 6)], "no reply to the lock");
    // The tag is free at once, and the lock is not granted later.
    two.send(5, &read());
    assert_eq!(two.heard(), [(R_READ, 5)]);
    one.clunk(1).expect("a clunk");
    assert_eq!(two.heard(), []);
    let mut three = locker(&share);
    three.send(1, &lock());
    assert_eq!(three.heard(), [(R_LOCK, 1)], "nobody holds it");
}

#[test]
fn what_is_not_outstanding_is_flushed_at_once() {
    let share = share();
    let mut client = locker(&share);
    client.send(3, &read());
    assert_eq!(client.heard(), [(R_READ, 3)]);
    for oldtag in [3, 4, 77, NOTAG] {
        client.send(4, &Request::Flush { oldtag });
        assert_eq!(client.heard(), [(R_FLUSH, 4)], "of {oldtag}");
    }
}

#[test]
fn a_running_request_is_answered_before_its_flush() {
    let share = share();
    let mut client = locker(&share);
    let request = frame(5, &read());
    let ticket = run(client.admit(&request));
    for tag in [8, 6, 7] {
        let flush = frame(tag, &Request::Flush { oldtag: 5 });
        assert_eq!(client.admit(&flush), Admission::Waits);
    }
    assert_eq!(client.heard(), []);
    client.serve(ticket, &request);
    let in_order = [(R_READ, 5), (R_FLUSH, 8), (R_FLUSH, 6), (R_FLUSH, 7)];
    assert_eq!(client.heard(), in_order);
}

#[test]
fn a_flush_can_be_flushed() {
    let share = share();
    let mut client = locker(&share);
    let request = frame(5, &read());
    let ticket = run(client.admit(&request));
    for (tag, oldtag) in [(6, 5), (7, 6), (8, 7), (9, 5)] {
        let flush = frame(tag, &Request::Flush { oldtag });
        assert_eq!(client.admit(&flush), Admission::Waits);
    }
    client.serve(ticket, &request);
    let heard = client.heard();
    assert_eq!(heard[0], (R_READ, 5));
    let at = |tag| heard.iter().position(|reply| *reply == (R_FLUSH, tag));
    assert!(at(6) < at(7) && at(7) < at(8) && at(6) < at(9), "{heard:?}");
    assert_eq!(heard.len(), 5);
}

#[test]
fn a_flush_that_runs_can_be_flushed() {
    let share = share();
    let mut client = locker(&share);
    let first = frame(6, &Request::Flush { oldtag: 99 });
    let ticket = run(client.admit(&first));
    let second = frame(7, &Request::Flush { oldtag: 6 });
    assert_eq!(client.admit(&second), Admission::Waits);
    client.serve(ticket, &first);
    assert_eq!(client.heard(), [(R_FLUSH, 6), (R_FLUSH, 7)]);
}

#[test]
fn a_lock_about_to_wait_is_given_up() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.send(1, &lock());
    assert_eq!(one.heard(), [(R_LOCK, 1)]);
    let request = frame(5, &lock());
    let ticket = run(two.admit(&request));
    let flush = frame(6, &Request::Flush { oldtag: 5 });
    assert_eq!(two.admit(&flush), Admission::Waits);
    two.serve(ticket, &request);
    assert_eq!(two.heard(), [(R_FLUSH, 6)]);
    one.clunk(1).expect("a clunk");
    assert_eq!(two.heard(), []);
}

#[test]
fn a_flush_of_itself_is_answered() {
    let share = share();
    let mut client = locker(&share);
    client.send(5, &Request::Flush { oldtag: 5 });
    assert_eq!(client.heard(), [(R_FLUSH, 5)]);
    // One that is cut short has no tag to flush.
    assert!(client.receive(&raw_frame(6, 108, &[1])));
    assert_eq!(client.heard(), [(R_LERROR, 6)]);
}

#[test]
fn a_clunk_waits_for_earlier_requests_on_its_fid() {
    let share = share();
    let mut client = locker(&share);
    let (early, other, clunk) = (
        frame(5, &read()),
        frame(
            6,
            &Request::Getattr {
                fid: 0,
                request_mask: 0,
            },
        ),
        frame(7, &Request::Clunk { fid: 1 }),
    );
    let reading = run(client.admit(&early));
    let running = run(client.admit(&other));
    assert_eq!(client.admit(&clunk), Admission::Waits);
    let again = frame(8, &Request::Clunk { fid: 1 });
    assert_eq!(
        client.admit(&again),
        Admission::Waits,
        "and the next for this one"
    );
    client.run_ready();
    assert_eq!(client.heard(), []);
    client.serve(reading, &early);
    client.run_ready();
    let heard = client.heard();
    assert_eq!(heard, [(R_READ, 5), (R_CLUNK, 7), (R_LERROR, 8)]);
    client.serve(running, &other);
    assert_eq!(client.heard(), [(R_GETATTR, 6)]);
}

#[test]
fn a_waiting_clunk_can_be_flushed() {
    let share = share();
    let mut client = locker(&share);
    let early = frame(5, &read());
    let reading = run(client.admit(&early));
    let clunk = frame(7, &Request::Clunk { fid: 1 });
    assert_eq!(client.admit(&clunk), Admission::Waits);
    client.send(8, &Request::Flush { oldtag: 7 });
    assert_eq!(client.heard(), [(R_FLUSH, 8)]);
    client.serve(reading, &early);
    assert_eq!(client.heard(), [(R_READ, 5)]);
    assert!(client.read(1, 0, 1).is_ok(), "it was not executed");
}

#[test]
fn only_a_sound_clunk_can_wait() {
    let share = share();
    let mut client = locker(&share);
    let early = frame(5, &read());
    let reading = run(client.admit(&early));
    // A frame that waits is kept: 65,535 long ones would be more than a server has.
    for number in [120, 122] {
        let long = raw_frame(
            7,
            number,
            &[&1u32.to_le_bytes()[..], &[0; 100_000]].concat(),
        );
        let ticket = run(client.admit(&long));
        client.serve(ticket, &long);
        assert_eq!(client.heard(), [(R_LERROR, 7)]);
    }
    client.serve(reading, &early);
    assert_eq!(client.heard(), [(R_READ, 5)]);
    assert!(client.read(1, 0, 1).is_ok(), "no fid was lost");
}

#[test]
fn a_tag_in_use_is_a_violation() {
    let share = share();
    let mut client = locker(&share);
    let request = frame(5, &read());
    let ticket = run(client.admit(&request));
    assert_eq!(client.admit(&request), Admission::Violation);
    let flush = frame(5, &Request::Flush { oldtag: 1 });
    assert_eq!(client.admit(&flush), Admission::Violation);
    client.serve(ticket, &request);
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.send(1, &lock());
    two.send(5, &lock());
    assert_eq!(
        two.admit(&request),
        Admission::Violation,
        "of a waiting lock too"
    );
    two.close();
    assert_eq!(
        two.admit(&frame(9, &read())),
        Admission::Violation,
        "closed"
    );
}

#[test]
fn a_version_silences_all_before_it() {
    let share = share();
    let (mut one, mut two) = (locker(&share), locker(&share));
    one.send(1, &lock());
    assert_eq!(one.heard(), [(R_LOCK, 1)]);
    two.send(5, &lock());
    let early = frame(6, &read());
    let reading = run(two.admit(&early));
    let clunk = frame(7, &Request::Clunk { fid: 1 });
    assert_eq!(two.admit(&clunk), Admission::Waits);
    let flush = frame(8, &Request::Flush { oldtag: 6 });
    assert_eq!(two.admit(&flush), Admission::Waits);
    let version = Request::Version {
        msize: 8192,
        version: b"9P2000.L",
    };
    let version = frame(NOTAG, &version);
    assert_eq!(two.admit(&version), Admission::Waits);
    // What comes after it is the new session's, and waits.
    let attach = Request::Attach {
        fid: 0,
        afid: u32::MAX,
        uname: b"",
        aname: b"",
        n_uname: Some(0),
    };
    assert!(two.receive(&frame(6, &attach)), "the tag is free for it");
    assert_eq!(two.heard(), []);
    two.serve(reading, &early);
    assert_eq!(two.heard(), [(R_VERSION, NOTAG), (105, 6)]);
    one.clunk(1).expect("a clunk");
    assert_eq!(two.heard(), []);
    assert!(two.is_unknown(1));
}
