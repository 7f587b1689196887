//! Byte-range locks on an open file.
//!
//! The server keeps them; they go when the file that took them is closed.

use ninefold_wire::flags::lock;
use ninefold_wire::{LockRange, LockType, Reply, Request};

use crate::session::ask;
use crate::{Error, File, Result};

/// How a request for a lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockStatus {
    /// Granted.
    Granted,
    /// Another holds it.
    Blocked,
    /// Failed for another reason.
    Failed,
    /// The server is still recovering locks from before its restart.
    Grace,
}

/// A lock that is in the way of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Shared or exclusive.
    pub kind: LockType,
    /// First byte.
    pub start: u64,
    /// Bytes; 0 is "to the end".
    pub length: u64,
    /// The process that holds it, as its client numbers it.
    pub proc_id: u32,
    /// The client that holds it.
    pub client_id: Vec<u8>,
}

impl File {
    /// Takes or releases a lock; with [`lock::BLOCK`] among `flags` the server may wait for it.
    ///
    /// # Errors
    /// The server's. A lock that another holds is no error but [`LockStatus::Blocked`].
    pub fn lock(&self, kind: LockType, flags: u32, range: LockRange<'_>) -> Result<LockStatus> {
        let request = Request::Lock {
            fid: self.fid().number(),
            kind: kind.number(),
            flags,
            range,
        };
        ask!(self.fid().session(), request, Reply::Lock { status } => lock_status(status))
    }

    /// The first lock in the way of the one asked about, if any.
    ///
    /// # Errors
    /// The server's.
    pub fn lock_in_the_way(
        &self,
        kind: LockType,
        range: LockRange<'_>,
    ) -> Result<Option<HeldLock>> {
        let request = Request::Getlock {
            fid: self.fid().number(),
            kind: kind.number(),
            range,
        };
        ask!(self.fid().session(), request, Reply::Getlock { kind, range } => held(kind, range))
    }
}

fn lock_status(status: u8) -> Result<LockStatus> {
    match status {
        lock::SUCCESS => Ok(LockStatus::Granted),
        lock::BLOCKED => Ok(LockStatus::Blocked),
        lock::ERROR => Ok(LockStatus::Failed),
        lock::GRACE => Ok(LockStatus::Grace),
        other => Err(Error::protocol(
            "a lock status from 0 to 3",
            other.to_string(),
        )),
    }
}

fn held(kind: u8, range: LockRange<'_>) -> Result<Option<HeldLock>> {
    let Some(kind) = LockType::of_number(kind) else {
        return Err(Error::protocol("a lock type from 0 to 2", kind.to_string()));
    };
    let LockRange {
        start,
        length,
        proc_id,
        client_id,
    } = range;
    let held = HeldLock {
        kind,
        start,
        length,
        proc_id,
        client_id: client_id.to_vec(),
    };
    Ok(Some(held).filter(|held| held.kind != LockType::Unlock))
}
