//! What rustix lacks about sockets and inherited descriptors.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::Result;

/// The effective user of the program that connected a unix socket, as it was then. rustix has the
/// call but not for peers of another PID namespace, whose process number is 0.
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_uid(socket: BorrowedFd<'_>) -> Result<u32> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let size = size_of::<libc::ucred>();
    let mut len = libc::socklen_t::try_from(size).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: `peer` has room for `len` bytes and any bytes make a ucred; both outlive the call.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut len,
        )
    };
    if failed != 0 {
        return Err(last_errno());
    }
    Ok(peer.uid)
}

/// A duplicate of a descriptor that this process was started with, given by its number. Call it
/// before anything is opened, or the number may be that of something else; what it names stays
/// open under its own number too.
///
/// # Errors
/// EBADF when nothing is open there; else those of fcntl(2).
pub fn inherited_descriptor(number: RawFd) -> Result<OwnedFd> {
    // SAFETY: no memory is passed, and the descriptor by that number is not changed.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

fn last_errno() -> Errno {
    let raw = std::io::Error::last_os_error().raw_os_error();
    raw.map_or(Errno::IO, Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::inherited_descriptor;
    use rustix::io::Errno;

    #[test]
    fn numbers_that_nothing_has() {
        for number in [-1, i32::MAX] {
            assert_eq!(inherited_descriptor(number).err(), Some(Errno::BADF));
        }
    }
}
