//! Extended attributes as the client may see them.

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::{Export, Node, OpenFile, Writer};
use crate::sys::{self, Result, XattrTarget};

/// The quickest way to the attributes of an object.
fn target<'a>(node: &'a Node, open: Option<&'a OpenFile>) -> XattrTarget<'a> {
    open.map_or(XattrTarget::Named(node.fd()), |file| {
        XattrTarget::Open(file.fd())
    })
}

impl Export {
    /// Reads a value into `value`; returns its length.
    ///
    /// # Errors
    /// EOPNOTSUPP for a name space that the security model does not have, ENODATA, ERANGE.
    pub fn xattr_get(
        &self,
        node: &Node,
        open: Option<&OpenFile>,
        name: &[u8],
        value: &mut [u8],
    ) -> Result<usize> {
        self.check_xattr(name)?;
        sys::xattr_get(target(node, open), name, value)
    }

    /// Reads the names, each ended by a NUL, into `names`; returns their length.
    ///
    /// # Errors
    /// The errno of listxattr(2).
    pub fn xattr_list(
        &self,
        node: &Node,
        open: Option<&OpenFile>,
        names: &mut [u8],
    ) -> Result<usize> {
        let len = sys::xattr_list(target(node, open), names)?;
        let mut kept = 0;
        let mut at = 0;
        while let Some(nul) = names[at..len].iter().position(|byte| *byte == 0) {
            let next = at + nul + 1;
            if self.ownership.has_xattr(&names[at..next - 1]) {
                names.copy_within(at..next, kept);
                kept += next - at;
            }
            at = next;
        }
        Ok(kept)
    }

    fn check_xattr(&self, name: &[u8]) -> Result<()> {
        if self.ownership.has_xattr(name) {
            Ok(())
        } else {
            Err(Errno::OPNOTSUPP)
        }
    }
}

impl Writer<'_> {
    /// Sets a value, which may be empty.
    ///
    /// # Errors
    /// EOPNOTSUPP for a name space that the security model does not have, else that of setxattr(2).
    pub fn xattr_set(
        &self,
        node: &Node,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> Result<()> {
        self.export().check_xattr(name)?;
        sys::xattr_set(XattrTarget::Named(node.fd()), name, value, flags)
    }

    /// Removes an attribute.
    ///
    /// # Errors
    /// EOPNOTSUPP for a name space that the security model does not have, ENODATA.
    pub fn xattr_remove(&self, node: &Node, name: &[u8]) -> Result<()> {
        self.export().check_xattr(name)?;
        sys::xattr_remove(XattrTarget::Named(node.fd()), name)
    }
}
