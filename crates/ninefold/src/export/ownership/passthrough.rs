//! `passthrough`: owners, modes and special files are the host's own.

use super::{Owner, Ownership};
use crate::export::Node;
use crate::sys::{self, Result, identity};

/// Name spaces of extended attributes that are the host's; beyond QEMU, which has the first and
/// the last.
const XATTR_PREFIXES: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system.posix_acl_"];

pub(super) struct Passthrough;

impl Ownership for Passthrough {
    fn create_as(&self, owner: Owner) -> Result<()> {
        identity::take(owner.uid, owner.gid)
    }

    fn chown(&self, node: &Node, owner: Owner) -> Result<()> {
        sys::chown(node.fd(), owner.uid, owner.gid)
    }

    fn has_xattr(&self, name: &[u8]) -> bool {
        XATTR_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }
}
