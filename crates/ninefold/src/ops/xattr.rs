//! Txattrwalk and Txattrcreate: extended attributes are read and written through fids.

use std::sync::{Arc, Mutex};

use ninefold_wire::{Reply, XATTR_SIZE_MAX, flags};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::{Answer, Call};
use crate::fid::{Fid, State, XattrRead, XattrWrite};
use crate::locked;
use crate::sys::{Result, Source};

/// Longest value and longest list of names, bytes.
const VALUE_MAX: usize = 65536;

/// Room for most values, bytes.
const VALUE_SHORT: usize = 1024;

/// Room that is set aside for a value which a client has only announced, bytes.
const VALUE_TINY: usize = 64;

/// Reads into `scratch`, with little room at first: the kernel fetches and wipes memory for all of it
/// that is offered. Returns the length.
fn measured(scratch: &mut Vec<u8>, read: impl Fn(&mut [u8]) -> Result<usize>) -> Result<usize> {
    for room in [VALUE_SHORT, VALUE_MAX] {
        if scratch.len() < room {
            scratch.resize(room, 0);
        }
        match read(&mut scratch[..room]) {
            Err(Errno::RANGE) if room < VALUE_MAX => {}
            done => return done,
        }
    }
    Err(Errno::RANGE)
}

/// Reads a value, or with an empty name the list of names, and keeps it for newfid.
pub(super) fn walk(call: &mut Call<'_>, fid: u32, newfid: u32, name: &[u8]) -> Result<Answer> {
    let from = call.fids.object_for(fid, newfid)?;
    call.fids.check_xattr_room()?;
    let (node, open) = (&from.node, from.open_file());
    let len = measured(call.scratch, |room| {
        if name.is_empty() {
            call.export.xattr_list(node, open, room)
        } else {
            call.export.xattr_get(node, open, name, room)
        }
    })?;
    let value = call.scratch[..len].into();
    let state = State::XattrRead(Box::new(XattrRead { value }));
    call.fids
        .insert(newfid, Fid::new(Arc::clone(node), from.uid, state))?;
    call.out.reply(&Reply::Xattrwalk { size: len as u64 })
}

/// Makes the fid one for writing a value, which is set when the fid is clunked.
pub(super) fn create(
    call: &mut Call<'_>,
    fid: u32,
    name: &[u8],
    size: u64,
    wire: u32,
) -> Result<Answer> {
    if wire & !(flags::xattr::CREATE | flags::xattr::REPLACE) != 0 {
        return Err(Errno::INVAL);
    }
    if size > XATTR_SIZE_MAX {
        return Err(Errno::TOOBIG);
    }
    call.export.writer()?;
    let path = call.fids.object(fid)?;
    path.check_unopened()?;
    call.fids.check_xattr_room()?;
    let size = usize::try_from(size).map_err(|_| Errno::TOOBIG)?;
    let write = XattrWrite {
        name: name.into(),
        size,
        flags: wire,
        value: Mutex::new(Vec::with_capacity(size.min(VALUE_TINY))),
    };
    let state = State::XattrWrite(Box::new(write));
    let write = Fid::new(Arc::clone(&path.node), path.uid, state);
    call.fids.replace(fid, path, write)?;
    call.out.reply(&Reply::Xattrcreate {})
}

/// Takes a part of the value. Parts may overlap but leave no gap.
pub(super) fn write(write: &XattrWrite, offset: u64, data: Source<'_>) -> Result<usize> {
    let mut value = locked(&write.value);
    let start = usize::try_from(offset)
        .ok()
        .filter(|start| *start <= value.len());
    let start = start.ok_or(Errno::INVAL)?;
    let end = start
        .checked_add(data.len())
        .filter(|end| *end <= write.size)
        .ok_or(Errno::NOSPC)?;
    if value.len() < end {
        value.resize(end, 0);
    }
    Ok(data.copy_to(&mut value[start..end]))
}

/// Sets the value that a clunked fid holds, if it is one of those.
///
/// Size 0 with REPLACE is how Linux says "remove"; size 0 without is an empty value. QEMU and diod
/// remove in both cases.
pub(super) fn commit(call: &Call<'_>, fid: &Fid) -> Result<()> {
    let State::XattrWrite(write) = &fid.state else {
        return Ok(());
    };
    let value = locked(&write.value);
    if value.len() != write.size {
        return Err(Errno::INVAL);
    }
    let writer = call.export.writer()?;
    if write.size == 0 && write.flags == flags::xattr::REPLACE {
        return writer.xattr_remove(&fid.node, &write.name);
    }
    let mut set = XattrFlags::empty();
    set.set(XattrFlags::CREATE, write.flags & flags::xattr::CREATE != 0);
    set.set(
        XattrFlags::REPLACE,
        write.flags & flags::xattr::REPLACE != 0,
    );
    writer.xattr_set(&fid.node, &write.name, &value, set)
}
