//! One connection: frames in, the crate's answers out.
//!
//! It knows of 9P only the size field; everything else is the crate's. Of pipelined requests it
//! receives many at once and answers them with one send, so that what is measured is the crate and
//! not a careless loop around it.

use p9::Server;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// Replies kept back while whole requests lie here are sent once they are this long, bytes.
const REPLIES_MAX: usize = 64 * 1024;

/// The size field, bytes; it counts itself.
const SIZE_LEN: usize = 4;

/// Serves one connection until the client closes it; `msize` bounds its frames, bytes.
///
/// # Errors
/// The connection's; `InvalidData` for a frame of impossible size, the crate's for one that lacks a
/// type and a tag.
pub fn serve(stream: &UnixStream, mut server: Server, msize: u32) -> io::Result<()> {
    let mut inbox = Inbox::new(usize::try_from(msize).map_err(io::Error::other)?);
    let mut replies = Vec::new();
    while inbox.receive(stream)? {
        while let Some(frame) = inbox.next()? {
            server.handle_message(&mut &*frame, &mut replies)?;
            if replies.len() >= REPLIES_MAX {
                send(stream, &mut replies)?;
            }
        }
        send(stream, &mut replies)?;
    }
    Ok(())
}

fn send(mut stream: &UnixStream, replies: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(replies)?;
    replies.clear();
    Ok(())
}

/// What has been received and not yet been taken: `buf[start..end]`.
struct Inbox {
    buf: Vec<u8>,
    start: usize,
    end: usize,
    msize: usize,
}

impl Inbox {
    fn new(msize: usize) -> Self {
        Self {
            // Twice, so that the head of a frame is seldom moved to make room for its tail.
            buf: vec![0; 2 * msize],
            start: 0,
            end: 0,
            msize,
        }
    }

    /// Receives once; false when the client has closed.
    fn receive(&mut self, mut stream: &UnixStream) -> io::Result<bool> {
        if self.start == self.end || self.start + self.msize > self.buf.len() {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let len = stream.read(&mut self.buf[self.end..])?;
        self.end += len;
        Ok(len > 0)
    }

    /// The next frame if all of it is here.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let held = &self.buf[self.start..self.end];
        let Some(size) = held.first_chunk::<SIZE_LEN>() else {
            return Ok(None);
        };
        let size = usize::try_from(u32::from_le_bytes(*size)).map_err(io::Error::other)?;
        if !(SIZE_LEN..=self.msize).contains(&size) {
            let what = format!(
                "expected a frame of at most {} bytes, got {size}",
                self.msize
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        if held.len() < size {
            return Ok(None);
        }
        self.start += size;
        Ok(Some(&self.buf[self.start - size..self.start]))
    }
}
