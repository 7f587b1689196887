//! Byte-range locks between clients, between the processes of one client, and towards the host.
//!
//! POSIX semantics: a range belongs to an owner, a new request of the same owner replaces what it
//! covers, unlocking the middle splits. A lock also remembers through which open file it was taken
//! and goes with it. What is free among clients is then asked of the host; see [`host`].
//!
//! Linux's client makes a POSIX lock of a flock(2) before the server hears of it: its owner is the
//! process too, and closing any descriptor of the file gives it back.
//!
//! Calls to the host are made with the shard of the file locked, so that what the table says and
//! what the host has never differ. Locks are taken in the order shard, then agenda or tally.

mod agenda;
mod file;
mod host;
mod range;
mod tally;
#[cfg(test)]
mod tests;

pub use range::Range;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{Export, Node};
use crate::locked;
pub use crate::sys::LockKind;
use crate::sys::{FileId, Result};
use agenda::Agenda;
use file::{FileLocks, Lock, Tried, Waiter, Wake};
use tally::Tally;

/// Most locks and waiting requests on one file; ENOLCK beyond.
const PER_FILE_MAX: usize = 16384;
/// Parts of the table, so that a slow host keeps few other files waiting.
const SHARDS: usize = 64;
/// A shard that is in use when its waiters are to be looked at is tried again after this.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Whose lock: a process of a node of a session. Sessions are told apart because two clients may
/// carry the same node name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockOwner {
    /// The session.
    pub session: u64,
    /// The process on the client.
    pub proc_id: u32,
    /// The client's node name.
    pub client_id: Arc<[u8]>,
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

#[cfg(test)]
impl WaitId {
    /// One that no table knows.
    pub(crate) fn of_nothing() -> Self {
        let file = FileId { dev: 0, ino: 0 };
        Self { file, id: 0 }
    }
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
    /// The host failed.
    Failed(Errno),
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
    /// Another owner is in the way, or somebody on the host.
    Blocked,
    /// It waits.
    Waits(WaitId),
}

/// A lock that is in the way of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Shared or exclusive.
    pub kind: LockKind,
    /// Which bytes.
    pub range: Range,
    /// The client's node name; none for a lock of the host.
    pub client_id: Option<Arc<[u8]>>,
    /// The process on the client, or on the host as far as it is known there; else 0.
    pub proc_id: u32,
}

fn wake_all(wakes: Vec<Wake>) {
    for (waiter, woken) in wakes {
        (waiter.wake)(woken);
    }
}

type Shard = HashMap<FileId, FileLocks>;
/// Called when waiters have to be looked at sooner than was known. False: not again.
type Alarm = Box<dyn Fn() -> bool + Send>;

/// All locks of one export.
pub struct LockTable {
    shards: [Mutex<Shard>; SHARDS],
    agenda: Agenda,
    tally: Arc<Tally>,
    ids: AtomicU64,
    alarms: Mutex<Vec<Alarm>>,
    /// Whether files may be opened for writing, which an exclusive lock on the host needs.
    may_write: bool,
}

impl LockTable {
    /// No locks; exclusive on the host only where files `may_write`.
    pub(super) fn new(may_write: bool) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            agenda: Agenda::default(),
            tally: Arc::default(),
            ids: AtomicU64::new(0),
            alarms: Mutex::default(),
            may_write,
        }
    }

    fn new_holder(&self) -> HolderId {
        HolderId(self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// Has `alarm` called whenever [`LockTable::expire`] is to be called sooner than it last said,
    /// until that returns false. It is called with no lock of the table held.
    pub fn on_sooner(&self, alarm: impl Fn() -> bool + Send + 'static) {
        locked(&self.alarms).push(Box::new(alarm));
    }

    /// Calls all alarms.
    pub(super) fn sound(&self) {
        locked(&self.alarms).retain(|alarm| alarm());
    }

    /// Asks for a lock, and waits for it if `wait` is given. A waiter is woken by whichever thread
    /// sets the lock free; by [`LockTable::expire`] if that is the host.
    ///
    /// # Errors
    /// ENOLCK when the file or the session has too many locks already or the server no descriptor
    /// left, else the errno of a host that failed.
    pub fn lock(
        &self,
        node: &Arc<Node>,
        holder: HolderId,
        (owner, kind, range): (LockOwner, LockKind, Range),
        wait: Option<LockWait>,
    ) -> Result<LockOutcome> {
        let wanted = Lock {
            _counted: self.tally.count(owner.session)?,
            owner,
            holder,
            kind,
            range,
        };
        let file = node.id();
        self.with(file, |locks, wakes| {
            if locks.len() >= PER_FILE_MAX {
                return Err(Errno::NOLCK);
            }
            locks.host.open(node, kind, self.may_write)?;
            let tried = locks.take(&wanted)?;
            if let Tried::Locked = tried {
                // A write lock that becomes a read lock lets others in.
                locks.grant(Instant::now(), wakes);
                return Ok(LockOutcome::Granted);
            }
            let Some(wait) = wait else {
                return Ok(LockOutcome::Blocked);
            };
            let id = self.ids.fetch_add(1, Ordering::Relaxed);
            let for_host = matches!(tried, Tried::HostHinders);
            locks.wait(Waiter { id, wanted, wait }, for_host);
            Ok(LockOutcome::Waits(WaitId { file, id }))
        })
    }

    /// Gives back what the owner has of a range, which may be nothing.
    ///
    /// # Errors
    /// ENOLCK when it makes two locks of one and there are too many already. Source: fcntl(2).
    pub fn unlock(&self, file: FileId, owner: &LockOwner, range: Range) -> Result<()> {
        self.with(file, |locks, wakes| {
            let is_full = locks.len() >= PER_FILE_MAX || self.tally.is_full(owner.session);
            if is_full && locks.splits(owner, range) {
                return Err(Errno::NOLCK);
            }
            locks.unlock(owner, range);
            locks.grant(Instant::now(), wakes);
            Ok(())
        })
    }

    /// Gives back what was taken through an open file, and dismisses what waits there.
    pub fn release(&self, file: FileId, holder: HolderId) {
        self.with(file, |locks, wakes| {
            locks.release(holder, wakes);
            locks.grant(Instant::now(), wakes);
        });
    }

    /// A lock that is in the way of such a request: another client's, else one of the host's.
    ///
    /// # Errors
    /// ENOLCK when the server has no descriptor left, else the errno of a host that failed.
    pub fn test(
        &self,
        node: &Arc<Node>,
        owner: &LockOwner,
        kind: LockKind,
        range: Range,
    ) -> Result<Option<HeldLock>> {
        let asked = {
            let files = locked(self.shard(node.id()));
            let locks = files.get(&node.id());
            if let Some(held) = locks.and_then(|locks| locks.hindrance(owner, kind, range)) {
                return Ok(Some(held));
            }
            locks.and_then(|locks| locks.host.test(kind, range))
        };
        let foreign = match asked {
            Some(foreign) => foreign,
            None => host::ask_host(node, kind, range)?,
        };
        let held = foreign.and_then(|lock| {
            Some(HeldLock {
                kind: lock.kind,
                range: Range::new(lock.start, lock.length).ok()?,
                client_id: None,
                proc_id: lock.pid.unwrap_or(0),
            })
        });
        Ok(held)
    }

    /// Takes back a waiting request, which is then not woken. False when it has been already.
    #[must_use]
    pub fn cancel(&self, wait: WaitId) -> bool {
        self.with(wait.file, |locks, _| locks.cancel(wait.id))
    }

    /// Wakes what has waited long enough, and asks the host again where it is in the way. Returns
    /// when to come back.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        while let Some(file) = self.agenda.take_due(now) {
            // Not to wait here: whoever works on it may be long in a call to the host.
            let files = match self.shard(file).try_lock() {
                Ok(files) => files,
                Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
                Err(TryLockError::WouldBlock) => {
                    self.agenda.put_off(file, now + BUSY_PAUSE);
                    continue;
                }
            };
            self.work(files, file, |locks, wakes| {
                locks.planned = None;
                locks.expire(now, wakes);
            });
        }
        self.agenda.next()
    }

    fn shard(&self, file: FileId) -> &Mutex<Shard> {
        // The numbers of one file system are given out one after the other.
        let shards = SHARDS as u64;
        let at = (file.dev.wrapping_mul(31).wrapping_add(file.ino)) % shards;
        &self.shards[usize::try_from(at).unwrap_or(0)]
    }

    fn with<T>(&self, file: FileId, act: impl FnOnce(&mut FileLocks, &mut Vec<Wake>) -> T) -> T {
        let files = locked(self.shard(file));
        let (result, is_sooner) = self.work(files, file, act);
        if is_sooner {
            self.sound();
        }
        result
    }

    /// Acts on a file's locks, and wakes whom that concerns. Returns also whether the file is to be
    /// looked at sooner than it was.
    fn work<T>(
        &self,
        mut files: MutexGuard<'_, Shard>,
        file: FileId,
        act: impl FnOnce(&mut FileLocks, &mut Vec<Wake>) -> T,
    ) -> (T, bool) {
        let mut wakes = Vec::new();
        let locks = files.entry(file).or_default();
        let result = act(locks, &mut wakes);
        let due = locks.due();
        let is_sooner = self.agenda.plan(file, &mut locks.planned, due);
        if locks.is_empty() {
            // With the shard locked: the next one's shadow must not meet the locks of this one's.
            files.remove(&file);
        }
        drop(files);
        wake_all(wakes);
        (result, is_sooner)
    }
}
