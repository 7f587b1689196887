//! Where a client that shares memory has put a request, and where it wants the reply.

use ninefold_wire::message::number;
use ninefold_wire::{
    DATA_HEADER_LEN, DecodeError, Dialect, HEADER_LEN, Header, Request, WRITE_HEADER_LEN,
};

use crate::sys::{Memory, Pipe};

/// Where the data of a message is, other than in its frame.
pub enum Aside<'a> {
    /// There is no such place.
    Nowhere,
    /// With the client, who shares the memory of both messages.
    Memory(&'a Place),
    /// In a pipe, which is empty: that of an Rread may be put there.
    Pipe(&'a mut Pipe),
}

/// The two buffers of one request.
pub struct Place {
    /// The request, no byte more.
    pub request: Memory,
    /// Room for the reply.
    pub reply: Memory,
}

impl Place {
    /// Whether a request can be answered at all: there is one, and room for an Rlerror and for the
    /// head of an Rread.
    pub(crate) fn is_sound(&self) -> bool {
        self.request.len() >= HEADER_LEN && self.reply.len() >= DATA_HEADER_LEN
    }

    /// How many bytes of the request are to be copied before it is served: of a Twrite the head, of
    /// any other all, but no more than a frame may have. One that is longer is then no message.
    pub(crate) fn frame_len(&self, frame_max: u32) -> usize {
        let mut head = [0; HEADER_LEN];
        self.request.copy_out(0, &mut head);
        let is_write = Header::peek(&head).is_some_and(|header| header.number == number::WRITE);
        let max = if is_write {
            WRITE_HEADER_LEN
        } else {
            usize::try_from(frame_max).unwrap_or(usize::MAX)
        };
        self.request.len().min(max)
    }

    /// Decodes a request whose frame has been copied as far as [`Place::frame_len`] says. A Twrite
    /// comes without its data.
    pub(crate) fn decode<'f>(
        &self,
        frame: &'f [u8],
        dialect: Dialect,
        frame_max: u32,
    ) -> Result<(u16, Request<'f>), DecodeError> {
        let header = Header::peek(frame).ok_or(DecodeError::Size)?;
        if header.number != number::WRITE {
            return Request::decode(frame, dialect);
        }
        let head: &[u8; WRITE_HEADER_LEN] = frame.try_into().map_err(|_| DecodeError::Size)?;
        let data = self.request.len() - WRITE_HEADER_LEN.min(self.request.len());
        let size = usize::try_from(header.size).ok();
        let count = usize::try_from(u32::from_le_bytes([head[19], head[20], head[21], head[22]]));
        let too_long = header.size > frame_max;
        if too_long || size != Some(self.request.len()) || count != Ok(data) {
            return Err(DecodeError::Size);
        }
        let mut alone = *head;
        alone[..4].copy_from_slice(&[23, 0, 0, 0]);
        alone[19..].fill(0);
        match Request::decode(&alone, dialect)? {
            (tag, Request::Write { fid, offset, .. }) => {
                let data = ninefold_wire::Data(&[]);
                Ok((tag, Request::Write { fid, offset, data }))
            }
            _ => Err(DecodeError::Size),
        }
    }
}
