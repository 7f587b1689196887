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
    name: Kept,
}

/// Bytes of a short name: as many as there is room for beside its length in three words.
const SHORT: usize = 22;

/// A name, kept here if it is short, as most are: one allocation less for each fid.
#[derive(Clone)]
enum Kept {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Kept {
    fn new(name: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(name);
                Self::Short { len, bytes }
            }
            _ => Self::Long(name.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl Place {
    /// The entry `name` of `parent`.
    #[must_use]
    pub fn new(parent: &Arc<Node>, name: Name<'_>) -> Self {
        Self {
            parent: Arc::clone(parent),
            name: Kept::new(name.bytes()),
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
        Name::new(self.name.bytes()).map_err(|_| Errno::INVAL)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_as_they_are() {
        for len in [1, SHORT - 1, SHORT, SHORT + 1, 255] {
            let name: Vec<u8> = (1..=255).take(len).collect();
            let kept = Kept::new(&name);
            assert_eq!(kept.bytes(), name);
            assert_eq!(matches!(kept, Kept::Short { .. }), len <= SHORT);
        }
        assert_eq!(size_of::<Kept>(), 24);
    }
}
