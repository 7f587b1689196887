//! System calls of operations that change names.

use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io;

use super::Once;
use super::open;
use super::stat;
use crate::tree;

const HERE: &str = "plain-here";
const THERE: &str = "plain-there";

/// A create, a statx for the qid, a write, a close, an unlink.
pub fn create_write(dir: OwnedFd) -> Once {
    let data = vec![b'w'; tree::SMALL_LEN as usize];
    Box::new(move || {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let file = open(&dir, "plain", flags)?;
        stat(&file, "")?;
        io::pwrite(&file, &data, 0)?;
        drop(file);
        rustix::fs::unlinkat(&dir, "plain", AtFlags::empty()).map(|()| 1)
    })
}

/// There, and back again.
pub fn rename(dir: OwnedFd) -> Result<Once> {
    drop(open(&dir, HERE, OFlags::CREATE | OFlags::WRONLY)?);
    Ok(Box::new(move || {
        rustix::fs::renameat(&dir, HERE, &dir, THERE)?;
        rustix::fs::renameat(&dir, THERE, &dir, HERE).map(|()| 2)
    }))
}

/// A mkdir, a statx for the qid, a rmdir.
pub fn make_dir(dir: OwnedFd) -> Once {
    Box::new(move || {
        rustix::fs::mkdirat(&dir, "plain-dir", Mode::from_raw_mode(0o755))?;
        stat(&dir, "plain-dir")?;
        rustix::fs::unlinkat(&dir, "plain-dir", AtFlags::REMOVEDIR).map(|()| 1)
    })
}

/// A symlink, an open and a statx for its qids, a readlink, a close, an unlink.
pub fn symbolic_link(dir: OwnedFd) -> Once {
    let mut target = [0; 64];
    Box::new(move || {
        rustix::fs::symlinkat("target", &dir, "plain-link")?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = rustix::fs::openat(&dir, "plain-link", flags, Mode::empty())?;
        stat(&link, "")?;
        rustix::fs::readlinkat_raw(&link, "", &mut target[..])?;
        drop(link);
        rustix::fs::unlinkat(&dir, "plain-link", AtFlags::empty()).map(|()| 1)
    })
}
