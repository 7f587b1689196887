//! A pipe in which a file's pages wait to be sent: the kernel passes them on without copying them.
//!
//! What is in flight are the pages themselves. Whoever writes to them before the peer has received
//! them changes what it receives: for the reader of a file, that writer was quicker.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::Result;

/// Room asked for, bytes: more than the kernel grants to anybody (`pipe-max-size`), and that.
const ROOMS: [usize; 2] = [2 << 20, 1 << 20];
/// The kernel counts pages, whatever is in them.
const PAGE: u64 = 4096;

/// A pipe, which is opened when it is first filled.
#[derive(Default)]
pub struct Pipe {
    ends: Option<Ends>,
    held: usize,
    /// There was no room for all that was asked for.
    full: bool,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    room: u64,
}

impl Ends {
    fn open() -> Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let grown = |room| fcntl_setpipe_size(&write, room);
        // A user who has very many gets small ones.
        let room = grown(ROOMS[0]).or_else(|_| grown(ROOMS[1]))? as u64;
        Ok(Self { read, write, room })
    }
}

impl Pipe {
    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whether the file may have had more of what was asked for than there is room for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Takes in up to `wanted` bytes of a file, all that are there and that there is room for. Returns
    /// how many.
    ///
    /// # Errors
    /// EINVAL when that cannot be done with this file: it may still be read. Else the errno of
    /// splice(2).
    pub fn fill(&mut self, file: impl AsFd, offset: u64, wanted: usize) -> Result<usize> {
        let ends = match &mut self.ends {
            Some(ends) => ends,
            none => none.insert(Ends::open().map_err(|_| Errno::INVAL)?),
        };
        if self.held > 0 || offset.checked_add(wanted as u64).is_none() {
            return Err(Errno::INVAL);
        }
        let room = ends.room - offset % PAGE;
        let len = wanted.min(usize::try_from(room).unwrap_or(wanted));
        while self.held < len {
            let mut at = offset + self.held as u64;
            let rest = len - self.held;
            // Nobody reads from the pipe meanwhile. It may be full before all that is wanted is there: the
            // file ends in the last page, or a page came in two pieces.
            let flags = SpliceFlags::NONBLOCK;
            match splice(&file, Some(&mut at), &ends.write, None, rest, flags) {
                Ok(0) => break,
                Ok(count) => self.held += count,
                // What is there is said; the error comes again with the next request.
                Err(_) if self.held > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        self.full = self.held == len && len < wanted;
        Ok(self.held)
    }

    /// Sends some of what is in it. With `wait` as long as the socket's own time limit.
    ///
    /// # Errors
    /// The errno of splice(2): EAGAIN when the peer takes nothing at this moment. SIGPIPE when it has
    /// gone, which must be ignored or blocked.
    pub fn send(&mut self, socket: BorrowedFd<'_>, wait: bool) -> Result<()> {
        let ends = self.ends.as_ref().ok_or(Errno::BADF)?;
        let mut flags = SpliceFlags::empty();
        flags.set(SpliceFlags::NONBLOCK, !wait);
        match splice(&ends.read, None, socket, None, self.held, flags)? {
            0 => Err(Errno::PIPE),
            count => {
                self.held = self.held.saturating_sub(count);
                Ok(())
            }
        }
    }

    /// Puts what is in it behind the bytes of `into`.
    ///
    /// # Errors
    /// The errno of read(2).
    pub fn take(&mut self, into: &mut Vec<u8>) -> Result<()> {
        while self.held > 0 {
            let ends = self.ends.as_ref().ok_or(Errno::BADF)?;
            let start = into.len();
            into.resize(start + self.held, 0);
            let count = rustix::io::read(&ends.read, &mut into[start..]);
            let count = count.unwrap_or(0);
            into.truncate(start + count);
            self.held -= count;
            if count == 0 {
                return Err(Errno::IO);
            }
        }
        Ok(())
    }

    /// Forgets what is in it.
    pub fn clear(&mut self) {
        if self.held > 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    const LEN: usize = 200_000;

    fn file() -> (std::fs::File, Vec<u8>) {
        use std::io::Write;
        let bytes: Vec<u8> = (0..=250).cycle().take(LEN).collect();
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("content");
        (file, bytes)
    }

    #[test]
    fn pages_go_from_a_file_to_a_socket() {
        let (file, bytes) = file();
        let kind = (AddressFamily::UNIX, SocketType::STREAM);
        let (ours, theirs) =
            socketpair(kind.0, kind.1, SocketFlags::CLOEXEC, None).expect("sockets");
        let mut pipe = Pipe::default();
        for (offset, len, got) in [
            (0, 65536, 65536),
            (4095, 100_000, 100_000),
            (190_000, 32768, 10_000),
        ] {
            assert_eq!(pipe.fill(&file, offset as u64, len), Ok(got));
            assert_eq!(pipe.len(), got);
            let mut received = Vec::new();
            while received.len() < got {
                if !pipe.is_empty() {
                    pipe.send(ours.as_fd(), false).expect("room");
                }
                let mut part = vec![0; got];
                let count = rustix::io::read(&theirs, &mut part).expect("bytes");
                received.extend_from_slice(&part[..count]);
            }
            assert_eq!(received, bytes[offset..offset + got]);
        }
        assert_eq!(pipe.fill(&file, LEN as u64, 4096), Ok(0));
    }

    #[test]
    fn what_cannot_be_sent_is_taken_out() {
        let (file, bytes) = file();
        let mut pipe = Pipe::default();
        assert_eq!(pipe.fill(&file, 10, 70_000), Ok(70_000));
        assert_eq!(
            pipe.fill(&file, 10, 70_000),
            Err(Errno::INVAL),
            "it is in use"
        );
        let mut out = b"head".to_vec();
        pipe.take(&mut out).expect("all");
        assert_eq!(out[..4], *b"head");
        assert_eq!(out[4..], bytes[10..70_010]);
        assert!(pipe.is_empty());
        let most = ROOMS[1];
        assert_eq!(pipe.fill(&file, 0, most), Ok(LEN));
        pipe.clear();
        assert_eq!(pipe.fill(&file, u64::MAX, 1), Err(Errno::INVAL));
        assert_eq!(pipe.fill(&file, 5, 5), Ok(5), "it is empty again");
    }

    #[test]
    fn what_there_is_no_room_for_stays_in_the_file() {
        let (file, bytes) = file();
        let long = 4 * ROOMS[0];
        file.set_len(long as u64).expect("a longer file");
        let mut pipe = Pipe::default();
        let held = pipe.fill(&file, 5, long - 5).expect("some");
        assert!(
            pipe.is_full() && (ROOMS[1] - 5..=ROOMS[0]).contains(&held),
            "{held}"
        );
        let mut out = Vec::new();
        pipe.take(&mut out).expect("all");
        assert_eq!(out[..LEN - 5], bytes[5..]);
        assert!(out.len() == held && out[LEN..].iter().all(|byte| *byte == 0));
        assert_eq!(pipe.fill(&file, long as u64 - 10, 100), Ok(10));
        assert!(!pipe.is_full(), "the file has no more");
    }

    #[test]
    fn a_file_may_end_in_the_last_page_there_is_room_for() {
        let (file, _) = file();
        let mut pipe = Pipe::default();
        file.set_len(4 * ROOMS[0] as u64).expect("a longer file");
        let room = pipe.fill(&file, 0, 4 * ROOMS[0]).expect("some");
        pipe.clear();
        file.set_len(room as u64 - 100).expect("a shorter file");
        // No page more would find room: whoever waited for it would do so for ever.
        assert_eq!(pipe.fill(&file, 0, room), Ok(room - 100));
        assert!(!pipe.is_full(), "the file has no more");
    }
}
