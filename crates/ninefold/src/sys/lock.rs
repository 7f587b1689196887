//! Byte-range locks that belong to a descriptor, not to the process (`F_OFD_SETLK`).
//!
//! A POSIX lock of the process would be lost whenever any descriptor of the file is closed.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::{Result, last_errno};

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockKind {
    /// Others may read too.
    Read,
    /// Nobody else.
    Write,
}

impl LockKind {
    fn raw(self) -> libc::c_int {
        match self {
            Self::Read => libc::F_RDLCK,
            Self::Write => libc::F_WRLCK,
        }
    }
}

/// A lock that somebody else has on the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignLock {
    /// Shared or exclusive.
    pub kind: LockKind,
    /// First byte.
    pub start: u64,
    /// Bytes; 0 is "to the end".
    pub length: u64,
    /// Its process; none when it belongs to a descriptor, or to a process that cannot be seen from
    /// here.
    pub pid: Option<u32>,
}

fn record(kind: libc::c_int, start: u64, length: u64) -> Result<libc::flock> {
    let offset = |value| libc::off_t::try_from(value).map_err(|_| Errno::OVERFLOW);
    let short = |value| libc::c_short::try_from(value).map_err(|_| Errno::INVAL);
    Ok(libc::flock {
        l_type: short(kind)?,
        l_whence: short(libc::SEEK_SET)?,
        l_start: offset(start)?,
        l_len: offset(length)?,
        // The kernel insists on it.
        l_pid: 0,
    })
}

/// Sets `length` bytes from `start` (0: to the end) to a kind of lock, or to none. What the
/// descriptor had there is replaced; when it fails, nothing has changed. Does not wait.
///
/// # Errors
/// EAGAIN when another is in the way, EBADF when the descriptor is not open for it
/// (an exclusive lock needs one that writes), else the errno of fcntl(2).
pub fn lock_range(
    file: BorrowedFd<'_>,
    kind: Option<LockKind>,
    start: u64,
    length: u64,
) -> Result<()> {
    let kind = kind.map_or(libc::F_UNLCK, LockKind::raw);
    let record = record(kind, start, length)?;
    // SAFETY: the descriptor is borrowed for the call, which only reads the record.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const record) };
    if status == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// A lock that would be in the way of such a one, of anybody but this descriptor.
///
/// # Errors
/// The errno of fcntl(2).
pub fn test_range(
    file: BorrowedFd<'_>,
    kind: LockKind,
    start: u64,
    length: u64,
) -> Result<Option<ForeignLock>> {
    let mut record = record(kind.raw(), start, length)?;
    // SAFETY: the descriptor is borrowed for the call, which reads and writes the record.
    let status = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut record) };
    if status != 0 {
        return Err(last_errno());
    }
    let kind = match libc::c_int::from(record.l_type) {
        libc::F_UNLCK => return Ok(None),
        libc::F_RDLCK => LockKind::Read,
        _ => LockKind::Write,
    };
    Ok(Some(ForeignLock {
        kind,
        start: u64::try_from(record.l_start).map_err(|_| Errno::OVERFLOW)?,
        length: u64::try_from(record.l_len).map_err(|_| Errno::OVERFLOW)?,
        pid: u32::try_from(record.l_pid).ok().filter(|pid| *pid != 0),
    }))
}
