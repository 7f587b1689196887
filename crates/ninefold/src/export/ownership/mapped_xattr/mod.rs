//! `mapped-xattr`: attributes are kept in extended attributes of the object itself.
//!
//! On the host there are regular files and directories of the server's own user. A symbolic link is
//! a file that holds its target; a device, FIFO or socket is an empty file. The format is QEMU's:
//! numbers in little-endian bytes.

mod names;

use std::borrow::Cow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{self, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::attributes::{self, Attributes, SetIdCount};
use super::known::Known;
use super::stripes::Stripes;
use super::{At, HostModes, MadeFile, New, Owner, Ownership, Steady, host, placeholder};
use crate::export::{Export, Node, OpenFile};
use crate::sys::{self, Result, Stat, XattrTarget};

const UID: &[u8] = b"user.virtfs.uid";
const GID: &[u8] = b"user.virtfs.gid";
const MODE: &[u8] = b"user.virtfs.mode";
const RDEV: &[u8] = b"user.virtfs.rdev";

pub(super) struct MappedXattr {
    modes: HostModes,
    /// By directory: an object has its attributes before anybody finds it.
    entries: Stripes,
    /// By object: what a change builds on does not change meanwhile.
    objects: Stripes,
    set_ids: SetIdCount,
    known: Known,
}

impl MappedXattr {
    pub(super) fn new(modes: HostModes) -> Self {
        Self {
            modes,
            entries: Stripes::default(),
            objects: Stripes::default(),
            set_ids: SetIdCount::default(),
            known: Known::default(),
        }
    }

    /// Keeps the attributes of an object just made, or takes the object away again.
    fn complete_new(&self, at: At<'_>, fd: BorrowedFd<'_>, new: Attributes) -> Result<Stat> {
        let stat =
            write(XattrTarget::Open(fd), new, Attributes::default()).and_then(|()| sys::stat(fd));
        match stat {
            Ok(mut stat) => {
                new.overlay(&mut stat);
                Ok(stat)
            }
            Err(errno) => {
                placeholder::take_back(at, new);
                Err(errno)
            }
        }
    }

    /// The attributes to show of an object that the host has just described so. Those of the host's
    /// files that this server may not read are as the host shows them.
    fn shown(&self, export: &Export, node: &Arc<Node>, stat: &Stat) -> Result<Attributes> {
        if let Some(known) = self.known.get(stat) {
            return Ok(known);
        }
        match read_all(node) {
            Ok(attributes) => {
                self.known.put(export, stat, attributes);
                Ok(attributes)
            }
            Err(Errno::ACCESS | Errno::PERM) => Ok(Attributes::default()),
            Err(errno) => Err(errno),
        }
    }

    fn change(&self, node: &Arc<Node>, edit: impl FnOnce(&Stat) -> Attributes) -> Result<()> {
        let _changing = self.objects.change(node.id());
        let mut stat = sys::stat(node.fd()?.as_fd())?;
        // Nothing is built on what could not be read.
        let old = read_all(node)?;
        old.overlay(&mut stat);
        let new = edit(&stat);
        with_target(node, |target| write(target, new, old))?;
        self.set_ids.note(new);
        if new.or(old) == old {
            // File systems skip a value that is there already, and the time of change with it.
            return host::touch(node);
        }
        Ok(())
    }
}

impl Ownership for MappedXattr {
    fn entry_type(&self, host: FileType) -> FileType {
        placeholder::entry_type(host)
    }

    fn steady(&self, dir: &Arc<Node>) -> Option<Steady<'_>> {
        Some(self.entries.look(dir.id()))
    }

    fn complete(&self, export: &Export, node: &Arc<Node>, stat: &mut Stat) -> Result<()> {
        self.shown(export, node, stat)?.overlay(stat);
        Ok(())
    }

    fn file_type(&self, export: &Export, node: &Arc<Node>) -> Result<FileType> {
        if node.file_type() != FileType::RegularFile {
            return Ok(node.file_type());
        }
        let stat = sys::stat(node.fd()?.as_fd())?;
        Ok(self.shown(export, node, &stat)?.file_type())
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
        let stat = self.complete_new(at, fd.as_fd(), new)?;
        Ok(MadeFile {
            fd,
            stat,
            metadata: None,
        })
    }

    fn make_dir(&self, at: At<'_>, new: New) -> Result<Stat> {
        let _making = self.entries.change(at.0.id());
        let (dir, name) = at;
        fs::mkdirat(
            dir.fd()?.as_fd(),
            name.bytes(),
            host::permissions(self.modes.dir),
        )?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let new = Attributes::new(new.owner, FileType::Directory, new.mode, None);
        match sys::open_entry(dir.fd()?.as_fd(), name, flags, Mode::empty()) {
            Ok(fd) => self.complete_new(at, fd.as_fd(), new),
            Err(errno) => {
                let _ = host::unlink(at, true);
                Err(errno)
            }
        }
    }

    fn make_node(
        &self,
        at: At<'_>,
        file_type: FileType,
        (major, minor): (u32, u32),
        new: New,
    ) -> Result<Stat> {
        let _making = self.entries.change(at.0.id());
        let fd = placeholder::make(at, self.modes)?;
        let rdev = fs::makedev(major, minor);
        let new = Attributes::new(new.owner, file_type, new.mode, Some(rdev));
        self.complete_new(at, fd.as_fd(), new)
    }

    fn make_symlink(&self, at: At<'_>, target: &[u8], owner: Owner) -> Result<Stat> {
        let _making = self.entries.change(at.0.id());
        let fd = placeholder::make_link(at, self.modes, target)?;
        let new = Attributes::new(owner, FileType::Symlink, 0o777, None);
        self.complete_new(at, fd.as_fd(), new)
    }

    fn read_link(&self, export: &Export, node: &Arc<Node>, target: &mut [u8]) -> Result<usize> {
        placeholder::read_link(node, self.file_type(export, node)?, target)
    }

    fn chmod(&self, _export: &Export, node: &Arc<Node>, mode: u32) -> Result<()> {
        self.change(node, |now| attributes::new_mode(now, mode))
    }

    fn chown(&self, _export: &Export, node: &Arc<Node>, owner: Owner) -> Result<()> {
        self.change(node, |now| attributes::new_owner(now, owner))
    }

    fn before_write(&self, _export: &Export, node: &Arc<Node>, file: &OpenFile) -> Result<()> {
        if self.set_ids.may_have_risen(file) {
            self.change(node, attributes::without_set_id)?;
        }
        Ok(())
    }

    fn xattr_host_name<'n>(&self, name: &'n [u8], change: bool) -> Result<Cow<'n, [u8]>> {
        names::of_host(name, change)
    }

    fn xattr_client_name<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        names::of_client(name)
    }
}

/// Runs `act` on the quickest way to the attributes: several calls on an open file cost less than
/// each of them through `/proc`, the opening included.
fn with_target<T>(node: &Arc<Node>, act: impl FnOnce(XattrTarget<'_>) -> Result<T>) -> Result<T> {
    if let Some(fd) = node.open_fd() {
        return act(XattrTarget::Open(fd.as_fd()));
    }
    match open(node) {
        Ok(fd) => act(XattrTarget::Open(fd.as_fd())),
        Err(_) => act(XattrTarget::Named(node.fd()?.as_fd())),
    }
}

fn open(node: &Arc<Node>) -> Result<OwnedFd> {
    if !carries(node.file_type()) {
        return Err(Errno::INVAL);
    }
    sys::reopen(
        node.fd()?.as_fd(),
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
    )
}

/// Whether such an object of the host can have `user.` attributes at all.
fn carries(host: FileType) -> bool {
    matches!(host, FileType::RegularFile | FileType::Directory)
}

fn read_all(node: &Arc<Node>) -> Result<Attributes> {
    if !carries(node.file_type()) {
        return Ok(Attributes::default());
    }
    with_target(node, |target| {
        let mode = value(target, MODE)?.map(u32::from_le_bytes);
        let file_type = FileType::from_raw_mode(mode.unwrap_or(0));
        let rdev = match file_type {
            FileType::CharacterDevice | FileType::BlockDevice => value(target, RDEV)?,
            _ => None,
        };
        Ok(Attributes {
            uid: value(target, UID)?.map(u32::from_le_bytes),
            gid: value(target, GID)?.map(u32::from_le_bytes),
            mode,
            rdev: rdev.map(u64::from_le_bytes),
        })
    })
}

/// A number: shorter ones have no upper bytes, longer or empty ones are none.
fn value<const N: usize>(target: XattrTarget<'_>, name: &[u8]) -> Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match sys::xattr_get(target, name, &mut bytes) {
        Ok(0) | Err(Errno::NODATA | Errno::RANGE | Errno::OPNOTSUPP) => Ok(None),
        Ok(_) => Ok(Some(bytes)),
        Err(errno) => Err(errno),
    }
}

/// An attribute's name and the bytes of its value.
type Number = (&'static [u8], Option<([u8; 8], usize)>);

/// In the order in which QEMU writes them.
fn numbers(attributes: Attributes) -> [Number; 4] {
    let short = |value: u32| (u64::from(value).to_le_bytes(), 4);
    [
        (UID, attributes.uid.map(short)),
        (GID, attributes.gid.map(short)),
        (MODE, attributes.mode.map(short)),
        (RDEV, attributes.rdev.map(|rdev| (rdev.to_le_bytes(), 8))),
    ]
}

/// Sets what `new` has. When one cannot be set, those before get back what they were.
fn write(target: XattrTarget<'_>, new: Attributes, old: Attributes) -> Result<()> {
    let old = numbers(old);
    for (count, (name, number)) in numbers(new).iter().enumerate() {
        let Some((bytes, len)) = number else {
            continue;
        };
        if let Err(errno) = sys::xattr_set(target, name, &bytes[..*len], XattrFlags::empty()) {
            restore(target, &numbers(new)[..count], &old);
            return Err(errno);
        }
    }
    Ok(())
}

/// Takes back what was set. Errors are not reported: the one that led here is.
fn restore(target: XattrTarget<'_>, done: &[Number], old: &[Number; 4]) {
    for ((name, set), (_, number)) in done.iter().zip(old) {
        let _ = match (set, number) {
            (None, _) => continue,
            (Some(_), Some((bytes, len))) => {
                sys::xattr_set(target, name, &bytes[..*len], XattrFlags::empty())
            }
            (Some(_), None) => sys::xattr_remove(target, name),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_qemus() {
        let device = fs::makedev(0x345, 0x678);
        let attributes = Attributes {
            uid: Some(0),
            gid: Some(80),
            mode: Some(0o020_600),
            rdev: Some(device),
        };
        let bytes = numbers(attributes).map(|(_, number)| {
            let (bytes, len) = number.unwrap_or_default();
            bytes[..len].to_vec()
        });
        assert_eq!(
            bytes,
            [
                vec![0, 0, 0, 0],
                vec![0x50, 0, 0, 0],
                vec![0x80, 0x21, 0, 0],
                vec![0x78, 0x45, 0x63, 0, 0, 0, 0, 0]
            ]
        );
    }
}
