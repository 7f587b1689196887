//! Operations as the messages of slots.

use anyhow::Result;
use ninefold_wire::Data;
use ninefold_wire::IO_HEADER_LEN;
use ninefold_wire::Request;
use ninefold_wire::WALK_MAX;
use ninefold_wire::flags;

use super::Target;
use super::drive::Slot;
use super::drive::Vary;
use crate::connection;
use crate::connection::Connection;
use crate::connection::ROOT;
use crate::tree;
use crate::work::Work;

/// A fid that all slots of a row share.
pub const SHARED: u32 = 1;
/// Where the fids of the slots begin.
const FIRST_FID: u32 = 100;
/// Fids that belong to one slot.
const FIDS: u32 = 4;
const MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;
/// How many names the path has that clients make in a tree of their own.
const POPULATED_DEEP: usize = 4;

/// Makes what the rows of the security models need, as a client does.
pub fn populate(connection: &mut Connection) -> Result<()> {
    let path = tree::deep(POPULATED_DEEP);
    let mut dfid = ROOT;
    for (fid, name) in (FIRST_FID..).zip(&path) {
        connection.call(&make_dir(dfid, name)?)?;
        let steps = connection::steps(&[name])?;
        connection.call(&Request::Walk {
            fid: dfid,
            newfid: fid,
            steps,
        })?;
        dfid = fid;
    }
    connection.walk(SHARED, &[])?;
    connection.call(&create(SHARED, tree::SMALL)?)?;
    connection.call(&write_small(SHARED))?;
    Ok(())
}

/// Prepares the slots of one of a row's connections.
pub fn prepare(connection: &mut Connection, target: &Target<'_>) -> Result<Vec<Slot>> {
    let (work, depth) = (target.row.work, target.row.depth);
    match work {
        Work::ReadOnwards | Work::ReadAnywhere => {
            connection.open_file(SHARED, &[tree::BIG], 0)?;
        }
        Work::WriteOnwards => {
            connection.open_file(SHARED, &[tree::BIG], flags::open::WRONLY)?;
        }
        Work::Among { wide } => {
            let dir = if wide { tree::WIDE } else { tree::NARROW };
            connection.walk(SHARED, &[dir])?;
        }
        _ => {}
    }
    let maker = Maker {
        at_calls: connection.has_at_calls()?,
        depth,
        count: connection.msize - IO_HEADER_LEN,
        entries: match work {
            Work::Among { wide: false } => target.entries / tree::WIDER,
            _ => target.entries,
        },
        pid: target.server.pid(),
    };
    (0..depth)
        .map(|tag| maker.slot(connection, work, tag))
        .collect()
}

/// What the slots of a row have in common.
struct Maker {
    at_calls: bool,
    depth: u16,
    /// What a read or write carries, bytes.
    count: u32,
    entries: u64,
    /// The server's, to tell what it left from what another one left.
    pid: u32,
}

impl Maker {
    fn slot(&self, connection: &mut Connection, work: Work, tag: u16) -> Result<Slot> {
        let fid = FIRST_FID + u32::from(tag) * FIDS;
        let slot = Slot::new(tag);
        let slot = match work {
            Work::Walk { names } => walk(slot, fid, names)?,
            Work::Among { .. } => self.among(slot, fid, tag)?,
            Work::OpenRead => open_read(slot, fid)?,
            Work::CreateWrite => self.create_write(slot, fid, tag)?,
            Work::Rename => self.rename(slot, connection, fid, tag)?,
            Work::MakeDir => self.make_dir(slot, fid, tag)?,
            Work::SymbolicLink => self.symbolic_link(slot, fid, tag)?,
            Work::XattrSet => xattr_set(slot, connection, fid)?,
            Work::XattrGet => xattr_get(slot, connection, fid)?,
            Work::ReadOnwards | Work::WriteOnwards => self.bulk(slot, tag, work)?,
            Work::ReadAnywhere => read_anywhere(slot, tag)?,
            // The others are about attributes, or have loads of their own.
            _ => getattr(slot, connection, fid)?,
        };
        Ok(slot.end())
    }

    fn among(&self, slot: Slot, fid: u32, tag: u16) -> Result<Slot> {
        let vary = Vary::Entry {
            entries: self.entries,
            seed: u64::from(tag) + 1,
        };
        slot.step(&walk_entry(fid, &tree::entry_name(0))?, vary)?
            .then(&getattr_of(fid))?
            .then(&Request::Clunk { fid })
    }

    fn create_write(&self, slot: Slot, fid: u32, tag: u16) -> Result<Slot> {
        let name = self.name("created", tag);
        // The fid of the directory stays, for a create turns the fid it is given into the file.
        let slot = slot
            .then(&walk_to(fid, &[])?)?
            .then(&create(fid, &name)?)?
            .then(&write_small(fid))?
            .then(&Request::Clunk { fid })?;
        self.unlink(slot, fid, &name, 0)
    }

    fn name(&self, what: &str, tag: u16) -> String {
        format!("{what}{tag}-{}", self.pid)
    }

    /// There and back again: two operations.
    fn rename(&self, slot: Slot, connection: &mut Connection, fid: u32, tag: u16) -> Result<Slot> {
        let (here, there) = (self.name("here", tag), self.name("there", tag));
        connection.walk(fid, &[])?;
        connection.call(&create(fid, &here)?)?;
        connection.call(&Request::Clunk { fid })?;
        connection.walk(fid, &[&here])?;
        let slot = self.rename_once(slot, fid, &here, &there)?.end();
        self.rename_once(slot, fid, &there, &here)
    }

    fn rename_once(&self, slot: Slot, fid: u32, from: &str, to: &str) -> Result<Slot> {
        let name = connection::name(to)?;
        if !self.at_calls {
            let dfid = ROOT;
            return slot.then(&Request::Rename { fid, dfid, name });
        }
        slot.then(&Request::Renameat {
            olddirfid: ROOT,
            oldname: connection::name(from)?,
            newdirfid: ROOT,
            newname: name,
        })
    }

    fn make_dir(&self, slot: Slot, fid: u32, tag: u16) -> Result<Slot> {
        let name = self.name("made", tag);
        let slot = slot.then(&make_dir(ROOT, &name)?)?;
        self.unlink(slot, fid, &name, flags::unlink::REMOVEDIR)
    }

    fn symbolic_link(&self, slot: Slot, fid: u32, tag: u16) -> Result<Slot> {
        let name = self.name("linked", tag);
        let slot = slot
            .then(&Request::Symlink {
                dfid: ROOT,
                name: connection::name(&name)?,
                target: b"target",
                gid: 0,
            })?
            .then(&walk_to(fid, &[&name])?)?
            .then(&Request::Readlink { fid })?
            .then(&Request::Clunk { fid })?;
        self.unlink(slot, fid, &name, 0)
    }

    fn unlink(&self, slot: Slot, fid: u32, name: &str, flags: u32) -> Result<Slot> {
        if !self.at_calls {
            return slot
                .then(&walk_to(fid, &[name])?)?
                .then(&Request::Remove { fid });
        }
        slot.then(&Request::Unlinkat {
            dirfid: ROOT,
            name: connection::name(name)?,
            flags,
        })
    }

    /// Each slot takes every so-manieth piece of the file.
    fn bulk(&self, slot: Slot, tag: u16, work: Work) -> Result<Slot> {
        let first = u64::from(tag) * u64::from(self.count);
        let vary = Vary::Onwards {
            first,
            stride: u64::from(self.depth) * u64::from(self.count),
            end: tree::BIG_LEN,
        };
        let data = vec![b'w'; self.count as usize];
        let request = match work {
            Work::WriteOnwards => Request::Write {
                fid: SHARED,
                offset: first,
                data: Data(&data),
            },
            _ => Request::Read {
                fid: SHARED,
                offset: first,
                count: self.count,
            },
        };
        slot.step(&request, vary)
    }
}

fn getattr(slot: Slot, connection: &mut Connection, fid: u32) -> Result<Slot> {
    connection.walk(fid, &[tree::SMALL])?;
    slot.then(&getattr_of(fid))
}

/// More names than one message holds are several walks, from the second on of the same fid.
fn walk(mut slot: Slot, newfid: u32, names: usize) -> Result<Slot> {
    let path = tree::deep(names);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let mut fid = ROOT;
    for part in path.chunks(WALK_MAX) {
        let steps = connection::steps(part)?;
        slot = slot.then(&Request::Walk { fid, newfid, steps })?;
        fid = newfid;
    }
    slot.then(&getattr_of(fid))?.then(&Request::Clunk { fid })
}

fn open_read(slot: Slot, fid: u32) -> Result<Slot> {
    slot.then(&walk_to(fid, &[tree::SMALL])?)?
        .then(&Request::Lopen { fid, flags: 0 })?
        .then(&Request::Read {
            fid,
            offset: 0,
            count: tree::SMALL_LEN,
        })?
        .then(&Request::Clunk { fid })
}

/// On a clone of the file's fid, as Linux does it.
fn xattr_set(slot: Slot, connection: &mut Connection, file: u32) -> Result<Slot> {
    connection.walk(file, &[tree::SMALL])?;
    let fid = file + 1;
    let clone = Request::Walk {
        fid: file,
        newfid: fid,
        steps: connection::steps(&[])?,
    };
    slot.then(&clone)?
        .then(&Request::Xattrcreate {
            fid,
            name: tree::XATTR.as_bytes(),
            size: tree::XATTR_VALUE.len() as u64,
            flags: 0,
        })?
        .then(&Request::Write {
            fid,
            offset: 0,
            data: Data(tree::XATTR_VALUE),
        })?
        .then(&Request::Clunk { fid })
}

fn xattr_get(slot: Slot, connection: &mut Connection, fid: u32) -> Result<Slot> {
    connection.walk(fid, &[tree::SMALL])?;
    let newfid = fid + 1;
    slot.then(&Request::Xattrwalk {
        fid,
        newfid,
        name: tree::XATTR.as_bytes(),
    })?
    .then(&Request::Read {
        fid: newfid,
        offset: 0,
        count: u32::try_from(tree::XATTR_VALUE.len())?,
    })?
    .then(&Request::Clunk { fid: newfid })
}

fn read_anywhere(slot: Slot, tag: u16) -> Result<Slot> {
    let len = u64::from(tree::SMALL_LEN);
    let vary = Vary::Anywhere {
        len,
        blocks: tree::BIG_LEN / len,
        seed: u64::from(tag) + 1,
    };
    let request = Request::Read {
        fid: SHARED,
        offset: 0,
        count: tree::SMALL_LEN,
    };
    slot.step(&request, vary)
}

/// Asks for what stat(2) shows.
pub fn getattr_of(fid: u32) -> Request<'static> {
    Request::Getattr {
        fid,
        request_mask: flags::getattr::BASIC,
    }
}

/// Walks from the shared fid to one entry.
pub fn walk_entry(newfid: u32, name: &str) -> Result<Request<'_>> {
    Ok(Request::Walk {
        fid: SHARED,
        newfid,
        steps: connection::steps(&[name])?,
    })
}

fn walk_to<'a>(newfid: u32, path: &[&'a str]) -> Result<Request<'a>> {
    Ok(Request::Walk {
        fid: ROOT,
        newfid,
        steps: connection::steps(path)?,
    })
}

fn create(fid: u32, name: &str) -> Result<Request<'_>> {
    Ok(Request::Lcreate {
        fid,
        name: connection::name(name)?,
        flags: flags::open::CREAT | flags::open::WRONLY,
        mode: MODE,
        gid: 0,
    })
}

fn make_dir(dfid: u32, name: &str) -> Result<Request<'_>> {
    Ok(Request::Mkdir {
        dfid,
        name: connection::name(name)?,
        mode: DIR_MODE,
        gid: 0,
    })
}

fn write_small(fid: u32) -> Request<'static> {
    Request::Write {
        fid,
        offset: 0,
        data: Data(&[b'w'; tree::SMALL_LEN as usize]),
    }
}
