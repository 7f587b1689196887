//! The regular files of the host that stand for what a mapped model does not make there.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, OFlags};
use rustix::io::{self, Errno};

use super::attributes::Attributes;
use super::{At, HostModes, host};
use crate::export::Node;
use crate::sys::{self, Result};

/// Longest target of a symbolic link, as Linux has it, bytes.
const TARGET_MAX: usize = 4095;

/// An entry of a directory: a regular file may stand for anything.
pub(super) fn entry_type(host: FileType) -> FileType {
    match host {
        FileType::RegularFile => FileType::Unknown,
        known => known,
    }
}

/// Takes away again what was made to have these attributes. The first error is the one to report,
/// not one of this.
pub(super) fn take_back(at: At<'_>, new: Attributes) {
    let kind = new.mode.map(FileType::from_raw_mode);
    let _ = host::unlink(at, kind == Some(FileType::Directory));
}

/// An empty file that did not exist.
pub(super) fn make((dir, name): At<'_>, modes: HostModes) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    sys::open_entry(
        dir.fd()?.as_fd(),
        name,
        flags,
        host::permissions(modes.file),
    )
}

/// A file that holds the target of a symbolic link.
pub(super) fn make_link(at: At<'_>, modes: HostModes, target: &[u8]) -> Result<OwnedFd> {
    if target.is_empty() {
        return Err(Errno::NOENT);
    }
    if target.contains(&0) {
        return Err(Errno::INVAL);
    }
    if target.len() > TARGET_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let fd = make(at, modes)?;
    let written = match io::pwrite(&fd, target, 0) {
        Ok(count) if count == target.len() => return Ok(fd),
        // What is left of a full disk was less than the target.
        Ok(_) => Err(Errno::NOSPC),
        Err(errno) => Err(errno),
    };
    let _ = host::unlink(at, false);
    written
}

/// The target that an object of this type holds.
pub(super) fn read_link(node: &Arc<Node>, file_type: FileType, target: &mut [u8]) -> Result<usize> {
    if node.file_type() == FileType::Symlink {
        return host::read_link(node, target);
    }
    if file_type != FileType::Symlink || node.file_type() != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let fd = sys::reopen(node.fd()?.as_fd(), OFlags::RDONLY | OFlags::NOCTTY)?;
    let size = sys::stat(fd.as_fd())?.size;
    if usize::try_from(size).map_or(true, |size| size > target.len()) {
        return Err(Errno::NAMETOOLONG);
    }
    io::pread(&fd, target, 0)
}
