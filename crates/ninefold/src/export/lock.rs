//! Byte-range locks between clients and between the processes of one client.
//!
//! POSIX semantics: a range belongs to an owner, a new request of the same owner replaces what it
//! covers, unlocking the middle splits. A lock also remembers through which open file it was taken
//! and goes with it. Locks are not visible to processes of the host.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::io::Errno;

use super::Export;
use crate::locked;
use crate::sys::{FileId, Result};

/// Most locks and waiting requests on one file; ENOLCK beyond.
const PER_FILE_MAX: usize = 16384;

/// How often one release looks through the waiters. More is the work of a client that builds a
/// chain on purpose; who is left over is told after its time that it is blocked.
const GRANT_PASSES: usize = 8;

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Others may read too.
    Read,
    /// Nobody else.
    Write,
}

/// Bytes `start..=end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Last byte; `u64::MAX` is "however far the file grows".
    pub end: u64,
}

impl Range {
    /// The range that a message means: length 0 is to the end.
    ///
    /// # Errors
    /// EINVAL when it starts or ends past the largest offset of a file.
    pub fn new(start: u64, length: u64) -> Result<Self> {
        let largest = i64::MAX.unsigned_abs();
        if start > largest {
            return Err(Errno::INVAL);
        }
        let Some(more) = length.checked_sub(1) else {
            return Ok(Self {
                start,
                end: u64::MAX,
            });
        };
        match start.checked_add(more) {
            Some(end) if end < largest => Ok(Self { start, end }),
            Some(end) if end == largest => Ok(Self {
                start,
                end: u64::MAX,
            }),
            _ => Err(Errno::INVAL),
        }
    }

    /// The length as a message says it.
    #[must_use]
    pub fn length(self) -> u64 {
        if self.end == u64::MAX {
            0
        } else {
            self.end - self.start + 1
        }
    }

    fn overlaps(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    fn touches(self, other: Self) -> bool {
        self.start <= other.end.saturating_add(1) && other.start <= self.end.saturating_add(1)
    }
}

/// Whose lock: a process of a node of a session. Sessions are told apart because two clients may
/// carry the same node name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockOwner {
    /// The session.
    pub session: u64,
    /// The client's node name.
    pub client_id: Box<[u8]>,
    /// The process on the client.
    pub proc_id: u32,
}

/// The open file through which a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HolderId(u64);

/// What an open file or directory holds in the table; given up with it.
pub struct LockHold {
    export: Arc<Export>,
    file: FileId,
    holder: HolderId,
    /// Whether a lock was ever asked for through it.
    used: AtomicBool,
}

impl LockHold {
    pub(super) fn new(export: &Arc<Export>, file: FileId) -> Self {
        let holder = export.locks.new_holder();
        Self {
            export: Arc::clone(export),
            file,
            holder,
            used: AtomicBool::new(false),
        }
    }

    /// As whom to ask; from now on the locks are released with the open file.
    #[must_use]
    pub fn id(&self) -> HolderId {
        self.used.store(true, Ordering::Relaxed);
        self.holder
    }
}

impl Drop for LockHold {
    fn drop(&mut self) {
        if *self.used.get_mut() {
            self.export.locks.release(self.file, self.holder);
        }
    }
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitId {
    file: FileId,
    id: u64,
}

/// How a waiting request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The lock is the waiter's.
    Granted,
    /// It waited as long as it wanted to.
    Expired,
    /// The open file was closed under it.
    Closed,
}

/// What a request brings along to wait with. It is woken with no lock of the table held.
pub struct LockWait {
    /// How long to wait.
    pub deadline: Instant,
    /// Called once, unless the wait is cancelled.
    pub wake: Box<dyn FnOnce(Woken) + Send>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockOutcome {
    /// Locked.
    Granted,
    /// Another owner is in the way.
    Blocked,
    /// It waits.
    Waits(WaitId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Lock {
    owner: LockOwner,
    holder: HolderId,
    kind: LockKind,
    range: Range,
}

impl Lock {
    fn conflicts(&self, other: &Self) -> bool {
        self.owner != other.owner
            && (self.kind == LockKind::Write || other.kind == LockKind::Write)
            && self.range.overlaps(other.range)
    }
}

struct Waiter {
    id: u64,
    wanted: Lock,
    wait: LockWait,
}

#[derive(Default)]
struct FileLocks {
    held: Vec<Lock>,
    waiting: VecDeque<Waiter>,
}

/// A waiter and what to tell it, once the table is unlocked.
type Wake = (LockWait, Woken);

fn wake_all(wakes: Vec<Wake>) {
    for (waiter, woken) in wakes {
        (waiter.wake)(woken);
    }
}

impl FileLocks {
    fn is_free(&self, wanted: &Lock) -> bool {
        !self.held.iter().any(|held| held.conflicts(wanted))
    }

    /// Takes `range` from the owner, leaving what sticks out at either side.
    fn clear(&mut self, owner: &LockOwner, range: Range) {
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
    fn put(&mut self, mut lock: Lock) {
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
    fn grant(&mut self, wakes: &mut Vec<Wake>) {
        for _ in 0..GRANT_PASSES {
            if !self.grant_once(wakes) {
                return;
            }
        }
    }

    /// Returns whether a read lock was granted, which alone can free more.
    fn grant_once(&mut self, wakes: &mut Vec<Wake>) -> bool {
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
    fn dismiss(&mut self, woken: Woken, gone: impl Fn(&Waiter) -> bool, wakes: &mut Vec<Wake>) {
        let (out, still) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(gone);
        self.waiting = still;
        let out: VecDeque<Waiter> = out;
        wakes.extend(out.into_iter().map(|waiter| (waiter.wait, woken)));
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.waiting.is_empty()
    }
}

/// All locks of one export.
#[derive(Default)]
pub struct LockTable {
    files: Mutex<HashMap<FileId, FileLocks>>,
    ids: AtomicU64,
}

impl LockTable {
    fn new_holder(&self) -> HolderId {
        HolderId(self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks for a lock, and waits for it if `wait` is given. A waiter is woken by whichever thread
    /// sets the lock free.
    ///
    /// # Errors
    /// ENOLCK when the file has too many locks already.
    pub fn lock(
        &self,
        file: FileId,
        holder: HolderId,
        (owner, kind, range): (LockOwner, LockKind, Range),
        wait: Option<LockWait>,
    ) -> Result<LockOutcome> {
        let wanted = Lock {
            owner,
            holder,
            kind,
            range,
        };
        let mut wakes = Vec::new();
        let outcome = self.with(file, |locks| {
            if locks.held.len() + locks.waiting.len() >= PER_FILE_MAX {
                return Err(Errno::NOLCK);
            }
            if locks.is_free(&wanted) {
                locks.put(wanted);
                // A write lock that becomes a read lock lets others in.
                locks.grant(&mut wakes);
                return Ok(LockOutcome::Granted);
            }
            let Some(wait) = wait else {
                return Ok(LockOutcome::Blocked);
            };
            let id = self.ids.fetch_add(1, Ordering::Relaxed);
            locks.waiting.push_back(Waiter { id, wanted, wait });
            Ok(LockOutcome::Waits(WaitId { file, id }))
        });
        wake_all(wakes);
        outcome
    }

    /// Gives back what the owner has of a range, which may be nothing.
    pub fn unlock(&self, file: FileId, owner: &LockOwner, range: Range) {
        let mut wakes = Vec::new();
        self.with(file, |locks| {
            locks.clear(owner, range);
            locks.grant(&mut wakes);
        });
        wake_all(wakes);
    }

    /// Gives back what was taken through an open file, and dismisses what waits there.
    pub fn release(&self, file: FileId, holder: HolderId) {
        let mut wakes = Vec::new();
        self.with(file, |locks| {
            locks.held.retain(|lock| lock.holder != holder);
            locks.dismiss(
                Woken::Closed,
                |waiter| waiter.wanted.holder == holder,
                &mut wakes,
            );
            locks.grant(&mut wakes);
        });
        wake_all(wakes);
    }

    /// A lock that is in the way of such a request: its kind, range and owner.
    #[must_use]
    pub fn test(
        &self,
        file: FileId,
        owner: &LockOwner,
        kind: LockKind,
        range: Range,
    ) -> Option<(LockKind, Range, LockOwner)> {
        let files = locked(&self.files);
        let wanted = Lock {
            owner: owner.clone(),
            holder: HolderId(u64::MAX),
            kind,
            range,
        };
        let held = files.get(&file)?.held.iter();
        let first = held
            .filter(|lock| lock.conflicts(&wanted))
            .min_by_key(|lock| lock.range.start)?;
        Some((first.kind, first.range, first.owner.clone()))
    }

    /// Takes back a waiting request, which is then not woken. False when it has been already.
    #[must_use]
    pub fn cancel(&self, wait: WaitId) -> bool {
        self.with(wait.file, |locks| {
            let before = locks.waiting.len();
            locks.waiting.retain(|waiter| waiter.id != wait.id);
            locks.waiting.len() < before
        })
    }

    /// Wakes what has waited long enough. Returns when to come back.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        let mut wakes = Vec::new();
        let mut files = locked(&self.files);
        for locks in files.values_mut() {
            locks.dismiss(
                Woken::Expired,
                |waiter| waiter.wait.deadline <= now,
                &mut wakes,
            );
        }
        files.retain(|_, locks| !locks.is_empty());
        let waiting = files.values().flat_map(|locks| &locks.waiting);
        let next = waiting.map(|waiter| waiter.wait.deadline).min();
        drop(files);
        wake_all(wakes);
        next
    }

    fn with<T>(&self, file: FileId, act: impl FnOnce(&mut FileLocks) -> T) -> T {
        let mut files = locked(&self.files);
        let locks = files.entry(file).or_default();
        let result = act(locks);
        if locks.is_empty() {
            files.remove(&file);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    const FILE: FileId = FileId { dev: 1, ino: 2 };

    fn owner(proc_id: u32) -> LockOwner {
        LockOwner {
            session: 1,
            client_id: b"node".as_slice().into(),
            proc_id,
        }
    }

    fn range(start: u64, length: u64) -> Range {
        Range::new(start, length).unwrap()
    }

    fn take(table: &LockTable, who: u32, kind: LockKind, range: Range) -> LockOutcome {
        let holder = HolderId(u64::from(who) + 1000);
        table
            .lock(FILE, holder, (owner(who), kind, range), None)
            .unwrap()
    }

    #[test]
    fn ranges_end_at_the_largest_offset() {
        assert_eq!(range(0, 0).end, u64::MAX);
        assert_eq!(range(5, 2), Range { start: 5, end: 6 });
        assert_eq!(range(1, i64::MAX as u64).length(), 0);
        assert_eq!(Range::new(u64::MAX, 2), Err(Errno::INVAL));
        assert_eq!(Range::new(2, u64::MAX), Err(Errno::INVAL));
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let table = LockTable::default();
        assert_eq!(
            take(&table, 1, LockKind::Read, range(0, 10)),
            LockOutcome::Granted
        );
        assert_eq!(
            take(&table, 2, LockKind::Read, range(5, 10)),
            LockOutcome::Granted
        );
        assert_eq!(
            take(&table, 1, LockKind::Write, range(0, 6)),
            LockOutcome::Blocked
        );
        assert_eq!(
            take(&table, 1, LockKind::Write, range(0, 5)),
            LockOutcome::Granted
        );
    }

    #[test]
    fn unlocking_the_middle_splits() {
        let table = LockTable::default();
        assert_eq!(
            take(&table, 1, LockKind::Write, range(0, 100)),
            LockOutcome::Granted
        );
        table.unlock(FILE, &owner(1), range(40, 20));
        assert_eq!(
            take(&table, 2, LockKind::Write, range(40, 20)),
            LockOutcome::Granted
        );
        assert_eq!(
            take(&table, 2, LockKind::Write, range(39, 1)),
            LockOutcome::Blocked
        );
        assert_eq!(
            take(&table, 2, LockKind::Write, range(60, 1)),
            LockOutcome::Blocked
        );
        let (kind, held, _) = table
            .test(FILE, &owner(2), LockKind::Read, range(0, 0))
            .unwrap();
        assert_eq!((kind, held), (LockKind::Write, range(0, 40)));
    }

    #[test]
    fn neighbours_of_one_kind_join() {
        let table = LockTable::default();
        for start in (0..100).step_by(10) {
            assert_eq!(
                take(&table, 1, LockKind::Read, range(start, 10)),
                LockOutcome::Granted
            );
        }
        let (_, held, _) = table
            .test(FILE, &owner(2), LockKind::Write, range(95, 1))
            .unwrap();
        assert_eq!(held, range(0, 100));
    }

    #[test]
    fn a_release_wakes_in_order_and_a_cancelled_waiter_is_not_woken() {
        let table = LockTable::default();
        let (sender, woken) = mpsc::channel();
        assert_eq!(
            take(&table, 1, LockKind::Write, range(0, 0)),
            LockOutcome::Granted
        );
        let wait = |who: u32, seconds| {
            let sender = sender.clone();
            let wake = Box::new(move |how| sender.send((who, how)).unwrap());
            let deadline = Instant::now() + Duration::from_secs(seconds);
            let holder = HolderId(u64::from(who) + 1000);
            let wanted = (owner(who), LockKind::Write, range(0, 1));
            match table
                .lock(FILE, holder, wanted, Some(LockWait { deadline, wake }))
                .unwrap()
            {
                LockOutcome::Waits(id) => id,
                other => panic!("expected to wait, came {other:?}"),
            }
        };
        let cancelled = wait(2, 100);
        wait(3, 100);
        wait(4, 1);
        wait(5, 100);
        assert!(table.cancel(cancelled));
        assert!(!table.cancel(cancelled));
        let next = table.expire(Instant::now() + Duration::from_secs(2));
        assert!(next.is_some());
        table.release(FILE, HolderId(1005));
        table.release(FILE, HolderId(1001));
        let all: Vec<_> = woken.try_iter().collect();
        assert_eq!(
            all,
            [(4, Woken::Expired), (5, Woken::Closed), (3, Woken::Granted)]
        );
    }
}
