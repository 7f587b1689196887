//! Metadata files: where they lie, and how they are read and written.
//!
//! The metadata of the entry `NAME` of a directory is the file `.virtfs_metadata/NAME` in that
//! directory, that of the export's root the file `.virtfs_metadata_root` in the root. A metadata file
//! is only ever changed in place, because hard links of an object share it as they share the
//! object. For the same reason whoever holds one has it for as long as the object lives.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ninefold_wire::Name;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::{self, Errno};

use super::super::At;
use super::super::attributes::Attributes;
use super::text;
use crate::export::Node;
use crate::export::object::READ;
use crate::sys::{self, Result, Stat, XattrTarget, identity};

/// The hidden directory.
const DIR: &[u8] = b".virtfs_metadata";
/// The metadata file of the export's root.
const ROOT: &[u8] = b".virtfs_metadata_root";

const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";
const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// QEMU's are at most 80 bytes. What stands behind this many is not read.
const TEXT_MAX: usize = 64 << 10;
/// What one read is expected to get.
const TEXT_USUAL: usize = 512;

/// Whether a name is one of those that belong to the server, in whatever case: a file system that
/// folds cases would find them by it.
pub(super) fn is_own(name: &[u8]) -> bool {
    // Quick: few names begin so, and no letter is another case of a dot.
    if name.first() != DIR.first() {
        return false;
    }
    let upper = |name: &[u8]| String::from_utf8_lossy(name).to_uppercase();
    let folded = upper(name);
    folded == upper(DIR) || folded == upper(ROOT)
}

fn own_name(name: &'static [u8]) -> Result<Name<'static>> {
    Name::new(name).map_err(|_| Errno::INVAL)
}

/// A directory that holds metadata files, and the name of one of them.
pub(super) struct Slot<'a> {
    dir: OwnedFd,
    name: Name<'a>,
}

/// A metadata file that is not open yet.
pub(super) struct Found {
    /// Names it (`O_PATH`).
    pub(super) path: OwnedFd,
    /// What the host says of it.
    pub(super) stat: Stat,
}

/// The metadata file of an entry; nothing when it has none or none that can be one.
pub(super) fn look((dir, name): At<'_>) -> Result<Option<Found>> {
    known(open_path((dir, name)).and_then(Found::new))
}

/// The same, open for reading.
pub(super) fn find(at: At<'_>) -> Result<Option<OwnedFd>> {
    known(open_path(at).and_then(Found::new).and_then(Found::open))
}

/// The same of the export's root.
pub(super) fn find_root(root: &Arc<Node>) -> Result<Option<OwnedFd>> {
    let name = own_name(ROOT)?;
    let path = sys::open_entry(root.fd()?.as_fd(), name, OFlags::PATH, Mode::empty());
    known(path.and_then(Found::new).and_then(Found::open))
}

fn open_path((dir, name): At<'_>) -> Result<OwnedFd> {
    sys::open_entry_in(dir.fd()?.as_fd(), own_name(DIR)?, name, OFlags::PATH)
}

impl Found {
    /// What was found, if it is a regular file. To open anything else could wait, or do anything: a
    /// client of another security model may have put a device there.
    fn new(path: OwnedFd) -> Result<Self> {
        let stat = sys::stat(path.as_fd())?;
        match stat.file_type() {
            FileType::RegularFile => Ok(Self { path, stat }),
            _ => Err(Errno::NXIO),
        }
    }

    fn open(self) -> Result<OwnedFd> {
        sys::reopen(self.path.as_fd(), READ)
    }

    /// Opens it for reading; nothing when that cannot be.
    pub(super) fn read(self) -> Result<Option<OwnedFd>> {
        known(self.open())
    }
}

/// What there is to know. That this server cannot know it would fail every look at the object.
pub(super) fn known<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::IO)) => Err(errno),
        Err(_) => Ok(None),
    }
}

/// The metadata file of an entry, to be moved: it need not be readable, but it has to be known
/// whether there is one.
pub(super) fn find_to_move((dir, name): At<'_>) -> Result<Option<OwnedFd>> {
    match open_path((dir, name)) {
        Ok(fd) => match sys::stat(fd.as_fd())?.file_type() {
            FileType::RegularFile => Ok(Some(fd)),
            // Nothing that could take its place, or go with the entry, would be metadata.
            FileType::Directory => Err(Errno::ISDIR),
            _ => Ok(None),
        },
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

impl<'a> Slot<'a> {
    /// Where the metadata of an entry belongs; the hidden directory is made if there is none.
    pub(super) fn make((dir, name): At<'a>) -> Result<Self> {
        let open = || {
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            sys::open_entry(dir.fd()?.as_fd(), own_name(DIR)?, flags, Mode::empty())
        };
        let dir = match open() {
            Err(Errno::NOENT) => {
                match fs::mkdirat(dir.fd()?.as_fd(), DIR, DIR_MODE) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                let made = open()?;
                own(made.as_fd())?;
                made
            }
            opened => opened?,
        };
        Ok(Self { dir, name })
    }

    /// Where the metadata of the export's root belongs.
    pub(super) fn of_root(root: &Arc<Node>) -> Result<Self> {
        Ok(Self {
            dir: sys::reopen(root.fd()?.as_fd(), OFlags::PATH | OFlags::DIRECTORY)?,
            name: own_name(ROOT)?,
        })
    }

    /// A place in the same directory that no object can have a claim to.
    pub(super) fn aside(&self) -> Result<Self> {
        Ok(Self {
            dir: sys::reopen(self.dir.as_fd(), OFlags::PATH | OFlags::DIRECTORY)?,
            name: own_name(DIR)?,
        })
    }

    /// Makes the file of a new object, in the place of one that another of that name left behind.
    pub(super) fn write_new(&self, attributes: Attributes) -> Result<OwnedFd> {
        match self.open_new() {
            Err(Errno::EXIST) => {
                self.remove()?;
                self.write(self.open_new()?, attributes)
            }
            opened => self.write(opened?, attributes),
        }
    }

    /// Makes the file of an object that has none. What is there although it could not be read is
    /// not replaced.
    pub(super) fn write_first(&self, attributes: Attributes) -> Result<OwnedFd> {
        match self.open_new() {
            Err(Errno::EXIST) => Err(
                match sys::stat_entry(self.dir.as_fd(), self.name)?.file_type() {
                    FileType::Symlink => Errno::LOOP,
                    FileType::Directory => Errno::ISDIR,
                    FileType::RegularFile => Errno::ACCESS,
                    _ => Errno::NXIO,
                },
            ),
            opened => self.write(opened?, attributes),
        }
    }

    fn open_new(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOCTTY;
        sys::open_entry(self.dir.as_fd(), self.name, flags, FILE_MODE)
    }

    fn write(&self, file: OwnedFd, attributes: Attributes) -> Result<OwnedFd> {
        match write_all(&file, text::print(attributes).as_bytes()) {
            Ok(()) => Ok(file),
            Err(errno) => {
                let _ = self.remove();
                Err(errno)
            }
        }
    }

    /// Gives a metadata file this name, in the place of one left behind.
    pub(super) fn link(&self, metadata: BorrowedFd<'_>) -> Result<()> {
        match sys::link(metadata, self.dir.as_fd(), self.name) {
            Err(Errno::EXIST) => {
                self.remove()?;
                sys::link(metadata, self.dir.as_fd(), self.name)
            }
            done => done,
        }
    }

    pub(super) fn rename_to(&self, to: &Slot<'_>) -> Result<()> {
        let (from_name, to_name) = (self.name.bytes(), to.name.bytes());
        fs::renameat(&self.dir, from_name, &to.dir, to_name)
    }

    pub(super) fn remove(&self) -> Result<()> {
        fs::unlinkat(&self.dir, self.name.bytes(), AtFlags::empty())
    }
}

/// Takes from a hidden directory the ACL that its directory has handed down, if that keeps the owner
/// out: who would be kept out of the metadata is this server. One that no mode keeps out leaves it as
/// QEMU does.
fn own(dir: BorrowedFd<'_>) -> Result<()> {
    let owners = DIR_MODE.bits();
    if sys::stat(dir)?.mode & owners == owners || identity::overrides_modes() {
        return Ok(());
    }
    // There is none left to hand down, at worst.
    let _ = sys::xattr_remove(XattrTarget::Named(dir), DEFAULT_ACL);
    sys::chmod(dir, DIR_MODE)
}

/// Removes the metadata of an entry, if there is any.
pub(super) fn remove((dir, name): At<'_>) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match sys::open_entry(dir.fd()?.as_fd(), own_name(DIR)?, flags, Mode::empty()) {
        Ok(dir) => match (Slot { dir, name }).remove() {
            Err(Errno::NOENT) => Ok(()),
            done => done,
        },
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// What a metadata file says that is open for reading.
pub(super) fn read(metadata: BorrowedFd<'_>) -> Result<Attributes> {
    let mut usual = [MaybeUninit::uninit(); TEXT_USUAL];
    match io::pread(metadata, &mut usual, 0) {
        Ok((text, [_, ..])) => Ok(text::parse(text)),
        Ok(_) => Ok(text::parse(&read_all(metadata)?)),
        // A directory, or whatever else lies there, says nothing.
        Err(Errno::ISDIR | Errno::SPIPE | Errno::INVAL | Errno::NXIO) => Ok(Attributes::default()),
        Err(_) => Err(Errno::IO),
    }
}

fn read_all(metadata: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let mut text = vec![0; TEXT_MAX];
    let mut len = 0;
    while len < TEXT_MAX {
        match io::pread(metadata, &mut text[len..], len as u64) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    text.truncate(len);
    Ok(text)
}

/// Changes a metadata file in place. At no moment is there less in it than the old or the new text:
/// it is written over in one call, with blank lines where the old text was longer, and cut then.
pub(super) fn rewrite(metadata: BorrowedFd<'_>, attributes: Attributes) -> Result<()> {
    let stat = sys::stat(metadata)?;
    match stat.file_type() {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR),
        _ => return Err(Errno::NXIO),
    }
    let file = sys::reopen(metadata, OFlags::RDWR | OFlags::NOCTTY)?;
    let old = read_all(file.as_fd())?;
    let mut text = text::print(attributes).into_bytes();
    let len = text.len() as u64;
    text.resize(text.len().max(old.len()), b'\n');
    let written = write_all(&file, &text).and_then(|()| match fs::ftruncate(&file, len) {
        // Blank lines say nothing; they may stay.
        Err(_) if stat.size <= TEXT_MAX as u64 => Ok(()),
        done => done,
    });
    if written.is_err() {
        // As it was, as far as the disk lets us: the old text needs no new room.
        let _ = write_all(&file, &old);
        let _ = fs::ftruncate(&file, stat.size);
    }
    written
}

fn write_all(file: &OwnedFd, text: &[u8]) -> Result<()> {
    let mut done = 0;
    while done < text.len() {
        match io::pwrite(file, &text[done..], done as u64) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether the directory has a hidden directory, which counts as one of its links.
pub(super) fn has_dir(dir: &Arc<Node>) -> Result<bool> {
    match sys::stat_entry(dir.fd()?.as_fd(), own_name(DIR)?) {
        Ok(stat) => Ok(stat.file_type() == FileType::Directory),
        Err(_) => Ok(false),
    }
}

/// Takes from a directory what keeps it from being removed although it is empty for every client:
/// the hidden directory with metadata that nothing has any more. Returns whether it was that.
pub(super) fn clear(at: At<'_>) -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let dir = sys::open_entry(at.0.fd()?.as_fd(), at.1, flags, Mode::empty())?;
    let mut own = Vec::new();
    for entry in Dir::read_from(&dir)? {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            DIR => own.push(DIR),
            ROOT => own.push(ROOT),
            _ => return Ok(false),
        }
    }
    if own.contains(&DIR) {
        match sys::open_entry(dir.as_fd(), own_name(DIR)?, flags, Mode::empty()) {
            Ok(hidden) => remove_files(&hidden)?,
            // No hidden directory, and not this server's to remove.
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        fs::unlinkat(&dir, DIR, AtFlags::REMOVEDIR)?;
    }
    if own.contains(&ROOT) {
        fs::unlinkat(&dir, ROOT, AtFlags::empty())?;
    }
    Ok(!own.is_empty())
}

fn remove_files(hidden: &OwnedFd) -> Result<()> {
    for entry in Dir::read_from(hidden)? {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            match fs::unlinkat(hidden, name, AtFlags::empty()) {
                // A directory there is the host's.
                Err(Errno::ISDIR) => return Err(Errno::NOTEMPTY),
                done => done?,
            }
        }
    }
    Ok(())
}

/// A metadata file without a name, for an object that has none any more.
pub(super) fn nameless(attributes: Attributes) -> Result<OwnedFd> {
    let file = fs::memfd_create("virtfs_metadata", fs::MemfdFlags::CLOEXEC)?;
    write_all(&file, text::print(attributes).as_bytes())?;
    Ok(file)
}

/// What the host says of an object, as attributes to keep.
pub(super) fn of_host(stat: &Stat) -> Attributes {
    Attributes {
        uid: Some(stat.uid),
        gid: Some(stat.gid),
        mode: Some(stat.mode),
        rdev: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_in_any_case() {
        for name in [
            ".virtfs_metadata",
            ".virtfs_metadata_root",
            ".VIRTFS_METADATA",
            ".Virtfs_Metadata_Root",
            ".virtf\u{17f}_metadata",
        ] {
            assert!(is_own(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "virtfs_metadata",
            ".virtfs_metadat",
            ".virtfs_metadata_",
            ".x",
        ] {
            assert!(!is_own(name.as_bytes()), "{name}");
        }
    }
}
