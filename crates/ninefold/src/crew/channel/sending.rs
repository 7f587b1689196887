//! How a connection's replies leave, in the order in which requests end.

use std::os::fd::AsFd;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use ninefold_wire::Reply;
use rustix::io::Errno;

use super::{Channel, Interest, note};
use crate::crew::Connection;
use crate::crew::tx::{Lot, Sent, Tx};
use crate::locked;
use crate::session::{FAILURE_MAX, Outlet, Ticket};
use crate::sys::Pipe;

/// Fewer short replies are not sent by themselves where there are more to come: to wake the client costs as much as some such
/// requests.
const REPLIES_MIN: usize = 8;
/// More do not wait for each other.
const REPLIES_MAX: usize = 32;

impl Channel {
    pub(super) fn finish_failed(&self, ticket: Ticket) {
        let mut frame = [0; FAILURE_MAX];
        let len = self.session.failure(ticket, Errno::IO, &mut frame);
        self.finish(ticket, &frame[..len]);
    }

    /// Ends a request: its reply and the Rflushes that waited for it go out, in this order.
    pub(super) fn finish(&self, ticket: Ticket, reply: &[u8]) {
        self.finish_with(ticket, reply, None);
    }

    /// The same for an Rread whose data is in a pipe, but for what stands behind its head and comes
    /// last.
    pub(super) fn finish_piped(&self, ticket: Ticket, copied: &[u8], data: &mut Pipe) {
        self.finish_with(ticket, copied, Some(data));
    }

    fn finish_with(&self, ticket: Ticket, reply: &[u8], data: Option<&mut Pipe>) {
        let lot = self.lot();
        let mut tx = locked(&self.tx);
        let retired = self.session.retire(ticket);
        let mut sent = Sent::Fine;
        if !retired.silent && !reply.is_empty() {
            let (socket, wait) = (self.socket.as_fd(), self.may_block());
            sent = match data {
                Some(data) => tx.push_piped(socket, reply, data, wait),
                None => tx.push(socket, reply, wait, lot),
            };
        }
        for tag in retired.flushed {
            let mut frame = [0; ninefold_wire::HEADER_LEN];
            if let Ok(len) = (Reply::Flush {}).encode(tag, &mut frame) {
                sent = sent.max(tx.push(self.socket.as_fd(), &frame[..len], self.may_block(), lot));
            }
        }
        self.after_send(tx, sent);
    }

    /// How many replies are sent together: half of what the client sends at a time, for it goes on with
    /// these while the others are served. If it had to wait for all of them, it and the server would do nothing
    /// but wait for each other.
    fn lot(&self) -> Lot {
        if self.frames_left.load(Ordering::SeqCst) || self.gathers() {
            let half = self.batch.load(Ordering::Relaxed) / 2;
            Lot {
                short: half.clamp(REPLIES_MIN, REPLIES_MAX),
                long: half.clamp(1, REPLIES_MAX),
            }
        } else {
            Lot { short: 1, long: 1 }
        }
    }

    /// Whether replies wait until it has been seen whether more requests have come.
    fn gathers(&self) -> bool {
        self.several.load(Ordering::Relaxed) && !self.pace.is_slow()
    }

    /// Whether a thread may wait a moment for the client to take a large reply: as long as another
    /// is there for the other clients.
    fn may_block(&self) -> bool {
        self.crew.idle.load(Ordering::SeqCst) > 0
    }

    /// Sends what is gathered.
    pub(super) fn flush(&self) {
        if self.pending.load(Ordering::SeqCst) {
            let mut tx = locked(&self.tx);
            if !tx.is_stalled() {
                let sent = tx.flush(self.socket.as_fd(), self.may_block());
                self.after_send(tx, sent);
            }
        }
    }

    /// Sends more of what a client did not take before.
    pub(super) fn drain(&self) {
        let mut tx = locked(&self.tx);
        if tx.is_stalled() {
            let sent = tx.flush(self.socket.as_fd(), false);
            if sent == Sent::Fine {
                self.set_interest(|interest| interest.stalled = false);
            }
            self.after_send(tx, sent);
        }
    }

    /// Ends a connection on which nothing comes any more, when all replies are with the kernel.
    pub(super) fn close_when_done(&self) {
        let tx = locked(&self.tx);
        let done = self.session.is_quiet() && !tx.is_pending();
        drop(tx);
        if done {
            self.close();
        }
    }

    /// Ends a connection on which nothing comes any more and requests last too long. One whose
    /// client only reads slowly goes on.
    pub(in crate::crew) fn close_unless_quiet(&self) {
        if !self.session.is_quiet() {
            self.close();
        }
    }

    fn after_send(&self, tx: MutexGuard<'_, Tx>, sent: Sent) {
        note(&self.stalled, tx.is_stalled());
        note(&self.pending, tx.is_pending() && !tx.is_stalled());
        match sent {
            Sent::Fine if self.ending.load(Ordering::SeqCst) => {
                drop(tx);
                self.close_when_done();
            }
            Sent::Fine => {}
            Sent::Stalled => self.set_interest(|interest| {
                *interest = Interest {
                    held: false,
                    stalled: true,
                };
            }),
            Sent::Closed => {
                drop(tx);
                self.close();
            }
        }
    }
}

impl Outlet for Channel {
    fn complete(&self, ticket: Ticket, reply: &[u8]) {
        self.finish(ticket, reply);
        self.flush();
        self.crew.revisit(self.id);
    }

    fn resume(&self, ticket: Ticket) {
        self.session.resume(ticket);
        self.crew.revisit(self.id);
    }
}
