//! A session with its root: objects named by path.
//!
//! Every call walks from the root, so a path costs at least two messages; whoever does more with
//! one object keeps its [`Fid`]. Paths are bytes below the root of the export. Symbolic links are
//! not followed, except by [`Client::resolve`].

use ninefold_wire::{Dialect, Qid, SetAttr, Statfs, flags};
use rustix::process::{getegid, geteuid};
use std::sync::Arc;
use std::time::Duration;

use crate::session::Session;
use crate::{Address, Connection, Error, Fid, File, Metadata, ReadDir, Result, path};

/// The msize asked for unless told otherwise, bytes.
pub const MSIZE_DEFAULT: u32 = 1 << 20;

/// The least msize to work with: what Linux demands of servers.
const MSIZE_MIN: u32 = 4096;

/// Who connects, to what, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The longest message to ask for, bytes; the server may say less.
    pub msize: u32,
    /// The user's name.
    pub uname: Vec<u8>,
    /// The user's number; by default that of this process.
    pub uid: u32,
    /// The group of new objects; by default that of this process.
    pub gid: u32,
    /// Which tree of the server; empty for its default.
    pub aname: Vec<u8>,
    /// Bounds connecting, and each send and receive that moves nothing.
    pub timeout: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            msize: MSIZE_DEFAULT,
            uname: Vec::new(),
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            aname: Vec::new(),
            timeout: None,
        }
    }
}

/// A session. Clones share it, and it lives as long as any clone or any [`Fid`] of it.
#[derive(Clone)]
pub struct Client {
    root: Arc<Fid>,
}

impl Client {
    /// Connects and begins a session.
    ///
    /// # Errors
    /// [`Error::Connect`]; else as [`Client::over`].
    pub fn connect(address: &Address, options: &Options) -> Result<Self> {
        Self::over(Connection::connect(address, options.timeout)?, options)
    }

    /// Begins a session on a connection.
    ///
    /// # Errors
    /// The server's; [`Error::Protocol`] when it does not speak 9P2000.L or only with an msize
    /// below 4096.
    pub fn over(mut connection: Connection, options: &Options) -> Result<Self> {
        connection.set_timeout(options.timeout)?;
        let msize = connection.version(options.msize, Dialect::Linux)?;
        if msize < MSIZE_MIN {
            let expected = format!("an msize of at least {MSIZE_MIN}");
            return Err(Error::protocol(expected, msize.to_string()));
        }
        let session = Arc::new(Session::new(connection, options.gid));
        Ok(Self {
            root: Arc::new(session.attach(options)?),
        })
    }

    /// One more attach on the same session: another user or another tree. Of the options, those
    /// of the connection and the group count for nothing.
    ///
    /// # Errors
    /// The server's.
    pub fn attach(&self, options: &Options) -> Result<Self> {
        Ok(Self {
            root: Arc::new(self.root.session().attach(options)?),
        })
    }

    /// The root of the export.
    #[must_use]
    pub fn root(&self) -> &Fid {
        &self.root
    }

    /// The longest message agreed on, bytes.
    #[must_use]
    pub fn msize(&self) -> u32 {
        self.root.session().msize()
    }

    /// The object that `path` names.
    ///
    /// # Errors
    /// As [`Fid::walk`].
    pub fn walk(&self, path: impl AsRef<[u8]>) -> Result<Fid> {
        self.root.walk(path)
    }

    /// The directory that holds what `path` names, and the name in there.
    ///
    /// # Errors
    /// As [`Fid::walk`]; [`Error::Nameless`] for the root or a path that ends in `..`.
    pub fn walk_parent<'p, P>(&self, path: &'p P) -> Result<(Fid, &'p [u8])>
    where
        P: AsRef<[u8]> + ?Sized,
    {
        let (steps, name) = path::parent(path.as_ref())?;
        Ok((self.root.walk_steps(&steps)?, name.bytes()))
    }

    /// The attributes of what `path` names.
    ///
    /// # Errors
    /// The server's.
    pub fn metadata(&self, path: impl AsRef<[u8]>) -> Result<Metadata> {
        self.walk(path)?.metadata()
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// The server's.
    pub fn set_attr(&self, path: impl AsRef<[u8]>, attr: SetAttr) -> Result<()> {
        self.walk(path)?.set_attr(attr)
    }

    /// The figures of the file system.
    ///
    /// # Errors
    /// The server's.
    pub fn statfs(&self, path: impl AsRef<[u8]>) -> Result<Statfs> {
        self.walk(path)?.statfs()
    }

    /// The entries of a directory.
    ///
    /// # Errors
    /// The server's.
    pub fn read_dir(&self, path: impl AsRef<[u8]>) -> Result<ReadDir> {
        self.walk(path)?.read_dir()
    }

    /// Opens a file; `flags` are those of [`flags::open`].
    ///
    /// # Errors
    /// The server's.
    pub fn open(&self, path: impl AsRef<[u8]>, flags: u32) -> Result<File> {
        self.walk(path)?.open(flags)
    }

    /// Creates a file and opens it; `flags` are those of [`flags::open`].
    ///
    /// # Errors
    /// The server's.
    pub fn create(&self, path: impl AsRef<[u8]>, flags: u32, mode: u32) -> Result<File> {
        let (parent, name) = self.walk_parent(path.as_ref())?;
        parent.create(name, flags, mode)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// The server's.
    pub fn create_dir(&self, path: impl AsRef<[u8]>, mode: u32) -> Result<Qid> {
        let (parent, name) = self.walk_parent(path.as_ref())?;
        parent.create_dir(name, mode)
    }

    /// Makes a symbolic link at `path` that points to `target`.
    ///
    /// # Errors
    /// The server's.
    pub fn symlink(&self, target: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Result<Qid> {
        let (parent, name) = self.walk_parent(path.as_ref())?;
        parent.symlink(name, target)
    }

    /// What a symbolic link points to.
    ///
    /// # Errors
    /// The server's.
    pub fn read_link(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        self.walk(path)?.read_link()
    }

    /// Gives an object one more name.
    ///
    /// # Errors
    /// The server's.
    pub fn hard_link(&self, path: impl AsRef<[u8]>, newpath: impl AsRef<[u8]>) -> Result<()> {
        let (parent, name) = self.walk_parent(newpath.as_ref())?;
        parent.link(name, &self.walk(path)?)
    }

    /// Moves an object.
    ///
    /// # Errors
    /// The server's.
    pub fn rename(&self, path: impl AsRef<[u8]>, newpath: impl AsRef<[u8]>) -> Result<()> {
        let (parent, name) = self.walk_parent(path.as_ref())?;
        let (newparent, newname) = self.walk_parent(newpath.as_ref())?;
        parent.rename_entry(name, &newparent, newname)
    }

    /// Removes a file or an empty directory.
    ///
    /// # Errors
    /// The server's.
    pub fn remove(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let (parent, name) = self.walk_parent(path.as_ref())?;
        let is_dir = parent.walk(name)?.is_dir();
        parent.remove_entry(name, if is_dir { flags::unlink::REMOVEDIR } else { 0 })
    }
}
