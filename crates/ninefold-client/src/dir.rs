//! Reading a directory.
//!
//! Entries come in the server's order, `.` and `..` among them, one message's worth held at a time.

use ninefold_wire::{Data, Dirent, Dirents, Qid, Reply, Request, Step};
use std::collections::VecDeque;

use crate::connection::as_len;
use crate::session::ask;
use crate::{Error, Fid, Result};

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The object's qid.
    pub qid: Qid,
    /// Where to read on after this entry, for [`ReadDir::seek`].
    pub offset: u64,
    /// `DT_*` number of readdir(3); 0 is unknown.
    pub kind: u8,
    /// The name: bytes, free of `/` and NUL, not empty.
    pub name: Vec<u8>,
}

/// An open directory; iterating reads its entries. After an error it has ended.
pub struct ReadDir {
    fid: Fid,
    chunk: u32,
    offset: u64,
    entries: VecDeque<Entry>,
    ended: bool,
}

impl ReadDir {
    pub(crate) fn new(fid: Fid, iounit: u32) -> Self {
        let chunk = fid.chunk(iounit);
        Self {
            fid,
            chunk,
            offset: 0,
            entries: VecDeque::new(),
            ended: false,
        }
    }

    /// The fid of the open directory.
    #[must_use]
    pub fn fid(&self) -> &Fid {
        &self.fid
    }

    /// Goes on behind the entry that had this offset; 0 is the beginning.
    pub fn seek(&mut self, offset: u64) {
        self.offset = offset;
        self.entries.clear();
        self.ended = false;
    }

    /// Has each further message hold at most `chunk` bytes of entries.
    pub fn set_chunk(&mut self, chunk: u32) {
        self.chunk = self.fid.chunk(chunk);
    }

    fn fill(&mut self) -> Result<()> {
        let (offset, count) = (self.offset, self.chunk);
        let request = Request::Readdir {
            fid: self.fid.number(),
            offset,
            count,
        };
        self.entries = ask!(self.fid.session(), request, Reply::Readdir { data: Data(data) } => {
            if data.len() > as_len(count) {
                let expected = format!("at most {count} bytes of directory entries");
                return Err(Error::protocol(expected, data.len().to_string()));
            }
            Dirents::new(data).map(|entry| entry.map_err(damaged).and_then(checked)).collect()
        })?;
        self.advance()
    }

    /// Notes where to read on. A server that leads back to where we are would never end.
    fn advance(&mut self) -> Result<()> {
        let Some(last) = self.entries.back() else {
            self.ended = true;
            return Ok(());
        };
        if last.offset == self.offset {
            self.entries.clear();
            let expected = format!("entries behind offset {}", self.offset);
            return Err(Error::protocol(expected, "entries that lead back to it"));
        }
        self.offset = last.offset;
        Ok(())
    }
}

impl Iterator for ReadDir {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        if self.entries.is_empty() && !self.ended {
            if let Err(error) = self.fill() {
                self.ended = true;
                return Some(Err(error));
            }
        }
        self.entries.pop_front().map(Ok)
    }
}

/// Takes an entry only if its name can be one: callers go on to use it.
fn checked(entry: Dirent<'_>) -> Result<Entry> {
    let Dirent {
        qid,
        offset,
        kind,
        name,
    } = entry;
    if Step::new(name).is_err() {
        let came = format!("{:?}", String::from_utf8_lossy(name));
        return Err(Error::protocol("a file name", came));
    }
    Ok(Entry {
        qid,
        offset,
        kind,
        name: name.to_vec(),
    })
}

fn damaged(why: ninefold_wire::DecodeError) -> Error {
    Error::protocol(
        "whole directory entries",
        format!("something else ({why:?})"),
    )
}
