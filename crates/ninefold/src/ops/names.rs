//! Messages that make, move and remove directory entries, and Treadlink.

use std::sync::Arc;

use ninefold_wire::{NOFID, Name, Qid, Reply, flags};
use rustix::io::Errno;

use super::{Answer, Call, TARGET_ROOM, new_owner};
use crate::fid::Fid;
use crate::sys::{Result, Stat};

/// A fid that must be a directory.
fn directory(call: &Call<'_>, fid: u32) -> Result<Arc<Fid>> {
    let dir = call.fids.object(fid)?;
    if dir.node.is_dir() {
        Ok(dir)
    } else {
        Err(Errno::NOTDIR)
    }
}

fn made(call: &Call<'_>, stat: Result<Stat>) -> Result<Qid> {
    call.qid(&stat?)
}

/// Makes a directory.
pub(super) fn mkdir(
    call: &mut Call<'_>,
    (dfid, name): (u32, Name<'_>),
    mode: u32,
    gid: u32,
) -> Result<Answer> {
    let dir = directory(call, dfid)?;
    let owner = new_owner(dir.uid, gid);
    let stat = call.export.writer()?.make_dir(&dir.node, name, mode, owner);
    let qid = made(call, stat)?;
    call.out.reply(&Reply::Mkdir { qid })
}

/// Makes a device, FIFO or socket, or a plain file.
pub(super) fn mknod(
    call: &mut Call<'_>,
    (dfid, name): (u32, Name<'_>),
    mode: u32,
    device: (u32, u32),
    gid: u32,
) -> Result<Answer> {
    let dir = directory(call, dfid)?;
    let owner = new_owner(dir.uid, gid);
    let stat = call
        .export
        .writer()?
        .make_node((&dir.node, name), mode, device, owner);
    let qid = made(call, stat)?;
    call.out.reply(&Reply::Mknod { qid })
}

/// Makes a symbolic link. The target is the client's business and is never followed here.
pub(super) fn symlink(
    call: &mut Call<'_>,
    (dfid, name): (u32, Name<'_>),
    target: &[u8],
    gid: u32,
) -> Result<Answer> {
    let dir = directory(call, dfid)?;
    let owner = new_owner(dir.uid, gid);
    let stat = call
        .export
        .writer()?
        .make_symlink(&dir.node, name, target, owner);
    let qid = made(call, stat)?;
    call.out.reply(&Reply::Symlink { qid })
}

/// Reads a symbolic link.
pub(super) fn readlink(call: &mut Call<'_>, fid: u32) -> Result<Answer> {
    let fid = call.fids.object(fid)?;
    let mut target = [0; TARGET_ROOM];
    let len = call.export.read_link(&fid.node, &mut target)?;
    call.out.reply(&Reply::Readlink {
        target: &target[..len],
    })
}

/// Makes a hard link.
pub(super) fn link(call: &mut Call<'_>, fid: u32, (dfid, name): (u32, Name<'_>)) -> Result<Answer> {
    let object = call.fids.object(fid)?;
    let dir = directory(call, dfid)?;
    call.export.writer()?.link(&object.node, &dir.node, name)?;
    call.out.reply(&Reply::Link {})
}

/// Moves an entry. Fids follow, for they hold the object.
pub(super) fn renameat(
    call: &mut Call<'_>,
    (olddirfid, oldname): (u32, Name<'_>),
    (newdirfid, newname): (u32, Name<'_>),
) -> Result<Answer> {
    let olddir = directory(call, olddirfid)?;
    // QEMU's servers take NOFID for "the same directory".
    let newdir = if newdirfid == NOFID || newdirfid == olddirfid {
        Arc::clone(&olddir)
    } else {
        directory(call, newdirfid)?
    };
    call.export
        .writer()?
        .rename((&olddir.node, oldname), (&newdir.node, newname))?;
    call.out.reply(&Reply::Renameat {})
}

/// Moves the object of a fid.
pub(super) fn rename(
    call: &mut Call<'_>,
    fid: u32,
    (dfid, name): (u32, Name<'_>),
) -> Result<Answer> {
    let object = call.fids.object(fid)?;
    let dir = directory(call, dfid)?;
    call.export
        .writer()?
        .rename_node(&object.node, (&dir.node, name))?;
    call.out.reply(&Reply::Rename {})
}

/// Removes an entry.
pub(super) fn unlinkat(
    call: &mut Call<'_>,
    dirfid: u32,
    name: Name<'_>,
    wire: u32,
) -> Result<Answer> {
    if wire & !flags::unlink::REMOVEDIR != 0 {
        return Err(Errno::INVAL);
    }
    let dir = directory(call, dirfid)?;
    let directory = wire & flags::unlink::REMOVEDIR != 0;
    call.export.writer()?.unlink(&dir.node, name, directory)?;
    call.out.reply(&Reply::Unlinkat {})
}

/// Removes the object of a fid. The fid is gone even when that fails. Source: remove(5).
pub(super) fn remove(call: &mut Call<'_>, fid: u32) -> Result<Answer> {
    let gone = call.fids.remove(fid)?;
    gone.check_object()?;
    call.export.writer()?.remove(&gone.node)?;
    drop(gone);
    call.out.reply(&Reply::Remove {})
}
