//! Objects that are on the host what they are for the client.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::{At, MadeFile, New};
use crate::export::Node;
use crate::sys::{self, Result, Stat, interruptible};

/// Permission bits, with set-id and sticky bits.
const PERMISSIONS: u32 = 0o7777;

pub(in crate::export) fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & PERMISSIONS)
}

/// Marks the attributes as changed now. No call does just that: the mode is set to itself, because
/// a chown to nobody would clear the set-id bits.
pub(in crate::export) fn touch(node: &Arc<Node>) -> Result<()> {
    if node.file_type() == FileType::Symlink {
        return sys::chown(node.fd()?.as_fd(), None, None);
    }
    let stat = sys::stat(node.fd()?.as_fd())?;
    sys::chmod(node.fd()?.as_fd(), permissions(stat.mode))
}

pub(super) fn create_file(at: At<'_>, flags: fs::OFlags, new: New) -> Result<MadeFile> {
    let fd = sys::open_entry(at.0.fd()?.as_fd(), at.1, flags, permissions(new.mode))?;
    let stat = sys::stat(fd.as_fd())?;
    Ok(MadeFile {
        fd,
        stat,
        metadata: None,
    })
}

pub(super) fn make_dir((dir, name): At<'_>, new: New) -> Result<Stat> {
    fs::mkdirat(dir.fd()?.as_fd(), name.bytes(), permissions(new.mode))?;
    sys::stat_entry(dir.fd()?.as_fd(), name)
}

pub(super) fn make_node(
    (dir, name): At<'_>,
    file_type: FileType,
    (major, minor): (u32, u32),
    new: New,
) -> Result<Stat> {
    let device = fs::makedev(major, minor);
    let mode = permissions(new.mode);
    fs::mknodat(dir.fd()?.as_fd(), name.bytes(), file_type, mode, device)?;
    sys::stat_entry(dir.fd()?.as_fd(), name)
}

pub(super) fn make_symlink((dir, name): At<'_>, target: &[u8]) -> Result<Stat> {
    fs::symlinkat(target, dir.fd()?.as_fd(), name.bytes())?;
    sys::stat_entry(dir.fd()?.as_fd(), name)
}

pub(super) fn read_link(node: &Arc<Node>, target: &mut [u8]) -> Result<usize> {
    if node.file_type() != FileType::Symlink {
        return Err(Errno::INVAL);
    }
    let fd = node.fd()?;
    interruptible(|| fs::readlinkat_raw(fd.as_fd(), "", &mut *target))
}

pub(super) fn rename(from: At<'_>, to: At<'_>) -> Result<()> {
    let old = from.0.fd()?;
    if Arc::ptr_eq(from.0, to.0) {
        fs::renameat(&*old, from.1.bytes(), &*old, to.1.bytes())
    } else {
        fs::renameat(&*old, from.1.bytes(), &*to.0.fd()?, to.1.bytes())
    }
}

pub(super) fn unlink((dir, name): At<'_>, directory: bool) -> Result<()> {
    let flags = if directory {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    fs::unlinkat(dir.fd()?.as_fd(), name.bytes(), flags)
}
