//! The stat structure of 9P2000 and 9P2000.u (Tstat, Twstat, reads of a directory).

use crate::Dialect;
use crate::codec::{Cursor, DecodeError, Field, Full, Writer};
use crate::types::Qid;

/// A file's attributes, or what a Twstat changes of them. Source: stat(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat<'a> {
    /// For the server's kernel; 0 from a Unix server.
    pub kind: u16,
    /// For the server's kernel; 0 from a Unix server.
    pub dev: u32,
    /// The object's qid.
    pub qid: Qid,
    /// Permission bits and [`flags::dm`](crate::flags::dm) bits.
    pub mode: u32,
    /// Last access, seconds of the epoch.
    pub atime: u32,
    /// Last change, seconds of the epoch.
    pub mtime: u32,
    /// Bytes; 0 for a directory.
    pub length: u64,
    /// Last component of the path; `/` for the root.
    pub name: &'a [u8],
    /// Owner's name.
    pub uid: &'a [u8],
    /// Group's name.
    pub gid: &'a [u8],
    /// Name of who changed it last.
    pub muid: &'a [u8],
    /// What 9P2000.u adds.
    pub unix: Option<StatUnix<'a>>,
}

/// The fields that 9P2000.u adds to a [`Stat`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatUnix<'a> {
    /// Symlink target, device numbers or link count, as text.
    pub extension: &'a [u8],
    /// Owner.
    pub n_uid: u32,
    /// Group.
    pub n_gid: u32,
    /// Who changed it last.
    pub n_muid: u32,
}

impl<'a> Stat<'a> {
    /// Reads one stat of the data of a directory read: `size[2]`, then the fields. Returns it and
    /// the bytes after it.
    ///
    /// # Errors
    /// [`DecodeError`] when `bytes` do not begin with a whole, consistent stat.
    pub fn decode_entry(
        bytes: &'a [u8],
        dialect: Dialect,
    ) -> Result<(Self, &'a [u8]), DecodeError> {
        let mut from = Cursor::new(bytes, dialect);
        let stat = Self::take_sized(&mut from)?;
        let left = from.remaining();
        Ok((stat, &bytes[bytes.len() - left..]))
    }

    /// Writes `size[2]` and the fields at the start of `buf`; returns the bytes written.
    ///
    /// # Errors
    /// [`Full`] when it does not fit.
    pub fn encode_entry(&self, buf: &mut [u8]) -> Result<usize, Full> {
        let mut to = Writer::new(buf);
        self.put_sized(&mut to)?;
        Ok(to.written())
    }

    fn take_sized(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let size = u16::take(from)?;
        let mut inner = from.nested(size.into())?;
        let stat = Self::take_fields(&mut inner).map_err(|_| DecodeError::Stat)?;
        inner.finish().map_err(|_| DecodeError::Stat)?;
        Ok(stat)
    }

    fn take_fields(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: Field::take(from)?,
            dev: Field::take(from)?,
            qid: Field::take(from)?,
            mode: Field::take(from)?,
            atime: Field::take(from)?,
            mtime: Field::take(from)?,
            length: Field::take(from)?,
            name: Field::take(from)?,
            uid: Field::take(from)?,
            gid: Field::take(from)?,
            muid: Field::take(from)?,
            unix: Field::take(from)?,
        })
    }

    fn put_sized(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        let size_at = to.reserve16()?;
        self.kind.put(to)?;
        self.dev.put(to)?;
        self.qid.put(to)?;
        self.mode.put(to)?;
        self.atime.put(to)?;
        self.mtime.put(to)?;
        self.length.put(to)?;
        self.name.put(to)?;
        self.uid.put(to)?;
        self.gid.put(to)?;
        self.muid.put(to)?;
        self.unix.put(to)?;
        to.patch16(size_at)
    }
}

/// In a message a stat stands behind one more `n[2]`.
impl<'a> Field<'a> for Stat<'a> {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let size = u16::take(from)?;
        let mut inner = from.nested(size.into())?;
        let stat = Self::take_sized(&mut inner).map_err(|_| DecodeError::Stat)?;
        inner.finish().map_err(|_| DecodeError::Stat)?;
        Ok(stat)
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        let size_at = to.reserve16()?;
        self.put_sized(to)?;
        to.patch16(size_at)
    }
}

impl<'a> Field<'a> for StatUnix<'a> {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            extension: Field::take(from)?,
            n_uid: Field::take(from)?,
            n_gid: Field::take(from)?,
            n_muid: Field::take(from)?,
        })
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        self.extension.put(to)?;
        self.n_uid.put(to)?;
        self.n_gid.put(to)?;
        self.n_muid.put(to)
    }
}
