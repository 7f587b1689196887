//! What the rows do: each kind of operation as 9P messages.
//!
//! The same operations as plain system calls are in [`plain`](crate::plain).

use anyhow::Result;
use ninefold_wire::Data;
use ninefold_wire::IO_HEADER_LEN;
use ninefold_wire::Request;
use ninefold_wire::flags;

use crate::connection;
use crate::connection::Connection;
use crate::connection::ROOT;
use crate::drive::Slot;
use crate::drive::Vary;
use crate::tree;

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Attributes of a fid that is there.
    Getattr,
    /// Walk so many names, getattr, clunk.
    Walk { names: usize },
    /// Walk to a file of 4 KiB, open, read it, clunk.
    OpenRead,
    /// Create a file, write 4 KiB, clunk, unlink.
    CreateWrite,
    /// One read after the other.
    ReadOnwards,
    /// One write after the other.
    WriteOnwards,
    /// 4 KiB from anywhere.
    ReadAnywhere,
}

/// Where the fids of the slots begin.
const FIRST_FID: u32 = 100;
/// Fids that belong to one slot.
const FIDS: u32 = 4;
const MODE: u32 = 0o644;

impl Work {
    /// Whether its figures are told for each MiB, not for each message.
    pub fn is_bulk(self) -> bool {
        matches!(self, Self::ReadOnwards | Self::WriteOnwards)
    }

    /// Prepares `depth` slots on a connection.
    pub fn slots(self, connection: &mut Connection, depth: u16) -> Result<Vec<Slot>> {
        match self {
            Self::ReadOnwards | Self::ReadAnywhere => {
                connection.open_file(FIRST_FID, &[tree::BIG], 0)?;
            }
            Self::WriteOnwards => {
                connection.open_file(FIRST_FID, &[tree::BIG], flags::open::WRONLY)?;
            }
            _ => {}
        }
        let count = connection.msize - IO_HEADER_LEN;
        (0..depth)
            .map(|tag| {
                let fid = FIRST_FID + u32::from(tag) * FIDS;
                match self {
                    Self::Getattr => getattr(connection, tag, fid),
                    Self::Walk { names } => walk(tag, fid, names),
                    Self::OpenRead => open_read(tag, fid),
                    Self::CreateWrite => create_write(tag, fid),
                    Self::ReadOnwards => bulk(tag, depth, count, None),
                    Self::WriteOnwards => {
                        bulk(tag, depth, count, Some(&vec![b'w'; count as usize]))
                    }
                    Self::ReadAnywhere => read_anywhere(tag),
                }
            })
            .collect()
    }
}

fn getattr(connection: &mut Connection, tag: u16, fid: u32) -> Result<Slot> {
    connection.walk(fid, &[tree::SMALL])?;
    Ok(Slot::new(tag).then(&getattr_of(fid))?.end())
}

fn getattr_of(fid: u32) -> Request<'static> {
    Request::Getattr {
        fid,
        request_mask: flags::getattr::BASIC,
    }
}

fn walk_to<'a>(newfid: u32, path: &[&'a str]) -> Result<Request<'a>> {
    Ok(Request::Walk {
        fid: ROOT,
        newfid,
        steps: connection::steps(path)?,
    })
}

fn walk(tag: u16, fid: u32, names: usize) -> Result<Slot> {
    let path = tree::deep(names);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    Ok(Slot::new(tag)
        .then(&walk_to(fid, &path)?)?
        .then(&getattr_of(fid))?
        .then(&Request::Clunk { fid })?
        .end())
}

fn open_read(tag: u16, fid: u32) -> Result<Slot> {
    Ok(Slot::new(tag)
        .then(&walk_to(fid, &[tree::SMALL])?)?
        .then(&Request::Lopen { fid, flags: 0 })?
        .then(&Request::Read {
            fid,
            offset: 0,
            count: tree::SMALL_LEN,
        })?
        .then(&Request::Clunk { fid })?
        .end())
}

fn create_write(tag: u16, fid: u32) -> Result<Slot> {
    let name = format!("created{tag}");
    let name = connection::name(&name)?;
    // The fid of the directory stays, for a create turns the fid it is given into the file.
    Ok(Slot::new(tag)
        .then(&walk_to(fid, &[])?)?
        .then(&Request::Lcreate {
            fid,
            name,
            flags: flags::open::CREAT | flags::open::WRONLY,
            mode: MODE,
            gid: 0,
        })?
        .then(&Request::Write {
            fid,
            offset: 0,
            data: Data(&[b'w'; tree::SMALL_LEN as usize]),
        })?
        .then(&Request::Clunk { fid })?
        .then(&Request::Unlinkat {
            dirfid: ROOT,
            name,
            flags: 0,
        })?
        .end())
}

/// Slot `tag` of `depth`: each takes every so-manieth piece of the file.
fn bulk(tag: u16, depth: u16, count: u32, data: Option<&[u8]>) -> Result<Slot> {
    let first = u64::from(tag) * u64::from(count);
    let vary = Vary::Onwards {
        first,
        stride: u64::from(depth) * u64::from(count),
        end: tree::BIG_LEN,
    };
    let fid = FIRST_FID;
    let request = match data {
        None => Request::Read {
            fid,
            offset: first,
            count,
        },
        Some(data) => Request::Write {
            fid,
            offset: first,
            data: Data(data),
        },
    };
    Ok(Slot::new(tag).step(&request, vary)?.end())
}

fn read_anywhere(tag: u16) -> Result<Slot> {
    let len = u64::from(tree::SMALL_LEN);
    let vary = Vary::Anywhere {
        len,
        blocks: tree::BIG_LEN / len,
        seed: u64::from(tag) + 1,
    };
    let request = Request::Read {
        fid: FIRST_FID,
        offset: 0,
        count: tree::SMALL_LEN,
    };
    Ok(Slot::new(tag).step(&request, vary)?.end())
}
