//! Reading directories: straight from the kernel's entries, with its own offsets.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::Arc;

use ninefold_wire::{Name, Qid};
use rustix::fs::{FileType, OFlags, RawDir, RawDirEntry, SeekFrom};
use rustix::io::Errno;

use super::budget::Descriptor;
use super::mounts::Suspects;
use super::opened::Opened;
use super::{Export, LockHold, Node, file, qid};
use crate::sys::{self, FileId, Result};

/// The longest record that getdents64(2) gives: a 255-byte name.
const RECORD_MAX: usize = 280;

/// An open directory and where its reading stands.
pub struct Cursor {
    opened: Arc<Opened>,
    /// Where the next getdents64(2) reads on, if the directory has been opened just so often.
    at: Option<(u64, u64)>,
    /// How often it had been opened when it was last read.
    begun: Option<u64>,
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
    /// The open directory may be asked to do without a descriptor.
    pub(crate) fn offer(&self) {
        self.opened.offer();
    }

    fn node(&self) -> &Arc<Node> {
        self.opened.node()
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
        file::sync(self.opened.fd()?.0.as_fd(), data_only)
    }

    /// The open directory, about to be read from `offset`, and how often it has been opened.
    fn seek(&mut self, offset: u64) -> Result<(Arc<Descriptor>, u64)> {
        let (fd, times) = self.opened.fd()?;
        if self.at != Some((times, offset)) {
            if offset != 0 && self.begun != Some(times) {
                begin(&fd)?;
            }
            rustix::fs::seek(&fd, SeekFrom::Start(offset))?;
        }
        // The kernel moves on past all records that it gives, the client perhaps not.
        self.at = None;
        self.begun = Some(times);
        Ok((fd, times))
    }
}

/// Reads something from the start. ext4 would else not notice the way back there from the end, when
/// it is there that a directory is read first, and list nothing.
fn begin(fd: &Descriptor) -> Result<()> {
    let mut records = [MaybeUninit::uninit(); RECORD_MAX];
    RawDir::new(fd, &mut records).next().transpose().map(drop)
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
        let object = node.fd()?;
        let fd = (node.keeper()).open(|| sys::open_directory(object.as_fd()))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok(Cursor {
            opened: Opened::new(node, fd, flags, self.reopens),
            at: None,
            begun: None,
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
        let (fd, times) = cursor.seek(offset)?;
        let room = room.max(RECORD_MAX);
        scratch.clear();
        scratch.reserve(room);
        let records = &mut scratch.spare_capacity_mut()[..room];
        let (mut last, mut any) = (offset, false);
        let whole = self.each_record((cursor.node(), &fd), records, |entry| {
            any = true;
            let taken = take(entry);
            if taken {
                last = entry.offset;
            }
            taken
        });
        if whole? {
            cursor.at = Some((times, last));
        }
        Ok(any)
    }

    /// One getdents64(2), more while it ends in an entry that is hidden. Returns whether every
    /// record that is to be seen was taken.
    fn each_record(
        &self,
        (node, fd): (&Arc<Node>, &Descriptor),
        records: &mut [MaybeUninit<u8>],
        mut take: impl FnMut(&Entry<'_>) -> bool,
    ) -> Result<bool> {
        let mut suspects = self.mounts.suspects(node);
        let mut dir = RawDir::new(fd, records);
        while let Some(record) = dir.next() {
            let record = record?;
            let name = record.file_name().to_bytes();
            let Some((id, file_type)) = self.identify((node, fd), &record, &mut suspects) else {
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
        (node, fd): (&Arc<Node>, &Descriptor),
        record: &RawDirEntry<'_>,
        suspects: &mut Suspects,
    ) -> Option<(FileId, FileType)> {
        let (name, file_type) = (record.file_name().to_bytes(), record.file_type());
        if self.ownership.hides(name) {
            return None;
        }
        let listed = FileId {
            dev: node.id().dev,
            ino: record.ino(),
        };
        let (id, file_type) = match name {
            b"." => (node.id(), FileType::Directory),
            b".." => (self.above(node, listed), FileType::Directory),
            _ if file_type == FileType::Unknown || suspects.include(name, file_type) => {
                let found = Name::new(name)
                    .ok()
                    .and_then(|name| sys::identify_entry(fd.as_fd(), name).ok());
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
