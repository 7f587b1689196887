//! Byte-range locks between clients and between the processes of one client.
//!
//! POSIX semantics: a range belongs to an owner, a new request of the same owner replaces what it
//! covers, unlocking the middle splits. A lock also remembers through which open file it was taken
//! and goes with it. Locks are not visible to processes of the host.
//!
//! Linux's client makes a POSIX lock of a flock(2) before the server hears of it: its owner is the
//! process too, and closing any descriptor of the file gives it back.

mod file;
mod range;
#[cfg(test)]
mod tests;

pub use range::Range;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::io::Errno;

use super::Export;
use crate::locked;
use crate::sys::{FileId, Result};
use file::{FileLocks, Lock, Waiter, Wake};

/// Most locks and waiting requests on one file; ENOLCK beyond.
const PER_FILE_MAX: usize = 16384;

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Others may read too.
    Read,
    /// Nobody else.
    Write,
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

fn wake_all(wakes: Vec<Wake>) {
    for (waiter, woken) in wakes {
        (waiter.wake)(woken);
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
