//! The hold that a device has on its queue's connection: start, stop, end.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ninefold_wire::Reply;
use rustix::event::epoll::{self, EventData, EventFlags};

use super::{Lane, MessageQueue};
use crate::crew::{Connection, Shared};
use crate::export::Export;
use crate::locked;

/// How long the ends of requests are waited for that have been given up.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How often it is looked for requests that have begun to wait since the queue was stopped.
const LOOK: Duration = Duration::from_millis(10);

/// A queue that a crew serves, with the session of its client. Dropping it ends the session.
pub struct QueueLink {
    lane: Arc<Lane>,
    kick: Mutex<Option<OwnedFd>>,
}

impl QueueLink {
    pub(in crate::crew) fn new(
        crew: &Arc<Shared>,
        queue: Arc<dyn MessageQueue>,
        export: &Arc<Export>,
    ) -> Self {
        let id = crew.new_id();
        let lane = Lane::new(crew, id, queue, export);
        let connection: Arc<dyn Connection> = Arc::<Lane>::clone(&lane);
        locked(&crew.channels).insert(id, connection);
        Self {
            lane,
            kick: Mutex::default(),
        }
    }

    /// Begins, or goes on, to take requests. `kick` is an eventfd that the client writes to when it
    /// has put new ones into the queue.
    ///
    /// # Errors
    /// That of the host when the descriptor cannot be watched.
    pub fn start(&self, kick: OwnedFd) -> std::io::Result<()> {
        let lane = &self.lane;
        let mut watched = locked(&self.kick);
        self.unwatch(watched.take());
        // Each write is an event of its own, so that nobody has to read the counter.
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&lane.crew.epoll, &kick, EventData::new_u64(lane.id), flags)?;
        *watched = Some(kick);
        drop(watched);
        locked(&lane.replies).start_taking();
        lane.crew.revisit(lane.id);
        Ok(())
    }

    /// Takes no more requests, and waits until those that were taken have been given back. Who waits
    /// for a lock is told that it is taken, and will ask again. What is not done after `patience` is
    /// given up, and with it the session: then the answer is false, and this link is good for nothing
    /// more.
    pub fn stop(&self, patience: Duration) -> bool {
        let lane = &self.lane;
        self.unwatch(locked(&self.kick).take());
        locked(&lane.replies).stop_taking();
        let done = self.wait_for_quiet(patience);
        lane.tell();
        if !done {
            lane.end();
            self.wait_for_threads();
        }
        done && !lane.closed.load(Ordering::SeqCst)
    }

    fn wait_for_quiet(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            // Again and again: a request that was taken before may begin to wait now.
            self.lane.end_lock_waits();
            let replies = locked(&self.lane.replies);
            let left = until.saturating_duration_since(Instant::now());
            if replies.is_empty() || left.is_zero() || self.lane.is_over() {
                return replies.is_empty();
            }
            drop(self.lane.quiet.wait_timeout(replies, left.min(LOOK)));
        }
    }

    /// What has been given up may still be at the client's memory for a moment.
    fn wait_for_threads(&self) {
        let until = Instant::now() + GIVE_UP;
        while !self.lane.session.is_quiet() && !self.lane.crew.is_stopping() {
            if Instant::now() > until {
                tracing::error!(
                    "a request does not end: it may write to the client's memory later"
                );
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn unwatch(&self, kick: Option<OwnedFd>) {
        if let Some(kick) = kick {
            // The crew may have ended the connection before.
            let _ = epoll::delete(&self.lane.crew.epoll, kick.as_fd());
        }
    }
}

impl Drop for QueueLink {
    fn drop(&mut self) {
        self.unwatch(locked(&self.kick).take());
        self.lane.end();
    }
}

impl Lane {
    fn end_lock_waits(&self) {
        let status = ninefold_wire::flags::lock::BLOCKED;
        for ticket in self.session.end_lock_waits() {
            let mut frame = [0; 16];
            if let Ok(len) = (Reply::Lock { status }).encode(ticket.tag(), &mut frame) {
                self.finish(ticket, &frame[..len]);
            }
        }
    }

    /// Ends the connection: nothing is taken or given back any more.
    pub(super) fn end(&self) {
        let mut replies = locked(&self.replies);
        replies.stop_taking();
        let closed = self.closed.swap(true, Ordering::SeqCst);
        drop(replies);
        if !closed {
            self.session.close();
            self.quiet.notify_all();
            self.crew.forget(self.id);
        }
    }
}
