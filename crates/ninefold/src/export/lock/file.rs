//! The locks of one file: who holds what, who waits. Knows no other file and wakes nobody.

use std::collections::VecDeque;

use super::{HolderId, LockKind, LockOwner, LockWait, Range, Woken};

/// How often one release looks through the waiters. More is the work of a client that builds a
/// chain on purpose; who is left over is told after its time that it is blocked.
const GRANT_PASSES: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) owner: LockOwner,
    pub(super) holder: HolderId,
    pub(super) kind: LockKind,
    pub(super) range: Range,
}

impl Lock {
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        self.owner != other.owner
            && (self.kind == LockKind::Write || other.kind == LockKind::Write)
            && self.range.overlaps(other.range)
    }
}

pub(super) struct Waiter {
    pub(super) id: u64,
    pub(super) wanted: Lock,
    pub(super) wait: LockWait,
}

#[derive(Default)]
pub(super) struct FileLocks {
    pub(super) held: Vec<Lock>,
    pub(super) waiting: VecDeque<Waiter>,
}

/// A waiter and what to tell it, once the table is unlocked.
pub(super) type Wake = (LockWait, Woken);

impl FileLocks {
    pub(super) fn is_free(&self, wanted: &Lock) -> bool {
        !self.held.iter().any(|held| held.conflicts(wanted))
    }

    /// Takes `range` from the owner, leaving what sticks out at either side.
    pub(super) fn clear(&mut self, owner: &LockOwner, range: Range) {
        let mut rest = Vec::new();
        self.held.retain(|lock| {
            if lock.owner != *owner || !lock.range.overlaps(range) {
                return true;
            }
            if lock.range.start < range.start {
                let left = Range {
                    start: lock.range.start,
                    end: range.start - 1,
                };
                rest.push(Lock {
                    range: left,
                    ..lock.clone()
                });
            }
            if lock.range.end > range.end {
                let right = Range {
                    start: range.end + 1,
                    end: lock.range.end,
                };
                rest.push(Lock {
                    range: right,
                    ..lock.clone()
                });
            }
            false
        });
        self.held.append(&mut rest);
    }

    /// Puts a lock that conflicts with nothing, joined with its like.
    pub(super) fn put(&mut self, mut lock: Lock) {
        self.clear(&lock.owner, lock.range);
        self.held.retain(|other| {
            let joins = other.owner == lock.owner
                && other.holder == lock.holder
                && other.kind == lock.kind
                && other.range.touches(lock.range);
            if joins {
                lock.range.start = lock.range.start.min(other.range.start);
                lock.range.end = lock.range.end.max(other.range.end);
            }
            !joins
        });
        self.held.push(lock);
    }

    /// Grants what has become free, in the order of asking. A grant can free more, when a read lock
    /// takes the place of the owner's write lock: then those before it have to be looked at again.
    pub(super) fn grant(&mut self, wakes: &mut Vec<Wake>) {
        for _ in 0..GRANT_PASSES {
            if !self.grant_once(wakes) {
                return;
            }
        }
    }

    /// Returns whether a read lock was granted, which alone can free more.
    pub(super) fn grant_once(&mut self, wakes: &mut Vec<Wake>) -> bool {
        let mut still = VecDeque::new();
        let mut weaker = false;
        for waiter in std::mem::take(&mut self.waiting) {
            if self.is_free(&waiter.wanted) {
                weaker |= waiter.wanted.kind == LockKind::Read;
                self.put(waiter.wanted);
                wakes.push((waiter.wait, Woken::Granted));
            } else {
                still.push_back(waiter);
            }
        }
        self.waiting = still;
        weaker
    }

    /// Takes out the waiters that `gone` picks.
    pub(super) fn dismiss(
        &mut self,
        woken: Woken,
        gone: impl Fn(&Waiter) -> bool,
        wakes: &mut Vec<Wake>,
    ) {
        let (out, still) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(gone);
        self.waiting = still;
        let out: VecDeque<Waiter> = out;
        wakes.extend(out.into_iter().map(|waiter| (waiter.wait, woken)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.waiting.is_empty()
    }
}
