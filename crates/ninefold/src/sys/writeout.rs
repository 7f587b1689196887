//! sync_file_range(2), which rustix does not have.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::{Result, last_errno};

/// Begins to bring a range of an open file to the disk, after what is on its way there already has
/// arrived.
///
/// # Errors
/// EINVAL for a range that ends past 2^63-1, else the errno of `sync_file_range(2)`. EIO and ENOSPC
/// are those of what was on its way, and no later fsync(2) of the descriptor tells of them again.
pub fn start_writeout(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    let offset = i64::try_from(offset).map_err(|_| Errno::INVAL)?;
    let len = i64::try_from(len).map_err(|_| Errno::INVAL)?;
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE;
    // SAFETY: numbers only; the descriptor is borrowed for the call.
    let status = unsafe { libc::sync_file_range(fd.as_raw_fd(), offset, len, flags) };
    if status == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}
