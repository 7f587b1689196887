//! `passthrough`: owners, modes and special files are the host's own.

use std::borrow::Cow;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{FileType, OFlags};

use super::{At, MadeFile, New, Owner, Ownership, host, same_name};
use crate::export::{Export, Node};
use crate::sys::{self, Result, Stat, identity};

/// Name spaces of extended attributes that are the host's; beyond QEMU, which has the first and
/// the last.
const XATTR_PREFIXES: [&[u8]; 4] = [b"user.", b"trusted.", b"security.", b"system.posix_acl_"];

pub(super) struct Passthrough;

fn has_xattr(name: &[u8]) -> bool {
    XATTR_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Prepares this thread to make an object that belongs to `owner`.
fn create_as(owner: Owner) -> Result<()> {
    identity::take(owner.uid, owner.gid)
}

impl Ownership for Passthrough {
    fn create_file(&self, at: At<'_>, flags: OFlags, new: New) -> Result<MadeFile> {
        create_as(new.owner)?;
        host::create_file(at, flags, new)
    }

    fn make_dir(&self, at: At<'_>, new: New) -> Result<Stat> {
        create_as(new.owner)?;
        host::make_dir(at, new)
    }

    fn make_node(
        &self,
        at: At<'_>,
        file_type: FileType,
        device: (u32, u32),
        new: New,
    ) -> Result<Stat> {
        create_as(new.owner)?;
        host::make_node(at, file_type, device, new)
    }

    fn make_symlink(&self, at: At<'_>, target: &[u8], owner: Owner) -> Result<Stat> {
        create_as(owner)?;
        host::make_symlink(at, target)
    }

    fn chown(&self, _export: &Export, node: &Arc<Node>, owner: Owner) -> Result<()> {
        sys::chown(node.fd()?.as_fd(), owner.uid, owner.gid)
    }

    fn xattr_host_name<'n>(&self, name: &'n [u8], _change: bool) -> Result<Cow<'n, [u8]>> {
        same_name(has_xattr(name), name)
    }

    fn xattr_client_name<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        has_xattr(name).then_some(name)
    }
}
