//! One connection to a server: the handshake, calls one at a time, and the frames of many replies.
//!
//! Knows nothing of what is measured.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use ninefold_wire::Dialect;
use ninefold_wire::HEADER_LEN;
use ninefold_wire::Header;
use ninefold_wire::NOFID;
use ninefold_wire::NOTAG;
use ninefold_wire::Name;
use ninefold_wire::Reply;
use ninefold_wire::Request;
use ninefold_wire::Step;
use ninefold_wire::Steps;
use ninefold_wire::WALK_MAX;

/// The fid of the root of the tree.
pub const ROOT: u32 = 0;
/// The number of an Rlerror.
const LERROR: u8 = 7;
const ENOENT: i32 = 2;
/// A server that says nothing for so long is broken; no measure, only an end.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// What one read takes at most, beside the longest message: twice a message, and not more than this.
const READ_AHEAD_MAX: usize = 256 << 10;

/// Bytes received that are cut into frames.
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    read_ahead: usize,
}

impl Inbox {
    /// For messages of at most `msize` bytes.
    pub fn new(msize: u32) -> Self {
        let msize = msize as usize;
        let read_ahead = (2 * msize).min(READ_AHEAD_MAX);
        Self {
            bytes: vec![0; msize + read_ahead],
            start: 0,
            end: 0,
            read_ahead,
        }
    }

    /// Reads once. Returns how many bytes came; none is the end of the connection.
    pub fn fill(&mut self, from: &mut impl Read) -> std::io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.bytes.len() - self.end < self.read_ahead / 2 || self.lacks_room() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let count = from.read(&mut self.bytes[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// The next whole frame.
    pub fn frame(&mut self) -> Option<&[u8]> {
        let rest = &self.bytes[self.start..self.end];
        let size = (Header::peek(rest)?.size as usize).max(HEADER_LEN);
        let frame = rest.get(..size)?;
        self.start += size;
        Some(frame)
    }

    /// Whether the frame that has begun would run past the end.
    fn lacks_room(&self) -> bool {
        let rest = &self.bytes[self.start..self.end];
        Header::peek(rest)
            .is_some_and(|header| self.start + header.size as usize > self.bytes.len())
    }
}

/// A session with one attached tree.
pub struct Connection {
    pub stream: UnixStream,
    pub inbox: Inbox,
    /// The longest message agreed on, bytes.
    pub msize: u32,
    scratch: Vec<u8>,
}

impl Connection {
    /// Connects, agrees on at most `msize` and attaches [`ROOT`].
    pub fn open(socket: &Path, msize: u32, aname: &str) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        let mut connection = Self {
            stream,
            inbox: Inbox::new(msize),
            msize,
            scratch: Vec::new(),
        };
        connection.agree()?;
        connection.call(&Request::Attach {
            fid: ROOT,
            afid: NOFID,
            uname: b"root",
            aname: aname.as_bytes(),
            n_uname: Some(0),
        })?;
        Ok(connection)
    }

    fn agree(&mut self) -> Result<()> {
        let asked = Request::Version {
            msize: self.msize,
            version: b"9P2000.L",
        };
        let most = self.msize;
        let Reply::Version { msize, version } = self.call_tagged(NOTAG, &asked)? else {
            bail!("expected an Rversion");
        };
        ensure!(version == b"9P2000.L", "the server does not speak 9P2000.L");
        ensure!(
            msize <= most,
            "the server wants a longer msize than was asked for"
        );
        self.msize = msize;
        Ok(())
    }

    /// Sends one request and waits for its reply; an error of the server is an error.
    pub fn call(&mut self, request: &Request<'_>) -> Result<Reply<'_>> {
        self.call_tagged(0, request)
    }

    fn call_tagged(&mut self, tag: u16, request: &Request<'_>) -> Result<Reply<'_>> {
        encode(&mut self.scratch, tag, request)?;
        self.stream.write_all(&self.scratch)?;
        let frame = self.next_frame()?;
        check(frame, request.number() + 1)?;
        let (_, reply) = Reply::decode(frame, Dialect::Linux)
            .map_err(|error| anyhow::anyhow!("not a reply: {error:?}"))?;
        Ok(reply)
    }

    fn has_frame(&self) -> bool {
        let rest = &self.inbox.bytes[self.inbox.start..self.inbox.end];
        Header::peek(rest).is_some_and(|header| header.size as usize <= rest.len())
    }

    /// Waits for the reply of a request that was sent otherwise, whatever its tag; it is of type `expected`.
    pub fn wait(&mut self, expected: u8) -> Result<()> {
        check(self.next_frame()?, expected)
    }

    fn next_frame(&mut self) -> Result<&[u8]> {
        // The borrow checker does not see that a frame returned from a loop ends it.
        while !self.has_frame() {
            ensure!(
                self.inbox.fill(&mut self.stream)? > 0,
                "the server closed the connection"
            );
        }
        self.inbox.frame().context("a frame was there")
    }

    /// Whether the server knows Tunlinkat and Trenameat; a client does with Tremove and Trename if not, as Linux's does.
    pub fn has_at_calls(&mut self) -> Result<bool> {
        let absent = Request::Unlinkat {
            dirfid: ROOT,
            name: name("absent")?,
            flags: 0,
        };
        let Err(error) = self.call(&absent) else {
            return Ok(true);
        };
        let error = error.downcast_ref::<std::io::Error>();
        Ok(error.and_then(std::io::Error::raw_os_error) == Some(ENOENT))
    }

    /// Walks from the root to `path`, which may have more names than one message holds.
    pub fn walk(&mut self, newfid: u32, path: &[&str]) -> Result<()> {
        let mut from = ROOT;
        let mut rest = path;
        loop {
            let (now, later) = rest.split_at(rest.len().min(WALK_MAX));
            let steps = steps(now)?;
            let reply = self.call(&Request::Walk {
                fid: from,
                newfid,
                steps,
            })?;
            let Reply::Walk { qids } = reply else {
                bail!("expected an Rwalk");
            };
            ensure!(qids.as_slice().len() == now.len(), "no {}", path.join("/"));
            (from, rest) = (newfid, later);
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Walks to `path` and opens it.
    pub fn open_file(&mut self, fid: u32, path: &[&str], flags: u32) -> Result<()> {
        self.walk(fid, path)?;
        self.call(&Request::Lopen { fid, flags })?;
        Ok(())
    }
}

/// The elements of a Twalk, which are kept for good: frames are made once, before the clock runs.
pub fn steps<'a>(path: &[&'a str]) -> Result<Steps<'a>> {
    let steps: Vec<Step<'a>> = path
        .iter()
        .map(|part| name(part).map(Step::Down))
        .collect::<Result<_>>()?;
    Steps::of(steps.leak()).context("at most 16 names in one walk")
}

/// A name that an entry can have.
pub fn name(text: &str) -> Result<Name<'_>> {
    Name::new(text.as_bytes()).map_err(|error| anyhow::anyhow!("{text}: {error:?}"))
}

/// Makes `frame` the bytes of `request`.
pub fn encode(frame: &mut Vec<u8>, tag: u16, request: &Request<'_>) -> Result<()> {
    let data = match request {
        Request::Write { data, .. } => data.0.len(),
        _ => 0,
    };
    // Sixteen of the longest names and what stands around them.
    frame.resize(data + (8 << 10), 0);
    let len = request
        .encode(tag, frame)
        .map_err(|_| anyhow::anyhow!("the request is too long"))?;
    frame.truncate(len);
    Ok(())
}

/// An error unless `frame` is of type `expected`.
pub fn check(frame: &[u8], expected: u8) -> Result<()> {
    let found = frame[4];
    if found == expected {
        return Ok(());
    }
    if let (LERROR, Some(&[a, b, c, d])) = (found, frame.get(HEADER_LEN..HEADER_LEN + 4)) {
        let ecode = i32::from_le_bytes([a, b, c, d]);
        return Err(std::io::Error::from_raw_os_error(ecode).into());
    }
    bail!("expected a reply of type {expected}, found {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_wherever_the_bytes_are() {
        let mut bytes = Vec::new();
        for tag in 0..2000 {
            let mut frame = Vec::new();
            let fid = tag.into();
            encode(&mut frame, tag, &Request::Clunk { fid }).unwrap();
            bytes.extend(frame);
        }
        // Smaller than all of them, and read in pieces of another length than theirs.
        let mut inbox = Inbox::new(64);
        let mut tags = Vec::new();
        for mut piece in bytes.chunks(17) {
            while !piece.is_empty() {
                inbox.fill(&mut piece).unwrap();
                while let Some(frame) = inbox.frame() {
                    tags.push(Header::peek(frame).unwrap().tag);
                }
            }
        }
        assert_eq!(tags, (0..2000).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_of_the_server_is_an_error() {
        let mut frame = [0; 16];
        let len = Reply::Lerror { ecode: 2 }.encode(1, &mut frame).unwrap();
        let error = check(&frame[..len], 25).unwrap_err();
        let error = error.downcast_ref::<std::io::Error>().unwrap();
        assert_eq!(error.raw_os_error(), Some(ENOENT));
    }

    #[test]
    fn another_reply_is_an_error() {
        let mut frame = [0; 16];
        let len = Reply::Clunk {}.encode(1, &mut frame).unwrap();
        assert!(check(&frame[..len], 121).is_ok());
        assert!(check(&frame[..len], 25).is_err());
    }
}
