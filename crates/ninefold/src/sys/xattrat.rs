//! Extended attributes by a directory's descriptor and a path, which Linux has since 6.13 and
//! neither rustix nor libc yet. The path is one number below `/proc/self/fd`: to begin there takes
//! a third less time than to walk there from the root.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use libc::c_long;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use rustix::path::{Arg, DecInt};

use super::{Result, last_errno, proc_fds};

// Source: include/uapi/asm-generic/unistd.h.
const SETXATTRAT: c_long = 463;
const GETXATTRAT: c_long = 464;
const LISTXATTRAT: c_long = 465;
const REMOVEXATTRAT: c_long = 466;
/// Where Linux counts its calls in another way.
const OTHER_NUMBERS: bool = cfg!(any(
    target_arch = "mips",
    target_arch = "mips32r6",
    target_arch = "mips64",
    target_arch = "mips64r6",
    all(target_arch = "x86_64", target_pointer_width = "32"),
));

/// `struct xattr_args`. Source: include/uapi/linux/xattr.h.
#[repr(C)]
struct XattrArgs {
    value: u64,
    size: u32,
    flags: u32,
}

/// Whether the kernel has these calls: not seen yet, yes, no.
struct Support(AtomicU8);

const UNSEEN: u8 = 0;
const YES: u8 = 1;
const NO: u8 = 2;

/// Makes one of these calls; nothing where the kernel does not have them, or where a filter of system
/// calls that was made before them may be what refuses.
pub(super) fn if_known<T>(call: impl FnOnce() -> Result<T>) -> Option<Result<T>> {
    static KERNEL: Support = Support(AtomicU8::new(if OTHER_NUMBERS { NO } else { UNSEEN }));
    KERNEL.call(call)
}

impl Support {
    fn call<T>(&self, call: impl FnOnce() -> Result<T>) -> Option<Result<T>> {
        match self.0.load(Ordering::Relaxed) {
            YES => return Some(call()),
            NO => return None,
            _ => {}
        }
        match call() {
            Err(Errno::NOSYS) => {
                self.0.store(NO, Ordering::Relaxed);
                None
            }
            Err(Errno::PERM) => None,
            done => {
                self.0.store(YES, Ordering::Relaxed);
                Some(done)
            }
        }
    }
}

/// Reads a value into `value`; returns its length.
pub(super) fn get(fd: BorrowedFd<'_>, name: &[u8], value: &mut [u8]) -> Result<usize> {
    let args = XattrArgs::of(value.as_mut_ptr() as u64, value.len(), 0)?;
    // SAFETY: the value is `size` bytes that are ours to write.
    unsafe { transfer(GETXATTRAT, fd, name, &args) }
}

/// Sets a value.
pub(super) fn set(fd: BorrowedFd<'_>, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
    let args = XattrArgs::of(value.as_ptr() as u64, value.len(), flags.bits())?;
    // SAFETY: the value is `size` bytes, which are only read.
    unsafe { transfer(SETXATTRAT, fd, name, &args) }.map(drop)
}

/// Has the kernel read or write the value that `args` names.
///
/// # Safety
/// That value is there as long as the call takes, and may be written if `number` is [`GETXATTRAT`].
unsafe fn transfer(
    number: c_long,
    fd: BorrowedFd<'_>,
    name: &[u8],
    args: &XattrArgs,
) -> Result<usize> {
    let (dir, path) = (proc_fds()?.as_raw_fd(), DecInt::from_fd(fd));
    name.into_with_c_str(|name| {
        // SAFETY: path and name are NUL-terminated and live as long as the call, as do the
        // arguments; for the value the caller answers.
        checked(unsafe {
            libc::syscall(
                number,
                dir,
                path.as_c_str().as_ptr(),
                NO_FLAGS,
                name.as_ptr(),
                ptr::from_ref(args),
                size_of::<XattrArgs>(),
            )
        })
    })
}

/// Reads the names, each ended by a NUL, into `names`; returns their length.
pub(super) fn list(fd: BorrowedFd<'_>, names: &mut [u8]) -> Result<usize> {
    let (dir, path) = (proc_fds()?.as_raw_fd(), DecInt::from_fd(fd));
    // SAFETY: the path is NUL-terminated, and the names are as many bytes as is said, ours to write.
    checked(unsafe {
        libc::syscall(
            LISTXATTRAT,
            dir,
            path.as_c_str().as_ptr(),
            NO_FLAGS,
            names.as_mut_ptr(),
            names.len(),
        )
    })
}

/// Removes an attribute.
pub(super) fn remove(fd: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let (dir, path) = (proc_fds()?.as_raw_fd(), DecInt::from_fd(fd));
    name.into_with_c_str(|name: &CStr| {
        // SAFETY: path and name are NUL-terminated and live as long as the call.
        let done = checked(unsafe {
            libc::syscall(
                REMOVEXATTRAT,
                dir,
                path.as_c_str().as_ptr(),
                NO_FLAGS,
                name.as_ptr(),
            )
        });
        done.map(drop)
    })
}

/// What is at the path is followed: that is what leads to the object.
const NO_FLAGS: c_int = 0;

impl XattrArgs {
    fn of(value: u64, size: usize, flags: u32) -> Result<Self> {
        // As getxattr(2) of a value longer than any can be.
        let size = u32::try_from(size).map_err(|_| Errno::TOOBIG)?;
        Ok(Self { value, size, flags })
    }
}

fn checked(status: c_long) -> Result<usize> {
    usize::try_from(status).map_err(|_| last_errno())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_is_asked_once() {
        let old = Support(AtomicU8::new(UNSEEN));
        assert_eq!(old.call(|| Err::<(), _>(Errno::NOSYS)), None);
        assert_eq!(old.call(|| -> Result<()> { panic!("again") }), None);
    }

    #[test]
    fn a_filter_is_told_from_a_refusal_once_the_calls_have_worked() {
        let kernel = Support(AtomicU8::new(UNSEEN));
        assert_eq!(kernel.call(|| Err::<(), _>(Errno::PERM)), None);
        assert_eq!(
            kernel.call(|| Err::<(), _>(Errno::NODATA)),
            Some(Err(Errno::NODATA))
        );
        assert_eq!(
            kernel.call(|| Err::<(), _>(Errno::PERM)),
            Some(Err(Errno::PERM))
        );
    }
}
