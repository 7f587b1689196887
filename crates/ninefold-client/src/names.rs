//! Making, moving and removing the names in a directory, and reading a symbolic link.
//!
//! Each takes one name; paths are the business of [`Client`](crate::Client).

use ninefold_wire::{Qid, Reply, Request, Step};

use crate::session::ask;
use crate::{Fid, Result, path};

/// Operation not supported: how servers answer messages that they do not know.
const EOPNOTSUPP: i32 = 95;

impl Fid {
    /// Makes a directory in this one.
    ///
    /// # Errors
    /// The server's.
    pub fn create_dir(&self, name: impl AsRef<[u8]>, mode: u32) -> Result<Qid> {
        let name = path::name(name.as_ref())?;
        let gid = self.session().gid();
        let request = Request::Mkdir {
            dfid: self.number(),
            name,
            mode,
            gid,
        };
        ask!(self.session(), request, Reply::Mkdir { qid } => Ok(qid))
    }

    /// Makes a symbolic link in this directory.
    ///
    /// # Errors
    /// The server's.
    pub fn symlink(&self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Result<Qid> {
        let name = path::name(name.as_ref())?;
        let gid = self.session().gid();
        let request = Request::Symlink {
            dfid: self.number(),
            name,
            target: target.as_ref(),
            gid,
        };
        ask!(self.session(), request, Reply::Symlink { qid } => Ok(qid))
    }

    /// Makes a device, FIFO, socket or file in this directory; `mode` has the file type.
    ///
    /// # Errors
    /// The server's.
    pub fn mknod(&self, name: impl AsRef<[u8]>, mode: u32, major: u32, minor: u32) -> Result<Qid> {
        let name = path::name(name.as_ref())?;
        let gid = self.session().gid();
        let request = Request::Mknod {
            dfid: self.number(),
            name,
            mode,
            major,
            minor,
            gid,
        };
        ask!(self.session(), request, Reply::Mknod { qid } => Ok(qid))
    }

    /// Gives `object` one more name, in this directory.
    ///
    /// # Errors
    /// The server's.
    pub fn link(&self, name: impl AsRef<[u8]>, object: &Self) -> Result<()> {
        let name = path::name(name.as_ref())?;
        let request = Request::Link {
            dfid: self.number(),
            fid: object.number(),
            name,
        };
        ask!(self.session(), request, Reply::Link {} => Ok(()))
    }

    /// Removes a name from this directory; `flags` are those of
    /// [`flags::unlink`](ninefold_wire::flags::unlink).
    ///
    /// # Errors
    /// The server's.
    pub fn unlink(&self, name: impl AsRef<[u8]>, flags: u32) -> Result<()> {
        let name = path::name(name.as_ref())?;
        let request = Request::Unlinkat {
            dirfid: self.number(),
            name,
            flags,
        };
        ask!(self.session(), request, Reply::Unlinkat {} => Ok(()))
    }

    /// As [`Fid::unlink`], and by Tremove where the server does not know Tunlinkat, as diod.
    ///
    /// # Errors
    /// The server's.
    pub fn remove_entry(&self, name: impl AsRef<[u8]>, flags: u32) -> Result<()> {
        let name = name.as_ref();
        match self.unlink(name, flags) {
            Err(error) if error.errno() == Some(EOPNOTSUPP) => self.walk_entry(name)?.remove(),
            result => result,
        }
    }

    fn walk_entry(&self, name: &[u8]) -> Result<Self> {
        self.walk_steps(&[Step::Down(path::name(name)?)])
    }

    /// Moves an entry of this directory (Trenameat).
    ///
    /// # Errors
    /// The server's.
    pub fn rename_entry(
        &self,
        name: impl AsRef<[u8]>,
        newdir: &Self,
        newname: impl AsRef<[u8]>,
    ) -> Result<()> {
        let request = Request::Renameat {
            olddirfid: self.number(),
            oldname: path::name(name.as_ref())?,
            newdirfid: newdir.number(),
            newname: path::name(newname.as_ref())?,
        };
        ask!(self.session(), request, Reply::Renameat {} => Ok(()))
    }

    /// Moves this object (Trename).
    ///
    /// # Errors
    /// The server's.
    pub fn rename(&self, dir: &Self, name: impl AsRef<[u8]>) -> Result<()> {
        let name = path::name(name.as_ref())?;
        let request = Request::Rename {
            fid: self.number(),
            dfid: dir.number(),
            name,
        };
        ask!(self.session(), request, Reply::Rename {} => Ok(()))
    }

    /// What a symbolic link points to.
    ///
    /// # Errors
    /// The server's, for anything that is not a symbolic link.
    pub fn read_link(&self) -> Result<Vec<u8>> {
        let request = Request::Readlink { fid: self.number() };
        ask!(self.session(), request, Reply::Readlink { target } => Ok(target.to_vec()))
    }
}
