//! The fids of one session: what a client's numbers mean.

use std::collections::hash_map::Entry;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ahash::HashMap;
use ninefold_wire::NOFID;
use rustix::io::Errno;

use crate::export::{Cursor, Holder, Node, OpenFile};
use crate::locked;
use crate::sys::Result;

/// Most fids of one session; EMFILE beyond.
const FIDS_MAX: usize = 1 << 20;

/// What a fid means. It never changes under a request that uses it: an open puts another one in its place then.
pub(crate) struct Fid {
    /// The object.
    pub(crate) node: Arc<Node>,
    /// Whom the client attached as; new objects are to belong to that user.
    pub(crate) uid: Option<u32>,
    /// What has been made of it.
    pub(crate) state: State,
    /// Its object is to be removed when it is clunked (`ORCLOSE`).
    pub(crate) remove_on_clunk: bool,
}

/// An open directory.
pub(crate) struct Listing {
    /// For Treaddir.
    pub(crate) cursor: Cursor,
    /// For Tread.
    pub(crate) reading: Reading,
}

/// Where the reading of a directory's stats stands.
#[derive(Default)]
pub(crate) struct Reading {
    /// Where the last read ended.
    end: ReadPosition,
    /// Where reads began, in the order of their offsets.
    begun: Vec<ReadPosition>,
}

/// A place between two stats.
#[derive(Clone, Copy, Default)]
pub(crate) struct ReadPosition {
    /// Bytes of stats before it.
    pub(crate) offset: u64,
    /// The directory's own offset there.
    pub(crate) cookie: u64,
}

/// Most places of one directory that are remembered.
const BEGUN_MAX: usize = 4096;

impl Reading {
    /// The last place known that is not behind `offset`.
    pub(crate) fn near(&self, offset: u64) -> ReadPosition {
        if offset == self.end.offset {
            return self.end;
        }
        let behind = self.begun.partition_point(|place| place.offset <= offset);
        let near = behind.checked_sub(1).and_then(|at| self.begun.get(at));
        near.copied().unwrap_or_default()
    }

    /// A read has gone from one place to another.
    pub(crate) fn advance(&mut self, from: ReadPosition, end: ReadPosition) {
        let last = self.begun.last().map_or(0, |place| place.offset);
        if from.offset > last && self.begun.len() < BEGUN_MAX {
            self.begun.push(from);
        }
        self.end = end;
    }
}

/// What a fid is good for. Most of a million fids only name an object: the rest is kept elsewhere.
pub(crate) enum State {
    /// It names the object.
    Path,
    /// An open regular file.
    File(Box<OpenFile>),
    /// An open directory.
    Dir(Box<Mutex<Listing>>),
    /// The value of an extended attribute, or the list of names, at the time of Txattrwalk.
    XattrRead(Box<XattrRead>),
    /// A value of an extended attribute on its way in.
    XattrWrite(Box<XattrWrite>),
}

/// A value as it was when it was asked for.
pub(crate) struct XattrRead {
    pub(crate) value: Box<[u8]>,
}

/// A value announced by Txattrcreate, set when the fid is clunked.
pub(crate) struct XattrWrite {
    pub(crate) name: Box<[u8]>,
    pub(crate) size: usize,
    pub(crate) flags: u32,
    pub(crate) value: Mutex<Vec<u8>>,
}

impl State {
    /// An open file.
    pub(crate) fn file(file: OpenFile) -> Self {
        Self::File(Box::new(file))
    }

    /// A directory at its start.
    pub(crate) fn dir(cursor: Cursor) -> Self {
        Self::Dir(Box::new(Mutex::new(Listing {
            cursor,
            reading: Reading::default(),
        })))
    }
}

impl Fid {
    /// A fid that names an object.
    pub(crate) fn path(node: Arc<Node>, uid: Option<u32>) -> Self {
        Self::new(node, uid, State::Path)
    }

    /// A fid in some state.
    pub(crate) fn new(node: Arc<Node>, uid: Option<u32>, state: State) -> Self {
        Self {
            node,
            uid,
            state,
            remove_on_clunk: false,
        }
    }

    /// The open file.
    ///
    /// # Errors
    /// EISDIR for an open directory, EBADF for what is not open.
    pub(crate) fn file(&self) -> Result<&OpenFile> {
        match &self.state {
            State::File(file) => Ok(file),
            State::Dir(_) => Err(Errno::ISDIR),
            _ => Err(Errno::BADF),
        }
    }

    /// The open file, if it is one.
    pub(crate) fn open_file(&self) -> Option<&OpenFile> {
        self.file().ok()
    }

    /// Checks that the fid names an object and nothing more.
    ///
    /// # Errors
    /// EINVAL when it is open or holds an attribute.
    pub(crate) fn check_unopened(&self) -> Result<()> {
        if matches!(self.state, State::Path) {
            Ok(())
        } else {
            Err(Errno::INVAL)
        }
    }

    /// Checks that the fid stands for an object, open or not.
    ///
    /// # Errors
    /// EBADF when it holds an attribute.
    pub(crate) fn check_object(&self) -> Result<()> {
        if self.holds_xattr() {
            Err(Errno::BADF)
        } else {
            Ok(())
        }
    }

    fn holds_xattr(&self) -> bool {
        matches!(self.state, State::XattrRead(_) | State::XattrWrite(_))
    }
}

impl Fid {
    /// What it holds may be asked to do without descriptors.
    fn offer(&self) {
        self.node.offer_way();
        match &self.state {
            State::File(file) => file.offer(),
            // Who reads it at this moment offers it the next time.
            State::Dir(listing) => {
                if let Ok(listing) = listing.try_lock() {
                    listing.cursor.offer();
                }
            }
            State::Path | State::XattrRead(_) | State::XattrWrite(_) => {}
        }
    }
}

/// All fids of a session.
pub(crate) struct FidTable {
    fids: Mutex<HashMap<u32, Arc<Fid>>>,
    /// How many of them hold an attribute. Changed with the lock of `fids` held.
    xattrs: AtomicUsize,
    /// Most of `xattrs`.
    xattrs_max: usize,
}

impl Holder for FidTable {
    fn offer_all(&self) {
        for fid in locked(&self.fids).values() {
            fid.offer();
        }
    }
}

impl FidTable {
    /// A table with so many places for attribute values; 0: one for each fid there may be.
    pub(crate) fn new(max_xattr: u32) -> Self {
        let xattrs_max = match max_xattr {
            0 => FIDS_MAX,
            max => usize::try_from(max).unwrap_or(FIDS_MAX),
        };
        Self {
            fids: Mutex::default(),
            xattrs: AtomicUsize::new(0),
            xattrs_max,
        }
    }

    /// What `fid` means.
    ///
    /// # Errors
    /// EBADF when it is unknown.
    pub(crate) fn any(&self, fid: u32) -> Result<Arc<Fid>> {
        locked(&self.fids).get(&fid).cloned().ok_or(Errno::BADF)
    }

    /// What `fid` means, when it stands for an object.
    ///
    /// # Errors
    /// EBADF when it is unknown or holds an attribute.
    pub(crate) fn object(&self, fid: u32) -> Result<Arc<Fid>> {
        let found = self.any(fid)?;
        found.check_object()?;
        Ok(found)
    }

    /// What `fid` means, when it stands for an object, and that `newfid` can be another fid's number.
    ///
    /// # Errors
    /// As [`FidTable::object`] and [`FidTable::check_free`].
    pub(crate) fn object_for(&self, fid: u32, newfid: u32) -> Result<Arc<Fid>> {
        let fids = locked(&self.fids);
        let found = fids.get(&fid).ok_or(Errno::BADF)?;
        found.check_object()?;
        check_free(&fids, newfid)?;
        Ok(Arc::clone(found))
    }

    /// Checks that a new fid can have this number.
    ///
    /// # Errors
    /// EBADF for NOFID, EINVAL when it is in use.
    pub(crate) fn check_free(&self, fid: u32) -> Result<()> {
        check_free(&locked(&self.fids), fid)
    }

    /// Adds a fid.
    ///
    /// # Errors
    /// As [`FidTable::check_free`]; EMFILE when the session has too many, ENOSPC when too many hold an
    /// attribute.
    pub(crate) fn insert(&self, fid: u32, means: Fid) -> Result<()> {
        if fid == NOFID {
            return Err(Errno::BADF);
        }
        let mut fids = locked(&self.fids);
        if fids.len() >= FIDS_MAX {
            return Err(Errno::MFILE);
        }
        match fids.entry(fid) {
            Entry::Occupied(_) => Err(Errno::INVAL),
            Entry::Vacant(free) => {
                self.count_xattr(false, means.holds_xattr())?;
                free.insert(Arc::new(means));
                Ok(())
            }
        }
    }

    /// Gives `fid` another meaning, if it still has the one that the caller knows.
    ///
    /// # Errors
    /// EBADF when another request was quicker, ENOSPC when too many hold an attribute.
    pub(crate) fn replace(&self, fid: u32, known: Arc<Fid>, means: Fid) -> Result<()> {
        let mut fids = locked(&self.fids);
        let current = fids.get_mut(&fid);
        let current = current.filter(|current| Arc::ptr_eq(current, &known));
        let current = current.ok_or(Errno::BADF)?;
        self.count_xattr(known.holds_xattr(), means.holds_xattr())?;
        drop(known);
        // Requests under way keep what they began with. Mostly there are none.
        let before = match Arc::get_mut(current) {
            Some(unused) => Ok(mem::replace(unused, means)),
            None => Err(mem::replace(current, Arc::new(means))),
        };
        // What is given up can take long: not with the lock held.
        drop(fids);
        drop(before);
        Ok(())
    }

    /// Forgets a fid. What it held is given up when the last request that uses it is done.
    ///
    /// # Errors
    /// EBADF when it is unknown.
    pub(crate) fn remove(&self, fid: u32) -> Result<Arc<Fid>> {
        let mut fids = locked(&self.fids);
        let gone = fids.remove(&fid).ok_or(Errno::BADF)?;
        self.count_xattr(gone.holds_xattr(), false)?;
        Ok(gone)
    }

    /// Forgets all and hands them out: closing a file can take long and can wake other sessions,
    /// so that it is not done here, where others wait.
    pub(crate) fn take(&self) -> Vec<Arc<Fid>> {
        let mut fids = locked(&self.fids);
        self.xattrs.store(0, Ordering::Relaxed);
        let gone = mem::take(&mut *fids);
        drop(fids);
        gone.into_values().collect()
    }

    /// Checks that one more fid can hold an attribute.
    ///
    /// # Errors
    /// ENOSPC when too many do.
    pub(crate) fn check_xattr_room(&self) -> Result<()> {
        if self.xattrs.load(Ordering::Relaxed) < self.xattrs_max {
            Ok(())
        } else {
            Err(Errno::NOSPC)
        }
    }

    /// A fid that held an attribute or not is about to hold one or not. The caller holds the lock of `fids`.
    fn count_xattr(&self, held: bool, holds: bool) -> Result<()> {
        let count = self.xattrs.load(Ordering::Relaxed);
        match (held, holds) {
            (false, true) => {
                self.check_xattr_room()?;
                self.xattrs.store(count + 1, Ordering::Relaxed);
            }
            (true, false) => self.xattrs.store(count - 1, Ordering::Relaxed),
            _ => {}
        }
        Ok(())
    }
}

fn check_free(fids: &HashMap<u32, Arc<Fid>>, fid: u32) -> Result<()> {
    match fid {
        NOFID => Err(Errno::BADF),
        _ if fids.contains_key(&fid) => Err(Errno::INVAL),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Fid;

    #[test]
    fn a_fid_is_small() {
        assert!(size_of::<Fid>() <= 40, "{} bytes", size_of::<Fid>());
    }
}
