//! The security models: how owner, group, mode, device number and file type of an object are
//! stored on the host and read back. The names are those of QEMU's `security_model`.

mod attributes;
mod host;
mod known;
mod mapped_file;
mod mapped_xattr;
mod none;
mod passthrough;
mod placeholder;
mod stripes;

pub(super) use host::{permissions, touch};

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, RwLockReadGuard};

use ninefold_wire::Name;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::{Export, ExportOptions, Node, OpenFile};
use crate::sys::{self, Result, Stat};

/// Whom an object is to belong to; none is "the server, or as it is".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

/// Which of the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecurityModel {
    /// Everything is on the host what it is for the client. Needs root to be of use.
    Passthrough,
    /// As passthrough, except that what the host does not permit of owners is ignored: new objects
    /// then belong to the server, and changed ones stay whose they are.
    None,
    /// Owner, mode, type and device number are kept in extended attributes `user.virtfs.*`; on the
    /// host there are only regular files and directories of the server's own.
    MappedXattr,
    /// As mapped-xattr, but kept in text files in the hidden directories `.virtfs_metadata`.
    MappedFile,
}

impl SecurityModel {
    /// Whether owner, mode and type are kept apart from the host's own.
    #[must_use]
    pub fn is_mapped(self) -> bool {
        matches!(self, Self::MappedXattr | Self::MappedFile)
    }

    pub(super) fn ownership(self, options: &ExportOptions) -> Box<dyn Ownership> {
        // Without set-id bits: they would be the host's, for whatever the client puts there.
        let modes = HostModes {
            file: options.fmode & 0o777,
            dir: options.dmode & 0o777,
        };
        match self {
            Self::Passthrough => Box::new(passthrough::Passthrough),
            Self::None => Box::new(none::None::new()),
            Self::MappedXattr => Box::new(mapped_xattr::MappedXattr::new(modes)),
            Self::MappedFile => Box::new(mapped_file::MappedFile::new(modes)),
        }
    }
}

/// Permission bits on the host of what a mapped model makes (`fmode` and `dmode` of QEMU).
#[derive(Clone, Copy)]
pub(super) struct HostModes {
    pub(super) file: u32,
    pub(super) dir: u32,
}

/// A directory and a name in it.
pub(super) type At<'a> = (&'a Arc<Node>, Name<'a>);

/// What is to be made.
#[derive(Clone, Copy)]
pub(super) struct New {
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

/// A file just made, open.
pub(super) struct MadeFile {
    pub(super) fd: OwnedFd,
    pub(super) stat: Stat,
    /// The file's metadata, for its node to hold.
    pub(super) metadata: Option<OwnedFd>,
}

/// Guards an entry and what is kept of its object from changing apart.
pub(super) type Steady<'a> = RwLockReadGuard<'a, ()>;

/// What a security model decides. Where nothing else is said, it is as the host has it.
pub(super) trait Ownership: Send + Sync {
    /// Whether entries of this name are the model's own, and none of the client's.
    fn hides(&self, _name: &[u8]) -> bool {
        false
    }

    /// What an entry is, as far as its directory can tell.
    fn entry_type(&self, host: FileType) -> FileType {
        host
    }

    /// Keeps the entries of a directory as they are.
    fn steady(&self, _dir: &Arc<Node>) -> Option<Steady<'_>> {
        None
    }

    /// Completes what the host says of an object that was found in its place just now.
    fn found(&self, export: &Export, node: &Arc<Node>, stat: &mut Stat) -> Result<()> {
        self.complete(export, node, stat)
    }

    /// Completes what the host says of an object.
    fn complete(&self, _export: &Export, _node: &Arc<Node>, _stat: &mut Stat) -> Result<()> {
        Ok(())
    }

    /// Whether attributes are kept in files beside the objects.
    fn has_metadata_files(&self) -> bool {
        false
    }

    /// The file that keeps the attributes of the object with this name, open for reading.
    fn find_metadata(&self, _at: At<'_>) -> Result<Option<OwnedFd>> {
        Ok(None)
    }

    /// What an object is for the client.
    fn file_type(&self, _export: &Export, node: &Arc<Node>) -> Result<FileType> {
        Ok(node.file_type())
    }

    /// Makes a file that did not exist and opens it.
    fn create_file(&self, at: At<'_>, flags: OFlags, new: New) -> Result<MadeFile>;

    /// Makes a directory.
    fn make_dir(&self, at: At<'_>, new: New) -> Result<Stat>;

    /// Makes an empty file, a FIFO, a socket or a device.
    fn make_node(
        &self,
        at: At<'_>,
        file_type: FileType,
        device: (u32, u32),
        new: New,
    ) -> Result<Stat>;

    /// Makes a symbolic link.
    fn make_symlink(&self, at: At<'_>, target: &[u8], owner: Owner) -> Result<Stat>;

    /// Reads a symbolic link.
    fn read_link(&self, _export: &Export, node: &Arc<Node>, target: &mut [u8]) -> Result<usize> {
        host::read_link(node, target)
    }

    /// Gives an object, which is no directory, one more name.
    fn link(&self, _export: &Export, node: &Arc<Node>, to: At<'_>) -> Result<()> {
        sys::link(node.fd()?.as_fd(), to.0.fd()?.as_fd(), to.1)
    }

    /// Moves an entry.
    fn rename(&self, from: At<'_>, to: At<'_>) -> Result<()> {
        host::rename(from, to)
    }

    /// Removes an entry.
    fn unlink(&self, at: At<'_>, directory: bool) -> Result<()> {
        host::unlink(at, directory)
    }

    /// Sets the permission bits of what is no symbolic link.
    fn chmod(&self, _export: &Export, node: &Arc<Node>, mode: u32) -> Result<()> {
        sys::chmod(node.fd()?.as_fd(), permissions(mode))
    }

    /// Changes whom an object belongs to.
    fn chown(&self, export: &Export, node: &Arc<Node>, owner: Owner) -> Result<()>;

    /// Called before the content of an open file is changed.
    fn before_write(&self, _export: &Export, _node: &Arc<Node>, _file: &OpenFile) -> Result<()> {
        Ok(())
    }

    /// The host's name of an extended attribute, to be read or with `change` to be changed.
    fn xattr_host_name<'n>(&self, name: &'n [u8], change: bool) -> Result<Cow<'n, [u8]>>;

    /// The client's name of an extended attribute of the host; nothing when it is not for clients.
    fn xattr_client_name<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]>;
}

/// Names that are the same on both sides, of the name spaces that a model has.
fn same_name(has: bool, name: &[u8]) -> Result<Cow<'_, [u8]>> {
    if has {
        Ok(Cow::Borrowed(name))
    } else {
        Err(Errno::OPNOTSUPP)
    }
}
