//! How the requests of a queue are given back, in the order in which they end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ahash::HashMap;
use ninefold_wire::Reply;
use ninefold_wire::message::number;
use rustix::io::Errno;

use super::{Lane, Taken};
use crate::locked;
use crate::session::{FAILURE_MAX, Outlet, Ticket};

/// The requests that were taken and not given back.
#[derive(Default)]
pub(super) struct Replies {
    /// By tag.
    open: HashMap<u16, Arc<Taken>>,
    /// Those that a Tversion has ended, and whose tag it has itself.
    ended: Vec<Arc<Taken>>,
    taking: bool,
}

impl Replies {
    /// Whether more requests are taken.
    pub(super) fn is_taking(&self) -> bool {
        self.taking
    }

    pub(super) fn start_taking(&mut self) {
        self.taking = true;
    }

    pub(super) fn stop_taking(&mut self) {
        self.taking = false;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.ended.is_empty()
    }

    pub(super) fn expect(&mut self, tag: u16, taken: Arc<Taken>) {
        self.ended.extend(self.open.insert(tag, taken));
    }

    pub(super) fn find(&self, tag: u16) -> Option<Arc<Taken>> {
        self.open.get(&tag).cloned()
    }

    pub(super) fn take(&mut self, tag: u16) -> Option<Arc<Taken>> {
        self.open.remove(&tag)
    }

    /// All that are left.
    fn take_all(&mut self) -> impl Iterator<Item = Arc<Taken>> + '_ {
        let open = self.open.drain().map(|(_, taken)| taken);
        open.chain(self.ended.drain(..))
    }
}

impl Lane {
    /// Ends a request whose reply has `len` bytes, of which `head` are not in their place yet.
    pub(super) fn finish_taken(&self, ticket: Ticket, taken: &Taken, head: &[u8], len: usize) {
        // Only this thread knows the place: what is put there does not need the lock.
        let written = taken.place.reply.copy_in(0, head);
        let whole = written == head.len() && len <= taken.place.reply.len();
        self.retire(ticket, |_| if whole { len } else { 0 });
    }

    /// Ends a request: its reply and the Rflushes that waited for it are given back, in this order.
    pub(super) fn finish(&self, ticket: Ticket, reply: &[u8]) {
        self.retire(ticket, |taken| put(taken, reply));
    }

    pub(super) fn finish_failed(&self, ticket: Ticket) {
        let mut frame = [0; FAILURE_MAX];
        let len = self.session.failure(ticket, Errno::IO, &mut frame);
        self.finish(ticket, &frame[..len]);
    }

    fn retire(&self, ticket: Ticket, reply: impl FnOnce(&Taken) -> usize) {
        let mut replies = locked(&self.replies);
        let retired = self.session.retire(ticket);
        // Nobody waits for a silent one any more: it goes back when the session begins anew.
        if !retired.silent {
            if let Some(taken) = replies.take(ticket.tag()) {
                self.complete(taken.id, reply(&taken));
                // One that was refused has ended nothing.
                if taken.number == number::VERSION && self.session.is_quiet() {
                    for old in replies.take_all() {
                        self.complete(old.id, 0);
                    }
                }
            }
        }
        for tag in retired.flushed {
            let mut frame = [0; ninefold_wire::HEADER_LEN];
            if let (Ok(len), Some(taken)) =
                ((Reply::Flush {}).encode(tag, &mut frame), replies.take(tag))
            {
                self.complete(taken.id, put(&taken, &frame[..len]));
            }
        }
        if replies.is_empty() {
            self.quiet.notify_all();
        }
    }

    /// Gives a request back, with the lock on the replies held.
    pub(super) fn complete(&self, id: u16, len: usize) {
        if !self.closed.load(Ordering::SeqCst) {
            self.queue.complete(id, len);
            self.untold.store(true, Ordering::SeqCst);
        }
    }

    /// Tells the client of what was given back.
    pub(super) fn tell(&self) {
        if self.untold.load(Ordering::SeqCst) {
            let _replies = locked(&self.replies);
            if self.untold.swap(false, Ordering::SeqCst) && !self.closed.load(Ordering::SeqCst) {
                self.queue.notify();
            }
        }
    }
}

/// Puts a whole reply into its place; returns its length, or 0 when there is no room.
fn put(taken: &Taken, reply: &[u8]) -> usize {
    if reply.len() > taken.place.reply.len() {
        return 0;
    }
    taken.place.reply.copy_in(0, reply)
}

impl Outlet for Lane {
    fn complete(&self, ticket: Ticket, reply: &[u8]) {
        self.finish(ticket, reply);
        self.tell();
        self.crew.revisit(self.id);
    }

    fn resume(&self, ticket: Ticket) {
        self.session.resume(ticket);
        self.crew.revisit(self.id);
    }
}
