//! File handles: what an inode is called when no descriptor is at hand.
//!
//! `FS_IOC_GETVERSION` would need the file opened, and special files must not be. The handle that
//! name_to_handle_at(2) gives for an `O_PATH` descriptor holds the generation too, and
//! open_by_handle_at(2) finds the inode by it as long as it exists. Handles outlive kernels (NFS
//! clients keep them), so that their layout is stable: `include/linux/exportfs.h`.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use ninefold_wire::Name;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::path::Arg;

use super::{Result, last_errno};

/// Room for the largest handle (`MAX_HANDLE_SZ`).
const HANDLE_MAX: usize = 128;

/// Bytes of the handles of ext4, xfs and tmpfs, at most.
const USUAL_MAX: usize = 12;

/// `struct file_handle` with its bytes.
#[repr(C)]
struct Raw {
    bytes: u32,
    kind: i32,
    data: [u8; HANDLE_MAX],
}

/// A file handle. Small, because a server may keep a million of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileHandle {
    /// Of a usual length.
    Usual {
        /// The layout, as the kernel numbers it.
        kind: u8,
        /// Bytes of `data`.
        len: u8,
        /// The handle, filled up with zeros.
        data: [u8; USUAL_MAX],
    },
    /// Any other.
    Other(Box<(i32, Box<[u8]>)>),
}

impl FileHandle {
    /// The handle of an object and the number of the mount it was reached on; none where the file
    /// system has no handles.
    #[must_use]
    pub fn of(object: BorrowedFd<'_>) -> Option<(Self, i32)> {
        Self::from_raw(&name_to_handle(object, c"")?)
    }

    /// The same for an entry of a directory; for a symbolic link, its own.
    #[must_use]
    pub fn of_entry(dir: BorrowedFd<'_>, name: Name<'_>) -> Option<(Self, i32)> {
        let raw = (name.bytes()).into_with_c_str(|name| Ok(name_to_handle(dir, name)));
        Self::from_raw(&raw.ok()??)
    }

    fn from_raw((raw, mount): &(Raw, i32)) -> Option<(Self, i32)> {
        let bytes = raw.data.get(..usize::try_from(raw.bytes).ok()?)?;
        Some((Self::new(raw.kind, bytes), *mount))
    }

    fn new(kind: i32, bytes: &[u8]) -> Self {
        let mut data = [0; USUAL_MAX];
        match (
            data.get_mut(..bytes.len()),
            u8::try_from(kind),
            u8::try_from(bytes.len()),
        ) {
            (Some(start), Ok(kind), Ok(len)) => {
                start.copy_from_slice(bytes);
                Self::Usual { kind, len, data }
            }
            _ => Self::Other(Box::new((kind, bytes.into()))),
        }
    }

    fn parts(&self) -> (i32, &[u8]) {
        match self {
            Self::Usual { kind, len, data } => (
                i32::from(*kind),
                data.get(..usize::from(*len)).unwrap_or(data),
            ),
            Self::Other(other) => (other.0, &other.1),
        }
    }

    /// Opens the object on the mount of `mount`, which is open for more than `O_PATH`.
    ///
    /// # Errors
    /// ESTALE when the object is gone, EPERM when this thread may not (`CAP_DAC_READ_SEARCH`), else
    /// the errno of open_by_handle_at(2).
    pub fn open(&self, mount: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd> {
        let (kind, bytes) = self.parts();
        let mut raw = Raw {
            bytes: 0,
            kind,
            data: [0; HANDLE_MAX],
        };
        let Some(start) = raw.data.get_mut(..bytes.len()) else {
            return Err(Errno::OVERFLOW);
        };
        start.copy_from_slice(bytes);
        raw.bytes = u32::try_from(bytes.len()).map_err(|_| Errno::OVERFLOW)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let flags = libc::c_int::from_ne_bytes(flags.bits().to_ne_bytes());
        // SAFETY: `raw` has the layout of `struct file_handle` followed by as many bytes as its
        // first field says, and is only read.
        let fd =
            unsafe { libc::open_by_handle_at(mount.as_raw_fd(), (&raw mut raw).cast(), flags) };
        if fd < 0 {
            return Err(last_errno());
        }
        // SAFETY: the kernel has just opened this descriptor for us alone.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The generation of the inode of `object`, numbered `ino`; none where the file system has none or
/// keeps it in a layout unknown here.
#[must_use]
pub fn generation(object: BorrowedFd<'_>, ino: u64) -> Option<u32> {
    let (handle, _) = name_to_handle(object, c"")?;
    let data = handle.data.get(..usize::try_from(handle.bytes).ok()?)?;
    match (handle.kind, data.len()) {
        // FILEID_INO32_GEN: ext2, ext3, ext4, f2fs and others.
        (0x01, 8) => (u64::from(word(data, 0)?) == ino).then(|| word(data, 4))?,
        // FILEID_INO64_GEN of xfs.
        (0x81, 12) => (long(data, 0)? == ino).then(|| word(data, 8))?,
        // FILEID_BTRFS_WITHOUT_PARENT: inode, subvolume, generation.
        (0x4d, 20) => (long(data, 0)? == ino).then(|| word(data, 16))?,
        _ => None,
    }
}

/// Of what `path` leads to from `at`, or of `at` itself if it is empty.
fn name_to_handle(at: BorrowedFd<'_>, path: &CStr) -> Option<(Raw, i32)> {
    let mut raw = Raw {
        bytes: u32::try_from(HANDLE_MAX).ok()?,
        kind: 0,
        data: [0; HANDLE_MAX],
    };
    let mut mount = 0;
    // SAFETY: `raw` has the layout of `struct file_handle` followed by as many bytes as its
    // first field says; the path is NUL-terminated.
    let status = unsafe {
        libc::name_to_handle_at(
            at.as_raw_fd(),
            path.as_ptr(),
            (&raw mut raw).cast(),
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    (status == 0).then_some((raw, mount))
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn long(data: &[u8], at: usize) -> Option<u64> {
    let bytes = data.get(at..at + 8)?;
    bytes.try_into().ok().map(u64::from_ne_bytes)
}
