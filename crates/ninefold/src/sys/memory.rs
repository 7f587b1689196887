//! Memory that a client shares with the server, and may change at any time.
//!
//! So there is never a slice of it: bytes are copied out and in, or the kernel reads and writes files
//! from and to it. What the server decides about is copied first.

use std::any::Any;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use libc::{c_int, iovec, off_t};
use rustix::io::Errno;

use super::{Pipe, Result, last_errno};

/// Most pieces that one system call takes (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// Pieces of shared memory, one after the other.
pub struct Memory {
    pieces: Vec<iovec>,
    len: usize,
    /// Keeps them mapped.
    _mapping: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the pieces are addresses in a mapping that is kept, and they are given only to the kernel
// and to copies of bytes, which any thread may ask for.
unsafe impl Send for Memory {}
// SAFETY: as above; nothing here changes.
unsafe impl Sync for Memory {}

impl Memory {
    /// Memory of these pieces: addresses and lengths in bytes.
    ///
    /// # Safety
    /// Each piece lies in memory that is mapped readable and writable as long as `mapping` lives,
    /// and that no Rust reference points into.
    #[must_use]
    pub unsafe fn new(
        pieces: impl IntoIterator<Item = (*mut u8, usize)>,
        mapping: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        let vec = |(start, len): (*mut u8, usize)| iovec {
            iov_base: start.cast(),
            iov_len: len,
        };
        let pieces: Vec<iovec> = pieces.into_iter().map(vec).collect();
        let len = pieces
            .iter()
            .fold(0usize, |sum, piece| sum.saturating_add(piece.iov_len));
        Self {
            pieces,
            len,
            _mapping: mapping,
        }
    }

    /// Bytes of all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces of at most `len` bytes from `start` on.
    fn cut(&self, mut start: usize, mut len: usize) -> impl Iterator<Item = iovec> + '_ {
        self.pieces.iter().filter_map(move |piece| {
            let skipped = start.min(piece.iov_len);
            start -= skipped;
            let taken = (piece.iov_len - skipped).min(len);
            len -= taken;
            (taken > 0).then(|| iovec {
                iov_base: piece.iov_base.wrapping_byte_add(skipped),
                iov_len: taken,
            })
        })
    }

    /// Copies bytes from `start` on into `bytes`; returns how many there were.
    pub fn copy_out(&self, start: usize, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        for piece in self.cut(start, bytes.len()) {
            let into = &mut bytes[done..done + piece.iov_len];
            // SAFETY: the piece is mapped as the constructor demands, and of just this length.
            // `into` is no part of it, because no reference points there.
            unsafe {
                piece
                    .iov_base
                    .cast::<u8>()
                    .copy_to_nonoverlapping(into.as_mut_ptr(), into.len());
            }
            done += piece.iov_len;
        }
        done
    }

    /// Copies `bytes` to the place from `start` on; returns how many had room.
    pub fn copy_in(&self, start: usize, bytes: &[u8]) -> usize {
        let mut done = 0;
        for piece in self.cut(start, bytes.len()) {
            let from = &bytes[done..done + piece.iov_len];
            // SAFETY: as in `copy_out`.
            unsafe {
                piece
                    .iov_base
                    .cast::<u8>()
                    .copy_from_nonoverlapping(from.as_ptr(), from.len());
            }
            done += piece.iov_len;
        }
        done
    }
}

/// Where what is written comes from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Bytes of ours.
    Bytes(&'a [u8]),
    /// Shared memory from so many bytes on.
    Memory(&'a Memory, usize),
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl Source<'_> {
    /// Bytes to write.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Memory(memory, start) => memory.len().saturating_sub(start),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes into `into`, as many as have room; returns how many.
    pub fn copy_to(self, into: &mut [u8]) -> usize {
        match self {
            Self::Bytes(bytes) => {
                let len = bytes.len().min(into.len());
                into[..len].copy_from_slice(&bytes[..len]);
                len
            }
            Self::Memory(memory, start) => memory.copy_out(start, into),
        }
    }

    /// One pwrite(2) of all but the first `done` bytes, at `offset` of the file.
    ///
    /// # Errors
    /// The errno of pwrite(2); EFAULT when the client took the memory away.
    pub fn write_to(self, fd: impl AsFd, done: usize, offset: u64) -> Result<usize> {
        match self {
            Self::Bytes(bytes) => rustix::io::pwrite(fd, bytes.get(done..).unwrap_or(&[]), offset),
            Self::Memory(memory, start) => {
                let pieces = memory.cut(start.saturating_add(done), usize::MAX);
                transfer(fd, pieces, offset, libc::pwritev)
            }
        }
    }
}

/// Where what is read goes.
pub enum Target<'a> {
    /// A buffer of ours.
    Bytes(&'a mut [u8]),
    /// Shared memory: so many bytes of it, from so many bytes on.
    Memory {
        /// All of it.
        memory: &'a Memory,
        /// Bytes to skip.
        start: usize,
        /// Bytes to fill.
        len: usize,
    },
    /// A pipe: up to so many bytes.
    Pipe(&'a mut Pipe, usize),
}

impl<'a> From<&'a mut [u8]> for Target<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl Target<'_> {
    /// One pread(2) at `offset` of the file; into a pipe as [`Pipe::fill`].
    ///
    /// # Errors
    /// The errno of pread(2); EFAULT when the client took the memory away; those of [`Pipe::fill`].
    pub fn read_from(&mut self, fd: impl AsFd, offset: u64) -> Result<usize> {
        match self {
            Self::Bytes(bytes) => rustix::io::pread(fd, &mut **bytes, offset),
            Self::Memory { memory, start, len } => {
                transfer(fd, memory.cut(*start, *len), offset, libc::preadv)
            }
            Self::Pipe(pipe, len) => pipe.fill(fd, offset, *len),
        }
    }
}

/// preadv(2) or pwritev(2).
type Vectored = unsafe extern "C" fn(c_int, *const iovec, c_int, off_t) -> libc::ssize_t;

fn transfer(
    fd: impl AsFd,
    pieces: impl Iterator<Item = iovec>,
    offset: u64,
    call: Vectored,
) -> Result<usize> {
    let offset = off_t::try_from(offset).map_err(|_| Errno::INVAL)?;
    let pieces: Vec<iovec> = pieces.take(PIECES_MAX).collect();
    let count = c_int::try_from(pieces.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the pieces are memory as the constructor of `Memory` demands it, which lives during
    // the call because its owner is borrowed; the kernel checks what it finds there. There are
    // `count` of them.
    let done = unsafe { call(fd.as_fd().as_raw_fd(), pieces.as_ptr(), count, offset) };
    usize::try_from(done).map_err(|_| last_errno())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory of pieces of these lengths.
    fn memory(lens: &[usize]) -> Memory {
        let pieces: Vec<_> = lens
            .iter()
            .map(|len| {
                (
                    Box::leak(vec![0u8; *len].into_boxed_slice()).as_mut_ptr(),
                    *len,
                )
            })
            .collect();
        // SAFETY: the pieces live for ever, and nobody else knows them.
        unsafe { Memory::new(pieces, Arc::new(())) }
    }

    #[test]
    fn bytes_go_across_the_pieces() {
        let memory = memory(&[3, 0, 5, 2]);
        assert_eq!(memory.len(), 10);
        assert_eq!(memory.copy_in(0, b"0123456789ab"), 10);
        assert_eq!(memory.copy_in(2, b"xyz"), 3);
        let mut bytes = [0; 12];
        assert_eq!(memory.copy_out(0, &mut bytes), 10);
        assert_eq!(&bytes[..10], b"01xyz56789");
        assert_eq!(memory.copy_out(8, &mut bytes[..1]), 1);
        assert_eq!(bytes[0], b'8');
        assert_eq!(memory.copy_out(10, &mut bytes), 0);
        assert_eq!(memory.copy_in(usize::MAX, b"x"), 0);
    }

    #[test]
    fn files_are_read_and_written_in_place() {
        let file = tempfile::tempfile().expect("a file");
        let memory = memory(&[4, 7, 2000, 1]);
        memory.copy_in(0, b"headdata of the file");
        let source = Source::Memory(&memory, 4);
        assert_eq!(source.len(), 2008);
        assert_eq!(source.write_to(&file, 0, 10), Ok(2008));
        assert_eq!(source.write_to(&file, 5, 0), Ok(2003));
        let mut target = Target::Memory {
            memory: &memory,
            start: 2,
            len: 6,
        };
        assert_eq!(target.read_from(&file, 0), Ok(6));
        let mut bytes = [0; 10];
        memory.copy_out(0, &mut bytes);
        assert_eq!(&bytes, b"heof the o");
        assert_eq!(source.write_to(&file, 0, 1 << 63), Err(Errno::INVAL));
    }
}
