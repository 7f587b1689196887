//! Tlopen and Tlcreate: how fids are opened.

use std::sync::Arc;

use ninefold_wire::{Name, Qid, Reply, flags};
use rustix::io::Errno;

use super::{Answer, Call, new_owner};
use crate::export::{Access, OpenMode};
use crate::fid::{Fid, State};
use crate::sys::Result;

/// How often a name may come and go between looking and creating.
const CREATE_ATTEMPTS: usize = 16;

/// The meaning of the flags on the wire, which are Linux's asm-generic numbers whatever the host.
/// What is not named here is dropped: `O_DIRECT` would make demands on alignment that a client
/// cannot know, `O_NOFOLLOW` and `O_CLOEXEC` hold always.
fn open_mode(wire: u32) -> OpenMode {
    use flags::open;
    OpenMode {
        access: match wire & open::ACCESS {
            open::WRONLY => Access::Write,
            open::RDWR => Access::ReadWrite,
            _ => Access::Read,
        },
        truncate: wire & open::TRUNC != 0,
        append: wire & open::APPEND != 0,
        // Linux 6.4 and newer cut O_SYNC down to O_DSYNC: take the safe side.
        sync: wire & (open::DSYNC | open::SYNC) != 0,
        noatime: wire & open::NOATIME != 0,
    }
}

/// Opens the object of a fid.
pub(super) fn lopen(call: &mut Call<'_>, fid: u32, wire: u32) -> Result<Answer> {
    let path = call.fids.object(fid)?;
    path.check_unopened()?;
    let mode = open_mode(wire);
    let (state, stat) = if path.node.is_dir() {
        if mode.access.writes() || mode.truncate {
            return Err(Errno::ISDIR);
        }
        let dir = call.export.open_dir(&path.node)?;
        (State::dir(dir), call.export.stat(&path.node)?)
    } else if wire & flags::open::DIRECTORY != 0 {
        return Err(Errno::NOTDIR);
    } else {
        let (file, stat) = call.export.open_file(&path.node, mode)?;
        (State::file(file), stat)
    };
    let qid = call.qid(&stat)?;
    let opened = Fid::new(Arc::clone(&path.node), path.uid, state);
    call.fids.replace(fid, path, opened)?;
    let iounit = call.iounit();
    call.out.reply(&Reply::Lopen { qid, iounit })
}

/// Creates and opens a file; the fid of the directory becomes the file's. A file that exists is
/// opened as it is unless the client wants a new one: its owner and mode are not touched.
pub(super) fn lcreate(
    call: &mut Call<'_>,
    (fid, name): (u32, Name<'_>),
    wire: u32,
    mode: u32,
    gid: u32,
) -> Result<Answer> {
    let dir = call.fids.object(fid)?;
    dir.check_unopened()?;
    if !dir.node.is_dir() {
        return Err(Errno::NOTDIR);
    }
    let (opened, qid) = create_or_open(call, &dir, name, wire, mode, gid)?;
    call.fids.replace(fid, dir, opened)?;
    let iounit = call.iounit();
    call.out.reply(&Reply::Lcreate { qid, iounit })
}

fn create_or_open(
    call: &Call<'_>,
    dir: &Fid,
    name: Name<'_>,
    wire: u32,
    mode: u32,
    gid: u32,
) -> Result<(Fid, Qid)> {
    let export = call.export;
    let open = open_mode(wire);
    let owner = new_owner(dir.uid, gid);
    for _ in 0..CREATE_ATTEMPTS {
        match export
            .writer()?
            .create_file(export, (&dir.node, name), open, mode, owner)
        {
            Ok((node, file, stat)) => {
                let fid = Fid::new(node, dir.uid, State::file(file));
                return Ok((fid, call.qid(&stat)?));
            }
            Err(Errno::EXIST) if wire & flags::open::EXCL == 0 => {}
            Err(errno) => return Err(errno),
        }
        match export.child(&dir.node, name) {
            Ok((node, _)) => {
                let (file, stat) = export.open_file(&node, open)?;
                return Ok((Fid::new(node, dir.uid, State::file(file)), call.qid(&stat)?));
            }
            // Removed since: create it after all.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::BUSY)
}
