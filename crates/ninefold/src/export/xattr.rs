//! Extended attributes as the client may see them.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::budget::Descriptor;
use super::{Export, Node, OpenFile, Writer};
use crate::sys::{self, Result, XattrTarget};

/// The quickest way to the attributes of an object.
struct Way {
    fd: Arc<Descriptor>,
    is_open: bool,
}

impl Way {
    fn to(node: &Arc<Node>, open: Option<&OpenFile>) -> Result<Self> {
        Ok(match open {
            Some(file) => Self {
                fd: file.fd()?,
                is_open: true,
            },
            None => Self {
                fd: node.fd()?,
                is_open: false,
            },
        })
    }

    fn target(&self) -> XattrTarget<'_> {
        let fd = self.fd.as_fd();
        if self.is_open {
            XattrTarget::Open(fd)
        } else {
            XattrTarget::Named(fd)
        }
    }
}

/// An ACL that is set to nothing is removed, and may be removed when there is none: so Linux does
/// it, and its client expects it. Source: acl(5), `posix_acl_xattr_set`.
fn is_acl(name: &[u8]) -> bool {
    matches!(
        name,
        b"system.posix_acl_access" | b"system.posix_acl_default"
    )
}

impl Export {
    /// Reads a value into `value`; returns its length.
    ///
    /// # Errors
    /// EOPNOTSUPP for a name space that the security model does not have, ENODATA, ERANGE; EOVERFLOW
    /// for an ACL with an id that the client has none for.
    pub fn xattr_get(
        &self,
        node: &Arc<Node>,
        open: Option<&OpenFile>,
        name: &[u8],
        value: &mut [u8],
    ) -> Result<usize> {
        let host = self.ownership.xattr_host_name(name, false)?;
        let len = sys::xattr_get(Way::to(node, open)?.target(), &host, value)?;
        match value.get_mut(..len) {
            Some(value) if is_acl(name) => self.show_acl(value)?,
            _ => {}
        }
        Ok(len)
    }

    /// Reads the names, each ended by a NUL, into `names`; returns their length.
    ///
    /// # Errors
    /// The errno of listxattr(2).
    pub fn xattr_list(
        &self,
        node: &Arc<Node>,
        open: Option<&OpenFile>,
        names: &mut [u8],
    ) -> Result<usize> {
        let len = sys::xattr_list(Way::to(node, open)?.target(), names)?;
        let mut kept = 0;
        let mut at = 0;
        while let Some(nul) = names[at..len].iter().position(|byte| *byte == 0) {
            let next = at + nul + 1;
            let host = &names[at..next - 1];
            if let Some(shown) = self.ownership.xattr_client_name(host) {
                // A name is shown whole or without its beginning.
                let len = shown.len() + 1;
                names.copy_within(next - len..next, kept);
                kept += len;
            }
            at = next;
        }
        Ok(kept)
    }
}

impl Writer<'_> {
    /// Sets a value, which may be empty.
    ///
    /// # Errors
    /// EOPNOTSUPP for a name space that the security model does not have; EPERM for an ACL with an id
    /// that the host has none for; else that of setxattr(2).
    pub fn xattr_set(
        &self,
        node: &Arc<Node>,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<()> {
        if value.is_empty() && is_acl(name) {
            return self.xattr_remove(node, name);
        }
        let acl = match is_acl(name) {
            true => self.export().host_acl(value)?,
            false => None,
        };
        let value = acl.as_deref().unwrap_or(value);
        let _open = match is_acl(name) {
            true => self.mode_change(node)?,
            false => None,
        };
        let name = self.export().ownership.xattr_host_name(name, true)?;
        sys::xattr_set(XattrTarget::Named(node.fd()?.as_fd()), &name, value, flags)
    }

    /// Removes an attribute.
    ///
    /// # Errors
    /// EOPNOTSUPP for a name space that the security model does not have, ENODATA.
    pub fn xattr_remove(&self, node: &Arc<Node>, name: &[u8]) -> Result<()> {
        let host = self.export().ownership.xattr_host_name(name, true)?;
        match sys::xattr_remove(XattrTarget::Named(node.fd()?.as_fd()), &host) {
            Err(Errno::NODATA) if is_acl(name) => Ok(()),
            done => done,
        }
    }
}
