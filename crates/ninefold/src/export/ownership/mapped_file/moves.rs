//! How metadata goes with its entry: links, moves and removal.
//!
//! Whoever calls holds the locks of all directories in question. In each function the object comes
//! first where nothing is lost by that, and what was done is taken back when the rest fails.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::super::{At, host};
use super::hidden::{self, Slot};
use crate::export::Node;
use crate::export::object::MetadataFile;
use crate::sys::{self, FileId, Result, Stat};

/// Gives an object one more name, and its metadata the same.
pub(super) fn link(node: &Arc<Node>, metadata: Option<&MetadataFile>, to: At<'_>) -> Result<()> {
    sys::link(node.fd()?.as_fd(), to.0.fd()?.as_fd(), to.1)?;
    let linked = match metadata {
        Some(metadata) => link_metadata(node, metadata, to),
        // What an earlier object of that name left behind is not this one's.
        None => hidden::remove(to),
    };
    if linked.is_err() {
        let _ = host::unlink(to, false);
    }
    linked
}

fn link_metadata(node: &Arc<Node>, metadata: &MetadataFile, to: At<'_>) -> Result<()> {
    let slot = Slot::make(to)?;
    match slot.link(metadata.fd().as_fd()) {
        // The host has removed it, or the file system has no links: then a file of its own.
        Err(Errno::NOENT | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => {
            let file = metadata.open(node.keeper())?;
            slot.write_new(hidden::read(file.as_fd())?).map(drop)
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
    let is_known = sys::stat_entry(at.0.fd()?.as_fd(), at.1)?.id == known;
    if is_known && hidden::clear(at)? {
        Ok(())
    } else {
        Err(errno)
    }
}

/// Moves an entry, and its metadata in the place of the replaced object's.
pub(super) fn rename(from: At<'_>, to: At<'_>, replaced: FileId) -> Result<()> {
    let moved = sys::stat_entry(from.0.fd()?.as_fd(), from.1)?;
    let target = match sys::stat_entry(to.0.fd()?.as_fd(), to.1) {
        Ok(target) => Some(target.id),
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(errno),
    };
    if target == Some(moved.id) {
        // Two names of one object: rename(2) leaves both.
        return host::rename(from, to);
    }
    let Some(moving) = Moving::prepare(from, to, &moved)? else {
        return rename_object(from, to, replaced);
    };
    if let Err(errno) = rename_object(from, to, replaced) {
        moving.cancel();
        return Err(errno);
    }
    let arrived = moving.finish();
    if arrived.is_err() && target.is_none() {
        // Nothing was replaced, so everything can be as it was.
        let _ = host::rename(to, from);
        moving.cancel();
    }
    arrived
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

/// Metadata on its way to a new name.
struct Moving<'a> {
    metadata: OwnedFd,
    from: Slot<'a>,
    to: Slot<'a>,
    /// Where it has one more name, beside the new one: from there it can be moved without room on
    /// the disk. None where the file system has no links.
    beside: Option<Slot<'a>>,
    /// Whether it was made only to be moved.
    made: bool,
}

impl<'a> Moving<'a> {
    /// Readies the metadata of an entry to be moved; nothing if neither entry has any.
    fn prepare(from: At<'a>, to: At<'a>, moved: &Stat) -> Result<Option<Self>> {
        let known = match (hidden::find_to_move(from)?, hidden::find_to_move(to)?) {
            (None, None) => return Ok(None),
            (known, _) => known,
        };
        let (from, to) = (Slot::make(from)?, Slot::make(to)?);
        let made = known.is_none();
        let metadata = match known {
            Some(metadata) => metadata,
            // Or the object would have the replaced one's attributes.
            None => from.write_first(hidden::of_host(moved))?,
        };
        let mut moving = Self {
            metadata,
            from,
            to,
            beside: None,
            made,
        };
        match moving.link_beside() {
            Ok(beside) => moving.beside = Some(beside),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => {}
            Err(errno) => {
                moving.cancel();
                return Err(errno);
            }
        }
        Ok(Some(moving))
    }

    fn link_beside(&self) -> Result<Slot<'a>> {
        let beside = self.to.aside()?;
        beside.link(self.metadata.as_fd())?;
        Ok(beside)
    }

    /// Takes back what was readied.
    fn cancel(&self) {
        if let Some(beside) = &self.beside {
            let _ = beside.remove();
        }
        if self.made {
            let _ = self.from.remove();
        }
    }

    /// Moves it. Under the old name there must be nothing left, for whoever gets that name next
    /// on the host would share it; beside the new one it does no harm.
    fn finish(&self) -> Result<()> {
        let moved = self.from.rename_to(&self.to);
        let Some(beside) = &self.beside else {
            return moved;
        };
        if moved.is_ok() {
            let _ = beside.remove();
            return Ok(());
        }
        beside.rename_to(&self.to)?;
        let _ = self.from.remove();
        Ok(())
    }
}
