//! What a thread of the crew and the watch know of a connection, whatever it is made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::epoll::EventFlags;

use super::Worker;

/// A client's connection.
pub(super) trait Connection: Send + Sync {
    /// Whether a thread has been invited that has not come yet.
    fn offered(&self) -> &AtomicBool;

    /// A number that changes as long as requests are taken.
    fn progress(&self) -> u64;

    /// What the epoll set has to say; then as [`Connection::serve`].
    fn on_event(self: Arc<Self>, flags: EventFlags, worker: &mut Worker);

    /// Serves requests until there are none, or others have to have their turn.
    fn serve(self: Arc<Self>, worker: &mut Worker);

    /// Looks whether there was progress since the last look; else it is the last one, and somebody
    /// comes.
    fn look(self: Arc<Self>, seen: &mut u64) -> bool;

    /// Ends the system calls of requests whose replies nobody waits for. False when there are none:
    /// else they may be about to make one, and this is to be called again.
    fn interrupt_unwanted(&self) -> bool;

    /// Ends the connection; what its client held is given up.
    fn close(&self);

    /// True when nobody else has offered this connection yet.
    fn make_offer(&self) -> bool {
        !self.offered().swap(true, Ordering::SeqCst)
    }

    /// The invited thread is here.
    fn accept_offer(&self) {
        self.offered().store(false, Ordering::SeqCst);
    }
}
