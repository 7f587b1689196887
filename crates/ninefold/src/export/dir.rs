//! Reading directories: straight from the kernel's entries, with its own offsets.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ninefold_wire::{Name, Qid};
use rustix::fs::{FileType, RawDir, RawDirEntry, SeekFrom};
use rustix::io::Errno;

use super::mounts::Suspects;
use super::{Export, LockHold, Node, file, qid};
use crate::sys::{self, FileId, Result};

/// The longest record that getdents64(2) gives: a 255-byte name.
const RECORD_MAX: usize = 280;

/// An open directory and where its reading stands.
pub struct Cursor {
    fd: OwnedFd,
    node: Arc<Node>,
    /// Where the next getdents64(2) reads on; 2^64-1 when that is not known.
    at: u64,
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
    pub fn open_dir(self: &Arc<Self>, node: &Arc<Node>) -> Result<Cursor> {
        if !node.is_dir() {
            return Err(Errno::NOTDIR);
        }
        let fd = sys::open_directory(node.fd())?;
        Ok(Cursor {
            fd,
            node: Arc::clone(node),
            at: 0,
            locks: LockHold::new(self, node.id()),
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

    /// One getdents64(2), more while it ends in an entry that is hidden. Returns whether every
    /// record that is to be seen was taken.
    fn each_record(
        &self,
        cursor: &Cursor,
        records: &mut [MaybeUninit<u8>],
        mut take: impl FnMut(&Entry<'_>) -> bool,
    ) -> Result<bool> {
        let mut suspects = self.mounts.suspects(&cursor.node);
        let mut dir = RawDir::new(&cursor.fd, records);
        while let Some(record) = dir.next() {
            let record = record?;
            let name = record.file_name().to_bytes();
            let Some((id, file_type)) = self.identify(cursor, &record, &mut suspects) else {
                // Even the last of a buffer: nothing but hidden entries is not the end.
                continue;
            };
            let entry = Entry {
                qid: Qid {
                    kind: qid::kind(file_type),
                    version: 0,
                    path: self.qids.path(id)?,
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

    /// The object behind an entry and its type; none when the client may not know of it. The object
    /// is asked only when the directory does not have its type, or not surely its number.
    fn identify(
        &self,
        cursor: &Cursor,
        record: &RawDirEntry<'_>,
        suspects: &mut Suspects,
    ) -> Option<(FileId, FileType)> {
        let (name, file_type) = (record.file_name().to_bytes(), record.file_type());
        if self.ownership.hides(name) {
            return None;
        }
        let listed = FileId {
            dev: cursor.node.id().dev,
            ino: record.ino(),
        };
        let (id, file_type) = match name {
            b"." => (cursor.node.id(), FileType::Directory),
            b".." => (self.above(&cursor.node, listed), FileType::Directory),
            _ if file_type == FileType::Unknown || suspects.include(name, file_type) => {
                let found = Name::new(name)
                    .ok()
                    .and_then(|name| sys::identify_entry(cursor.fd(), name).ok());
                found.map_or((listed, file_type), |stat| {
                    self.mounts.learn(suspects, listed, &stat);
                    (stat.id, stat.file_type())
                })
            }
            _ => (listed, file_type),
        };
        let file_type = self.ownership.entry_type(file_type);
        self.qids.admits(id).then_some((id, file_type))
    }

    /// What `..` leads to from a directory that lists it as `listed`. That is something else in the
    /// root of a mounted file system, and in a directory that the host has moved out of the tree.
    fn above(&self, dir: &Arc<Node>, listed: FileId) -> FileId {
        let walked = dir.place().map(|place| place.parent().id());
        if dir.id() != self.root.id() && walked == Some(listed) {
            return listed;
        }
        let parent = self.parent(dir).map(|parent| parent.id());
        parent
            .ok()
            .filter(|id| self.qids.admits(*id))
            .unwrap_or(dir.id())
    }
}
