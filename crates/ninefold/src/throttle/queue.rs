//! Who goes on, who waits, and until when: one queue for each direction, first come first served.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bucket::{Direction, Meter};
use super::options::ThrottleOptions;

/// A transfer that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThrottleWait {
    direction: Direction,
    id: u64,
}

/// The transfers of one direction that wait, `T` being what wakes one.
struct Line<T> {
    /// Size in bytes and waker, in the order of coming.
    waiting: BTreeMap<u64, (u64, T)>,
    /// When the first of them goes on. None when nobody waits.
    wake_at: Option<Duration>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            wake_at: None,
        }
    }
}

/// The throttle without a clock: it says when, and never sleeps.
pub(super) struct Queues<T> {
    meter: Meter,
    next_id: u64,
    read: Line<T>,
    write: Line<T>,
}

impl<T> Queues<T> {
    /// `options` have been checked.
    pub(super) fn new(options: &ThrottleOptions, now: Duration) -> Self {
        Self {
            meter: Meter::new(options, now),
            next_id: 0,
            read: Line::default(),
            write: Line::default(),
        }
    }

    fn line(&mut self, direction: Direction) -> &mut Line<T> {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }

    /// A transfer of `size` bytes wants to begin. None when it may; then it has been counted.
    /// Otherwise it waits, and [`Queues::release`] gives back what `waker` makes.
    pub(super) fn ask(
        &mut self,
        direction: Direction,
        size: u64,
        now: Duration,
        waker: impl FnOnce() -> T,
    ) -> Option<ThrottleWait> {
        let wait = self.meter.wait(direction, now);
        let line = self.line(direction);
        if wait.is_none() && line.waiting.is_empty() {
            self.meter.account(direction, size);
            return None;
        }
        // Whoever waits already has set the time at which the line moves on.
        line.wake_at
            .get_or_insert_with(|| now.saturating_add(wait.unwrap_or_default()));
        let id = self.next_id;
        self.next_id += 1;
        self.line(direction).waiting.insert(id, (size, waker()));
        Some(ThrottleWait { direction, id })
    }

    /// Takes a transfer out of its queue and with it its waker; none when it has gone on already.
    pub(super) fn cancel(&mut self, wait: ThrottleWait) -> Option<T> {
        let line = self.line(wait.direction);
        let (_, waker) = line.waiting.remove(&wait.id)?;
        if line.waiting.is_empty() {
            line.wake_at = None;
        }
        Some(waker)
    }

    /// Those whose time has come, in their order. They have been counted and go on without asking
    /// again.
    pub(super) fn release(&mut self, now: Duration) -> Vec<T> {
        let mut woken = Vec::new();
        for direction in [Direction::Read, Direction::Write] {
            if self.line(direction).wake_at.is_some_and(|at| at <= now) {
                self.release_line(direction, now, &mut woken);
            }
        }
        woken
    }

    fn release_line(&mut self, direction: Direction, now: Duration, woken: &mut Vec<T>) {
        while let Some((_, (size, waker))) = self.line(direction).waiting.pop_first() {
            self.meter.account(direction, size);
            woken.push(waker);
            let wait = self.meter.wait(direction, now);
            if let Some(wait) = wait.filter(|_| !self.line(direction).waiting.is_empty()) {
                self.line(direction).wake_at = Some(now.saturating_add(wait));
                return;
            }
        }
        self.line(direction).wake_at = None;
    }

    /// When to call [`Queues::release`] next. None when nobody waits.
    pub(super) fn next(&self) -> Option<Duration> {
        let times = [self.read.wake_at, self.write.wake_at];
        times.into_iter().flatten().min()
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.read.waiting.len() + self.write.waiting.len()
    }
}
