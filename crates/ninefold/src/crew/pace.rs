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
//! little if the thread has waited for nothing: less still if it was the only one of late, because the host
//! of a virtual machine takes processors away without a trace. Nor does it say much where colleagues are there already.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::sys::{Spent, Switches};

/// What a request may last that moves no data: some times of what it takes to wake a thread.
const LONG: Duration = Duration::from_micros(25);
/// What a request may last in which the thread waits for nothing.
const BUSY: Duration = Duration::from_micros(150);
/// A further such one must come within so many rows.
const BUSY_AGAIN: u32 = 64;
/// What each further request may add when several are timed together.
const SHORT: Duration = Duration::from_micros(10);
/// So many are, when they have lately been short: to look at the clock is a twentieth of what such a
/// one takes.
const ROW_MAX: u32 = 8;
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
    /// Rows for which one is still remembered that was long although the thread waited for nothing.
    busy: AtomicU32,
}

impl Pace {
    /// Whether the requests behind the next one are to have a thread of their own.
    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed) > 0
    }

    /// Takes note of some requests that have `lasted` so long together, with so many bytes in them and
    /// their replies. What the thread has done meanwhile is `asked` when it matters. True when one of
    /// them was long.
    fn note(&self, lasted: Duration, row: Row, asked: impl FnOnce() -> Spent) -> bool {
        let busy = self.busy.load(Ordering::Relaxed);
        if busy > 0 {
            self.busy.store(busy - 1, Ordering::Relaxed);
        }
        let data = Duration::from_nanos(row.bytes as u64 / BYTES_PER_NANOSECOND);
        let more = data + SHORT * row.requests.saturating_sub(1);
        let short = if row.crowded { STUCK } else { LONG };
        if lasted <= short + more {
            return false;
        }
        let is_long = match asked() {
            Spent::Waiting => true,
            Spent::Working if lasted > BUSY + more => {
                self.busy.store(BUSY_AGAIN, Ordering::Relaxed);
                busy > 0
            }
            Spent::Working | Spent::Preempted => false,
        };
        if is_long {
            let is_stuck = lasted > STUCK + data;
            let speaks = if is_stuck { STUCK_SPEAKS } else { LONG_SPEAKS };
            self.slow.store(speaks, Ordering::Relaxed);
        }
        is_long
    }

    /// One of the requests has ended for which colleagues were called. How long it lasted says
    /// nothing: they wait for each other. Two that end at the same time may count as one.
    fn count(&self) {
        let slow = self.slow.load(Ordering::Relaxed);
        self.slow.store(slow.saturating_sub(1), Ordering::Relaxed);
    }
}

/// Requests that are timed together.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    requests: u32,
    /// In them and their replies.
    bytes: usize,
    /// Others served the same connection meanwhile: what is waited for then is mostly each other.
    crowded: bool,
}

/// Times the requests that one thread serves.
#[derive(Default)]
pub(super) struct Stopwatch {
    /// When the first of the row began.
    begun: Option<Instant>,
    row: Row,
    /// How many requests a row may have, less one.
    further: u32,
    /// The thread has waited for nothing between these and the row.
    switches: Option<Switches>,
}

impl Stopwatch {
    /// The thread has waited, perhaps, for a request to come.
    pub(super) fn reset(&mut self) {
        self.switches = None;
        self.end_row();
    }

    /// Something was done since the last request that can last. A row that was not full is forgotten, and
    /// the next one is so short that it need not be.
    pub(super) fn end_row(&mut self) {
        if self.begun.take().is_some() && self.row.requests > 0 {
            self.further = self.further.min(self.row.requests.saturating_sub(1));
        }
    }

    /// A request begins, where there are others or not.
    pub(super) fn start(&mut self, crowded: bool) {
        if self.begun.is_none() {
            self.switches.get_or_insert_with(Switches::of_this_thread);
            self.row = Row::default();
            self.begun = Some(Instant::now());
        }
        self.row.crowded |= crowded;
    }

    /// One has ended, with so many bytes in it and its reply; if there are `more`, the next one begins at
    /// this moment, unless [`Stopwatch::end_row`] says otherwise.
    #[inline]
    pub(super) fn stop(&mut self, pace: &Pace, bytes: usize, more: bool) {
        match self.begun {
            Some(begun) => self.count(begun, pace, bytes, more),
            None => pace.count(),
        }
    }

    fn count(&mut self, begun: Instant, pace: &Pace, bytes: usize, more: bool) {
        self.row.requests += 1;
        self.row.bytes += bytes;
        if more && self.row.requests <= self.further {
            return;
        }
        let now = Instant::now();
        let is_long = pace.note(now - begun, self.row, || self.spent());
        (self.begun, self.further) = if is_long {
            (None, 0)
        } else {
            (Some(now), (2 * self.further + 1).min(ROW_MAX - 1))
        };
        self.row = Row::default();
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

    fn row(requests: u32, bytes: usize) -> Row {
        Row {
            requests,
            bytes,
            crowded: false,
        }
    }

    fn note(pace: &Pace, lasted: Duration, bytes: usize) {
        pace.note(lasted, row(1, bytes), || Spent::Waiting);
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
        pace.note(Duration::from_millis(5), row(1, 200), || Spent::Preempted);
        assert!(!pace.is_slow());
    }

    #[test]
    fn who_only_computes_needs_help_with_much() {
        let pace = Pace::default();
        pace.note(Duration::from_micros(100), row(1, 200), || Spent::Working);
        assert!(!pace.is_slow());
        pace.note(Duration::from_micros(500), row(1, 200), || Spent::Working);
        assert!(!pace.is_slow(), "once says nothing");
        pace.note(Duration::from_micros(500), row(1, 200), || Spent::Working);
        assert!(pace.is_slow());
    }

    #[test]
    fn who_has_no_processor_now_and_then_needs_no_help() {
        let pace = Pace::default();
        for _ in 0..4 {
            pace.note(Duration::from_millis(5), row(8, 1600), || Spent::Working);
            for _ in 0..BUSY_AGAIN {
                note(&pace, Duration::from_micros(3), 200);
            }
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn who_waits_for_colleagues_needs_no_further_one() {
        let pace = Pace::default();
        let crowded = Row {
            crowded: true,
            ..row(1, 200)
        };
        pace.note(Duration::from_micros(500), crowded, || Spent::Waiting);
        assert!(!pace.is_slow());
        pace.note(Duration::from_millis(5), crowded, || Spent::Waiting);
        assert!(pace.is_slow());
    }

    #[test]
    fn a_long_one_is_seen_among_short_ones() {
        let pace = Pace::default();
        pace.note(Duration::from_micros(40), row(8, 1600), || Spent::Waiting);
        assert!(!pace.is_slow());
        pace.note(Duration::from_micros(107), row(8, 1600), || Spent::Waiting);
        assert!(pace.is_slow());
    }

    /// Serves as many requests as a row may have.
    fn serve_short_ones(pace: &Pace, stopwatch: &mut Stopwatch) {
        for _ in 0..4 * ROW_MAX {
            stopwatch.start(false);
            stopwatch.stop(pace, 200, true);
        }
    }

    #[test]
    fn a_request_begins_when_the_last_one_has_ended() {
        for ends in [false, true] {
            let (pace, mut stopwatch) = (Pace::default(), Stopwatch::default());
            serve_short_ones(&pace, &mut stopwatch);
            if ends {
                stopwatch.end_row();
            }
            std::thread::sleep(Duration::from_millis(5));
            serve_short_ones(&pace, &mut stopwatch);
            assert_eq!(pace.is_slow(), !ends);
        }
    }

    #[test]
    fn rows_are_as_long_as_what_comes_together() {
        let (pace, mut stopwatch) = (Pace::default(), Stopwatch::default());
        serve_short_ones(&pace, &mut stopwatch);
        // Two at a time, of which the second is long.
        stopwatch.reset();
        stopwatch.start(false);
        stopwatch.stop(&pace, 200, true);
        stopwatch.start(false);
        std::thread::sleep(Duration::from_millis(5));
        stopwatch.stop(&pace, 200, false);
        assert!(pace.is_slow());
    }

    #[test]
    fn who_has_waited_does() {
        let (pace, mut stopwatch) = (Pace::default(), Stopwatch::default());
        stopwatch.start(false);
        std::thread::sleep(Duration::from_millis(5));
        stopwatch.stop(&pace, 200, false);
        assert!(pace.is_slow());
    }
}
