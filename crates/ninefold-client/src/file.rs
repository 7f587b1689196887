//! An open file: reading, writing, syncing.
//!
//! Each read or write is one message, hence may be short; those of `std::io` go on from a position
//! kept here. Locks on a file are in the neighbouring module.

use ninefold_wire::message::{Reply, Request};
use ninefold_wire::{Data, IO_HEADER_LEN, Tail};
use std::io::{self, SeekFrom};

use crate::connection::as_len;
use crate::session::ask;
use crate::{Error, Fid, Result};

/// An open file. Dropping it clunks the fid and ignores the answer.
pub struct File {
    fid: Fid,
    /// The most data in one message, bytes.
    chunk: u32,
    position: u64,
}

impl File {
    pub(crate) fn new(fid: Fid, iounit: u32) -> Self {
        let chunk = fid.chunk(iounit);
        Self {
            fid,
            chunk,
            position: 0,
        }
    }

    /// The fid, for all that needs no open file.
    #[must_use]
    pub fn fid(&self) -> &Fid {
        &self.fid
    }

    /// The most that one read or write moves, bytes. Buffers of this size serve best.
    #[must_use]
    pub fn chunk(&self) -> usize {
        as_len(self.chunk)
    }

    /// Reads once. Less than `buf` holds is no sign of the end, only 0 is.
    ///
    /// # Errors
    /// The server's; [`Error::Protocol`] when more comes than was asked for.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.fid.read(self.chunk, buf, offset)
    }

    /// Reads until `buf` is full or the file ends; returns the bytes read.
    ///
    /// # Errors
    /// As [`File::read_at`].
    pub fn read_full_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.fid.read_full(self.chunk, buf, offset)
    }

    /// Writes once; returns how much of `data`, at least one byte if there is one.
    ///
    /// # Errors
    /// The server's; [`Error::Protocol`] when the count is 0 or more than was sent.
    pub fn write_at(&self, data: &[u8], offset: u64) -> Result<usize> {
        self.fid.write(self.chunk, data, offset)
    }

    /// Writes all of `data`.
    ///
    /// # Errors
    /// As [`File::write_at`].
    pub fn write_all_at(&self, data: &[u8], offset: u64) -> Result<()> {
        self.fid.write_all(self.chunk, data, offset)
    }

    /// Has the server write the file to its disk; of the metadata, with `datasync`, only what is
    /// needed to read the data again.
    ///
    /// # Errors
    /// The server's.
    pub fn fsync(&self, datasync: bool) -> Result<()> {
        let datasync = Tail(Some(datasync.into()));
        let request = Request::Fsync {
            fid: self.fid.number(),
            datasync,
        };
        ask!(self.fid.session(), request, Reply::Fsync {} => Ok(()))
    }

    /// Closes the file.
    ///
    /// # Errors
    /// The server's. The fid is gone all the same.
    pub fn close(self) -> Result<()> {
        self.fid.clunk()
    }
}

impl Fid {
    /// The most data in one message on a fid that was opened with this iounit.
    pub(crate) fn chunk(&self, iounit: u32) -> u32 {
        let most = self.session().msize().saturating_sub(IO_HEADER_LEN).max(1);
        if iounit == 0 { most } else { iounit.min(most) }
    }

    pub(crate) fn read(&self, chunk: u32, buf: &mut [u8], offset: u64) -> Result<usize> {
        let count = u32::try_from(buf.len()).unwrap_or(u32::MAX).min(chunk);
        let request = Request::Read {
            fid: self.number(),
            offset,
            count,
        };
        ask!(self.session(), request, Reply::Read { data: Data(data) } => {
            let room = buf.get_mut(..data.len()).filter(|_| data.len() <= as_len(count));
            let Some(room) = room else {
                let expected = format!("at most {count} bytes of data");
                return Err(Error::protocol(expected, data.len().to_string()));
            };
            room.copy_from_slice(data);
            Ok(data.len())
        })
    }

    pub(crate) fn read_full(&self, chunk: u32, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.read(chunk, &mut buf[done..], after(offset, done))? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    pub(crate) fn write(&self, chunk: u32, data: &[u8], offset: u64) -> Result<usize> {
        let data = &data[..data.len().min(as_len(chunk))];
        let request = Request::Write {
            fid: self.number(),
            offset,
            data: Data(data),
        };
        ask!(self.session(), request, Reply::Write { count } => {
            let count = as_len(count);
            if count > data.len() || (count == 0 && !data.is_empty()) {
                let expected = format!("1 to {} bytes written", data.len());
                return Err(Error::protocol(expected, count.to_string()));
            }
            Ok(count)
        })
    }

    pub(crate) fn write_all(&self, chunk: u32, data: &[u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while done < data.len() {
            done += self.write(chunk, &data[done..], after(offset, done))?;
        }
        Ok(())
    }
}

/// The offset `len` bytes on. Past the last offset there is, the server has to refuse.
fn after(offset: u64, len: usize) -> u64 {
    offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX))
}

impl io::Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.read_at(buf, self.position)?;
        self.position = after(self.position, count);
        Ok(count)
    }
}

impl io::Write for File {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.write_at(data, self.position)?;
        self.position = after(self.position, count);
        Ok(count)
    }

    /// Nothing is held back here; for the server's disk there is [`File::fsync`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let sought = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.fid.metadata()?.size().checked_add_signed(by),
        };
        self.position = sought.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
