//! The generation number of an inode, out of its file handle.
//!
//! `FS_IOC_GETVERSION` would need the file opened, and special files must not be. The handle that
//! name_to_handle_at(2) gives for an `O_PATH` descriptor holds the same number. Handles outlive
//! kernels (NFS clients keep them), so that their layout is stable: `include/linux/exportfs.h`.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Room for the largest handle (`MAX_HANDLE_SZ`).
const HANDLE_MAX: usize = 128;

/// `struct file_handle` with its bytes.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; HANDLE_MAX],
}

/// The generation of the inode of `object`, numbered `ino`; none where the file system has none or
/// keeps it in a layout unknown here.
#[must_use]
pub fn generation(object: BorrowedFd<'_>, ino: u64) -> Option<u32> {
    let handle = handle(object)?;
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

fn handle(object: BorrowedFd<'_>) -> Option<Handle> {
    let mut handle = Handle {
        bytes: 0,
        kind: 0,
        data: [0; HANDLE_MAX],
    };
    handle.bytes = u32::try_from(HANDLE_MAX).ok()?;
    let mut mount = 0;
    // SAFETY: `handle` has the layout of `struct file_handle` followed by as many bytes as its
    // first field says; the path is a NUL-terminated constant.
    let status = unsafe {
        libc::name_to_handle_at(
            object.as_raw_fd(),
            c"".as_ptr(),
            (&raw mut handle).cast(),
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    };
    (status == 0).then_some(handle)
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn long(data: &[u8], at: usize) -> Option<u64> {
    let bytes = data.get(at..at + 8)?;
    bytes.try_into().ok().map(u64::from_ne_bytes)
}
