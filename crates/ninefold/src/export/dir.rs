//! Reading directories: straight from the kernel's entries, with its own offsets.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ninefold_wire::{Name, Qid};
use rustix::fs::{FileType, RawDir, SeekFrom};
use rustix::io::Errno;

use super::{Export, LockHold, Node, file, qid};
use crate::sys::{self, FileId, Result};

/// The longest record that getdents64(2) gives: a 255-byte name.
const RECORD_MAX: usize = 280;

/// An open directory and where its reading stands.
pub struct Cursor {
    fd: OwnedFd,
    dev: u64,
    /// Where the next getdents64(2) reads on; 2^64-1 when that is not known.
    at: u64,
    is_root: bool,
    locks: LockHold,
}

/// One entry of a directory.
pub struct Entry<'a> {
    /// Its qid, as far as the directory knows it: the version is 0.
    pub qid: Qid,
    /// Where to read on after it.
    pub offset: u64,
    /// What it is; unknown where the file system does not say.
    pub file_type: FileType,
    /// Its name.
    pub name: &'a [u8],
}

impl Cursor {
    /// The open directory, for calls that need one.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// As whom this open directory holds locks: flock(2) works on directories too.
    #[must_use]
    pub fn locks(&self) -> &LockHold {
        &self.locks
    }

    /// Has the directory's entries on the disk.
    ///
    /// # Errors
    /// The errno of fsync(2).
    pub fn sync(&self, data_only: bool) -> Result<()> {
        file::sync(self.fd(), data_only)
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        if offset != self.at {
            rustix::fs::seek(&self.fd, SeekFrom::Start(offset))?;
            self.at = offset;
        }
        Ok(())
    }
}

impl Export {
    /// Opens a directory to read its entries.
    ///
    /// # Errors
    /// ENOTDIR, else the errno of the host.
    pub fn open_dir(self: &Arc<Self>, node: &Node) -> Result<Cursor> {
        if !node.is_dir() {
            return Err(Errno::NOTDIR);
        }
        let fd = sys::open_directory(node.fd())?;
        let id = node.id();
        let (is_root, locks) = (id == self.root.id(), LockHold::new(self, id));
        Ok(Cursor {
            fd,
            dev: id.dev,
            at: 0,
            is_root,
            locks,
        })
    }

    /// Gives the entries after `offset` to `take` until it wants no more or `room` bytes of the
    /// kernel's records are used up. Returns whether there was an entry at all.
    ///
    /// # Errors
    /// The errno of getdents64(2) and lseek(2).
    pub fn read_dir(
        &self,
        cursor: &mut Cursor,
        offset: u64,
        room: usize,
        scratch: &mut Vec<u8>,
        mut take: impl FnMut(&Entry<'_>) -> bool,
    ) -> Result<bool> {
        if i64::try_from(offset).is_err() {
            return Ok(false);
        }
        cursor.seek(offset)?;
        let room = room.max(RECORD_MAX);
        scratch.clear();
        scratch.reserve(room);
        let records = &mut scratch.spare_capacity_mut()[..room];
        // The kernel moves on past all records that it gives, the client only past `last`.
        cursor.at = u64::MAX;
        let (mut last, mut any) = (offset, false);
        let whole = self.each_record(cursor, records, |entry| {
            any = true;
            let taken = take(entry);
            if taken {
                last = entry.offset;
            }
            taken
        });
        if whole? {
            cursor.at = last;
        }
        Ok(any)
    }

    /// One getdents64(2). Returns whether every record was taken.
    fn each_record(
        &self,
        cursor: &Cursor,
        records: &mut [MaybeUninit<u8>],
        mut take: impl FnMut(&Entry<'_>) -> bool,
    ) -> Result<bool> {
        let mut dir = RawDir::new(&cursor.fd, records);
        while let Some(record) = dir.next() {
            let record = record?;
            let name = record.file_name().to_bytes();
            if self.ownership.hides(name) {
                continue;
            }
            let file_type = self.type_of(cursor, name, record.file_type());
            let ino = if cursor.is_root && name == b".." {
                self.root.id().ino
            } else {
                record.ino()
            };
            let entry = Entry {
                qid: Qid {
                    kind: qid::kind(file_type),
                    version: 0,
                    path: self.qids.path(FileId {
                        dev: cursor.dev,
                        ino,
                    })?,
                },
                offset: record.next_entry_cookie(),
                file_type,
                name,
            };
            if !take(&entry) {
                return Ok(false);
            }
            if dir.is_buffer_empty() {
                break;
            }
        }
        Ok(true)
    }

    /// The type of an entry, asked of the object only when the directory does not have it.
    fn type_of(&self, cursor: &Cursor, name: &[u8], known: FileType) -> FileType {
        if known != FileType::Unknown {
            return self.ownership.entry_type(known);
        }
        let found = Name::new(name)
            .ok()
            .and_then(|name| sys::stat_entry(cursor.fd(), name).ok());
        found.map_or(FileType::Unknown, |stat| {
            self.ownership.entry_type(stat.file_type())
        })
    }
}
