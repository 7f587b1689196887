//! Open files: reading and writing.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::budget::Descriptor;
use super::opened::Opened;
use super::{Export, LockHold, Node, Writer};
use crate::sys::{self, Result, Source, Stat, Target, interruptible};

/// What an open file is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// Whether it allows to write.
    #[must_use]
    pub fn writes(self) -> bool {
        self != Self::Read
    }

    fn flags(self) -> OFlags {
        match self {
            Self::Read => OFlags::RDONLY,
            Self::Write => OFlags::WRONLY,
            Self::ReadWrite => OFlags::RDWR,
        }
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMode {
    /// For what.
    pub access: Access,
    /// Empty it.
    pub truncate: bool,
    /// Write at its end whatever the offset.
    pub append: bool,
    /// Writes reach the disk before they return.
    pub sync: bool,
    /// Leave the access time, where the host permits.
    pub noatime: bool,
}

impl OpenMode {
    /// Whether it can change anything.
    #[must_use]
    pub fn changes(self) -> bool {
        self.access.writes() || self.truncate
    }

    pub(super) fn flags(self) -> OFlags {
        let mut flags = self.access.flags() | OFlags::NOCTTY;
        flags.set(OFlags::TRUNC, self.truncate);
        flags.set(OFlags::APPEND, self.append);
        flags.set(OFlags::SYNC, self.sync);
        flags.set(OFlags::NOATIME, self.noatime);
        flags
    }
}

/// A regular file open on the host.
pub struct OpenFile {
    opened: Arc<Opened>,
    access: Access,
    locks: LockHold,
    /// How many set-id bits had been set when it was last looked whether this file has one.
    set_id_seen: AtomicU64,
    /// The last read brought all that was asked for.
    read_whole: AtomicBool,
    /// Each write begins its way to the disk at once.
    writeout: bool,
}

impl OpenFile {
    pub(super) fn new(
        export: &Arc<Export>,
        node: &Arc<Node>,
        fd: Arc<Descriptor>,
        mode: OpenMode,
    ) -> Self {
        Self {
            opened: Opened::new(node, fd, mode.flags(), export.reopens),
            access: mode.access,
            locks: LockHold::new(export, node.id()),
            set_id_seen: AtomicU64::new(0),
            read_whole: AtomicBool::new(false),
            writeout: export.writeout,
        }
    }

    /// Takes note of how many set-id bits have been set; true when that is news.
    pub(super) fn sees_set_id(&self, count: u64) -> bool {
        // Read first: a write that others see costs more.
        self.set_id_seen.load(Ordering::Relaxed) != count
            && self.set_id_seen.swap(count, Ordering::Relaxed) != count
    }

    /// Whether the last read brought all that was asked for, so that the next one may: programs ask
    /// for much of a small file.
    pub(crate) fn is_read_whole(&self) -> bool {
        self.read_whole.load(Ordering::Relaxed)
    }

    /// Takes note of what a read has brought.
    pub(crate) fn note_read(&self, whole: bool) {
        // Read first: a write that others see costs more.
        if self.is_read_whole() != whole {
            self.read_whole.store(whole, Ordering::Relaxed);
        }
    }

    /// The descriptor, for calls that need an open file. If it was given back, the file is opened
    /// once more.
    ///
    /// # Errors
    /// As [`Node::fd`], and the errno of openat(2).
    pub(crate) fn fd(&self) -> Result<Arc<Descriptor>> {
        self.opened.fd().map(|(fd, _)| fd)
    }

    /// It may be asked to do without a descriptor.
    pub(crate) fn offer(&self) {
        self.opened.offer();
    }

    /// What it was opened for.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// As whom this open file holds locks.
    #[must_use]
    pub fn locks(&self) -> &LockHold {
        &self.locks
    }

    /// Reads at an offset, once: less than asked is no end of the file unless it is nothing.
    ///
    /// # Errors
    /// EBADF when it is not open for reading, EINVAL for an offset of 2^63 and more, else the
    /// errno of pread(2).
    pub fn read_at<'d>(&self, offset: u64, data: impl Into<Target<'d>>) -> Result<usize> {
        let (fd, mut data) = (self.fd()?, data.into());
        interruptible(|| data.read_from(&*fd, offset))
    }

    /// Writes all of `data` at an offset, or what there is room for. Where the export wants it so,
    /// the data is then on its way to the disk.
    ///
    /// # Errors
    /// EBADF when it is not open for writing, EINVAL for a range that ends past 2^63-1, else the
    /// errno of pwrite(2) when nothing was written at all; EIO, ENOSPC and EDQUOT also of earlier
    /// writes that did not reach the disk.
    pub fn write_at(&self, offset: u64, data: Source<'_>) -> Result<usize> {
        let done = self.write_all(offset, data)?;
        if self.writeout && done > 0 {
            self.start_writeout(offset, done as u64)?;
        }
        Ok(done)
    }

    /// Asks for the way to the disk to begin, which is no promise: that the host cannot is no error.
    /// That an earlier write was lost is one. QEMU passes over that too, but the kernel says it once
    /// for a descriptor: a Tfsync would then be told that all is well.
    fn start_writeout(&self, offset: u64, len: u64) -> Result<()> {
        match sys::start_writeout(self.fd()?.as_fd(), offset, len) {
            Err(errno @ (Errno::IO | Errno::NOSPC | Errno::DQUOT)) => Err(errno),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn write_all(&self, offset: u64, data: Source<'_>) -> Result<usize> {
        check_range(offset, data)?;
        let fd = self.fd()?;
        let mut done = 0;
        loop {
            match interruptible(|| data.write_to(&*fd, done, offset + done as u64)) {
                Ok(0) => return Ok(done),
                Ok(count) => done += count,
                // What is on the disk is said; the error comes again with the next request.
                Err(_) if done > 0 => return Ok(done),
                Err(errno) => return Err(errno),
            }
            if done >= data.len() {
                return Ok(done);
            }
        }
    }

    /// Has the file's data on the disk, and unless `data_only` all of its attributes.
    ///
    /// # Errors
    /// The errno of fsync(2).
    pub fn sync(&self, data_only: bool) -> Result<()> {
        sync(self.fd()?.as_fd(), data_only)
    }

    /// Sets the length through this open file.
    pub(super) fn truncate(&self, size: u64) -> Result<()> {
        let fd = self.fd()?;
        interruptible(|| rustix::fs::ftruncate(&fd, size))
    }
}

/// Checks that data ends where a file can end.
fn check_range(offset: u64, data: Source<'_>) -> Result<()> {
    let end = offset.checked_add(data.len() as u64);
    match end.map(i64::try_from) {
        Some(Ok(_)) => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

/// fsync(2) or fdatasync(2).
pub(super) fn sync(fd: BorrowedFd<'_>, data_only: bool) -> Result<()> {
    interruptible(|| {
        if data_only {
            rustix::fs::fdatasync(fd)
        } else {
            rustix::fs::fsync(fd)
        }
    })
}

impl Export {
    /// Opens a regular file. Gives its attributes, too, as the client is to see them.
    ///
    /// # Errors
    /// EISDIR, ELOOP and ENXIO for what is not one; EROFS; else the errno of the host, and those of
    /// [`Export::stat`].
    pub fn open_file(
        self: &Arc<Self>,
        node: &Arc<Node>,
        mode: OpenMode,
    ) -> Result<(OpenFile, Stat)> {
        self.check_regular(node)?;
        if mode.changes() {
            self.writer()?;
        }
        let object = node.fd()?;
        let open = |flags| node.keeper().open(|| sys::reopen(object.as_fd(), flags));
        let fd = match open(mode.flags()) {
            Err(Errno::PERM) if mode.noatime => open(mode.flags() - OFlags::NOATIME)?,
            opened => opened?,
        };
        let stat = self.stat_held(node, object.as_fd())?;
        Ok((OpenFile::new(self, node, fd, mode), stat))
    }

    /// Only a file that is regular here and for the client has content that can be had.
    pub(super) fn check_regular(&self, node: &Arc<Node>) -> Result<()> {
        match self.ownership.file_type(self, node)? {
            FileType::RegularFile if node.file_type() == FileType::RegularFile => Ok(()),
            FileType::Directory => Err(Errno::ISDIR),
            FileType::Symlink => Err(Errno::LOOP),
            _ => Err(Errno::NXIO),
        }
    }

    /// Writes to an open file. Set-id bits that the host does not have go, unless it is the
    /// superuser of the client who writes. Source: write(2).
    ///
    /// # Errors
    /// As [`OpenFile::write_at`].
    pub fn write(
        &self,
        (node, file): (&Arc<Node>, &OpenFile),
        by: Option<u32>,
        offset: u64,
        data: Source<'_>,
    ) -> Result<usize> {
        // A write that is refused, or of nothing, leaves them.
        if by != Some(0) && file.access().writes() && !data.is_empty() {
            check_range(offset, data)?;
            self.ownership.before_write(self, node, file)?;
        }
        file.write_at(offset, data)
    }
}

impl Writer<'_> {
    /// Sets the length of a file: through `open` where that may write, so that it works whatever
    /// the file's mode has become.
    ///
    /// # Errors
    /// EISDIR, ELOOP, ENXIO for what has no length; else the errno of ftruncate(2).
    pub fn truncate(&self, node: &Arc<Node>, open: Option<&OpenFile>, size: u64) -> Result<()> {
        if i64::try_from(size).is_err() {
            return Err(Errno::INVAL);
        }
        if let Some(file) = open.filter(|file| file.access().writes()) {
            return file.truncate(size);
        }
        self.export().check_regular(node)?;
        let fd = sys::reopen(node.fd()?.as_fd(), OFlags::WRONLY | OFlags::NOCTTY)?;
        interruptible(|| rustix::fs::ftruncate(&fd, size))
    }
}
