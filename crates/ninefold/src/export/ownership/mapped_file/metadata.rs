//! An object's metadata, wherever that is at the moment: found, read, changed, begun.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::hidden::Found;
use super::{MappedFile, hidden};
use crate::export::object::MetadataFile;
use crate::export::ownership::attributes::Attributes;
use crate::export::ownership::{At, host, placeholder};
use crate::export::{Export, Node};
use crate::sys::{self, Result, Stat, identity};

/// How often others may be quicker while metadata is made.
const ATTEMPTS: usize = 16;

impl MappedFile {
    /// The metadata of an object, wherever it is now.
    pub(super) fn metadata(
        &self,
        export: &Export,
        node: &Arc<Node>,
    ) -> Result<Option<Arc<MetadataFile>>> {
        if let Some(known) = node.metadata()? {
            return Ok(Some(known));
        }
        if node.id() == export.root().id() {
            return Ok(hidden::find_root(node)?.map(|fd| keep(node, fd)));
        }
        let place = match export.locate(node) {
            Err(Errno::NOENT) => return node.last_metadata(),
            located => located?,
        };
        let _steady = self.entries.look(place.parent().id());
        // Moved since: looked for once more with the next question.
        if !place.names(node)? {
            return Ok(None);
        }
        self.metadata_at(node, (place.parent(), place.name()?))
    }

    /// The metadata file of the name by which an object was found just now. The node holds it from
    /// now on.
    fn metadata_at(&self, node: &Node, at: At<'_>) -> Result<Option<Arc<MetadataFile>>> {
        match hidden::look(at)? {
            Some(found) => {
                let is_known = self.known.get(&found.stat).is_some();
                hold(node, found, is_known)
            }
            None => Ok(None),
        }
    }

    /// The attributes to show of an object that was found by this name just now, of which the node
    /// holds the metadata file from now on.
    pub(super) fn shown_at(
        &self,
        export: &Export,
        node: &Arc<Node>,
        at: At<'_>,
    ) -> Result<Attributes> {
        let Some(found) = hidden::look(at)? else {
            return Ok(Attributes::default());
        };
        let stat = found.stat;
        let known = self.known.get(&stat);
        match (hold(node, found, known.is_some())?, known) {
            (None, _) => Ok(Attributes::default()),
            // The first one stays the node's, whatever lies there now.
            (Some(file), _) if !file.is(stat.id) => self.shown_of(export, node, &file),
            (Some(_), Some(known)) => Ok(known),
            (Some(file), None) => or_nothing(self.read(export, node, &file, &stat)),
        }
    }

    /// The attributes to show of an object, wherever its metadata is now.
    pub(super) fn shown(&self, export: &Export, node: &Arc<Node>) -> Result<Attributes> {
        match self.metadata(export, node)? {
            Some(file) => self.shown_of(export, node, &file),
            None => Ok(Attributes::default()),
        }
    }

    fn shown_of(
        &self,
        export: &Export,
        node: &Arc<Node>,
        file: &MetadataFile,
    ) -> Result<Attributes> {
        or_nothing(self.kept(export, node, file))
    }

    /// What a metadata file says.
    fn kept(&self, export: &Export, node: &Arc<Node>, file: &MetadataFile) -> Result<Attributes> {
        // To read it costs no more than to ask whether it has changed.
        if let Some(open) = file.if_open() {
            let _steady = self.objects.look(node.id());
            return hidden::read(open.as_fd());
        }
        let stat = sys::stat(file.fd().as_fd())?;
        match self.known.get(&stat) {
            Some(known) => Ok(known),
            None => self.read(export, node, file, &stat),
        }
    }

    /// Reads a metadata file that the host has described so before: what changes it meanwhile
    /// changes its time, too, and what was read is not taken for what is there then.
    fn read(
        &self,
        export: &Export,
        node: &Arc<Node>,
        file: &MetadataFile,
        stat: &Stat,
    ) -> Result<Attributes> {
        let fd = file.open(node.keeper())?;
        let _steady = self.objects.look(node.id());
        let attributes = hidden::read(fd.as_fd())?;
        // Or another program may have set the time and not yet written.
        if stat.rested {
            self.known.put(export, stat, attributes);
        }
        Ok(attributes)
    }

    pub(super) fn change(
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
                    let own = hidden::nameless(self.kept(export, node, &metadata)?)?;
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
    pub(super) fn metadata_to_share(
        &self,
        export: &Export,
        node: &Arc<Node>,
    ) -> Result<Option<Arc<MetadataFile>>> {
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
        metadata: &MetadataFile,
        edit: impl Fn(&Stat) -> Attributes,
    ) -> Result<Attributes> {
        // Nothing is built on what could not be read.
        let file = metadata.open(node.keeper())?;
        let _changing = self.objects.change(node.id());
        let mut stat = sys::stat(node.fd()?.as_fd())?;
        let old = hidden::read(file.as_fd())?;
        old.overlay(&mut stat);
        let new = edit(&stat).or(old);
        hidden::rewrite(file.as_fd(), new)?;
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
    pub(super) fn complete_new(&self, at: At<'_>, new: Attributes) -> Result<(OwnedFd, Stat)> {
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

    /// The client's ACLs are the host's: what a directory hands down may keep the owner out, who is
    /// this server. Where that cannot be mended, or no mode keeps the server out, the object is what
    /// the host made it.
    fn let_owner_in(&self, at: At<'_>, stat: &Stat) {
        let mode = match stat.file_type() {
            FileType::Directory => self.modes.dir,
            _ => self.modes.file,
        };
        let missing = mode & 0o700 & !stat.mode;
        if missing == 0 || identity::overrides_modes() {
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

/// Has the node hold its object's metadata file.
fn keep(node: &Node, metadata: OwnedFd) -> Arc<MetadataFile> {
    node.keep_metadata(MetadataFile::new(metadata, node.keeper()))
}

/// Has the node hold the metadata file of its name, and returns the one that it holds; nothing when
/// what was found cannot be opened. What is known to be in it was read: it is not opened then.
fn hold(node: &Node, found: Found, is_known: bool) -> Result<Option<Arc<MetadataFile>>> {
    let id = found.stat.id;
    if let Some(same) = node.same_metadata(id) {
        return Ok(Some(same));
    }
    let file = if is_known {
        MetadataFile::named(found.path, id, node.keeper())
    } else {
        match found.read()? {
            Some(fd) => MetadataFile::known(fd, id, node.keeper()),
            None => return Ok(None),
        }
    };
    Ok(Some(node.keep_metadata(file)))
}

/// What is shown of an object whose metadata says this. What cannot be opened any more says nothing, as
/// if it had just been looked for.
fn or_nothing(said: Result<Attributes>) -> Result<Attributes> {
    Ok(hidden::known(said)?.unwrap_or_default())
}

/// Whether the host has removed or replaced the metadata file of an object that still has a name.
fn is_lost(export: &Export, node: &Arc<Node>, metadata: &MetadataFile) -> Result<bool> {
    if sys::stat(metadata.fd().as_fd())?.nlink > 0 {
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
fn is_anothers(node: &Arc<Node>, metadata: &MetadataFile) -> Result<bool> {
    Ok(sys::stat(node.fd()?.as_fd())?.nlink == 0 && sys::stat(metadata.fd().as_fd())?.nlink > 0)
}
