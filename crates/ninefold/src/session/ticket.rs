//! Tags of requests under way, and who waits for whom.
//!
//! Requests run in any order and answer in any order, but for three: a Tclunk (or Tremove) waits
//! for earlier requests on its fid, an Rflush for the request it gives up, a Tversion for all.
//! These barriers live here; there is no queue to get stuck in.

mod admit;
mod alone;
mod open;
mod park;

pub(crate) use park::Wait;

use std::collections::{HashSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use ninefold_wire::Header;
use ninefold_wire::message::number;

use crate::locked;
use alone::Alone;
use open::Open;
use park::Kept;

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    tag: u16,
    /// Tells this use of the tag from a later one.
    seq: u64,
    /// It has waited for its turn to read or write, and goes on without asking again.
    passed: bool,
}

impl Ticket {
    /// The client's name for the request.
    #[must_use]
    pub fn tag(self) -> u16 {
        self.tag
    }

    /// Tells the request from all others of its session.
    pub(crate) fn number(self) -> u64 {
        self.seq
    }

    /// Whether the request has been throttled already.
    pub(crate) fn has_passed(self) -> bool {
        self.passed
    }
}

/// What to do with a frame just received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Serve it.
    Run(Ticket),
    /// Nothing: it waits for others, and comes back from [`take_ready`](super::Session::take_ready).
    Waits,
    /// The session is about to begin anew, or keeps as many throttled requests as it may: offer
    /// this frame again when another request has been served.
    Hold,
    /// The client broke the protocol so that no reply could be understood: close the connection.
    Violation,
}

/// What follows from the end of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// The reply is not to be sent: the client does not expect it any more.
    pub silent: bool,
    /// Tags of Tflush requests to answer now, in this order, after the reply.
    pub flushed: Vec<u16>,
}

enum State {
    Running,
    /// Has its place in `Table::ready`, and has not begun.
    Ready,
    /// Waits for earlier requests on its fid.
    Waiting(Vec<u8>),
    /// Waits for something outside the session; the frame if it is to be served again.
    Parked(Wait, Vec<u8>),
    /// A Tflush that waits for the request it gives up.
    Flushing,
}

/// A request that may be served, and waits for a thread.
struct Ready {
    ticket: Ticket,
    frame: Vec<u8>,
    /// It counts as kept.
    kept: bool,
}

struct Entry {
    tag: u16,
    seq: u64,
    number: u8,
    fids: [u32; 2],
    state: State,
    /// Tflush requests that wait for this one.
    flushes: Vec<u16>,
    silent: bool,
    /// It has been woken, perhaps before it was parked.
    resumed: bool,
}

#[derive(Default)]
struct Table {
    next_seq: u64,
    open: Open,
    /// How many of them are `Waiting`.
    waiting: usize,
    ready: VecDeque<Ready>,
    kept: Kept,
    /// A Tversion is under way; its frame while it still waits.
    resetting: bool,
    version: Option<Vec<u8>>,
    /// The client sends no more: nobody would hear of a lock.
    locks_given_up: bool,
    closed: bool,
}

/// The tags of one session.
#[derive(Default)]
pub(super) struct Tickets {
    alone: Alone,
    table: Mutex<Table>,
    has_ready: AtomicBool,
}

/// The table, with all that is under way, for as long as it is held.
struct Hold<'a> {
    tickets: &'a Tickets,
    table: MutexGuard<'a, Table>,
}

impl Table {
    fn issue(&mut self, header: Header, frame: &[u8], state: State) -> Ticket {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.waiting += usize::from(matches!(state, State::Waiting(_)));
        let entry = Entry {
            tag: header.tag,
            seq,
            number: header.number,
            fids: admit::fids_of(header, frame),
            state,
            flushes: Vec::new(),
            silent: false,
            resumed: false,
        };
        self.open.insert(entry);
        Ticket {
            tag: header.tag,
            seq,
            passed: false,
        }
    }

    /// Whether a request on `fid` from before `seq` is still being served.
    fn is_busy(&self, fid: u32, seq: u64) -> bool {
        self.open.values().any(|entry| {
            entry.seq < seq
                && entry.fids.contains(&fid)
                && match entry.state {
                    State::Running
                    | State::Ready
                    | State::Waiting(_)
                    | State::Parked(Wait::Throttle(_), _) => true,
                    State::Parked(Wait::Lock(_), _) | State::Flushing => false,
                }
        })
    }

    /// Whether the next request has nothing to mind.
    fn is_at_rest(&self) -> bool {
        let is_special = self.resetting || self.locks_given_up || self.closed;
        self.open.is_empty() && self.ready.is_empty() && !is_special
    }

    /// Readies what waits for nobody any more.
    fn promote(&mut self) {
        if self.waiting > 0 {
            let free: Vec<u16> = self
                .open
                .values()
                .filter(|entry| matches!(entry.state, State::Waiting(_)))
                .filter(|entry| !self.is_busy(entry.fids[0], entry.seq))
                .map(|entry| entry.tag)
                .collect();
            for tag in free {
                self.make_ready(tag);
            }
        }
        if self.open.is_empty() {
            self.ready_version();
        }
    }

    /// Readies the Tversion that has waited for all else to end.
    fn ready_version(&mut self) {
        let Some(frame) = self.version.take() else {
            return;
        };
        if let Some(header) = Header::peek(&frame) {
            let ticket = self.issue(header, &frame, State::Ready);
            self.ready.push_back(Ready {
                ticket,
                frame,
                kept: false,
            });
        }
    }

    fn make_ready(&mut self, tag: u16) {
        let Some(entry) = self.open.get_mut(tag) else {
            return;
        };
        if let State::Waiting(frame) = std::mem::replace(&mut entry.state, State::Ready) {
            self.waiting -= 1;
            let ticket = Ticket {
                tag,
                seq: entry.seq,
                passed: false,
            };
            self.ready.push_back(Ready {
                ticket,
                frame,
                kept: false,
            });
        }
    }

    fn remove(&mut self, tag: u16) -> Option<Entry> {
        self.remove_if(tag, |_| true)
    }

    /// Removes a request if it is the one that is meant: its tag may be another one's by now.
    fn remove_if(&mut self, tag: u16, is_meant: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        self.open.get(tag).filter(|entry| is_meant(entry))?;
        let entry = self.open.remove(tag)?;
        self.waiting -= usize::from(matches!(entry.state, State::Waiting(_)));
        self.kept.take_entry(&entry);
        if matches!(entry.state, State::Ready) {
            self.forget_ready(entry.seq);
        }
        Some(entry)
    }

    fn forget_ready(&mut self, seq: u64) {
        let at = self.ready.iter().position(|ready| ready.ticket.seq == seq);
        if let Some(ready) = at.and_then(|at| self.ready.remove(at)) {
            self.kept.take_ready(&ready);
        }
    }

    /// Answers the flushes of an ended request, and the flushes of those.
    fn end_flushes(&mut self, mut queue: VecDeque<u16>) -> Vec<u16> {
        let mut ended = Vec::new();
        while let Some(tag) = queue.pop_front() {
            if let Some(entry) = self.remove(tag) {
                ended.push(tag);
                queue.extend(entry.flushes);
            }
        }
        ended
    }
}

impl Deref for Hold<'_> {
    type Target = Table;

    fn deref(&self) -> &Table {
        &self.table
    }
}

impl DerefMut for Hold<'_> {
    fn deref_mut(&mut self) -> &mut Table {
        &mut self.table
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let has_ready = !self.table.ready.is_empty();
        self.tickets.has_ready.store(has_ready, Ordering::Release);
        if self.table.is_at_rest() {
            self.tickets.alone.take_back(self.table.next_seq);
        }
    }
}

impl Tickets {
    fn table(&self) -> Hold<'_> {
        let mut table = locked(&self.table);
        if let Some((next_seq, alone)) = self.alone.give() {
            table.next_seq = next_seq;
            if let Some(entry) = alone {
                table.open.insert(entry);
            }
        }
        Hold {
            tickets: self,
            table,
        }
    }

    #[inline]
    pub(super) fn retire(&self, ticket: Ticket) -> Retired {
        if self.alone.leave(ticket) {
            Retired::default()
        } else {
            self.retire_among_others(ticket)
        }
    }

    fn retire_among_others(&self, ticket: Ticket) -> Retired {
        let mut table = self.table();
        let Some(entry) = table.remove_if(ticket.tag, |entry| entry.seq == ticket.seq) else {
            return Retired {
                silent: true,
                flushed: Vec::new(),
            };
        };
        if entry.number == number::VERSION {
            table.resetting = false;
        }
        let flushed = table.end_flushes(entry.flushes.into());
        table.promote();
        Retired {
            silent: entry.silent,
            flushed,
        }
    }

    /// The numbers of requests that have begun, and whose replies nobody waits for.
    pub(super) fn unwanted(&self) -> HashSet<u64> {
        let table = self.table();
        let begun = table.open.values();
        begun
            .filter(|entry| matches!(entry.state, State::Running | State::Parked(..)))
            .filter(|entry| entry.silent || !entry.flushes.is_empty())
            .map(|entry| entry.seq)
            .collect()
    }

    pub(super) fn close(&self, cancel: impl Fn(Wait) -> bool) {
        let mut table = self.table();
        table.closed = true;
        table.version = None;
        table.abandon(cancel);
    }
}

/// A request as it comes.
#[cfg(test)]
fn frame(tag: u16, request: &ninefold_wire::Request<'_>) -> Vec<u8> {
    let mut frame = vec![0; 64];
    let len = request.encode(tag, &mut frame).expect("a short request");
    frame.truncate(len);
    frame
}
