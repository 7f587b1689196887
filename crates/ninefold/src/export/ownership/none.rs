//! `none`: as passthrough, for a server that may not give files away.
//!
//! New objects belong to the server's user. A change of owner is tried, and when the host refuses
//! it, it is taken for done: tar, dpkg and install as the guest's root then work, and the owner
//! shown stays the server's. QEMU promises the same for this model but answers EPERM.

use std::borrow::Cow;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::{At, MadeFile, New, Owner, Ownership, host, same_name};
use crate::export::{Export, Node};
use crate::sys::{self, Result, Stat};

pub(super) struct None;

/// ACLs and the privileged name spaces would name owners that this model does not keep.
fn has_xattr(name: &[u8]) -> bool {
    name.starts_with(b"user.")
}

impl Ownership for None {
    fn create_file(&self, at: At<'_>, flags: OFlags, new: New) -> Result<MadeFile> {
        host::create_file(at, flags, new)
    }

    fn make_dir(&self, at: At<'_>, new: New) -> Result<Stat> {
        host::make_dir(at, new)
    }

    fn make_node(
        &self,
        at: At<'_>,
        file_type: FileType,
        device: (u32, u32),
        new: New,
    ) -> Result<Stat> {
        host::make_node(at, file_type, device, new)
    }

    fn make_symlink(&self, at: At<'_>, target: &[u8], _owner: Owner) -> Result<Stat> {
        host::make_symlink(at, target)
    }

    fn chown(&self, _export: &Export, node: &Node, owner: Owner) -> Result<()> {
        match sys::chown(node.fd(), owner.uid, owner.gid) {
            Err(Errno::PERM) => Ok(()),
            done => done,
        }
    }

    fn xattr_host_name<'n>(&self, name: &'n [u8], _change: bool) -> Result<Cow<'n, [u8]>> {
        same_name(has_xattr(name), name)
    }

    fn xattr_client_name<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        has_xattr(name).then_some(name)
    }
}
