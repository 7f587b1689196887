//! Requests that wait for something outside the session, and hold no thread meanwhile.
//!
//! A request that waits for a lock is answered by whoever sets the lock free. A throttled one keeps
//! its frame, because it is served from the beginning when its time has come.
//!
//! What is kept has a limit: at [`KEPT_MAX`] requests or [`KEPT_BYTES_MAX`] bytes a further Tread or
//! Twrite is not taken from the connection. All else is, so that a Tflush is kept waiting only
//! behind a transfer too many, and only until the first of those that wait goes on: as long as it
//! takes to have room for what the client has put before it. To refuse the transfer instead would
//! be an error that no program expects, and a limit of bytes alone would let one client put 65,536
//! reads before everybody else's.

use super::{Entry, State, Table, Ticket, Tickets};
use crate::export::WaitId;
use crate::locked;
use crate::throttle::ThrottleWait;

/// Most throttled requests of one session: as many as a virtio device of QEMU has under way.
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
    fn add(&mut self, frame: &[u8]) {
        self.requests += 1;
        self.bytes += frame.len();
    }

    pub(super) fn is_full(&self) -> bool {
        self.requests >= KEPT_MAX || self.bytes >= KEPT_BYTES_MAX
    }

    fn take(&mut self, frame: &[u8]) {
        self.requests -= 1;
        self.bytes -= frame.len();
    }

    /// A ready request leaves the table.
    pub(super) fn take_ready(&mut self, ticket: Ticket, frame: &[u8]) {
        if ticket.passed {
            self.take(frame);
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
        let entry = self.open.get_mut(&ticket.tag);
        entry.filter(|entry| entry.seq == ticket.seq)
    }

    /// Has a throttled request served again.
    fn ready_passed(&mut self, ticket: Ticket, frame: Vec<u8>) {
        let passed = Ticket {
            passed: true,
            ..ticket
        };
        self.ready.push_back((passed, frame));
    }
}

impl Tickets {
    /// Marks a request as waiting. False when it was given up before.
    pub(in crate::session) fn park(&self, ticket: Ticket, wait: Wait, frame: &[u8]) -> bool {
        let mut table = locked(&self.table);
        let Some(entry) = table.entry_of(ticket) else {
            return true;
        };
        if entry.silent || !entry.flushes.is_empty() {
            return false;
        }
        match wait {
            Wait::Lock(_) => {
                entry.state = State::Parked(wait, Vec::new());
                // A clunk does not wait for a lock that may never come.
                table.promote();
            }
            Wait::Throttle(_) => {
                let frame = frame.to_vec();
                let resumed = entry.resumed;
                table.kept.add(&frame);
                if resumed {
                    table.ready_passed(ticket, frame);
                } else if let Some(entry) = table.entry_of(ticket) {
                    entry.state = State::Parked(wait, frame);
                }
            }
        }
        self.note(&table);
        true
    }

    /// Readies a throttled request whose time has come; nothing if it has been given up.
    pub(in crate::session) fn resume(&self, ticket: Ticket) {
        let mut table = locked(&self.table);
        let Some(entry) = table.entry_of(ticket) else {
            return;
        };
        // Not parked yet: the thread that is about to do it will see.
        entry.resumed = true;
        if let State::Parked(..) = entry.state {
            let parked = std::mem::replace(&mut entry.state, State::Running);
            if let State::Parked(_, frame) = parked {
                table.ready_passed(ticket, frame);
            }
        }
        self.note(&table);
    }
}
