//! Changes to the tree. There is no other way to make one.

use std::os::fd::AsFd;
use std::sync::Arc;

use ninefold_wire::Name;
use rustix::fs::{self, AtFlags, FileType, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use super::budget::Descriptor;
use super::object::MetadataFile;
use super::opened::ModeChange;
use super::ownership::{MadeFile, New, touch};
use super::{Export, Node, OpenFile, OpenMode, Owner, Place};
use crate::sys::{self, Result, Stat, Time};

/// The right to change the tree.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    export: &'a Export,
}

/// Whom an object belonged to, in the host's ids.
#[derive(Clone, Copy, Debug)]
pub struct HostOwner(Owner);

/// What a time stamp is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// Leave it.
    Keep,
    /// The server's present.
    Now,
    /// This.
    To(Time),
}

impl SetTime {
    fn timespec(self) -> Timespec {
        match self {
            Self::Keep => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            Self::Now => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
            Self::To(time) => Timespec {
                tv_sec: time.sec,
                tv_nsec: time.nsec.into(),
            },
        }
    }
}

impl<'a> Writer<'a> {
    pub(super) fn new(export: &'a Export) -> Self {
        Self { export }
    }

    /// The tree.
    #[must_use]
    pub fn export(&self) -> &'a Export {
        self.export
    }

    /// Makes a file that did not exist and opens it.
    ///
    /// # Errors
    /// EEXIST, else the errno of the host; nothing is left behind then.
    pub fn create_file(
        &self,
        export: &Arc<Export>,
        (dir, name): (&Arc<Node>, Name<'_>),
        open: OpenMode,
        mode: u32,
        owner: Owner,
    ) -> Result<(Arc<Node>, OpenFile, Stat)> {
        self.export.check_name(name)?;
        let flags = (open.flags() - OFlags::NOATIME) | OFlags::CREATE | OFlags::EXCL;
        let owner = self.export.owner_of_new(dir, owner)?;
        let new = New { mode, owner };
        let ownership = &self.export.ownership;
        let make = || ownership.create_file((dir, name), flags, new);
        let (MadeFile { fd, stat, metadata }, permit) = dir.keeper().holding(make)?;
        let fd = Descriptor::new(fd, permit);
        let node = Node::of_made(Arc::clone(&fd), &stat, Place::new(dir, name));
        if let Some(metadata) = metadata {
            node.keep_metadata(MetadataFile::new(metadata, dir.keeper()));
        }
        let file = OpenFile::new(export, &node, fd, open);
        Ok((node, file, stat))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// The errno of mkdirat(2).
    pub fn make_dir(
        &self,
        dir: &Arc<Node>,
        name: Name<'_>,
        mode: u32,
        owner: Owner,
    ) -> Result<Stat> {
        self.export.check_name(name)?;
        let owner = self.export.owner_of_new(dir, owner)?;
        let new = New { mode, owner };
        self.export.ownership.make_dir((dir, name), new)
    }

    /// Makes a special file, or an empty regular one when `mode` has no type.
    ///
    /// # Errors
    /// EPERM for a directory, EINVAL for an unknown type, else the errno of mknodat(2).
    pub fn make_node(
        &self,
        (dir, name): (&Arc<Node>, Name<'_>),
        mode: u32,
        device: (u32, u32),
        owner: Owner,
    ) -> Result<Stat> {
        self.export.check_name(name)?;
        let file_type = match (mode & libc::S_IFMT, FileType::from_raw_mode(mode)) {
            (0, _) => FileType::RegularFile,
            (_, FileType::Directory) => return Err(Errno::PERM),
            (_, FileType::Symlink | FileType::Unknown) => return Err(Errno::INVAL),
            (_, known) => known,
        };
        let owner = self.export.owner_of_new(dir, owner)?;
        let new = New { mode, owner };
        let ownership = &self.export.ownership;
        ownership.make_node((dir, name), file_type, device, new)
    }

    /// Makes a symbolic link; the target is stored as it is.
    ///
    /// # Errors
    /// The errno of symlinkat(2); EINVAL for a target that holds a NUL.
    pub fn make_symlink(
        &self,
        dir: &Arc<Node>,
        name: Name<'_>,
        target: &[u8],
        owner: Owner,
    ) -> Result<Stat> {
        self.export.check_name(name)?;
        let owner = self.export.owner_of_new(dir, owner)?;
        let ownership = &self.export.ownership;
        ownership.make_symlink((dir, name), target, owner)
    }

    /// Gives an object one more name.
    ///
    /// # Errors
    /// EPERM for a directory, else the errno of linkat(2).
    pub fn link(&self, node: &Arc<Node>, dir: &Arc<Node>, name: Name<'_>) -> Result<()> {
        self.export.check_name(name)?;
        if node.is_dir() {
            return Err(Errno::PERM);
        }
        self.export.ownership.link(self.export, node, (dir, name))
    }

    /// Moves an entry, over an existing one as rename(2) does.
    ///
    /// # Errors
    /// The errno of renameat(2).
    pub fn rename(&self, old: (&Arc<Node>, Name<'_>), new: (&Arc<Node>, Name<'_>)) -> Result<()> {
        self.export.check_name(old.1)?;
        self.export.check_name(new.1)?;
        let objects = &old.0.tree().objects;
        let moved = if objects.have_handles() {
            None
        } else {
            sys::stat_entry(old.0.fd()?.as_fd(), old.1).ok()
        };
        let replaced = self.export.leaving(new)?;
        self.export.ownership.rename(old, new)?;
        if let Some(replaced) = replaced {
            replaced.settle();
        }
        for (dir, name) in [old, new] {
            dir.tree().recent.forget(dir.id(), name);
        }
        if let Some(stat) = moved {
            objects.moved(stat.id, || Place::new(new.0, new.1));
        }
        Ok(())
    }

    /// Moves an object from wherever it is now.
    ///
    /// # Errors
    /// EBUSY for the root, ENOENT for an object without a name, else the errno of renameat(2).
    pub fn rename_node(&self, node: &Arc<Node>, new: (&Arc<Node>, Name<'_>)) -> Result<()> {
        let old = self.export.locate(node)?;
        self.rename((old.parent(), old.name()?), new)
    }

    /// Removes an entry: a directory, or with `directory` false anything else.
    ///
    /// # Errors
    /// The errno of unlinkat(2).
    pub fn unlink(&self, dir: &Arc<Node>, name: Name<'_>, directory: bool) -> Result<()> {
        self.export.check_name(name)?;
        let removed = self.export.leaving((dir, name))?;
        self.export.ownership.unlink((dir, name), directory)?;
        if directory {
            dir.tree().recent.forget(dir.id(), name);
        }
        if let Some(removed) = removed {
            removed.settle();
        }
        Ok(())
    }

    /// Removes an object's entry wherever it is now.
    ///
    /// # Errors
    /// EBUSY for the root, ENOENT for an object without a name, else the errno of unlinkat(2).
    pub fn remove(&self, node: &Arc<Node>) -> Result<()> {
        let place = self.export.locate(node)?;
        self.unlink(place.parent(), place.name()?, node.is_dir())
    }

    /// Sets the permission bits; the type bits of `mode` are ignored.
    ///
    /// # Errors
    /// EOPNOTSUPP for a symbolic link, else the errno of fchmodat2(2).
    pub fn chmod(&self, node: &Arc<Node>, mode: u32) -> Result<()> {
        if self.export.ownership.file_type(self.export, node)? == FileType::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        let _open = self.mode_change(node)?;
        self.export.ownership.chmod(self.export, node, mode)
    }

    /// What has to be held while the mode of an object changes, where that matters.
    pub(super) fn mode_change(&self, node: &Arc<Node>) -> Result<Option<ModeChange>> {
        let matters = !self.export.reopens && node.file_type() == FileType::RegularFile;
        matters.then(|| node.begin_mode_change()).transpose()
    }

    /// Changes owner or group.
    ///
    /// # Errors
    /// EPERM for an owner whom the host has no id for, else the errno of fchownat(2), as the
    /// security model has it.
    pub fn chown(&self, node: &Arc<Node>, owner: Owner) -> Result<()> {
        let owner = self.export.changed_owner(owner)?;
        self.export.ownership.chown(self.export, node, owner)
    }

    /// Whom an object belongs to on the host, for [`Writer::give_back`].
    ///
    /// # Errors
    /// The errno of the host.
    pub fn owner(&self, node: &Arc<Node>) -> Result<HostOwner> {
        let mut stat = sys::stat(node.fd()?.as_fd())?;
        self.export
            .ownership
            .complete(self.export, node, &mut stat)?;
        Ok(HostOwner(Owner {
            uid: Some(stat.uid),
            gid: Some(stat.gid),
        }))
    }

    /// Undoes a [`Writer::chown`]. The ids are the host's, because the client's ids for them need
    /// not lead back.
    ///
    /// # Errors
    /// As [`Writer::chown`].
    pub fn give_back(&self, node: &Arc<Node>, owner: HostOwner) -> Result<()> {
        self.export.ownership.chown(self.export, node, owner.0)
    }

    /// Sets the times.
    ///
    /// # Errors
    /// The errno of utimensat(2).
    pub fn set_times(&self, node: &Arc<Node>, atime: SetTime, mtime: SetTime) -> Result<()> {
        let times = Timestamps {
            last_access: atime.timespec(),
            last_modification: mtime.timespec(),
        };
        fs::utimensat(node.fd()?, "", &times, AtFlags::EMPTY_PATH)
    }

    /// Marks the attributes as changed now.
    ///
    /// # Errors
    /// The errno of the host.
    pub fn touch(&self, node: &Arc<Node>) -> Result<()> {
        touch(node)
    }
}
