//! The receiving half of a connection: bytes in, frames out.

use std::mem;
use std::os::fd::BorrowedFd;

use ninefold_wire::{HEADER_LEN, Header, WRITE_HEADER_LEN};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::buffer::Buffer;

/// Received at once, bytes, unless the last frame was larger.
const CHUNK: usize = 64 * 1024;
/// Of a frame with so much still to come just the rest is received, and [`MARGIN`], so that the next
/// one begins a buffer.
const BULK: usize = 16 * 1024;

/// So much more is received than is likely to come: what then comes short has been all there is, and no
/// further call is needed to see that.
const MARGIN: usize = 512;

/// What has been received and not yet been served.
pub(super) struct Rx {
    buf: Buffer,
    start: usize,
    end: usize,
    /// What the next frame may take, going by the last one: data comes in frames of one size.
    likely: usize,
}

/// What is there.
pub(super) enum Cut {
    /// A whole frame of so many bytes.
    Frame(usize),
    /// Not yet a frame.
    Partial,
    /// Something that no frame begins with.
    Broken,
}

/// What a receive brought.
pub(super) enum Received {
    /// Bytes. `drained` when the socket has no more at this moment.
    Some {
        /// Less came than there was room for.
        drained: bool,
    },
    /// Nothing at this moment.
    Nothing,
    /// The peer sends no more.
    Ended,
    /// The connection is broken.
    Closed,
}

/// A buffer for frames, which workers and connections exchange.
pub(super) fn frame_buffer() -> Buffer {
    Buffer::new(CHUNK, WRITE_HEADER_LEN)
}

impl Rx {
    pub(super) fn new() -> Self {
        Self {
            buf: frame_buffer(),
            start: 0,
            end: 0,
            likely: CHUNK,
        }
    }

    fn held(&self) -> &[u8] {
        &self.buf.bytes()[self.start..self.end]
    }

    /// Looks at the next frame; `max` is the longest allowed.
    pub(super) fn cut(&self, max: u32) -> Cut {
        let held = self.held();
        let Some(size) = held.first_chunk().map(|size| u32::from_le_bytes(*size)) else {
            return Cut::Partial;
        };
        let size_ok = (HEADER_LEN..=max as usize).contains(&(size as usize));
        match size as usize {
            _ if !size_ok => Cut::Broken,
            len if len <= held.len() => Cut::Frame(len),
            _ => Cut::Partial,
        }
    }

    /// The next frame, which [`Rx::cut`] has found, without taking it.
    pub(super) fn frame(&self, len: usize) -> &[u8] {
        &self.held()[..len]
    }

    /// Takes the next frame into `into`, whose first `len` bytes it then is. A frame with less behind
    /// it than it has itself takes the buffer with it, and what is behind it is copied.
    pub(super) fn take(&mut self, len: usize, into: &mut Buffer) {
        self.likely = (len + MARGIN).max(CHUNK);
        let rest = self.start + len..self.end;
        if self.start == 0 && rest.len() < len {
            if into.len() < rest.len().max(CHUNK) {
                *into = Buffer::new(rest.len().max(CHUNK), WRITE_HEADER_LEN);
            }
            into.bytes_mut()[..rest.len()].copy_from_slice(&self.buf.bytes()[rest.clone()]);
            mem::swap(&mut self.buf, into);
            (self.start, self.end) = (0, rest.len());
            return;
        }
        into.fill(self.frame(len));
        self.skip(len);
    }

    /// Receives next into the buffer of the last frame, if nothing is held: it is in the processor's caches.
    pub(super) fn reuse(&mut self, last: &mut Buffer) {
        if self.start == self.end && last.len() >= self.buf.len() {
            mem::swap(&mut self.buf, last);
        }
    }

    /// Passes over the next frame.
    pub(super) fn skip(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Bytes still missing of a frame whose size is known.
    fn missing(&self) -> usize {
        let held = self.held();
        let size = Header::peek(held).map_or(0, |header| header.size as usize);
        size.saturating_sub(held.len())
    }

    /// Makes room for what is to come, and says how much to receive: of a large frame just the
    /// rest and a little more, so that the next one begins a buffer and has its data aligned.
    fn prepare(&mut self) -> usize {
        let missing = self.missing();
        let held = self.end - self.start;
        let wanted = self.likely.max(held + missing);
        if self.start > 0 || self.buf.len() < wanted {
            self.compact(wanted);
        }
        let room = self.buf.len() - self.end;
        if missing > BULK {
            room.min(missing + MARGIN)
        } else {
            room.min(self.likely)
        }
    }

    fn compact(&mut self, wanted: usize) {
        let held = self.start..self.end;
        if self.buf.len() < wanted {
            self.buf.regrow(wanted, held.clone());
        } else {
            self.buf.bytes_mut().copy_within(held.clone(), 0);
        }
        (self.start, self.end) = (0, held.len());
    }

    /// One receive.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>, wait: bool) -> Received {
        let wanted = self.prepare();
        let room = &mut self.buf.bytes_mut()[self.end..self.end + wanted];
        let flags = if wait {
            RecvFlags::empty()
        } else {
            RecvFlags::DONTWAIT
        };
        match recv(socket, room, flags) {
            Ok((0, _)) => Received::Ended,
            Ok((count, _)) => {
                self.end += count;
                Received::Some {
                    drained: count < wanted,
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(bytes: &[u8]) -> Rx {
        let mut rx = Rx::new();
        rx.buf.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        rx.end = bytes.len();
        rx
    }

    #[test]
    fn the_buffer_of_the_last_frame_is_the_next_ones() {
        let mut rx = received(&[8, 0, 0, 0, 120, 1, 0, 5]);
        let mut frame = frame_buffer();
        rx.take(8, &mut frame);
        let last = frame.bytes().as_ptr();
        rx.reuse(&mut frame);
        assert_eq!(rx.buf.bytes().as_ptr(), last);
    }

    #[test]
    fn what_is_held_stays() {
        let mut rx = received(&[8, 0, 0, 0, 120, 1, 0, 5, 9, 0]);
        let mut frame = frame_buffer();
        rx.take(8, &mut frame);
        rx.reuse(&mut frame);
        assert_eq!(rx.held(), [9, 0]);
        assert_eq!(frame.bytes()[..8], [8, 0, 0, 0, 120, 1, 0, 5]);
    }

    #[test]
    fn a_shorter_buffer_is_left_alone() {
        let mut rx = Rx::new();
        let mut short = Buffer::new(100, WRITE_HEADER_LEN);
        rx.reuse(&mut short);
        assert_eq!((rx.buf.len(), short.len()), (CHUNK, 100));
    }
}
