//! How metadata goes with its entry: links, moves and removal.
//!
//! Whoever calls holds the locks of all directories in question. In each function the object comes
//! first where nothing is lost by that, and what was done is taken back when the rest fails.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::super::{At, host};
use super::hidden::{self, Slot};
use crate::export::Node;
use crate::sys::{self, FileId, Result};

/// Gives an object one more name, and its metadata the same.
pub(super) fn link(node: &Node, metadata: Option<&OwnedFd>, to: At<'_>) -> Result<()> {
    sys::link(node.fd(), to.0.fd(), to.1)?;
    let linked = match metadata {
        Some(metadata) => link_metadata(metadata, to),
        // What an earlier object of that name left behind is not this one's.
        None => hidden::remove(to),
    };
    if linked.is_err() {
        let _ = host::unlink(to, false);
    }
    linked
}

fn link_metadata(metadata: &OwnedFd, to: At<'_>) -> Result<()> {
    let slot = Slot::make(to)?;
    match slot.link(metadata.as_fd()) {
        // The host has removed it, or the file system has no links: then a file of its own.
        Err(Errno::NOENT | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => {
            slot.write_new(hidden::read(metadata.as_fd())?).map(drop)
        }
        done => done,
    }
}

/// Removes an entry and then its metadata: the other way round, a failure would cost the attributes.
/// Metadata left behind does no harm, because a new object never takes it over.
pub(super) fn unlink(at: At<'_>, directory: bool, known: FileId) -> Result<()> {
    match host::unlink(at, directory) {
        Err(errno @ (Errno::NOTEMPTY | Errno::EXIST)) => {
            clear(at, known, errno)?;
            host::unlink(at, directory)?;
        }
        done => done?,
    }
    let _ = hidden::remove(at);
    Ok(())
}

/// Clears a directory in the way, if it is the one that is locked and empty for the client.
fn clear(at: At<'_>, known: FileId, errno: Errno) -> Result<()> {
    let is_known = sys::stat_entry(at.0.fd(), at.1)?.id == known;
    if is_known && hidden::clear(at)? {
        Ok(())
    } else {
        Err(errno)
    }
}

/// Metadata on its way to a new name.
enum Moving<'a> {
    /// It has a second name beside its new place: moving it there needs no room on the disk.
    Beside {
        metadata: OwnedFd,
        beside: Slot<'a>,
        to: Slot<'a>,
    },
    /// The file system has no links: it is moved when the object has been.
    Later { to: Slot<'a> },
}

/// Moves an entry, and its metadata in the place of the replaced object's.
pub(super) fn rename<'a>(from: At<'a>, to: At<'a>, replaced: FileId) -> Result<()> {
    let moved = sys::stat_entry(from.0.fd(), from.1)?.id;
    let target = sys::stat_entry(to.0.fd(), to.1);
    if target.as_ref().is_ok_and(|target| target.id == moved) {
        // Two names of one object: rename(2) leaves both.
        return host::rename(from, to);
    }
    let Some(moving) = prepare(from, to)? else {
        return rename_object(from, to, replaced);
    };
    if let Err(errno) = rename_object(from, to, replaced) {
        if let Moving::Beside { beside, .. } = moving {
            let _ = beside.remove();
        }
        return Err(errno);
    }
    let arrived = finish(from, &moving);
    if arrived.is_err() && target.is_err() {
        // Nothing was replaced, so everything can be as it was.
        let _ = host::rename(to, from);
        if let Moving::Beside { beside, .. } = moving {
            let _ = beside.remove();
        }
    }
    arrived
}

/// Readies the metadata to be moved; nothing if neither entry has any.
fn prepare<'a>(from: At<'a>, to: At<'a>) -> Result<Option<Moving<'a>>> {
    let metadata = match (hidden::find(from)?, hidden::find(to)?) {
        (None, None) => return Ok(None),
        (Some(metadata), _) => metadata,
        // Or the object would have the replaced one's attributes.
        (None, Some(_)) => Slot::make(from)?.write_new(hidden::of_host(from)?)?,
    };
    let to = Slot::make(to)?;
    let beside = to.aside()?;
    match beside.link(metadata.as_fd()) {
        Ok(()) => Ok(Some(Moving::Beside {
            metadata,
            beside,
            to,
        })),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => Ok(Some(Moving::Later { to })),
        Err(errno) => Err(errno),
    }
}

fn rename_object(from: At<'_>, to: At<'_>, replaced: FileId) -> Result<()> {
    match host::rename(from, to) {
        Err(errno @ (Errno::NOTEMPTY | Errno::EXIST)) => {
            clear(to, replaced, errno)?;
            host::rename(from, to)
        }
        done => done,
    }
}

fn finish(from: At<'_>, moving: &Moving<'_>) -> Result<()> {
    match moving {
        Moving::Later { to } => Slot::make(from)?.rename_to(to),
        Moving::Beside {
            metadata,
            beside,
            to,
        } => {
            if beside.rename_to(to).is_err() {
                // The same by other means.
                to.link(metadata.as_fd())?;
                let _ = beside.remove();
            }
            // What is left under the old name is nobody's.
            let _ = hidden::remove(from);
            Ok(())
        }
    }
}
