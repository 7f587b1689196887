//! Requests that wait for something outside the session, and hold no thread meanwhile: for a lock,
//! for their turn to read or write, or for a thread.
//!
//! A request that waits for a lock is answered by whoever sets the lock free. A throttled one keeps
//! its frame, because it is served from the beginning when its time has come. When all threads that
//! a connection may have are stuck, what comes is kept, too, so that a Tflush behind it is heard.
//!
//! What is kept has a limit: at [`KEPT_MAX`] requests or [`KEPT_BYTES_MAX`] bytes a further Tread or
//! Twrite is not taken from the connection. All else is, so that a Tflush is kept waiting only
//! behind a transfer too many, and only until the first of those that wait goes on: as long as it
//! takes to have room for what the client has put before it. To refuse the transfer instead would
//! be an error that no program expects, and a limit of bytes alone would let one client put 65,536
//! reads before everybody else's.

use std::sync::atomic::Ordering;

use super::{Entry, Ready, State, Table, Ticket, Tickets};
use crate::export::WaitId;
use crate::throttle::ThrottleWait;

/// Most kept requests of one session: as many as a virtio device of QEMU has under way.
const KEPT_MAX: usize = 128;
/// Bytes of their frames, not counting the one that exceeds it.
const KEPT_BYTES_MAX: usize = 32 << 20;

/// What a parked request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A lock.
    Lock(WaitId),
    /// Its turn to read or write.
    Throttle(ThrottleWait),
}

/// The throttled requests from when they are parked until they are served.
#[derive(Debug, Default)]
pub(super) struct Kept {
    requests: usize,
    bytes: usize,
}

impl Kept {
    fn add(&mut self, len: usize) {
        self.requests += 1;
        self.bytes += len;
    }

    pub(super) fn is_full(&self) -> bool {
        self.requests >= KEPT_MAX || self.bytes >= KEPT_BYTES_MAX
    }

    fn take(&mut self, frame: &[u8]) {
        self.requests -= 1;
        self.bytes -= frame.len();
    }

    /// A ready request leaves the table.
    pub(super) fn take_ready(&mut self, ready: &Ready) {
        if ready.kept {
            self.take(&ready.frame);
        }
    }

    /// A request is given up.
    pub(super) fn take_entry(&mut self, entry: &Entry) {
        if let State::Parked(Wait::Throttle(_), frame) = &entry.state {
            self.take(frame);
        }
    }
}

impl Table {
    fn entry_of(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        let entry = self.open.get_mut(ticket.tag);
        entry.filter(|entry| entry.seq == ticket.seq)
    }

    /// Has a throttled request served again. It has had its turn, and counts as running.
    fn ready_passed(&mut self, ticket: Ticket, frame: Vec<u8>) {
        let passed = Ticket {
            passed: true,
            ..ticket
        };
        self.ready.push_back(Ready {
            ticket: passed,
            frame,
            kept: true,
        });
    }
}

impl Tickets {
    #[inline]
    pub(in crate::session) fn take_ready(&self) -> Option<(Ticket, Vec<u8>)> {
        if self.has_ready.load(Ordering::Acquire) {
            self.take_first_ready()
        } else {
            None
        }
    }

    #[cold]
    fn take_first_ready(&self) -> Option<(Ticket, Vec<u8>)> {
        let mut table = self.table();
        let ready = table.ready.pop_front();
        if let Some(ready) = &ready {
            table.kept.take_ready(ready);
            if let Some(entry) = table.entry_of(ready.ticket) {
                entry.state = State::Running;
            }
        }
        ready.map(|ready| (ready.ticket, ready.frame))
    }

    pub(in crate::session) fn give_up_locks(&self, cancel: impl Fn(Wait) -> bool) {
        let mut table = self.table();
        // Also for a request that is about to wait.
        table.locks_given_up = true;
        table.open.retain(|entry| match entry.state {
            State::Parked(wait @ Wait::Lock(_), _) => !cancel(wait),
            _ => true,
        });
        table.promote();
    }

    pub(in crate::session) fn end_lock_waits(&self, cancel: impl Fn(Wait) -> bool) -> Vec<Ticket> {
        let mut table = self.table();
        let mut ended = Vec::new();
        for entry in table.open.values_mut() {
            match entry.state {
                State::Parked(wait @ Wait::Lock(_), _) if cancel(wait) => {
                    entry.state = State::Running;
                    ended.push(Ticket {
                        tag: entry.tag,
                        seq: entry.seq,
                        passed: false,
                    });
                }
                _ => {}
            }
        }
        ended
    }

    pub(in crate::session) fn is_quiet(&self) -> bool {
        self.table().open.is_empty()
    }

    /// Whether nothing more is to be kept.
    pub(in crate::session) fn is_full(&self) -> bool {
        self.table().kept.is_full()
    }

    /// Keeps a request that was to be served until there is a thread for it. False when it was given
    /// up before.
    pub(in crate::session) fn defer(&self, ticket: Ticket, frame: &[u8]) -> bool {
        let mut table = self.table();
        let Some(entry) = table.entry_of(ticket) else {
            return true;
        };
        if entry.silent || !entry.flushes.is_empty() {
            return false;
        }
        entry.state = State::Ready;
        table.kept.add(frame.len());
        table.ready.push_back(Ready {
            ticket,
            frame: frame.to_vec(),
            kept: true,
        });
        true
    }

    /// Marks a request as waiting, with its frame if it is to be served again. False when it was
    /// given up before.
    pub(in crate::session) fn park(&self, ticket: Ticket, wait: Wait, frame: Vec<u8>) -> bool {
        let mut table = self.table();
        let is_vain = table.locks_given_up && matches!(wait, Wait::Lock(_));
        let Some(entry) = table.entry_of(ticket) else {
            return true;
        };
        if is_vain || entry.silent || !entry.flushes.is_empty() {
            return false;
        }
        match wait {
            Wait::Lock(_) => {
                entry.state = State::Parked(wait, frame);
                // A clunk does not wait for a lock that may never come.
                table.promote();
            }
            Wait::Throttle(_) => {
                let len = frame.len();
                if entry.resumed {
                    table.ready_passed(ticket, frame);
                } else {
                    entry.state = State::Parked(wait, frame);
                }
                table.kept.add(len);
            }
        }
        true
    }

    /// Readies a throttled request whose time has come; nothing if it has been given up.
    pub(in crate::session) fn resume(&self, ticket: Ticket) {
        let mut table = self.table();
        let Some(entry) = table.entry_of(ticket) else {
            return;
        };
        // Not parked yet: the thread that is about to do it will see.
        entry.resumed = true;
        match std::mem::replace(&mut entry.state, State::Running) {
            State::Parked(_, frame) => table.ready_passed(ticket, frame),
            state => entry.state = state,
        }
    }
}

#[cfg(test)]
mod tests {
    use ninefold_wire::{NOTAG, Request};

    use super::super::frame;
    use super::*;
    use crate::session::Admission;
    use crate::throttle::{Direction, Throttle, ThrottleOptions};

    fn wait() -> Wait {
        let options = ThrottleOptions {
            bps_read: 1,
            ..ThrottleOptions::default()
        };
        let throttle = Throttle::new(&options).expect("sound").expect("a limit");
        assert_eq!(throttle.ask(Direction::Read, 1000, || ()), None);
        let wait = throttle.ask(Direction::Read, 1000, || ());
        Wait::Throttle(wait.expect("a wait"))
    }

    /// A read that runs.
    fn running(tickets: &Tickets) -> (Ticket, Vec<u8>) {
        let read = Request::Read {
            fid: 1,
            offset: 0,
            count: 1000,
        };
        let frame = frame(5, &read);
        match tickets.admit(&frame, |_| panic!("nobody waits")) {
            Admission::Run(ticket) => (ticket, frame),
            other => panic!("expected to run, came {other:?}"),
        }
    }

    #[test]
    fn a_request_woken_before_it_is_parked_goes_on() {
        let tickets = Tickets::default();
        let (ticket, frame) = running(&tickets);
        tickets.resume(ticket);
        assert_eq!(tickets.take_ready(), None, "it is still with its thread");
        assert!(tickets.park(ticket, wait(), frame.clone()));
        let (again, kept) = tickets.take_ready().expect("it is ready");
        assert!(again.has_passed());
        assert_eq!((again.tag(), kept), (5, frame));
        assert!(!tickets.retire(again).silent);
    }

    #[test]
    fn a_request_woken_when_it_is_given_up_goes_on() {
        let tickets = Tickets::default();
        let (ticket, read) = running(&tickets);
        assert!(tickets.park(ticket, wait(), read));
        // The waker is on its way, so that the wait cannot be taken back.
        let flush = frame(6, &Request::Flush { oldtag: 5 });
        assert_eq!(tickets.admit(&flush, |_| false), Admission::Waits);
        tickets.resume(ticket);
        let (again, _) = tickets.take_ready().expect("it is ready");
        assert_eq!(tickets.retire(again).flushed, [6]);
    }

    #[test]
    fn no_lock_is_waited_for_when_the_client_has_ended() {
        let tickets = Tickets::default();
        let (ticket, _) = running(&tickets);
        tickets.give_up_locks(|_| panic!("nobody waits yet"));
        let lock = Wait::Lock(WaitId::of_nothing());
        assert!(!tickets.park(ticket, lock, vec![]));
        assert!(!tickets.retire(ticket).silent);
        assert!(tickets.is_quiet());
    }

    #[test]
    fn a_version_waits_for_a_request_that_is_being_woken() {
        let tickets = Tickets::default();
        let (ticket, read) = running(&tickets);
        assert!(tickets.park(ticket, wait(), read));
        let version = Request::Version {
            msize: 8192,
            version: b"9P2000.L",
        };
        let version = frame(NOTAG, &version);
        assert_eq!(tickets.admit(&version, |_| false), Admission::Waits);
        tickets.resume(ticket);
        let (again, _) = tickets.take_ready().expect("it is ready");
        assert!(tickets.retire(again).silent);
        let (version, _) = tickets.take_ready().expect("now it runs");
        assert_eq!(version.tag(), NOTAG);
        // A waker that comes too late wakes nobody.
        tickets.resume(ticket);
        assert_eq!(tickets.take_ready(), None);
        assert_eq!(tickets.table().kept.requests, 0);
        assert_eq!(tickets.table().kept.bytes, 0);
    }
}
