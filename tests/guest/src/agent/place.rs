//! Where the agent acts: a directory below the export, held open, and one name in it.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

const NO_ESCAPE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// The export.
pub(super) struct Root(OwnedFd);

/// A directory and a name in it; `.` for the export itself.
pub(super) struct Place {
    pub(super) directory: OwnedFd,
    pub(super) name: Vec<u8>,
}

impl Root {
    pub(super) fn open(path: &Path) -> rustix::io::Result<Self> {
        rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map(Self)
    }

    /// Paths may be longer than PATH_MAX, so they are walked name by name.
    pub(super) fn place(&self, path: &[u8]) -> rustix::io::Result<Place> {
        let mut names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let last = names
            .pop()
            .filter(|name| !name.is_empty() && *name != b"..")
            .ok_or(Errno::INVAL)?;
        let mut directory = self.0.try_clone().map_err(|_| Errno::MFILE)?;
        for name in names {
            directory = Self::step(&directory, name)?;
        }
        Ok(Place {
            directory,
            name: last.to_vec(),
        })
    }

    fn step(directory: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
        if name.is_empty() || name == b".." {
            return Err(Errno::INVAL);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(directory, name, flags, Mode::empty(), NO_ESCAPE)
    }
}

impl Place {
    /// Opens the named thing itself, never what a symlink points to.
    pub(super) fn open(&self, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let mode = if flags.contains(OFlags::CREATE) {
            0o644
        } else {
            0
        };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        rustix::fs::openat2(
            self.directory.as_fd(),
            &self.name[..],
            flags,
            Mode::from_raw_mode(mode),
            NO_ESCAPE,
        )
    }

    /// A path for the calls that take no directory descriptor.
    pub(super) fn path(&self) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", self.directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(&self.name);
        path
    }
}
