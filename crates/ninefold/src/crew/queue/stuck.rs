//! A queue whose threads are stuck in requests; see the same of a stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ninefold_wire::message::number;

use super::{Connection, Lane, Next};
use crate::crew::Worker;

impl Lane {
    /// Has the watch send somebody if nothing moves for a moment.
    pub(super) fn look_after(self: &Arc<Self>) {
        if !self.watched.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::SeqCst) {
            let progress = self.progress();
            self.crew.watch.look_after(self.weak(), progress);
        }
    }

    pub(super) fn look_for_progress(self: &Arc<Self>, seen: &mut u64) -> bool {
        let progress = self.progress();
        if progress != *seen {
            *seen = progress;
            return true;
        }
        self.watched.store(false, Ordering::SeqCst);
        if self.threads.load(Ordering::SeqCst) > 0 {
            self.stuck.store(true, Ordering::SeqCst);
            self.call_somebody();
        }
        false
    }

    /// What a thread does that finds no place: nothing, unless those who have one are stuck. Then it
    /// answers flushes, and has all else kept for them.
    pub(super) fn attend(self: &Arc<Self>, worker: &mut Worker) {
        if !self.stuck.swap(false, Ordering::SeqCst) {
            return self.look_after();
        }
        while !self.session.is_full() {
            match self.next_arrival(worker) {
                Next::Serve(ticket, taken, len) => {
                    let frame = &worker.frame.bytes()[..len];
                    if taken.number == number::FLUSH {
                        self.run(worker, ticket, &taken, len);
                    } else if !self.session.defer(ticket, frame) {
                        self.finish(ticket, &[]);
                    }
                }
                Next::Again => {}
                Next::Nothing => return,
            }
        }
    }
}
