//! `mapped-file`: attributes are kept in text files beside the objects, for file systems without
//! extended attributes.
//!
//! On the host there are regular files and directories of the server's own user, as with
//! `mapped-xattr`, and hidden directories that no client sees. Format and places are QEMU's. An
//! object's metadata file is held open, so that attributes, like everything else, survive the name.

mod hidden;
mod moves;
mod text;

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{self, Attributes, SetIdCount};
use super::stripes::Stripes;
use super::{At, HostModes, MadeFile, New, Owner, Ownership, Steady, host, placeholder, same_name};
use crate::export::budget::Descriptor;
use crate::export::{Export, Node, OpenFile};
use crate::sys::{self, Result, Stat, XattrTarget};

const ACCESS_ACL: &[u8] = b"system.posix_acl_access";

/// How often others may be quicker while metadata is made.
const ATTEMPTS: usize = 16;

pub(super) struct MappedFile {
    modes: HostModes,
    /// By directory: entries and their metadata change together. Taken before `objects`.
    entries: Stripes,
    /// By object: a metadata file is not read while it is written.
    objects: Stripes,
    set_ids: SetIdCount,
}

impl MappedFile {
    pub(super) fn new(modes: HostModes) -> Self {
        Self {
            modes,
            entries: Stripes::default(),
            objects: Stripes::default(),
            set_ids: SetIdCount::default(),
        }
    }

    /// The metadata of an object, wherever it is now.
    fn metadata(&self, export: &Export, node: &Arc<Node>) -> Result<Option<Arc<Descriptor>>> {
        if let Some(known) = node.metadata()? {
            return Ok(Some(known));
        }
        let found = if node.id() == export.root().id() {
            hidden::find_root(node)?
        } else {
            match export.locate(node) {
                Err(Errno::NOENT) => return node.last_metadata(),
                Err(errno) => return Err(errno),
                Ok(place) => {
                    let _steady = self.entries.look(place.parent().id());
                    // Moved since: looked for once more with the next question.
                    if place.names(node)? {
                        hidden::find((place.parent(), place.name()?))?
                    } else {
                        None
                    }
                }
            }
        };
        Ok(found.map(|fd| keep(node, fd)))
    }

    fn kept(&self, metadata: &Descriptor, node: &Arc<Node>) -> Result<Attributes> {
        let _steady = self.objects.look(node.id());
        hidden::read(metadata.as_fd())
    }

    fn overlay(
        &self,
        metadata: Option<&Descriptor>,
        node: &Arc<Node>,
        stat: &mut Stat,
    ) -> Result<()> {
        if let Some(metadata) = metadata {
            self.kept(metadata, node)?.overlay(stat);
        }
        if node.is_dir() && stat.nlink > 2 && hidden::has_dir(node)? {
            stat.nlink -= 1;
        }
        Ok(())
    }

    fn change(
        &self,
        export: &Export,
        node: &Arc<Node>,
        edit: impl Fn(&Stat) -> Attributes,
    ) -> Result<()> {
        self.set_ids.note(self.store(export, node, edit)?);
        // The object itself has not changed: its ctime has to.
        // Of a file of the host's own that is not the server's, it stays.
        let _ = host::touch(node);
        Ok(())
    }

    /// Writes the metadata, wherever it is or belongs; returns all of it.
    fn store(
        &self,
        export: &Export,
        node: &Arc<Node>,
        edit: impl Fn(&Stat) -> Attributes,
    ) -> Result<Attributes> {
        for _ in 0..ATTEMPTS {
            if let Some(metadata) = self.metadata(export, node)? {
                if is_lost(export, node, &metadata)? {
                    node.forget_metadata(&metadata);
                    continue;
                }
                if is_anothers(node, &metadata)? {
                    let own = hidden::nameless(self.kept(&metadata, node)?)?;
                    node.forget_metadata(&metadata);
                    keep(node, own);
                    continue;
                }
                return self.rewrite(node, &metadata, edit);
            }
            let new = edit(&sys::stat(node.fd()?.as_fd())?);
            if self.begin(export, node, new)? {
                return Ok(new);
            }
        }
        Err(Errno::BUSY)
    }

    /// The metadata of an object that is about to get one more name. Where it had none it gets
    /// some, if that can be: a change by one name has to be seen by the other.
    fn metadata_to_share(
        &self,
        export: &Export,
        node: &Arc<Node>,
    ) -> Result<Option<Arc<Descriptor>>> {
        let known = self.metadata(export, node)?;
        if known.is_some() {
            return Ok(known);
        }
        match self.begin(
            export,
            node,
            hidden::of_host(&sys::stat(node.fd()?.as_fd())?),
        ) {
            Ok(_) => self.metadata(export, node),
            // A directory of the host's own, in which this server may not write.
            Err(_) => Ok(None),
        }
    }

    fn rewrite(
        &self,
        node: &Arc<Node>,
        metadata: &Descriptor,
        edit: impl Fn(&Stat) -> Attributes,
    ) -> Result<Attributes> {
        let _changing = self.objects.change(node.id());
        let mut stat = sys::stat(node.fd()?.as_fd())?;
        let old = hidden::read(metadata.as_fd())?;
        old.overlay(&mut stat);
        let new = edit(&stat).or(old);
        hidden::rewrite(metadata.as_fd(), new)?;
        Ok(new)
    }

    /// Makes the metadata of an object that has none. False when somebody made it, or moved the
    /// object, meanwhile.
    fn begin(&self, export: &Export, node: &Arc<Node>, new: Attributes) -> Result<bool> {
        if node.id() == export.root().id() {
            let _changing = self.entries.change(node.id());
            if hidden::find_root(node)?.is_some() {
                return Ok(false);
            }
            keep(node, hidden::Slot::of_root(node)?.write_first(new)?);
            return Ok(true);
        }
        let place = match export.locate(node) {
            Ok(place) => place,
            Err(Errno::NOENT) => {
                keep(node, hidden::nameless(new)?);
                return Ok(true);
            }
            Err(errno) => return Err(errno),
        };
        let at = (place.parent(), place.name()?);
        let _changing = self.entries.change(at.0.id());
        if !place.names(node)? || hidden::find(at)?.is_some() {
            return Ok(false);
        }
        keep(node, hidden::Slot::make(at)?.write_first(new)?);
        Ok(true)
    }

    /// Keeps the attributes of an object just made, or takes the object away again.
    fn complete_new(&self, at: At<'_>, new: Attributes) -> Result<(OwnedFd, Stat)> {
        let kept = hidden::Slot::make(at).and_then(|slot| slot.write_new(new));
        let done = kept.and_then(|metadata| {
            let mut stat = sys::stat_entry(at.0.fd()?.as_fd(), at.1)?;
            self.let_owner_in(at, &stat);
            new.overlay(&mut stat);
            Ok((metadata, stat))
        });
        if done.is_err() {
            placeholder::take_back(at, new);
            let _ = hidden::remove(at);
        }
        done
    }
}

impl MappedFile {
    /// The client's ACLs are the host's: what a directory hands down may keep the owner out, who is
    /// this server. Where that cannot be mended, the object is what the host made it.
    fn let_owner_in(&self, at: At<'_>, stat: &Stat) {
        let mode = match stat.file_type() {
            FileType::Directory => self.modes.dir,
            _ => self.modes.file,
        };
        let missing = mode & 0o700 & !stat.mode;
        if missing == 0 {
            return;
        }
        let mended = (at.0.fd())
            .and_then(|dir| sys::open_entry(dir.as_fd(), at.1, OFlags::PATH, Mode::empty()))
            .and_then(|fd| sys::chmod(fd.as_fd(), host::permissions(stat.mode | missing)));
        if let Err(errno) = mended {
            tracing::debug!(%errno, "an object that its owner may not open");
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

    fn found(&self, _export: &Export, node: &Arc<Node>, stat: &mut Stat) -> Result<()> {
        let metadata = match node.place() {
            Some(place) => hidden::find((place.parent(), place.name()?))?,
            None => None,
        };
        let metadata = metadata.map(|fd| keep(node, fd));
        self.overlay(metadata.as_deref(), node, stat)
    }

    fn complete(&self, export: &Export, node: &Arc<Node>, stat: &mut Stat) -> Result<()> {
        let metadata = self.metadata(export, node)?;
        self.overlay(metadata.as_deref(), node, stat)
    }

    fn file_type(&self, export: &Export, node: &Arc<Node>) -> Result<FileType> {
        if node.file_type() != FileType::RegularFile {
            return Ok(node.file_type());
        }
        match self.metadata(export, node)? {
            Some(metadata) => Ok(self.kept(&metadata, node)?.file_type()),
            None => Ok(FileType::RegularFile),
        }
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

/// Has the node hold its object's metadata file. It is what the security model costs in descriptors, so
/// that it counts, but is not refused.
fn keep(node: &Node, metadata: OwnedFd) -> Arc<Descriptor> {
    node.keep_metadata(Descriptor::of_house(metadata, node.keeper()))
}

/// Whether the host has removed or replaced the metadata file of an object that still has a name.
fn is_lost(export: &Export, node: &Arc<Node>, metadata: &Descriptor) -> Result<bool> {
    if sys::stat(metadata.as_fd())?.nlink > 0 {
        return Ok(false);
    }
    match export.locate(node) {
        Err(Errno::NOENT) => Ok(false),
        // The root always has one.
        Ok(_) | Err(Errno::BUSY) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Whether an object has lost its name and its metadata file has one still: the host, which removes
/// the one without the other, may have given the name to another object.
fn is_anothers(node: &Arc<Node>, metadata: &Descriptor) -> Result<bool> {
    Ok(sys::stat(node.fd()?.as_fd())?.nlink == 0 && sys::stat(metadata.as_fd())?.nlink > 0)
}

/// As in QEMU: what the host lets this server set.
fn has_xattr(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
}
