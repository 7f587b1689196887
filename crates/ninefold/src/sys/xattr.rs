//! Extended attributes of an object that is held by a descriptor.

use std::io::Write as _;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{self, XattrFlags};

use super::xattrat::{self, if_known};
use super::{Result, interruptible};

/// How to reach the object: the calls refuse descriptors that only name it.
#[derive(Clone, Copy)]
pub enum XattrTarget<'a> {
    /// An open file: directly.
    Open(BorrowedFd<'a>),
    /// An `O_PATH` descriptor: through `/proc/self/fd`, from a descriptor of it where Linux can (6.13).
    Named(BorrowedFd<'a>),
}

/// `/proc/self/fd/N` on the stack.
struct ProcPath {
    bytes: [u8; 32],
    len: usize,
}

impl ProcPath {
    fn of(fd: BorrowedFd<'_>) -> Self {
        let mut bytes = [0; 32];
        let mut rest = &mut bytes[..];
        // 14 bytes and at most 10 digits: it always fits.
        let _ = write!(rest, "/proc/self/fd/{}", fd.as_raw_fd());
        let len = 32 - rest.len();
        Self { bytes, len }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Reads a value into `value`; returns its length.
///
/// # Errors
/// The errno of getxattr(2): ENODATA when there is none, ERANGE when it does not fit.
pub fn xattr_get(target: XattrTarget<'_>, name: &[u8], value: &mut [u8]) -> Result<usize> {
    interruptible(|| match target {
        XattrTarget::Open(fd) => fs::fgetxattr(fd, name, &mut *value),
        XattrTarget::Named(fd) => if_known(|| xattrat::get(fd, name, value))
            .unwrap_or_else(|| fs::getxattr(ProcPath::of(fd).as_bytes(), name, &mut *value)),
    })
}

/// Reads the names, each ended by a NUL, into `names`; returns their length.
///
/// # Errors
/// The errno of listxattr(2).
pub fn xattr_list(target: XattrTarget<'_>, names: &mut [u8]) -> Result<usize> {
    interruptible(|| match target {
        XattrTarget::Open(fd) => fs::flistxattr(fd, &mut *names),
        XattrTarget::Named(fd) => if_known(|| xattrat::list(fd, names))
            .unwrap_or_else(|| fs::listxattr(ProcPath::of(fd).as_bytes(), &mut *names)),
    })
}

/// Sets a value, which may be empty.
///
/// # Errors
/// The errno of setxattr(2).
pub fn xattr_set(
    target: XattrTarget<'_>,
    name: &[u8],
    value: &[u8],
    flags: XattrFlags,
) -> Result<()> {
    match target {
        XattrTarget::Open(fd) => fs::fsetxattr(fd, name, value, flags),
        XattrTarget::Named(fd) => if_known(|| xattrat::set(fd, name, value, flags))
            .unwrap_or_else(|| fs::setxattr(ProcPath::of(fd).as_bytes(), name, value, flags)),
    }
}

/// Removes an attribute.
///
/// # Errors
/// The errno of removexattr(2).
pub fn xattr_remove(target: XattrTarget<'_>, name: &[u8]) -> Result<()> {
    match target {
        XattrTarget::Open(fd) => fs::fremovexattr(fd, name),
        XattrTarget::Named(fd) => if_known(|| xattrat::remove(fd, name))
            .unwrap_or_else(|| fs::removexattr(ProcPath::of(fd).as_bytes(), name)),
    }
}
