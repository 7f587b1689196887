//! A request that is alone: no other of its connection is under way. So it is with a client that waits
//! for each reply, and with requests that one thread answers one after the other.
//!
//! Nobody needs to find such a request, so that it has no entry in the table and takes no lock. Should
//! somebody ask for the table after all - another thread that has received more, a connection that
//! ends - it is given its entry then. One word says who has it.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use ninefold_wire::Header;

use super::{Entry, State, Ticket, admit};

/// No request is under way, and nothing else is to be minded.
const IDLE: u64 = 0;
/// What is under way is in the table.
const TABLE: u64 = 1;
/// The request with number n is alone: n and this.
const FIRST: u64 = 2;

/// What the table would know of the request that is alone.
#[derive(Default)]
pub(super) struct Alone {
    state: AtomicU64,
    /// The number of the next request, while the table does not count.
    next_seq: AtomicU64,
    tag: AtomicU16,
    number: AtomicU8,
    fids: [AtomicU32; 2],
}

impl Alone {
    /// Registers a request if it is alone. Requests are admitted one after the other, so that nobody
    /// else does so at the same time.
    pub(super) fn enter(&self, header: Header, frame: &[u8]) -> Option<Ticket> {
        if self.state.load(Ordering::Acquire) != IDLE {
            return None;
        }
        self.tag.store(header.tag, Ordering::Relaxed);
        self.number.store(header.number, Ordering::Relaxed);
        let fids = admit::fids_of(header, frame);
        self.fids[0].store(fids[0], Ordering::Relaxed);
        self.fids[1].store(fids[1], Ordering::Relaxed);
        let seq = self.next_seq.load(Ordering::Relaxed);
        if !self.change(IDLE, FIRST + seq) {
            // Somebody has asked for the table.
            return None;
        }
        // Should the table have it by now, it gives nothing back before this request has ended.
        self.next_seq.store(seq + 1, Ordering::Relaxed);
        Some(Ticket {
            tag: header.tag,
            seq,
            passed: false,
        })
    }

    /// Ends a request. False when the table has it.
    pub(super) fn leave(&self, ticket: Ticket) -> bool {
        let state = FIRST + ticket.seq;
        self.state.load(Ordering::Relaxed) == state && self.change(state, IDLE)
    }

    fn change(&self, from: u64, to: u64) -> bool {
        let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        let changed = self.state.compare_exchange(from, to, done, failed);
        changed.is_ok()
    }

    /// From now on the table, whose lock the caller holds, has what is under way. Unless it has it
    /// already: the number of the next request, and the one that was alone.
    pub(super) fn give(&self) -> Option<(u64, Option<Entry>)> {
        if self.state.load(Ordering::Acquire) == TABLE {
            return None;
        }
        let seq = self.state.swap(TABLE, Ordering::AcqRel).checked_sub(FIRST);
        let next_seq = match seq {
            Some(seq) => seq + 1,
            None => self.next_seq.load(Ordering::Relaxed),
        };
        Some((next_seq, seq.map(|seq| self.entry(seq))))
    }

    fn entry(&self, seq: u64) -> Entry {
        Entry {
            tag: self.tag.load(Ordering::Relaxed),
            seq,
            number: self.number.load(Ordering::Relaxed),
            fids: [0, 1].map(|at: usize| self.fids[at].load(Ordering::Relaxed)),
            state: State::Running,
            flushes: Vec::new(),
            silent: false,
            resumed: false,
        }
    }

    /// Nothing is left to mind in the table, whose lock the caller holds.
    pub(super) fn take_back(&self, next_seq: u64) {
        self.next_seq.store(next_seq, Ordering::Relaxed);
        self.state.store(IDLE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use ninefold_wire::Request;

    use super::super::{Tickets, frame};
    use super::*;
    use crate::session::{Admission, Retired};

    fn read(tag: u16) -> Vec<u8> {
        let read = Request::Read {
            fid: 7,
            offset: 0,
            count: 1,
        };
        frame(tag, &read)
    }

    fn run(tickets: &Tickets, frame: &[u8]) -> Ticket {
        match tickets.admit(frame, |_| panic!("nobody waits")) {
            Admission::Run(ticket) => ticket,
            other => panic!("expected to run, came {other:?}"),
        }
    }

    #[test]
    fn who_comes_later_finds_it_in_the_table() {
        let tickets = Tickets::default();
        let first = run(&tickets, &read(1));
        // Its tag is taken, and its fid busy.
        let again = tickets.admit(&read(1), |_| panic!("nobody waits"));
        assert_eq!(again, Admission::Violation);
        let clunk = frame(2, &Request::Clunk { fid: 7 });
        let waits = tickets.admit(&clunk, |_| panic!("nobody waits"));
        assert_eq!(waits, Admission::Waits);
        assert_eq!(tickets.retire(first), Retired::default());
        let (clunk, _) = tickets.take_ready().expect("it waits no more");
        assert!(clunk.number() > first.number());
        let _ = tickets.retire(clunk);
        // Nothing is left, and the next one is alone again, with a number of its own.
        let next = run(&tickets, &read(1));
        assert!(next.number() > clunk.number());
        assert!(tickets.alone.leave(next));
    }

    #[test]
    fn one_that_the_table_has_does_not_leave_by_itself() {
        let tickets = Tickets::default();
        let ticket = run(&tickets, &read(1));
        assert!(!tickets.is_quiet());
        assert!(!tickets.alone.leave(ticket));
        assert_eq!(tickets.retire(ticket), Retired::default());
        assert!(tickets.is_quiet());
        assert!(tickets.retire(ticket).silent, "it has ended");
    }

    /// Requests run while others ask for the table: each is known as long as it runs, under a number
    /// that no other has.
    #[test]
    fn nobody_is_lost_between_the_two() {
        let (tickets, done) = (Tickets::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let _ = tickets.is_quiet();
                        assert!(tickets.unwanted().is_empty());
                    }
                });
            }
            let mut last = None;
            for round in 0..100_000_u32 {
                let ticket = run(&tickets, &read(1));
                assert!(Some(ticket.number()) > last, "round {round}");
                last = Some(ticket.number());
                if round % 3 == 0 {
                    assert!(!tickets.is_quiet(), "round {round}");
                }
                assert!(!tickets.retire(ticket).silent, "round {round}");
            }
            done.store(true, Ordering::Relaxed);
        });
        assert!(tickets.is_quiet());
    }
}
