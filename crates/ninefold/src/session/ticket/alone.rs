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
        let seq = self.next_seq.load(Ordering::Relaxed);
        self.next_seq.store(seq + 1, Ordering::Relaxed);
        self.tag.store(header.tag, Ordering::Relaxed);
        self.number.store(header.number, Ordering::Relaxed);
        let fids = admit::fids_of(header, frame);
        self.fids[0].store(fids[0], Ordering::Relaxed);
        self.fids[1].store(fids[1], Ordering::Relaxed);
        // Whoever has asked for the table since has it.
        self.change(IDLE, FIRST + seq).then_some(Ticket {
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
        let next_seq = self.next_seq.load(Ordering::Relaxed);
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
