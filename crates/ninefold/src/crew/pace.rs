//! Whether waking a colleague for the next request is worth its price.
//!
//! That costs as much as several short requests, and then two threads take turns at the locks of
//! one connection, and the data in the caches of two processors. A batch of requests that do not
//! wait is done sooner by the thread that received it. So colleagues are called for connections
//! whose requests have lately lasted longer than the work in them explains. Before that is known,
//! the watch sends somebody.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What a request may last that moves no data: some times of what it takes to wake a thread.
const LONG: Duration = Duration::from_micros(25);
/// What may be added for each byte of its data is one nanosecond by this: copied from memory they
/// are several times as fast.
const BYTES_PER_NANOSECOND: u64 = 4;
/// For how many further requests a long one speaks.
const LONG_SPEAKS: u32 = 16;
/// A request that lasts longer has kept those behind it waiting for the watch.
const STUCK: Duration = Duration::from_millis(1);
/// For how many further requests such a one speaks.
const STUCK_SPEAKS: u32 = 512;

/// How long the requests of one connection have lately been.
#[derive(Default)]
pub(super) struct Pace {
    /// Requests for which colleagues are still to be called.
    slow: AtomicU32,
}

impl Pace {
    /// Whether the requests behind the next one are to have a thread of their own.
    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed) > 0
    }

    /// Takes note of a request that has `lasted` so long, with so many bytes in it and its reply. Two
    /// that end at the same time may count as one. With several threads at work the somewhat long
    /// ones say nothing: they may only have waited for each other.
    pub(super) fn note(&self, lasted: Duration, bytes: usize) {
        let copying = Duration::from_nanos(bytes as u64 / BYTES_PER_NANOSECOND);
        let slow = self.slow.load(Ordering::Relaxed);
        let now = if lasted > STUCK + copying {
            STUCK_SPEAKS
        } else if slow == 0 && lasted > LONG + copying {
            LONG_SPEAKS
        } else {
            slow.saturating_sub(1)
        };
        if now != slow {
            self.slow.store(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_requests_need_no_help() {
        let pace = Pace::default();
        pace.note(Duration::from_micros(3), 200);
        pace.note(Duration::from_micros(150), 1 << 20);
        assert!(!pace.is_slow());
    }

    #[test]
    fn a_long_request_speaks_for_those_after_it() {
        let pace = Pace::default();
        pace.note(Duration::from_micros(150), 4096);
        for _ in 0..LONG_SPEAKS {
            assert!(pace.is_slow());
            pace.note(Duration::from_micros(3), 4096);
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn one_that_was_stuck_speaks_for_longer() {
        let pace = Pace::default();
        pace.note(Duration::from_millis(5), 4096);
        for _ in 1..STUCK_SPEAKS {
            pace.note(Duration::from_micros(3), 4096);
        }
        assert!(pace.is_slow());
    }
}
