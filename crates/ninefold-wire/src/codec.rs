//! The cursor that reads fields, the writer that puts them, and the frame header.

use crate::{Dialect, HEADER_LEN, NameError};

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The size field is below 7 or is not the length of the frame.
    Size,
    /// No request (or reply) of the dialect has this type number.
    UnknownType(u8),
    /// A field runs past the end of the frame.
    Truncated,
    /// This many bytes are left after the last field.
    Trailing(usize),
    /// A Twalk or Rwalk of more than 16 elements.
    TooManyNames(u16),
    /// A file name that no directory entry can have.
    Name(NameError),
    /// The sizes inside a stat structure contradict each other.
    Stat,
}

/// The message does not fit the buffer it is encoded into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The first seven bytes of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole message, these seven included.
    pub size: u32,
    /// The type number; T-messages are even, their R-message is one more.
    pub number: u8,
    /// The client's name for the request.
    pub tag: u16,
}

impl Header {
    /// Reads the header of `bytes`, if seven bytes are there. Checks nothing.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, d, number, lo, hi, ..] = bytes else {
            return None;
        };
        Some(Self {
            size: u32::from_le_bytes([a, b, c, d]),
            number,
            tag: u16::from_le_bytes([lo, hi]),
        })
    }

    /// Splits a frame into header and body.
    ///
    /// # Errors
    /// [`DecodeError::Size`] when the frame is not exactly as long as its size field says.
    pub fn split(frame: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let header = Self::peek(frame).ok_or(DecodeError::Size)?;
        if usize::try_from(header.size) != Ok(frame.len()) {
            return Err(DecodeError::Size);
        }
        Ok((header, &frame[HEADER_LEN..]))
    }
}

/// What is left to read of a body, and in which dialect.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    pub(crate) dialect: Dialect,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(body: &'a [u8], dialect: Dialect) -> Self {
        Self {
            rest: body,
            dialect,
        }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// A cursor over the next `len` bytes alone.
    pub(crate) fn nested(&mut self, len: usize) -> Result<Self, DecodeError> {
        Ok(Self {
            rest: self.take(len)?,
            dialect: self.dialect,
        })
    }

    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

/// A slice being filled from its start.
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    at: usize,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, at: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at.checked_add(bytes.len()).ok_or(Full)?;
        self.buf
            .get_mut(self.at..end)
            .ok_or(Full)?
            .copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// The next `LEN` bytes, to be filled.
    pub(crate) fn room<const LEN: usize>(&mut self) -> Result<&mut [u8; LEN], Full> {
        let room = self.buf.get_mut(self.at..).ok_or(Full)?;
        let room = room.first_chunk_mut().ok_or(Full)?;
        self.at += LEN;
        Ok(room)
    }

    /// Leaves room for a `u16` that is known later; [`Writer::patch16`] fills it.
    pub(crate) fn reserve16(&mut self) -> Result<usize, Full> {
        let at = self.at;
        self.put(&[0, 0])?;
        Ok(at)
    }

    /// Fills the room at `at` with the number of bytes written since.
    pub(crate) fn patch16(&mut self, at: usize) -> Result<(), Full> {
        let len = u16::try_from(self.at - at - 2).map_err(|_| Full)?;
        self.buf[at..at + 2].copy_from_slice(&len.to_le_bytes());
        Ok(())
    }

    pub(crate) fn written(&self) -> usize {
        self.at
    }
}

/// Encodes a whole frame into `buf`: header, then what `body` puts. Returns the frame's length.
pub(crate) fn encode_frame(
    buf: &mut [u8],
    number: u8,
    tag: u16,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>,
) -> Result<usize, Full> {
    let mut writer = Writer::new(buf);
    writer.put(&[0; 4])?;
    writer.put(&[number])?;
    writer.put(&tag.to_le_bytes())?;
    body(&mut writer)?;
    let len = writer.written();
    let size = u32::try_from(len).map_err(|_| Full)?;
    buf[..4].copy_from_slice(&size.to_le_bytes());
    Ok(len)
}

/// Puts the head of a reply whose `count` bytes of data stand in `buf` already, behind the first
/// [`DATA_HEADER_LEN`](crate::DATA_HEADER_LEN) bytes. Returns the frame's length.
pub(crate) fn encode_data_head(
    buf: &mut [u8],
    number: u8,
    tag: u16,
    count: usize,
) -> Result<usize, Full> {
    let len = crate::DATA_HEADER_LEN.checked_add(count).ok_or(Full)?;
    let frame = buf.get_mut(..len).ok_or(Full)?;
    let mut writer = Writer::new(frame);
    u32::try_from(len).map_err(|_| Full)?.put(&mut writer)?;
    number.put(&mut writer)?;
    tag.put(&mut writer)?;
    u32::try_from(count).map_err(|_| Full)?.put(&mut writer)?;
    Ok(len)
}

/// One field of a message.
pub(crate) trait Field<'a>: Sized {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError>;
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full>;
}

/// A field that is of one length, bytes, whatever it says.
pub(crate) trait Fixed {
    const LEN: usize;
}

macro_rules! integer_fields {
    ($($ty:ty),*) => {$(
        impl<'a> Field<'a> for $ty {
            fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
                let bytes = from.take(size_of::<$ty>())?;
                bytes.try_into().map(<$ty>::from_le_bytes).map_err(|_| DecodeError::Truncated)
            }
            fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
                to.put(&self.to_le_bytes())
            }
        }

        impl Fixed for $ty {
            const LEN: usize = size_of::<$ty>();
        }
    )*};
}
integer_fields!(u8, u16, u32, u64);

/// A string `s`: `length[2]`, then bytes. Any bytes: Unix names are not text.
impl<'a> Field<'a> for &'a [u8] {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let len = u16::take(from)?;
        from.take(len.into())
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        u16::try_from(self.len()).map_err(|_| Full)?.put(to)?;
        to.put(self)
    }
}

/// A field that plain 9P2000 does not have.
impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn take(from: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        if from.dialect.has_unix_fields() {
            T::take(from).map(Some)
        } else {
            Ok(None)
        }
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<(), Full> {
        self.as_ref().map_or(Ok(()), |field| field.put(to))
    }
}
