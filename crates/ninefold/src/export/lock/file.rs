//! The locks of one file: who holds what, who waits. Knows no other file and wakes nobody.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::HostLocks;
use super::range::{minus, union};
use super::tally::Counted;
use super::{HeldLock, HolderId, LockKind, LockOwner, LockWait, Range, Woken};
use crate::sys::Result;

/// How often one release looks through the waiters. More is the work of a client that builds a
/// chain on purpose; who is left over is told after its time that it is blocked.
const GRANT_PASSES: usize = 8;

/// The host does not say when a lock is given back. How long until it is asked again: at first,
/// doubled each time, and at most.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(super) struct Lock {
    pub(super) owner: LockOwner,
    pub(super) holder: HolderId,
    pub(super) kind: LockKind,
    pub(super) range: Range,
    pub(super) _counted: Counted,
}

impl Lock {
    pub(super) fn hinders(&self, owner: &LockOwner, kind: LockKind, range: Range) -> bool {
        (self.kind == LockKind::Write || kind == LockKind::Write)
            && self.range.overlaps(range)
            && self.owner != *owner
    }

    fn part(&self, start: u64, end: u64) -> Self {
        Self {
            range: Range { start, end },
            ..self.clone()
        }
    }
}

pub(super) struct Waiter {
    pub(super) id: u64,
    pub(super) wanted: Lock,
    pub(super) wait: LockWait,
}

/// When the host is asked again.
#[derive(Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
}

#[derive(Default)]
pub(super) struct FileLocks {
    pub(super) held: Vec<Lock>,
    pub(super) host: HostLocks,
    waiting: VecDeque<Waiter>,
    /// No waiter's time ends before this.
    deadline: Option<Instant>,
    /// While only the host is in the way of some waiter.
    retry: Option<Retry>,
    /// When the agenda has it looked at.
    pub(super) planned: Option<Instant>,
}

/// A waiter and what to tell it, once the table is unlocked.
pub(super) type Wake = (LockWait, Woken);

/// What came of trying to lock.
pub(super) enum Tried {
    Locked,
    /// Another client's lock is in the way.
    Hindered,
    /// One of the host's is.
    HostHinders,
}

impl FileLocks {
    /// Held and waited for.
    pub(super) fn len(&self) -> usize {
        self.held.len() + self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first lock of another owner that is in the way of such a one.
    pub(super) fn hindrance(
        &self,
        owner: &LockOwner,
        kind: LockKind,
        range: Range,
    ) -> Option<HeldLock> {
        let held = self.held.iter();
        let first = held
            .filter(|lock| lock.hinders(owner, kind, range))
            .min_by_key(|lock| lock.range.start)?;
        Some(HeldLock {
            kind: first.kind,
            range: first.range,
            client_id: Some(Arc::clone(&first.owner.client_id)),
            proc_id: first.owner.proc_id,
        })
    }

    /// Locks what is free among clients and on the host.
    ///
    /// # Errors
    /// The errno of the host's fcntl(2).
    pub(super) fn take(&mut self, wanted: &Lock) -> Result<Tried> {
        let hinders = |held: &Lock| held.hinders(&wanted.owner, wanted.kind, wanted.range);
        if self.held.iter().any(hinders) {
            return Ok(Tried::Hindered);
        }
        let ranges = || self.held.iter().map(|lock| lock.range).collect();
        if !self.host.lock(wanted.kind, wanted.range, ranges)? {
            return Ok(Tried::HostHinders);
        }
        self.put(wanted.clone());
        self.weaken();
        Ok(Tried::Locked)
    }

    /// Puts a lock that conflicts with nothing, joined with its like.
    fn put(&mut self, mut lock: Lock) {
        self.clear(&lock.owner, lock.range);
        self.held.retain(|other| {
            let joins = other.range.touches(lock.range)
                && other.kind == lock.kind
                && other.holder == lock.holder
                && other.owner == lock.owner;
            if joins {
                lock.range.start = lock.range.start.min(other.range.start);
                lock.range.end = lock.range.end.max(other.range.end);
            }
            !joins
        });
        self.held.push(lock);
    }

    /// Takes `range` from the owner, leaving what sticks out at either side. Returns what it was.
    fn clear(&mut self, owner: &LockOwner, range: Range) -> Vec<Range> {
        let mut rest = Vec::new();
        let mut freed = Vec::new();
        self.held.retain(|lock| {
            if !lock.range.overlaps(range) || lock.owner != *owner {
                return true;
            }
            freed.push(Range {
                start: lock.range.start.max(range.start),
                end: lock.range.end.min(range.end),
            });
            if lock.range.start < range.start {
                rest.push(lock.part(lock.range.start, range.start - 1));
            }
            if lock.range.end > range.end {
                rest.push(lock.part(range.end + 1, lock.range.end));
            }
            false
        });
        self.held.append(&mut rest);
        freed
    }

    /// Whether unlocking this makes two locks of one.
    pub(super) fn splits(&self, owner: &LockOwner, range: Range) -> bool {
        self.held.iter().any(|lock| {
            lock.range.start < range.start && range.end < lock.range.end && lock.owner == *owner
        })
    }

    /// Gives back what the owner has of a range.
    pub(super) fn unlock(&mut self, owner: &LockOwner, range: Range) {
        let freed = self.clear(owner, range);
        self.give_back(freed);
    }

    /// Gives back what was taken through an open file, and dismisses what waits there.
    pub(super) fn release(&mut self, holder: HolderId, wakes: &mut Vec<Wake>) {
        let mut freed = Vec::new();
        self.held.retain(|lock| {
            let stays = lock.holder != holder;
            if !stays {
                freed.push(lock.range);
            }
            stays
        });
        self.dismiss(
            Woken::Closed,
            |waiter| waiter.wanted.holder == holder,
            wakes,
        );
        self.give_back(freed);
    }

    /// Gives back on the host what no owner has any more. What others have there they have to read,
    /// and so had who gave it back.
    fn give_back(&mut self, freed: Vec<Range>) {
        // The last lock takes the shadow with it, and the shadow everything.
        if freed.is_empty() || self.is_empty() {
            return;
        }
        let freed = union(freed);
        let touched = |lock: &&Lock| freed.iter().any(|range| range.overlaps(lock.range));
        let kept = self.held.iter().filter(touched).map(|lock| lock.range);
        self.host.unlock(&minus(&freed, &union(kept.collect())));
        self.weaken();
    }

    fn weaken(&mut self) {
        let whole = self.held.iter().filter(|lock| lock.range == Range::WHOLE);
        self.host.weaken(|| whole.map(|lock| lock.kind).max());
    }

    /// Has a request wait, for the host if that is all there is to wait for.
    pub(super) fn wait(&mut self, waiter: Waiter, for_host: bool) {
        let deadline = waiter.wait.deadline;
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
        if for_host {
            self.retry = Some(Retry {
                at: Instant::now() + RETRY_FIRST,
                pause: RETRY_FIRST,
            });
        }
        self.waiting.push_back(waiter);
    }

    /// Takes back a waiting request. False when there is none such.
    pub(super) fn cancel(&mut self, id: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiter| waiter.id != id);
        self.waiting.len() < before
    }

    /// Grants what has become free, in the order of asking. A grant can free more, when a read lock
    /// takes the place of the owner's write lock: then those before it have to be looked at again.
    pub(super) fn grant(&mut self, now: Instant, wakes: &mut Vec<Wake>) {
        let mut pass = Pass::default();
        for _ in 0..GRANT_PASSES {
            pass = self.grant_once(wakes);
            if !pass.weaker {
                break;
            }
        }
        self.retry = pass.host_hinders.then(|| match self.retry {
            Some(retry) if now < retry.at => retry,
            retry => {
                let pause = retry.map_or(RETRY_FIRST, |retry| (retry.pause * 2).min(RETRY_MAX));
                let at = now + pause;
                Retry { at, pause }
            }
        });
    }

    fn grant_once(&mut self, wakes: &mut Vec<Wake>) -> Pass {
        let mut pass = Pass::default();
        let mut still = VecDeque::new();
        for waiter in std::mem::take(&mut self.waiting) {
            match self.take(&waiter.wanted) {
                Ok(Tried::Locked) => {
                    pass.weaker |= waiter.wanted.kind == LockKind::Read;
                    wakes.push((waiter.wait, Woken::Granted));
                }
                Ok(tried) => {
                    pass.host_hinders |= matches!(tried, Tried::HostHinders);
                    still.push_back(waiter);
                }
                Err(errno) => wakes.push((waiter.wait, Woken::Failed(errno))),
            }
        }
        self.waiting = still;
        pass
    }

    /// Takes out the waiters that `gone` picks.
    fn dismiss(&mut self, woken: Woken, gone: impl Fn(&Waiter) -> bool, wakes: &mut Vec<Wake>) {
        let (out, still) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(gone);
        self.waiting = still;
        let out: VecDeque<Waiter> = out;
        wakes.extend(out.into_iter().map(|waiter| (waiter.wait, woken)));
    }

    /// Wakes who has waited long enough, and asks the host again for the others.
    pub(super) fn expire(&mut self, now: Instant, wakes: &mut Vec<Wake>) {
        self.dismiss(Woken::Expired, |waiter| waiter.wait.deadline <= now, wakes);
        self.deadline = self.waiting.iter().map(|waiter| waiter.wait.deadline).min();
        if self.retry.is_some_and(|retry| retry.at <= now) {
            self.grant(now, wakes);
        }
    }

    /// When to look at it. None when nobody waits.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let retry = self.retry.map(|retry| retry.at);
        self.deadline.into_iter().chain(retry).min()
    }
}

/// What a look through the waiters has shown.
#[derive(Default)]
struct Pass {
    /// A read lock was granted, which alone can free more.
    weaker: bool,
    /// Somebody waits for the host only.
    host_hinders: bool,
}
