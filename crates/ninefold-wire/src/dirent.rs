//! Directory entries as 9P2000.L packs them into the data of an Rreaddir.

use crate::Dialect;
use crate::codec::{Cursor, DecodeError, Field, Full, Writer};
use crate::types::Qid;

/// One entry: `qid[13] offset[8] type[1] name[s]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// The entry's qid.
    pub qid: Qid,
    /// Where to read on after this entry: 1 to 2^63-1, opaque.
    pub offset: u64,
    /// `DT_*` number of readdir(3); 0 is unknown.
    pub kind: u8,
    /// The name; `.` and `..` are listed too.
    pub name: &'a [u8],
}

impl Dirent<'_> {
    /// Bytes of an entry besides its name.
    pub const OVERHEAD: usize = 24;

    /// Writes the entry at the start of `buf`; returns the bytes written.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; `buf` may then hold part of it.
    pub fn encode(&self, buf: &mut [u8]) -> Result<usize, Full> {
        let mut to = Writer::new(buf);
        self.qid.put(&mut to)?;
        self.offset.put(&mut to)?;
        self.kind.put(&mut to)?;
        self.name.put(&mut to)?;
        Ok(to.written())
    }
}

/// Walks the entries in the data of an Rreaddir.
pub struct Dirents<'a>(Cursor<'a>);

impl<'a> Dirents<'a> {
    /// Over `data`, all of it.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self(Cursor::new(data, Dialect::Linux))
    }

    fn entry(&mut self) -> Result<Dirent<'a>, DecodeError> {
        Ok(Dirent {
            qid: Field::take(&mut self.0)?,
            offset: Field::take(&mut self.0)?,
            kind: Field::take(&mut self.0)?,
            name: Field::take(&mut self.0)?,
        })
    }
}

impl<'a> Iterator for Dirents<'a> {
    type Item = Result<Dirent<'a>, DecodeError>;

    /// The next entry; after an error, nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.0 = Cursor::new(&[], Dialect::Linux);
        }
        Some(entry)
    }
}
