//! Where objects have their names.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ninefold_wire::Name;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Node;
use super::budget::{Descriptor, Keeper};
use crate::sys::{self, Result};

/// A directory and a name in it.
#[derive(Clone)]
pub struct Place {
    pub(super) parent: Arc<Node>,
    name: Box<[u8]>,
}

impl Place {
    /// The entry `name` of `parent`.
    #[must_use]
    pub fn new(parent: &Arc<Node>, name: Name<'_>) -> Self {
        Self {
            parent: Arc::clone(parent),
            name: name.bytes().into(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn parent(&self) -> &Arc<Node> {
        &self.parent
    }

    /// The name in it.
    ///
    /// # Errors
    /// Never: it was a name when the place was made.
    pub fn name(&self) -> Result<Name<'_>> {
        Name::new(&self.name).map_err(|_| Errno::INVAL)
    }

    /// Whether the entry is `node` at this moment.
    pub(crate) fn names(&self, node: &Node) -> Result<bool> {
        let parent = match self.parent.fd() {
            // Nothing is in a directory that is gone.
            Err(Errno::STALE) => return Ok(false),
            fd => fd?,
        };
        match sys::stat_entry(parent.as_fd(), self.name()?) {
            Ok(stat) => Ok(stat.id == node.id()),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Opens the entry, to name it.
    pub(super) fn open(
        &self,
        dir: BorrowedFd<'_>,
        keeper: &Arc<Keeper>,
    ) -> Result<Arc<Descriptor>> {
        let name = self.name()?;
        keeper.open(|| sys::open_entry(dir, name, OFlags::PATH, Mode::empty()))
    }
}
