//! `mapped-file`: attributes are kept in text files beside the objects, for file systems without
//! extended attributes.
//!
//! On the host there are regular files and directories of the server's own user, as with
//! `mapped-xattr`, and hidden directories that no client sees. Format and places are QEMU's. An
//! object's metadata file is held, so that attributes, like everything else, survive the name. It is
//! opened only to be read, and read only when what it said last may not be what it says now.

mod hidden;
mod metadata;
mod moves;
mod text;

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{self, FileType, OFlags};
use rustix::io::Errno;

use super::attributes::{self, Attributes, SetIdCount};
use super::known::Known;
use super::stripes::Stripes;
use super::{At, HostModes, MadeFile, New, Owner, Ownership, Steady, host, placeholder, same_name};
use crate::export::{Export, Node, OpenFile};
use crate::sys::{self, Result, Stat, XattrTarget};

const ACCESS_ACL: &[u8] = b"system.posix_acl_access";

pub(super) struct MappedFile {
    modes: HostModes,
    /// By directory: entries and their metadata change together. Taken before `objects`.
    entries: Stripes,
    /// By object: a metadata file is not read while it is written.
    objects: Stripes,
    set_ids: SetIdCount,
    /// By metadata file.
    known: Known,
}

impl MappedFile {
    pub(super) fn new(modes: HostModes) -> Self {
        Self {
            modes,
            entries: Stripes::default(),
            objects: Stripes::default(),
            set_ids: SetIdCount::default(),
            known: Known::default(),
        }
    }
}

impl Ownership for MappedFile {
    fn hides(&self, name: &[u8]) -> bool {
        hidden::is_own(name)
    }

    fn entry_type(&self, host: FileType) -> FileType {
        placeholder::entry_type(host)
    }

    fn steady(&self, dir: &Arc<Node>) -> Option<Steady<'_>> {
        Some(self.entries.look(dir.id()))
    }

    fn has_metadata_files(&self) -> bool {
        true
    }

    fn find_metadata(&self, at: At<'_>) -> Result<Option<OwnedFd>> {
        hidden::find(at)
    }

    fn found(&self, export: &Export, node: &Arc<Node>, stat: &mut Stat) -> Result<()> {
        let shown = match node.place() {
            Some(place) => self.shown_at(export, node, (place.parent(), place.name()?))?,
            None => Attributes::default(),
        };
        overlay(shown, node, stat)
    }

    fn complete(&self, export: &Export, node: &Arc<Node>, stat: &mut Stat) -> Result<()> {
        overlay(self.shown(export, node)?, node, stat)
    }

    fn file_type(&self, export: &Export, node: &Arc<Node>) -> Result<FileType> {
        if node.file_type() != FileType::RegularFile {
            return Ok(node.file_type());
        }
        Ok(self.shown(export, node)?.file_type())
    }

    fn create_file(&self, at: At<'_>, flags: OFlags, new: New) -> Result<MadeFile> {
        let _making = self.entries.change(at.0.id());
        let fd = sys::open_entry(
            at.0.fd()?.as_fd(),
            at.1,
            flags,
            host::permissions(self.modes.file),
        )?;
        let new = Attributes::new(new.owner, FileType::RegularFile, new.mode, None);
        let (metadata, stat) = self.complete_new(at, new)?;
        Ok(MadeFile {
            fd,
            stat,
            metadata: Some(metadata),
        })
    }

    fn make_dir(&self, at: At<'_>, new: New) -> Result<Stat> {
        let _making = self.entries.change(at.0.id());
        fs::mkdirat(
            at.0.fd()?.as_fd(),
            at.1.bytes(),
            host::permissions(self.modes.dir),
        )?;
        let new = Attributes::new(new.owner, FileType::Directory, new.mode, None);
        Ok(self.complete_new(at, new)?.1)
    }

    fn make_node(
        &self,
        at: At<'_>,
        file_type: FileType,
        (major, minor): (u32, u32),
        new: New,
    ) -> Result<Stat> {
        let rdev = fs::makedev(major, minor);
        if rdev >= u64::from(u32::MAX) {
            // The format has 32 bits for it, and all of them set mean nothing.
            return Err(Errno::OVERFLOW);
        }
        let _making = self.entries.change(at.0.id());
        placeholder::make(at, self.modes)?;
        let new = Attributes::new(new.owner, file_type, new.mode, Some(rdev));
        Ok(self.complete_new(at, new)?.1)
    }

    fn make_symlink(&self, at: At<'_>, target: &[u8], owner: Owner) -> Result<Stat> {
        let _making = self.entries.change(at.0.id());
        let fd = placeholder::make_link(at, self.modes, target)?;
        // A file inherits an ACL from its directory, a symbolic link has none. There may be none to
        // remove, or no such thing here.
        let _ = sys::xattr_remove(XattrTarget::Open(fd.as_fd()), ACCESS_ACL);
        let new = Attributes::new(owner, FileType::Symlink, 0o777, None);
        Ok(self.complete_new(at, new)?.1)
    }

    fn read_link(&self, export: &Export, node: &Arc<Node>, target: &mut [u8]) -> Result<usize> {
        placeholder::read_link(node, self.file_type(export, node)?, target)
    }

    fn link(&self, export: &Export, node: &Arc<Node>, to: At<'_>) -> Result<()> {
        let metadata = self.metadata_to_share(export, node)?;
        let _linking = self.entries.change(to.0.id());
        moves::link(node, metadata.as_deref(), to)
    }

    fn rename(&self, from: At<'_>, to: At<'_>) -> Result<()> {
        let replaced = match sys::stat_entry(to.0.fd()?.as_fd(), to.1) {
            Ok(stat) => stat.id,
            // Nothing is: one lock less.
            Err(Errno::NOENT) => to.0.id(),
            Err(errno) => return Err(errno),
        };
        let _moving = self.entries.change_all(&[from.0.id(), to.0.id(), replaced]);
        moves::rename(from, to, replaced)
    }

    fn unlink(&self, at: At<'_>, directory: bool) -> Result<()> {
        let removed = sys::stat_entry(at.0.fd()?.as_fd(), at.1)?.id;
        let _removing = self.entries.change_all(&[at.0.id(), removed]);
        moves::unlink(at, directory, removed)
    }

    fn chmod(&self, export: &Export, node: &Arc<Node>, mode: u32) -> Result<()> {
        self.change(export, node, |now| attributes::new_mode(now, mode))
    }

    fn chown(&self, export: &Export, node: &Arc<Node>, owner: Owner) -> Result<()> {
        if owner.uid == Some(u32::MAX) || owner.gid == Some(u32::MAX) {
            return Err(Errno::OVERFLOW);
        }
        self.change(export, node, |now| attributes::new_owner(now, owner))
    }

    fn before_write(&self, export: &Export, node: &Arc<Node>, file: &OpenFile) -> Result<()> {
        if self.set_ids.may_have_risen(file) {
            let mut stat = sys::stat(node.fd()?.as_fd())?;
            self.complete(export, node, &mut stat)?;
            if attributes::without_set_id(&stat).mode.is_some() {
                self.change(export, node, attributes::without_set_id)?;
            }
        }
        Ok(())
    }

    fn xattr_host_name<'n>(&self, name: &'n [u8], _change: bool) -> Result<Cow<'n, [u8]>> {
        same_name(has_xattr(name), name)
    }

    fn xattr_client_name<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        has_xattr(name).then_some(name)
    }
}

/// Puts attributes in the place of the host's.
fn overlay(attributes: Attributes, node: &Arc<Node>, stat: &mut Stat) -> Result<()> {
    attributes.overlay(stat);
    if node.is_dir() && stat.nlink > 2 && hidden::has_dir(node)? {
        stat.nlink -= 1;
    }
    Ok(())
}

/// As in QEMU: what the host lets this server set.
fn has_xattr(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
}
