//! `none`: as passthrough, for a server that may not give files away.
//!
//! New objects belong to their makers where the server may give them away, else to its own user. A
//! change of owner is tried, and when the host refuses it, it is taken for done: tar, dpkg and install
//! as the guest's root then work, and the owner shown stays the server's. QEMU promises the same for
//! this model but answers EPERM.

use std::borrow::Cow;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::{At, MadeFile, New, Owner, Ownership, host, same_name};
use crate::export::{Export, Node};
use crate::sys::{self, Result, Stat, identity};

pub(super) struct None {
    /// Whether the server may make objects for others.
    gives: bool,
}

impl None {
    pub(super) fn new() -> Self {
        Self {
            gives: identity::may_take(),
        }
    }

    /// Prepares this thread to make an object that is to belong to `owner`. Where that cannot be, it
    /// belongs to the server.
    fn create_as(&self, owner: Owner) {
        if self.gives {
            let _ = identity::take(owner.uid, owner.gid);
        }
    }
}

/// ACLs and the privileged name spaces would name owners that this model does not keep.
fn has_xattr(name: &[u8]) -> bool {
    name.starts_with(b"user.")
}

impl Ownership for None {
    fn create_file(&self, at: At<'_>, flags: OFlags, new: New) -> Result<MadeFile> {
        self.create_as(new.owner);
        host::create_file(at, flags, new)
    }

    fn make_dir(&self, at: At<'_>, new: New) -> Result<Stat> {
        self.create_as(new.owner);
        host::make_dir(at, new)
    }

    fn make_node(
        &self,
        at: At<'_>,
        file_type: FileType,
        device: (u32, u32),
        new: New,
    ) -> Result<Stat> {
        self.create_as(new.owner);
        host::make_node(at, file_type, device, new)
    }

    fn make_symlink(&self, at: At<'_>, target: &[u8], owner: Owner) -> Result<Stat> {
        self.create_as(owner);
        host::make_symlink(at, target)
    }

    fn chown(&self, _export: &Export, node: &Arc<Node>, owner: Owner) -> Result<()> {
        match sys::chown(node.fd()?.as_fd(), owner.uid, owner.gid) {
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
