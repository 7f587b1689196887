//! Throttling of reads and writes, as QEMU's `throttling.*` has it.
//!
//! Six leaky buckets (bytes and operations; in total, read, written) say how long the next transfer
//! has to wait. Transfers of a direction wait in one queue, first come first served; one whose time
//! has come goes on without being measured again. What is charged is what was asked for, not what
//! was moved, once a request: QEMU charges the rest of a short transfer again, because it tries
//! again. The state is the export's, so that all its clients share what it allows.
//!
//! Nothing here sleeps, and nothing here knows what it is that waits: whoever looks at the clock
//! calls [`Throttle::release`].

mod bucket;
mod options;
mod queue;
#[cfg(test)]
mod tests;

pub(crate) use bucket::Direction;
pub use options::{ThrottleError, ThrottleOptions, UnknownThrottleOption};
pub(crate) use queue::ThrottleWait;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::locked;
use queue::Queues;

/// The longest that anybody is told to wait at once; it has no end that anybody will see.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Called once, when its transfer may go on. With no lock of the throttle held.
type Waker = Box<dyn FnOnce() + Send>;

/// The throttle of one export.
pub(crate) struct Throttle {
    origin: Instant,
    queues: Mutex<Queues<Waker>>,
}

impl Throttle {
    /// The throttle that `options` ask for; none when they limit nothing.
    ///
    /// # Errors
    /// [`ThrottleError`] when they do not go together.
    pub(crate) fn new(options: &ThrottleOptions) -> Result<Option<Self>, ThrottleError> {
        options.check()?;
        Ok(options.is_limited().then(|| Self {
            origin: Instant::now(),
            queues: Mutex::new(Queues::new(options, Duration::ZERO)),
        }))
    }

    /// A transfer of `size` bytes wants to begin. None when it may. Otherwise it waits, and `waker`
    /// is called when it may, unless it is cancelled before; that can be before this call returns.
    pub(crate) fn ask(
        &self,
        direction: Direction,
        size: u64,
        waker: impl FnOnce() + Send + 'static,
    ) -> Option<ThrottleWait> {
        let mut queues = locked(&self.queues);
        let now = self.origin.elapsed();
        queues.ask(direction, size, now, || Box::new(waker))
    }

    /// Gives up a waiting transfer, which is then not woken. False when it has been already.
    #[must_use]
    pub(crate) fn cancel(&self, wait: ThrottleWait) -> bool {
        let waker = locked(&self.queues).cancel(wait);
        waker.is_some()
    }

    /// Wakes those whose time has come. Returns when to come back; none when nobody waits.
    pub(crate) fn release(&self, now: Instant) -> Option<Instant> {
        let mut queues = locked(&self.queues);
        let wakers = queues.release(now.saturating_duration_since(self.origin));
        let next = queues.next();
        drop(queues);
        for waker in wakers {
            waker();
        }
        next.map(|next| {
            let at = self.origin.checked_add(next);
            at.unwrap_or_else(|| now + WAIT_MAX)
        })
    }
}
