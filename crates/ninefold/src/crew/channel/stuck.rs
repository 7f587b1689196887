//! A connection whose threads are stuck in requests.
//!
//! One that waits in a system call may do so for long, and so may all threads that a connection may
//! have. What then comes must still be received: a Tflush that ends the wait, or the end of the
//! connection. A further thread does that when the watch has seen no progress: it answers flushes
//! and has all else kept for those that are stuck.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ninefold_wire::Header;
use ninefold_wire::message::number;

use super::{Channel, Next};
use crate::crew::{Connection, Worker};

impl Channel {
    /// Has the watch send somebody if nothing moves for a moment.
    pub(super) fn look_after(self: &Arc<Self>) {
        // Read first: a write that others see costs more.
        if !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::SeqCst) {
            self.crew.watch.look_after(self.weak(), self.progress());
        }
    }

    /// Looks whether there was progress since the last look; else it is the last one, and somebody
    /// comes.
    pub(super) fn look_for_progress(self: &Arc<Self>, seen: &mut u64) -> bool {
        let progress = self.progress();
        if progress != *seen {
            *seen = progress;
            return true;
        }
        self.watched.store(false, Ordering::SeqCst);
        let busy = self.threads.load(Ordering::SeqCst) > 0;
        if busy && !self.is_receiving() {
            self.stuck.store(true, Ordering::SeqCst);
            if self.make_offer() {
                self.crew.offer(Arc::<Self>::clone(self));
            }
        }
        false
    }

    /// What a thread does that finds no place: nothing, unless those who have one are stuck.
    pub(super) fn attend(self: &Arc<Self>, worker: &mut Worker) {
        if !self.stuck.swap(false, Ordering::SeqCst) {
            return self.look_after();
        }
        let outlet = self.outlet();
        while !self.session.is_full() {
            match self.next_arrival(worker) {
                Next::Serve(ticket, len) => {
                    let frame = &worker.frame.bytes()[..len];
                    let flush = Header::peek(frame).is_some_and(|it| it.number == number::FLUSH);
                    if flush {
                        self.run(worker, &outlet, ticket, len);
                    } else if !self.session.defer(ticket, frame) {
                        self.finish(ticket, &[]);
                    }
                }
                Next::Nothing => return,
                Next::End => return self.wind_up(),
                Next::Close => return self.close(),
            }
        }
        // No more is received, so that the end would not be found.
        if self.gone.load(Ordering::SeqCst) {
            self.close();
        }
    }
}
