//! An object on the server, held by a fid: its life, walking on from it, opening it.
//!
//! It holds the object and not a path: it stays what it is when the object is renamed or removed.
//! Attributes, names below a directory, and extended attributes are in the neighbouring modules.

use ninefold_wire::{Qid, Reply, Request, Step, flags};
use std::sync::Arc;

use crate::session::{Session, ask};
use crate::{File, ReadDir, Result, path};

/// An object on the server. Dropping it clunks the fid and ignores the answer.
pub struct Fid {
    session: Arc<Session>,
    number: u32,
    qid: Qid,
    /// Whether the server knows the number.
    live: bool,
}

impl Fid {
    /// A number that the server does not know yet.
    pub(crate) fn unborn(session: &Arc<Session>) -> Self {
        let number = session.reserve();
        Self {
            session: Arc::clone(session),
            number,
            qid: Qid::default(),
            live: false,
        }
    }

    /// Notes that the server knows the number now.
    pub(crate) fn born(&mut self, qid: Qid) {
        self.qid = qid;
        self.live = true;
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The qid that the server gave with the fid.
    #[must_use]
    pub fn qid(&self) -> Qid {
        self.qid
    }

    /// Whether the qid is a directory's.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.qid.kind & flags::qid::DIR != 0
    }

    /// Whether the qid is a symbolic link's.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.qid.kind & flags::qid::SYMLINK != 0
    }

    /// A new fid for what `path` names from here; for an empty path, for the same object.
    /// Symbolic links are not followed.
    ///
    /// # Errors
    /// The server's for the first name that cannot be reached; [`Error::Name`](crate::Error::Name).
    pub fn walk(&self, path: impl AsRef<[u8]>) -> Result<Self> {
        self.walk_steps(&path::steps(path.as_ref())?)
    }

    pub(crate) fn walk_steps(&self, steps: &[Step<'_>]) -> Result<Self> {
        let mut fid = Self::unborn(&self.session);
        let (mut done, qid) = self.session.stride(self.number, fid.number, steps)?;
        fid.born(qid.unwrap_or(self.qid));
        while done < steps.len() {
            let (made, qid) = self
                .session
                .stride(fid.number, fid.number, &steps[done..])?;
            done += made;
            fid.qid = qid.unwrap_or(fid.qid);
        }
        Ok(fid)
    }

    /// Opens the object; `flags` are those of [`flags::open`].
    ///
    /// # Errors
    /// The server's; the fid is clunked then.
    pub fn open(self, flags: u32) -> Result<File> {
        let iounit = self.lopen(flags)?;
        Ok(File::new(self, iounit))
    }

    /// Opens a directory for reading its entries.
    ///
    /// # Errors
    /// The server's; the fid is clunked then.
    pub fn read_dir(self) -> Result<ReadDir> {
        let iounit = self.lopen(flags::open::DIRECTORY)?;
        Ok(ReadDir::new(self, iounit))
    }

    fn lopen(&self, flags: u32) -> Result<u32> {
        let request = Request::Lopen {
            fid: self.number,
            flags,
        };
        ask!(self.session, request, Reply::Lopen { iounit, .. } => Ok(iounit))
    }

    /// Creates a file in this directory and opens it; `flags` are those of [`flags::open`].
    ///
    /// # Errors
    /// The server's; the fid is clunked then.
    pub fn create(mut self, name: impl AsRef<[u8]>, flags: u32, mode: u32) -> Result<File> {
        let name = path::name(name.as_ref())?;
        let gid = self.session.gid();
        let request = Request::Lcreate {
            fid: self.number,
            name,
            flags: flags | flags::open::CREAT,
            mode,
            gid,
        };
        let (qid, iounit) =
            ask!(self.session, request, Reply::Lcreate { qid, iounit } => Ok((qid, iounit)))?;
        self.qid = qid;
        Ok(File::new(self, iounit))
    }

    /// Gives the fid back to the server.
    ///
    /// # Errors
    /// The server's, such as that of an extended attribute that could not be set. The fid is gone.
    pub fn clunk(mut self) -> Result<()> {
        self.live = false;
        self.session.clunk(self.number)
    }

    /// Removes the object by Tremove, a message that no longer needs a name; the fid is gone.
    ///
    /// # Errors
    /// The server's. The fid is gone all the same.
    pub fn remove(mut self) -> Result<()> {
        self.live = false;
        ask!(self.session, Request::Remove { fid: self.number }, Reply::Remove {} => Ok(()))
    }
}

impl Drop for Fid {
    fn drop(&mut self) {
        if self.live {
            // Nobody is left to be told.
            let _ = self.session.clunk(self.number);
        }
        self.session.release(self.number);
    }
}
