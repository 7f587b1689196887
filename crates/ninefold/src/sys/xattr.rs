//! Extended attributes of an object that is held by a descriptor.

use std::os::fd::BorrowedFd;

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

/// Reads a value into `value`; returns its length.
///
/// # Errors
/// The errno of getxattr(2): ENODATA when there is none, ERANGE when it does not fit.
pub fn xattr_get(target: XattrTarget<'_>, name: &[u8], value: &mut [u8]) -> Result<usize> {
    interruptible(|| match target {
        XattrTarget::Open(fd) => fs::fgetxattr(fd, name, &mut *value),
        XattrTarget::Named(fd) => if_known(|| xattrat::get(fd, name, value))
            .unwrap_or_else(|| by_path::get(fd, name, value)),
    })
}

/// Reads the names, each ended by a NUL, into `names`; returns their length.
///
/// # Errors
/// The errno of listxattr(2).
pub fn xattr_list(target: XattrTarget<'_>, names: &mut [u8]) -> Result<usize> {
    interruptible(|| match target {
        XattrTarget::Open(fd) => fs::flistxattr(fd, &mut *names),
        XattrTarget::Named(fd) => {
            if_known(|| xattrat::list(fd, names)).unwrap_or_else(|| by_path::list(fd, names))
        }
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
            .unwrap_or_else(|| by_path::set(fd, name, value, flags)),
    }
}

/// Removes an attribute.
///
/// # Errors
/// The errno of removexattr(2).
pub fn xattr_remove(target: XattrTarget<'_>, name: &[u8]) -> Result<()> {
    match target {
        XattrTarget::Open(fd) => fs::fremovexattr(fd, name),
        XattrTarget::Named(fd) => {
            if_known(|| xattrat::remove(fd, name)).unwrap_or_else(|| by_path::remove(fd, name))
        }
    }
}

/// What every kernel has: the calls that take a path, which is `/proc/self/fd/N`.
mod by_path {
    use std::io::Write as _;
    use std::os::fd::{AsRawFd, BorrowedFd};

    use rustix::fs::{self, XattrFlags};

    use crate::sys::Result;

    pub(super) fn get(fd: BorrowedFd<'_>, name: &[u8], value: &mut [u8]) -> Result<usize> {
        fs::getxattr(ProcPath::of(fd).as_bytes(), name, value)
    }

    pub(super) fn list(fd: BorrowedFd<'_>, names: &mut [u8]) -> Result<usize> {
        fs::listxattr(ProcPath::of(fd).as_bytes(), names)
    }

    pub(super) fn set(
        fd: BorrowedFd<'_>,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<()> {
        fs::setxattr(ProcPath::of(fd).as_bytes(), name, value, flags)
    }

    pub(super) fn remove(fd: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        fs::removexattr(ProcPath::of(fd).as_bytes(), name)
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
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;

    use super::*;

    /// Whichever the kernel has: both ways lead to the same attributes.
    #[test]
    fn what_one_way_sets_the_other_finds() {
        crate::sys::open_proc().expect("a mounted /proc");
        let file = tempfile::NamedTempFile::new().expect("room");
        let fd = fs::open(file.path(), OFlags::PATH, Mode::empty()).expect("the file");
        let named = XattrTarget::Named(fd.as_fd());
        let (name, mut room) = (b"user.one", [0; 64]);
        xattr_set(named, name, b"value", XattrFlags::CREATE).expect("user attributes");
        assert_eq!(by_path::get(fd.as_fd(), name, &mut room), Ok(5));
        assert_eq!(&room[..5], b"value");
        let flags = XattrFlags::REPLACE;
        assert_eq!(by_path::set(fd.as_fd(), name, b"", flags), Ok(()));
        assert_eq!(xattr_get(named, name, &mut room), Ok(0));
        let listed = by_path::list(fd.as_fd(), &mut room);
        assert_eq!(xattr_list(named, &mut room), listed);
        assert_eq!(&room[..9], b"user.one\0");
        assert_eq!(by_path::remove(fd.as_fd(), name), Ok(()));
        assert_eq!(xattr_get(named, name, &mut room), Err(Errno::NODATA));
        assert_eq!(xattr_remove(named, name), Err(Errno::NODATA));
    }
}
