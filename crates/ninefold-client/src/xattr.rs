//! Extended attributes: read, listed, set and removed whole.

use ninefold_wire::flags::xattr::REPLACE;
use ninefold_wire::{Reply, Request, XATTR_SIZE_MAX};

use crate::session::ask;
use crate::{Error, Fid, Result};

impl Fid {
    /// The value of an extended attribute.
    ///
    /// # Errors
    /// The server's, ENODATA if there is no such attribute; [`Error::Protocol`] for a value longer
    /// than Linux allows.
    pub fn xattr(&self, name: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        let mut fid = Self::unborn(self.session());
        let request = Request::Xattrwalk {
            fid: self.number(),
            newfid: fid.number(),
            name: name.as_ref(),
        };
        let size = ask!(self.session(), request, Reply::Xattrwalk { size } => Ok(size))?;
        fid.born(self.qid());
        let mut value = vec![0; value_len(size)?];
        let count = fid.read_full(fid.chunk(0), &mut value, 0)?;
        if count < value.len() {
            return Err(Error::protocol(
                format!("{size} bytes of value"),
                count.to_string(),
            ));
        }
        fid.clunk()?;
        Ok(value)
    }

    /// The names of all extended attributes.
    ///
    /// # Errors
    /// As [`Fid::xattr`].
    pub fn xattrs(&self) -> Result<Vec<Vec<u8>>> {
        let list = self.xattr(b"")?;
        let names = list
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty());
        Ok(names.map(<[u8]>::to_vec).collect())
    }

    /// Sets an extended attribute; `flags` are those of
    /// [`flags::xattr`](ninefold_wire::flags::xattr).
    ///
    /// # Errors
    /// The server's.
    pub fn set_xattr(
        &self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: u32,
    ) -> Result<()> {
        let value = value.as_ref();
        // The message turns the fid into the attribute, and its clunk sets the value.
        let fid = self.walk_steps(&[])?;
        let request = Request::Xattrcreate {
            fid: fid.number(),
            name: name.as_ref(),
            size: u64::try_from(value.len()).unwrap_or(u64::MAX),
            flags,
        };
        ask!(self.session(), request, Reply::Xattrcreate {} => Ok(()))?;
        fid.write_all(fid.chunk(0), value, 0)?;
        fid.clunk()
    }

    /// Removes an extended attribute. On the wire that is replacing it by nothing.
    ///
    /// # Errors
    /// The server's.
    pub fn remove_xattr(&self, name: impl AsRef<[u8]>) -> Result<()> {
        self.set_xattr(name, b"", REPLACE)
    }
}

/// The length of a value as announced, if any value can be that long.
fn value_len(size: u64) -> Result<usize> {
    usize::try_from(size)
        .ok()
        .filter(|_| size <= XATTR_SIZE_MAX)
        .ok_or_else(|| {
            Error::protocol(
                format!("a value of at most {XATTR_SIZE_MAX} bytes"),
                size.to_string(),
            )
        })
}
