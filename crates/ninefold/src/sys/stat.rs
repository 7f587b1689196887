//! What the host says about an object: one statx(2).

use std::os::fd::BorrowedFd;

use ninefold_wire::Name;
use rustix::fs::{self, AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};
use rustix::path::Arg;
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::{Result, interruptible};

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
    /// The mount that it was reached on, where the host tells (Linux 5.8). The number of a mount
    /// that is gone can be given again.
    pub mount: Option<u64>,
    /// The last change is so recent that the next one may have the same times.
    pub fresh: bool,
    /// The last change is so long ago that whoever made it is done: a write sets the times before it
    /// copies its data, and may have to wait between the two.
    pub rested: bool,
}

/// Two changes this close together can have one time: it is that of the last tick of the clock, of
/// which there are at least 100 a second.
const TICK: i64 = 10_000_000;
/// The same where the file system keeps seconds, and FAT every other one.
const SECONDS: i64 = 2_000_000_000;
/// No write waits that long before it copies, unless its disk hangs: in between it only enters a
/// journal.
const REST: i64 = 2_000_000_000;

/// Seconds beyond which it does not matter how many there are.
const FAR: i64 = 1000;

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
    statx(object, c"", AtFlags::EMPTY_PATH)
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

fn statx(fd: BorrowedFd<'_>, path: impl Arg + Copy, flags: AtFlags) -> Result<Stat> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
    let flags = flags | AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    // The clock that times changes; before the call, or a change could come between.
    let now = clock_gettime(ClockId::RealtimeCoarse);
    interruptible(|| Ok(of_statx(&fs::statx(fd, path, flags, wanted)?, now)))
}

/// Nanoseconds since then; fewer than none when that is to come. What is far away is all the same.
fn age(time: Time, now: Timespec) -> i64 {
    let seconds = now.tv_sec.saturating_sub(time.sec);
    seconds.clamp(-FAR, FAR) * 1_000_000_000 + now.tv_nsec - i64::from(time.nsec)
}

/// Whether a change now may have this time. One in the future, as after a clock was set back, is far
/// from now, too.
fn is_fresh(time: Time, now: Timespec) -> bool {
    let unit = if time.nsec == 0 { SECONDS } else { TICK };
    age(time, now).unsigned_abs() <= unit.unsigned_abs()
}

fn of_statx(raw: &Statx, now: Timespec) -> Stat {
    let has = |part| StatxFlags::from_bits_retain(raw.stx_mask).contains(part);
    let (mtime, ctime) = (time(raw.stx_mtime), time(raw.stx_ctime));
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
        mtime,
        ctime,
        btime: has(StatxFlags::BTIME).then(|| time(raw.stx_btime)),
        mount: has(StatxFlags::MNT_ID).then_some(raw.stx_mnt_id),
        fresh: is_fresh(mtime, now) || is_fresh(ctime, now),
        rested: age(ctime, now) > REST,
    }
}

fn time(raw: StatxTimestamp) -> Time {
    Time {
        sec: raw.tv_sec,
        nsec: raw.tv_nsec,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_come_has_no_age() {
        let now = Timespec {
            tv_sec: 1000,
            tv_nsec: 5,
        };
        let age = |sec, nsec| age(Time { sec, nsec }, now);
        assert_eq!(age(998, 4), 2_000_000_001);
        assert_eq!(age(1000, 6), -1);
        assert!(age(5000, 0) < REST);
    }

    #[test]
    fn what_is_near_is_fresh() {
        let now = Timespec {
            tv_sec: 1000,
            tv_nsec: 1_000_000,
        };
        let fresh = |sec, nsec| is_fresh(Time { sec, nsec }, now);
        assert!(fresh(1000, 1_000_000), "this tick");
        assert!(fresh(999, 992_000_000), "the last one");
        assert!(fresh(1000, 3_000_000), "on another processor");
        assert!(!fresh(999, 990_000_000), "long ago");
        assert!(!fresh(1000, 900_000_000), "in the future");
        assert!(!fresh(5000, 1), "far in the future");
        // A file system without nanoseconds.
        assert!(fresh(999, 0) && fresh(1000, 0));
        assert!(!fresh(997, 0) && !fresh(1003, 0));
    }
}
