//! The security models: how owner, group, mode, device number and file type of an object are
//! stored on the host and read back. The names are those of QEMU's `security_model`.

mod none;
mod passthrough;

use crate::sys::Result;

use super::Node;

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
    /// As passthrough, except that new objects belong to the server and a change of owner that
    /// the host does not permit is ignored.
    None,
}

impl SecurityModel {
    pub(super) fn ownership(self) -> Box<dyn Ownership> {
        match self {
            Self::Passthrough => Box::new(passthrough::Passthrough),
            Self::None => Box::new(none::None),
        }
    }
}

/// What a security model decides.
pub(super) trait Ownership: Send + Sync {
    /// Prepares this thread to make an object that belongs to `owner`.
    fn create_as(&self, owner: Owner) -> Result<()>;

    /// Changes whom an object belongs to.
    fn chown(&self, node: &Node, owner: Owner) -> Result<()>;

    /// Whether extended attributes of this name can be had.
    fn has_xattr(&self, name: &[u8]) -> bool;
}
