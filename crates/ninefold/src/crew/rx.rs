//! The receiving half of a connection: bytes in, frames out.

use std::io::IoSliceMut;
use std::mem;
use std::os::fd::BorrowedFd;

use ninefold_wire::{HEADER_LEN, Header, WRITE_HEADER_LEN};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, recv, recvmsg};

use super::buffer::Buffer;

/// Received at once, bytes, unless the last frame was larger.
const CHUNK: usize = 64 * 1024;
/// Of a frame with so much still to come just the rest is received into its buffer; what is behind it begins the next one.
const BULK: usize = 16 * 1024;
/// Received at once behind a frame, bytes. A client in a full socket is woken only when three quarters of that are free: it is
/// to send on while the frame is served.
const AHEAD: usize = 64 * 1024;

/// What has been received and not yet been served.
pub(super) struct Rx {
    buf: Buffer,
    start: usize,
    end: usize,
    /// What has come behind a frame that ends with `end`, to which it then belongs alone.
    next: Option<Buffer>,
    /// Bytes there.
    ahead: usize,
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
            next: None,
            ahead: 0,
            likely: 0,
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
        self.likely = len;
        let rest = self.start + len..self.end;
        if self.start == 0 && rest.len() < len {
            if into.len() < rest.len().max(CHUNK) {
                *into = Buffer::new(rest.len().max(CHUNK), WRITE_HEADER_LEN);
            }
            into.bytes_mut()[..rest.len()].copy_from_slice(&self.buf.bytes()[rest.clone()]);
            mem::swap(&mut self.buf, into);
            self.end = rest.len();
        } else {
            into.fill(self.frame(len));
            self.start += len;
        }
        self.go_on();
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
        self.go_on();
    }

    /// Goes on with the next buffer when this one is empty.
    fn go_on(&mut self) {
        if self.start < self.end {
            return;
        }
        (self.start, self.end) = (0, mem::take(&mut self.ahead));
        match &mut self.next {
            Some(next) if self.end > 0 => mem::swap(&mut self.buf, next),
            _ => {}
        }
    }

    /// Bytes still missing of a frame whose size is known.
    fn missing(&self) -> usize {
        let held = self.held();
        let size = Header::peek(held).map_or(0, |header| header.size as usize);
        size.saturating_sub(held.len())
    }

    /// Makes room for what is to come, and says how much to receive: into this buffer, and of what is behind a
    /// large frame into the next one, so that the next one begins a buffer and has its data aligned.
    fn prepare(&mut self) -> (usize, usize) {
        let missing = self.missing();
        let held = self.end - self.start;
        let wanted = self.likely.max(held + missing).max(CHUNK);
        if self.start > 0 || self.buf.len() < wanted {
            self.compact(wanted);
        }
        let likely = self.likely.saturating_sub(held);
        let rest = if missing > 0 { missing } else { likely };
        if rest <= BULK {
            return (CHUNK.min(self.buf.len() - self.end), 0);
        }
        (rest, AHEAD)
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
        let (room, ahead) = self.prepare();
        let flags = if wait {
            RecvFlags::empty()
        } else {
            RecvFlags::DONTWAIT
        };
        let most = self.buf.len();
        let here = &mut self.buf.bytes_mut()[self.end..self.end + room];
        let received = if ahead == 0 {
            recv(socket, here, flags).map(|(count, _)| count)
        } else {
            let next = self.next.get_or_insert_with(frame_buffer);
            let there = &mut next.room(most)[..ahead];
            let mut parts = [IoSliceMut::new(here), IoSliceMut::new(there)];
            let mut control = RecvAncillaryBuffer::default();
            recvmsg(socket, &mut parts, &mut control, flags).map(|message| message.bytes)
        };
        match received {
            Ok(0) => Received::Ended,
            Ok(count) => {
                self.end += count.min(room);
                self.ahead = count.saturating_sub(room);
                self.join();
                Received::Some {
                    drained: count < room + ahead,
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }

    /// Where the frame was not as long as the last one: brings what was taken for the next one back behind it.
    fn join(&mut self) {
        let size = Header::peek(self.held()).map(|header| header.size as usize);
        if self.ahead == 0 || size == Some(self.end - self.start) {
            return;
        }
        let end = self.end + self.ahead;
        if self.buf.len() < end {
            self.compact(end - self.start);
        }
        let ahead = mem::take(&mut self.ahead);
        if let Some(next) = &self.next {
            let behind = self.end..self.end + ahead;
            self.buf.bytes_mut()[behind].copy_from_slice(&next.bytes()[..ahead]);
            self.end += ahead;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A frame of so many bytes, which are different everywhere.
    fn frame(len: usize, seed: u8) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len)
            .map(|at| u8::try_from(at % 251).unwrap() ^ seed)
            .collect();
        bytes[..4].copy_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
        bytes
    }

    /// Lengths as clients send them: short ones, and data of one length until it is another.
    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        let short = vec(HEADER_LEN..300, 1..20);
        let long = (BULK..300_000usize, 1..5usize).prop_map(|(len, count)| vec![len; count]);
        vec(prop_oneof![short, long], 1..8).prop_map(|runs| runs.concat())
    }

    /// What comes out of a socket in which `frames` are, every one of which is taken or passed over.
    fn through(frames: &[Vec<u8>], passed_over: &[bool]) -> Vec<Vec<u8>> {
        let (mut from, to) = UnixStream::pair().expect("a pair of sockets");
        let sent = frames.concat();
        let sender = thread::spawn(move || from.write_all(&sent));
        let (mut rx, mut into, mut came) = (Rx::new(), frame_buffer(), Vec::new());
        let mut passed_over = passed_over.iter().cycle();
        loop {
            match rx.cut(1 << 20) {
                Cut::Frame(len) if *passed_over.next().unwrap() => {
                    came.push(rx.frame(len).to_vec());
                    rx.skip(len);
                }
                Cut::Frame(len) => {
                    rx.take(len, &mut into);
                    came.push(into.bytes()[..len].to_vec());
                }
                Cut::Partial => {
                    rx.reuse(&mut into);
                    match rx.receive(to.as_fd(), true) {
                        Received::Some { .. } | Received::Nothing => {}
                        Received::Ended => break,
                        Received::Closed => panic!("the socket broke"),
                    }
                }
                Cut::Broken => panic!("no such frame was sent"),
            }
        }
        sender.join().unwrap().unwrap();
        came
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_come_out_as_they_went_in(lengths in lengths(), passed_over in vec(any::<bool>(), 1..9)) {
            let frames: Vec<_> = (0..).zip(lengths).map(|(seed, len)| frame(len, seed)).collect();
            prop_assert!(through(&frames, &passed_over) == frames);
        }
    }

    #[test]
    fn what_is_behind_a_large_frame_begins_a_buffer() {
        let (mut from, to) = UnixStream::pair().expect("a pair of sockets");
        let frames = [100_000, 100_000].map(|len| frame(len, 7));
        let mut rx = Rx::new();
        let mut into = frame_buffer();
        // As if one had come before.
        rx.likely = 100_000;
        from.write_all(&frames.concat()[..150_000]).unwrap();
        while !matches!(rx.cut(1 << 20), Cut::Frame(_)) {
            rx.receive(to.as_fd(), true);
        }
        assert_eq!((rx.start, rx.end, rx.ahead), (0, 100_000, 50_000));
        rx.take(100_000, &mut into);
        assert_eq!(into.bytes()[..100_000], frames[0]);
        assert_eq!((rx.start, rx.end, rx.ahead), (0, 50_000, 0));
        assert_eq!(*rx.held(), frames[1][..50_000]);
    }

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
