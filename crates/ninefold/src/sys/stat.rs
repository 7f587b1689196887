//! What the host says about an object: one statx(2).

use std::os::fd::BorrowedFd;

use ninefold_wire::Name;
use rustix::fs::{self, AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};

use super::Result;

/// Which object: device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The device number of the file system.
    pub dev: u64,
    /// The inode number.
    pub ino: u64,
}

/// A point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds of the epoch.
    pub sec: i64,
    /// Nanoseconds, below 10^9.
    pub nsec: u32,
}

/// An object's attributes.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Which object.
    pub id: FileId,
    /// `st_mode`, file type included.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number as the C library encodes it; the low 32 bits are Linux's own encoding.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Preferred I/O size, bytes.
    pub blksize: u32,
    /// Allocated, in units of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the attributes.
    pub ctime: Time,
    /// Creation, where the file system knows it.
    pub btime: Option<Time>,
}

impl Stat {
    /// What kind of object.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

/// The attributes of the object of a descriptor.
///
/// # Errors
/// The errno of statx(2).
pub fn stat(object: BorrowedFd<'_>) -> Result<Stat> {
    statx(object, b"", AtFlags::EMPTY_PATH)
}

/// The attributes of an entry of a directory; of a symbolic link, its own.
///
/// # Errors
/// The errno of statx(2).
pub fn stat_entry(dir: BorrowedFd<'_>, name: Name<'_>) -> Result<Stat> {
    statx(dir, name.bytes(), AtFlags::empty())
}

/// The same, of what the host remembers where it would have to ask a server on the network. Enough
/// for what never changes: device, number and type.
///
/// # Errors
/// The errno of statx(2).
pub fn identify_entry(dir: BorrowedFd<'_>, name: Name<'_>) -> Result<Stat> {
    statx(dir, name.bytes(), AtFlags::STATX_DONT_SYNC)
}

fn statx(fd: BorrowedFd<'_>, path: &[u8], flags: AtFlags) -> Result<Stat> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let flags = flags | AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    fs::statx(fd, path, flags, wanted).map(|raw| of_statx(&raw))
}

fn of_statx(raw: &Statx) -> Stat {
    let has_btime = StatxFlags::from_bits_retain(raw.stx_mask).contains(StatxFlags::BTIME);
    Stat {
        id: FileId {
            dev: fs::makedev(raw.stx_dev_major, raw.stx_dev_minor),
            ino: raw.stx_ino,
        },
        mode: raw.stx_mode.into(),
        nlink: raw.stx_nlink,
        uid: raw.stx_uid,
        gid: raw.stx_gid,
        rdev: fs::makedev(raw.stx_rdev_major, raw.stx_rdev_minor),
        size: raw.stx_size,
        blksize: raw.stx_blksize,
        blocks: raw.stx_blocks,
        atime: time(raw.stx_atime),
        mtime: time(raw.stx_mtime),
        ctime: time(raw.stx_ctime),
        btime: has_btime.then(|| time(raw.stx_btime)),
    }
}

fn time(raw: StatxTimestamp) -> Time {
    Time {
        sec: raw.tv_sec,
        nsec: raw.tv_nsec,
    }
}
