//! The structures inside messages.

use crate::WALK_MAX;
use crate::codec::{Cursor, DecodeError, Field, Fixed, Full, Writer};

/// Declares a plain structure whose fields stand on the wire in the order of declaration.
macro_rules! wire_struct {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: $ty,)* }

        impl<'a> Field<'a> for $name {
            fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Field::take(from)?,)* })
            }
            // Room is looked for once, and not for each field.
            fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
                let mut to = Writer::new(to.room::<{ <Self as Fixed>::LEN }>()?);
                $(self.$field.put(&mut to)?;)*
                Ok(())
            }
        }

        impl Fixed for $name {
            const LEN: usize = 0 $(+ <$ty as Fixed>::LEN)*;
        }
    };
}

wire_struct! {
    /// The server's name for an object: `type[1] version[4] path[8]`. Source: intro(5).
    Qid {
        /// Bits of [`flags::qid`](crate::flags::qid): what kind of object.
        kind: u8,
        /// Changes when the content changes; 0 tells Linux 6.4 and newer not to cache.
        version: u32,
        /// Unique among the objects of an export.
        path: u64,
    }
}

wire_struct! {
    /// The body of an Rgetattr after `tag`: `valid[8] qid[13] mode[4] ... data_version[8]`.
    Attr {
        /// Which fields hold: bits of [`flags::getattr`](crate::flags::getattr).
        valid: u64,
        /// The object's qid.
        qid: Qid,
        /// `st_mode`, file type included.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Hard links.
        nlink: u64,
        /// Device number in Linux's 32-bit user encoding.
        rdev: u64,
        /// Bytes.
        size: u64,
        /// Preferred I/O size, bytes.
        blksize: u64,
        /// Allocated, in units of 512 bytes.
        blocks: u64,
        /// Last access, seconds of the epoch (two's complement).
        atime_sec: u64,
        /// Last access, nanoseconds.
        atime_nsec: u64,
        /// Last change of the content, seconds.
        mtime_sec: u64,
        /// Last change of the content, nanoseconds.
        mtime_nsec: u64,
        /// Last change of the attributes, seconds.
        ctime_sec: u64,
        /// Last change of the attributes, nanoseconds.
        ctime_nsec: u64,
        /// Creation, seconds.
        btime_sec: u64,
        /// Creation, nanoseconds.
        btime_nsec: u64,
        /// Inode generation.
        generation: u64,
        /// Reserved for a change counter.
        data_version: u64,
    }
}

wire_struct! {
    /// The body of a Tsetattr after `fid[4]`.
    SetAttr {
        /// Which fields to set: bits of [`flags::setattr`](crate::flags::setattr).
        valid: u32,
        /// Permission bits; a file type among them is ignored.
        mode: u32,
        /// New owner.
        uid: u32,
        /// New group.
        gid: u32,
        /// New length, bytes.
        size: u64,
        /// Access time, seconds (two's complement).
        atime_sec: u64,
        /// Access time, nanoseconds.
        atime_nsec: u64,
        /// Modification time, seconds (two's complement).
        mtime_sec: u64,
        /// Modification time, nanoseconds.
        mtime_nsec: u64,
    }
}

wire_struct! {
    /// The body of an Rstatfs.
    Statfs {
        /// File system magic, low 32 bits of `f_type`.
        kind: u32,
        /// Block size, bytes.
        bsize: u32,
        /// Blocks in all.
        blocks: u64,
        /// Free blocks.
        bfree: u64,
        /// Free blocks for the unprivileged.
        bavail: u64,
        /// Inodes in all.
        files: u64,
        /// Free inodes.
        ffree: u64,
        /// File system id.
        fsid: u64,
        /// Longest name, bytes.
        namelen: u32,
    }
}

/// What a Tlock asks for, or a Tgetlock asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockType {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
    /// None.
    Unlock,
}

impl LockType {
    /// The type with this number on the wire.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Read),
            1 => Some(Self::Write),
            2 => Some(Self::Unlock),
            _ => None,
        }
    }

    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Unlock => 2,
        }
    }
}

/// `start[8] length[8] proc_id[4] client_id[s]`: a byte range and who wants or holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRange<'a> {
    /// First byte.
    pub start: u64,
    /// Bytes; 0 is "to the end, however far it grows".
    pub length: u64,
    /// The process on the client.
    pub proc_id: u32,
    /// The client's node name.
    pub client_id: &'a [u8],
}

impl<'a> Field<'a> for LockRange<'a> {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            start: Field::take(from)?,
            length: Field::take(from)?,
            proc_id: Field::take(from)?,
            client_id: Field::take(from)?,
        })
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        self.start.put(to)?;
        self.length.put(to)?;
        self.proc_id.put(to)?;
        self.client_id.put(to)
    }
}

/// `count[4] data[count]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Data<'a> {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let count = u32::take(from)?;
        let len = usize::try_from(count).map_err(|_| DecodeError::Truncated)?;
        from.take(len).map(Self)
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        u32::try_from(self.0.len()).map_err(|_| Full)?.put(to)?;
        to.put(self.0)
    }
}

/// A last word that some senders leave out (Tfsync's datasync in clients of the old text).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail(pub Option<u32>);

impl<'a> Field<'a> for Tail {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        if from.is_empty() {
            Ok(Self(None))
        } else {
            u32::take(from).map(|word| Self(Some(word)))
        }
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        self.0.map_or(Ok(()), |word| word.put(to))
    }
}

/// The qids of an Rwalk, at most 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qids {
    qids: [Qid; WALK_MAX],
    len: usize,
}

impl Qids {
    /// Adds one; false when there are 16 already.
    #[must_use]
    pub fn push(&mut self, qid: Qid) -> bool {
        let Some(free) = self.qids.get_mut(self.len) else {
            return false;
        };
        *free = qid;
        self.len += 1;
        true
    }

    /// The qids in the order of the walk.
    #[must_use]
    pub fn as_slice(&self) -> &[Qid] {
        &self.qids[..self.len]
    }
}

impl<'a> Field<'a> for Qids {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let count = u16::take(from)?;
        let mut all = Self {
            len: count.into(),
            ..Self::default()
        };
        let qids = all
            .qids
            .get_mut(..count.into())
            .ok_or(DecodeError::TooManyNames(count))?;
        for qid in qids {
            *qid = Field::take(from)?;
        }
        Ok(all)
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        u16::try_from(self.len).map_err(|_| Full)?.put(to)?;
        self.as_slice().iter().try_for_each(|qid| qid.put(to))
    }
}
