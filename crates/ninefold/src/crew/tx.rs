//! The sending half of a connection.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use ninefold_wire::DATA_HEADER_LEN;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

use crate::sys::Pipe;

/// Replies up to this size are gathered: copying one costs less than sending it alone. A larger one
/// goes straight from where it was made.
const SMALL: usize = 16 * 1024;
/// Gathered replies are sent when they are this many bytes.
const GATHERED_MAX: usize = 64 * 1024;
/// So many bytes are worth a send of their own: to wake the client is little beside what it and the server do with them.
const LONG: usize = 8 * 1024;
/// So much of a reply is copied at once, bytes. A reply of 4 KiB copied as a whole costs a tenth more of all
/// processor time of random reads, as measured; perhaps because the C library then does it with a single
/// instruction (`rep movsb`).
const PIECE: usize = 2048;

/// Replies on their way to the client, in order.
#[derive(Default)]
pub(super) struct Tx {
    /// Not yet sent.
    pending: Vec<u8>,
    /// Replies since something was sent.
    gathered: usize,
    /// The client does not take what it asked for; `pending` waits until it does.
    stalled: bool,
}

/// How many replies are to leave together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    /// Of short ones.
    pub(super) short: usize,
    /// As soon as they have [`LONG`] bytes together.
    pub(super) long: usize,
}

/// How a send went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sent {
    /// All is with the kernel, or waits for more.
    Fine,
    /// The client takes no more at this moment.
    Stalled,
    /// The peer has gone.
    Closed,
}

impl Tx {
    /// Whether the client is behind with reading.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Whether a reply waits to be sent.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Adds a reply and, unless it is to leave with some that follow soon, sends all.
    /// With `wait` the thread may wait a moment for the client to take a large one.
    pub(super) fn push(
        &mut self,
        socket: BorrowedFd<'_>,
        reply: &[u8],
        wait: bool,
        lot: Lot,
    ) -> Sent {
        self.gathered += 1;
        let bytes = self.pending.len() + reply.len();
        let most = if bytes < LONG { lot.short } else { lot.long };
        let has_room = self.gathered < most && self.pending.len() < GATHERED_MAX;
        let gather = reply.len() <= SMALL && has_room;
        if gather || self.stalled {
            self.gather(reply);
            return Sent::Fine;
        }
        self.send(socket, reply, wait, false)
    }

    fn gather(&mut self, reply: &[u8]) {
        self.pending.reserve(reply.len());
        for piece in reply.chunks(PIECE) {
            self.pending.extend_from_slice(piece);
        }
    }

    /// Adds an Rread whose data is in a pipe, but for what stands behind the head and comes last, and
    /// sends all. What the client does not take is taken out of the pipe.
    pub(super) fn push_piped(
        &mut self,
        socket: BorrowedFd<'_>,
        copied: &[u8],
        data: &mut Pipe,
        wait: bool,
    ) -> Sent {
        let (head, tail) = copied.split_at(DATA_HEADER_LEN.min(copied.len()));
        self.pending.extend_from_slice(head);
        let behind = self.stalled;
        let mut sent = Sent::Stalled;
        if !behind {
            sent = self.send(socket, &[], wait, !data.is_empty());
            while sent == Sent::Fine && !data.is_empty() {
                sent = match data.send(socket, wait) {
                    Ok(()) | Err(Errno::INTR) => Sent::Fine,
                    Err(Errno::AGAIN) => Sent::Stalled,
                    Err(_) => Sent::Closed,
                };
            }
        }
        match sent {
            Sent::Fine if !tail.is_empty() => self.send(socket, tail, wait, false),
            Sent::Stalled if data.take(&mut self.pending).is_err() => Sent::Closed,
            Sent::Stalled => {
                self.pending.extend_from_slice(tail);
                self.stalled = true;
                // That it is behind has been said.
                if behind { Sent::Fine } else { Sent::Stalled }
            }
            Sent::Fine | Sent::Closed => sent,
        }
    }

    /// Sends what is gathered.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>, wait: bool) -> Sent {
        self.stalled = false;
        self.send(socket, &[], wait, false)
    }

    /// Sends what is gathered and then `last`, as one, and as the beginning of something if there is
    /// `more`.
    fn send(&mut self, socket: BorrowedFd<'_>, last: &[u8], wait: bool, more: bool) -> Sent {
        self.gathered = 0;
        let mut flags = SendFlags::NOSIGNAL;
        flags.set(SendFlags::DONTWAIT, !wait);
        flags.set(SendFlags::MORE, more);
        let mut sent = 0;
        let all = self.pending.len() + last.len();
        while sent < all {
            let (first, second) = rest(&self.pending, last, sent);
            match send_two(socket, first, second, flags) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.stall(last, sent);
                    return Sent::Stalled;
                }
                Err(_) => {
                    self.pending.clear();
                    return Sent::Closed;
                }
            }
        }
        self.pending.clear();
        Sent::Fine
    }

    fn stall(&mut self, last: &[u8], sent: usize) {
        let (first, second) = rest(&self.pending, last, sent);
        self.pending = [first, second].concat();
        self.stalled = true;
    }
}

/// What is left of two slices after the first `sent` bytes of both.
fn rest<'a>(first: &'a [u8], second: &'a [u8], sent: usize) -> (&'a [u8], &'a [u8]) {
    match first.get(sent..) {
        Some(left) => (left, second),
        None => (&[], &second[sent - first.len()..]),
    }
}

fn send_two(
    socket: BorrowedFd<'_>,
    first: &[u8],
    second: &[u8],
    flags: SendFlags,
) -> Result<usize, Errno> {
    if first.is_empty() {
        return rustix::net::send(socket, second, flags);
    }
    let parts = [IoSlice::new(first), IoSlice::new(second)];
    sendmsg(socket, &parts, &mut SendAncillaryBuffer::default(), flags)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// After how many replies of `len` bytes they leave.
    fn left_after(len: usize, lot: Lot) -> usize {
        let (from, _to) = UnixStream::pair().expect("a pair of sockets");
        let (mut tx, reply) = (Tx::default(), vec![0; len]);
        for count in 1.. {
            assert_eq!(tx.push(from.as_fd(), &reply, false, lot), Sent::Fine);
            if !tx.is_pending() {
                return count;
            }
        }
        0
    }

    #[test]
    fn long_replies_leave_in_smaller_lots() {
        let lot = Lot { short: 8, long: 4 };
        assert_eq!(left_after(160, lot), 8);
        assert_eq!(
            left_after(1100, lot),
            8,
            "8 KiB are there with the last one"
        );
        assert_eq!(left_after(2100, lot), 4, "they are with the fourth");
        assert_eq!(left_after(SMALL, lot), 4);
        assert_eq!(left_after(SMALL + 1, lot), 1);
        let lot = Lot { short: 8, long: 2 };
        assert_eq!(left_after(3000, lot), 3, "they are with the third");
    }
}
