//! Whether waking a colleague for the next request is worth its price.
//!
//! That costs as much as several short requests, and then two threads take turns at the locks of
//! one connection, and the data in the caches of two processors. A batch of requests that do not
//! wait is done sooner by the thread that received it. So colleagues are called for connections
//! whose requests have lately lasted longer than the work in them explains. Before that is known,
//! the watch sends somebody.
//!
//! A request may also last long because there is much to compute, or because others have the
//! processor. Colleagues are of use only with much of the one and make the other worse, and so it says
//! little if the thread has waited for nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::sys::{Spent, Switches};

/// What a request may last that moves no data: some times of what it takes to wake a thread.
const LONG: Duration = Duration::from_micros(25);
/// What a request may last in which the thread waits for nothing.
const BUSY: Duration = Duration::from_micros(150);
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

    /// Takes note of a request that has `lasted` so long, with so many bytes in it and its reply. What
    /// the thread has done meanwhile is `asked` when it matters.
    fn note(&self, lasted: Duration, bytes: usize, asked: impl FnOnce() -> Spent) {
        let data = Duration::from_nanos(bytes as u64 / BYTES_PER_NANOSECOND);
        if lasted <= LONG + data {
            return;
        }
        let is_long = match asked() {
            Spent::Waiting => true,
            Spent::Working => lasted > BUSY + data,
            Spent::Preempted => false,
        };
        if is_long {
            let is_stuck = lasted > STUCK + data;
            let speaks = if is_stuck { STUCK_SPEAKS } else { LONG_SPEAKS };
            self.slow.store(speaks, Ordering::Relaxed);
        }
    }

    /// One of the requests has ended for which colleagues were called. How long it lasted says
    /// nothing: they wait for each other. Two that end at the same time may count as one.
    fn count(&self) {
        let slow = self.slow.load(Ordering::Relaxed);
        self.slow.store(slow.saturating_sub(1), Ordering::Relaxed);
    }
}

/// Times the requests that one thread serves.
#[derive(Default)]
pub(super) struct Stopwatch {
    begun: Option<Instant>,
    /// When the last request ended.
    ended: Option<Instant>,
    /// The same, if the next one begins then: nothing was done since that can last.
    kept: Option<Instant>,
    /// The thread has waited for nothing between these and the request.
    switches: Option<Switches>,
}

impl Stopwatch {
    /// The thread has waited, perhaps, for a request to come.
    pub(super) fn reset(&mut self) {
        self.switches = None;
        self.kept = None;
    }

    /// The next request begins when the last one ended: to look at the clock is a twentieth of what a
    /// short one takes.
    pub(super) fn keep(&mut self) {
        self.kept = self.ended.take();
    }

    /// A request begins.
    pub(super) fn start(&mut self) {
        self.switches.get_or_insert_with(Switches::of_this_thread);
        self.begun = Some(self.kept.take().unwrap_or_else(Instant::now));
    }

    /// One has ended, with so many bytes in it and its reply.
    pub(super) fn stop(&mut self, pace: &Pace, bytes: usize) {
        match self.begun.take() {
            Some(begun) => {
                let now = Instant::now();
                self.ended = Some(now);
                pace.note(now - begun, bytes, || self.spent());
            }
            None => {
                (self.ended, self.kept) = (None, None);
                pace.count();
            }
        }
    }

    fn spent(&mut self) -> Spent {
        let now = Switches::of_this_thread();
        match self.switches.replace(now) {
            Some(before) => before.spent(now),
            None => Spent::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(pace: &Pace, lasted: Duration, bytes: usize) {
        pace.note(lasted, bytes, || Spent::Waiting);
    }

    #[test]
    fn short_requests_need_no_help() {
        let pace = Pace::default();
        note(&pace, Duration::from_micros(3), 200);
        note(&pace, Duration::from_micros(150), 1 << 20);
        assert!(!pace.is_slow());
    }

    #[test]
    fn a_long_request_speaks_for_those_after_it() {
        let pace = Pace::default();
        note(&pace, Duration::from_micros(150), 4096);
        for _ in 0..LONG_SPEAKS {
            assert!(pace.is_slow());
            pace.count();
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn one_that_was_stuck_speaks_for_longer() {
        let pace = Pace::default();
        note(&pace, Duration::from_millis(5), 4096);
        for _ in 1..STUCK_SPEAKS {
            pace.count();
        }
        assert!(pace.is_slow());
    }

    #[test]
    fn who_only_had_no_processor_needs_no_help() {
        let pace = Pace::default();
        pace.note(Duration::from_millis(5), 200, || Spent::Preempted);
        assert!(!pace.is_slow());
    }

    #[test]
    fn who_only_computes_needs_help_with_much() {
        let pace = Pace::default();
        pace.note(Duration::from_micros(100), 200, || Spent::Working);
        assert!(!pace.is_slow());
        pace.note(Duration::from_micros(500), 200, || Spent::Working);
        assert!(pace.is_slow());
    }

    #[test]
    fn a_request_begins_when_the_last_one_has_ended() {
        let (pace, mut stopwatch) = (Pace::default(), Stopwatch::default());
        for kept in [true, false] {
            stopwatch.start();
            stopwatch.stop(&pace, 200);
            if kept {
                stopwatch.keep();
            }
            std::thread::sleep(Duration::from_millis(5));
            stopwatch.start();
            stopwatch.stop(&pace, 200);
            assert_eq!(pace.is_slow(), kept);
            stopwatch.reset();
            (0..STUCK_SPEAKS).for_each(|_| pace.count());
        }
    }

    #[test]
    fn who_has_waited_does() {
        let (pace, mut stopwatch) = (Pace::default(), Stopwatch::default());
        stopwatch.start();
        std::thread::sleep(Duration::from_millis(5));
        stopwatch.stop(&pace, 200);
        assert!(pace.is_slow());
    }
}
