//! The null responder: answers each request with a reply of the right type and size, and does nothing else.
//!
//! What it costs is what a server's socket work costs at the least: it receives all that is there, answers it in
//! place and sends all answers at once. It keeps no fids, looks at no file and checks nothing. Doing a row's work as well it is
//! the [bare server](crate::bare).

use std::io::IoSlice;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use anyhow::Result;
use ninefold_wire::Attr;
use ninefold_wire::DATA_HEADER_LEN;
use ninefold_wire::Dialect;
use ninefold_wire::Dirent;
use ninefold_wire::Qid;
use ninefold_wire::Qids;
use ninefold_wire::Reply;
use ninefold_wire::Request;
use ninefold_wire::flags;
use ninefold_wire::message;

use crate::bare::Bare;
use crate::bare::Doing;
use crate::connection::Inbox;
use crate::tree;

/// The longest message it agrees to.
const MSIZE_MAX: u32 = 1 << 20;
/// Data from this length on leaves without being copied.
const COPY_MAX: usize = 4096;
/// What may wait to be sent.
const BATCH_MAX: usize = 64 << 10;

/// Serves every client of `socket`, for ever; its directories have `entries` entries.
pub fn serve(socket: &Path, entries: u64, bare: Option<&Bare>) -> Result<()> {
    let listener = UnixListener::bind(socket)?;
    let listing = listing(entries);
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let listing = &listing;
            let stream = stream?;
            // A client that goes away is the end of its thread and of nothing else.
            scope.spawn(move || {
                let doing = bare.map_or(Ok(Doing::Nothing), Bare::doing)?;
                Ok::<_, anyhow::Error>(Responder::new(stream, listing, doing).run()?)
            });
        }
        Ok(())
    })
}

const EOPNOTSUPP: u32 = 95;
/// Bytes that an entry takes in an Rreaddir.
const ENTRY_LEN: usize = Dirent::OVERHEAD + tree::ENTRY_NAME_LEN;

fn listing(entries: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(entries).unwrap_or(0) * ENTRY_LEN];
    for (index, room) in (0..entries).zip(bytes.chunks_exact_mut(ENTRY_LEN)) {
        let name = tree::entry_name(index);
        let entry = Dirent {
            qid: QID,
            offset: index + 1,
            kind: 8,
            name: name.as_bytes(),
        };
        // The room is as long as the entry.
        let _fits = entry.encode(room);
    }
    bytes
}

const QID: Qid = Qid {
    kind: flags::qid::FILE,
    version: 0,
    path: 1,
};

struct Responder<'a> {
    stream: UnixStream,
    listing: &'a [u8],
    doing: Doing,
    data: Vec<u8>,
    due: Vec<u8>,
}

impl<'a> Responder<'a> {
    fn new(stream: UnixStream, listing: &'a [u8], doing: Doing) -> Self {
        Self {
            stream,
            listing,
            doing,
            data: vec![0; MSIZE_MAX as usize],
            due: Vec::with_capacity(2 * BATCH_MAX),
        }
    }

    fn run(mut self) -> std::io::Result<()> {
        let mut inbox = Inbox::new(MSIZE_MAX);
        while inbox.fill(&mut self.stream)? > 0 {
            while let Some(frame) = inbox.frame() {
                self.answer(frame)?;
            }
            self.flush()?;
        }
        Ok(())
    }

    fn answer(&mut self, frame: &[u8]) -> std::io::Result<()> {
        let Ok((tag, request)) = Request::decode(frame, Dialect::Linux) else {
            return Err(std::io::ErrorKind::InvalidData.into());
        };
        match request {
            Request::Read { offset, count, .. } => {
                let mut data = std::mem::take(&mut self.data);
                let wanted = &mut data[..count as usize];
                self.doing.read(offset, wanted)?;
                let sent = self.send_data(tag, false, wanted);
                self.data = data;
                sent
            }
            Request::Readdir { offset, count, .. } => {
                let listing = self.listing;
                let start = usize::try_from(offset).unwrap_or(0) * ENTRY_LEN;
                let rest = listing.get(start..).unwrap_or_default();
                let len = (count as usize / ENTRY_LEN * ENTRY_LEN).min(rest.len());
                self.send_data(tag, true, &rest[..len])
            }
            request => {
                self.doing.act(&request)?;
                let mut bytes = [0; 512];
                let len = reply(&request).encode(tag, &mut bytes);
                let len = len.map_err(|_| std::io::ErrorKind::InvalidData)?;
                self.due.extend_from_slice(&bytes[..len]);
                self.flush_if_full()
            }
        }
    }

    fn send_data(&mut self, tag: u16, listing: bool, data: &[u8]) -> std::io::Result<()> {
        let mut head = [0; DATA_HEADER_LEN];
        let size = u32::try_from(DATA_HEADER_LEN + data.len()).unwrap_or(u32::MAX);
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        head[..4].copy_from_slice(&size.to_le_bytes());
        head[4] = if listing {
            41
        } else {
            message::number::READ + 1
        };
        head[5..7].copy_from_slice(&tag.to_le_bytes());
        head[7..].copy_from_slice(&count.to_le_bytes());
        self.due.extend_from_slice(&head);
        if data.len() <= COPY_MAX {
            self.due.extend_from_slice(data);
            return self.flush_if_full();
        }
        let sent = self
            .stream
            .write_vectored(&[IoSlice::new(&self.due), IoSlice::new(data)])?;
        match sent.checked_sub(self.due.len()) {
            Some(of_data) => self.stream.write_all(&data[of_data..])?,
            None => {
                self.stream.write_all(&self.due[sent..])?;
                self.stream.write_all(data)?;
            }
        }
        self.due.clear();
        Ok(())
    }

    fn flush_if_full(&mut self) -> std::io::Result<()> {
        if self.due.len() < BATCH_MAX {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.write_all(&self.due)?;
        self.due.clear();
        Ok(())
    }
}

/// The reply of a request that has no data to be answered with.
fn reply<'a>(request: &Request<'a>) -> Reply<'a> {
    let qid = QID;
    match *request {
        Request::Version { msize, .. } => Reply::Version {
            msize: msize.min(MSIZE_MAX),
            version: b"9P2000.L",
        },
        Request::Attach { .. } => Reply::Attach { qid },
        Request::Walk { steps, .. } => {
            let mut qids = Qids::default();
            for _ in steps.iter() {
                // A Twalk has no more names than an Rwalk has room for.
                let _fits = qids.push(qid);
            }
            Reply::Walk { qids }
        }
        Request::Getattr { request_mask, .. } => Reply::Getattr {
            attr: Attr {
                valid: request_mask,
                qid,
                ..Attr::default()
            },
        },
        Request::Lopen { .. } => Reply::Lopen { qid, iounit: 0 },
        Request::Write { data, .. } => Reply::Write {
            count: u32::try_from(data.0.len()).unwrap_or(0),
        },
        Request::Readlink { .. } => Reply::Readlink { target: b"target" },
        Request::Xattrwalk { .. } => Reply::Xattrwalk {
            size: tree::XATTR_VALUE.len() as u64,
        },
        Request::Clunk { .. } => Reply::Clunk {},
        _ => reply_to_change(request),
    }
}

/// The reply of a request that changes names or attributes; no other is known.
fn reply_to_change(request: &Request<'_>) -> Reply<'static> {
    let qid = QID;
    match request {
        Request::Lcreate { .. } => Reply::Lcreate { qid, iounit: 0 },
        Request::Symlink { .. } => Reply::Symlink { qid },
        Request::Mkdir { .. } => Reply::Mkdir { qid },
        Request::Renameat { .. } => Reply::Renameat {},
        Request::Unlinkat { .. } => Reply::Unlinkat {},
        Request::Xattrcreate { .. } => Reply::Xattrcreate {},
        _ => Reply::Lerror { ecode: EOPNOTSUPP },
    }
}
