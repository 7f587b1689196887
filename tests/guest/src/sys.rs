//! System calls that rustix does not wrap, and the types that name their arguments.

#![expect(
    unsafe_code,
    reason = "fcntl locks, signals, credentials, clocks of processes and mappings have no safe wrapper"
)]

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// Whose lock it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// fcntl, of the process
    Posix,
    /// fcntl, of the open file
    Ofd,
    /// flock, of the open file and of the whole of it
    Flock,
}

/// What kind of lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Unlock,
}

/// Which bytes; length 0 reaches to the end of any file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from_end: bool,
    pub(crate) start: i64,
    pub(crate) length: i64,
}

/// A lock that another one found in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) kind: Kind,
    pub(crate) start: i64,
    pub(crate) length: i64,
    pub(crate) pid: i32,
}

impl Space {
    pub(crate) fn parse(word: &[u8]) -> Option<Self> {
        [Self::Posix, Self::Ofd, Self::Flock]
            .into_iter()
            .find(|space| space.word().as_bytes() == word)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Posix => "posix",
            Self::Ofd => "ofd",
            Self::Flock => "flock",
        }
    }
}

impl Kind {
    pub(crate) fn parse(word: &[u8]) -> Option<Self> {
        [Self::Read, Self::Write, Self::Unlock]
            .into_iter()
            .find(|kind| kind.word().as_bytes() == word)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Unlock => "unlock",
        }
    }

    fn raw(self) -> i16 {
        let raw = match self {
            Self::Read => libc::F_RDLCK,
            Self::Write => libc::F_WRLCK,
            Self::Unlock => libc::F_UNLCK,
        };
        i16::try_from(raw).unwrap_or_default()
    }
}

impl Range {
    pub(crate) const WHOLE: Self = Self::new(0, 0);

    pub(crate) const fn new(start: i64, length: i64) -> Self {
        Self {
            from_end: false,
            start,
            length,
        }
    }

    pub(crate) const fn before_end(bytes: i64, length: i64) -> Self {
        Self {
            from_end: true,
            start: -bytes,
            length,
        }
    }

    fn raw(self, kind: Kind) -> libc::flock {
        let whence = if self.from_end {
            libc::SEEK_END
        } else {
            libc::SEEK_SET
        };
        libc::flock {
            l_type: kind.raw(),
            l_whence: i16::try_from(whence).unwrap_or_default(),
            l_start: self.start,
            l_len: self.length,
            l_pid: 0,
        }
    }
}

/// Takes, changes or releases a lock, waiting for it if told to.
pub(crate) fn lock(
    fd: impl AsFd,
    space: Space,
    kind: Kind,
    range: Range,
    wait: bool,
) -> Result<(), Errno> {
    let command = match (space, wait) {
        (Space::Flock, _) => return rustix::fs::flock(fd, flock_operation(kind, wait)),
        (Space::Posix, false) => libc::F_SETLK,
        (Space::Posix, true) => libc::F_SETLKW,
        (Space::Ofd, false) => libc::F_OFD_SETLK,
        (Space::Ofd, true) => libc::F_OFD_SETLKW,
    };
    let raw = range.raw(kind);
    // SAFETY: the descriptor is borrowed for the call and `raw` is a valid, initialised flock.
    let result = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), command, &raw const raw) };
    if result == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn flock_operation(kind: Kind, wait: bool) -> FlockOperation {
    match (kind, wait) {
        (Kind::Read, true) => FlockOperation::LockShared,
        (Kind::Read, false) => FlockOperation::NonBlockingLockShared,
        (Kind::Write, true) => FlockOperation::LockExclusive,
        (Kind::Write, false) => FlockOperation::NonBlockingLockExclusive,
        (Kind::Unlock, true) => FlockOperation::Unlock,
        (Kind::Unlock, false) => FlockOperation::NonBlockingUnlock,
    }
}

/// The first lock that such a lock would meet.
pub(crate) fn lock_in_the_way(
    fd: impl AsFd,
    space: Space,
    kind: Kind,
    range: Range,
) -> Result<Option<Conflict>, Errno> {
    let command = match space {
        Space::Posix => libc::F_GETLK,
        Space::Ofd => libc::F_OFD_GETLK,
        Space::Flock => return Err(Errno::INVAL),
    };
    let mut raw = range.raw(kind);
    // SAFETY: the descriptor is borrowed for the call and `raw` is a valid flock that the kernel may change.
    let result = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), command, &raw mut raw) };
    if result != 0 {
        return Err(last_errno());
    }
    let kind = [Kind::Read, Kind::Write]
        .into_iter()
        .find(|kind| kind.raw() == raw.l_type);
    Ok(kind.map(|kind| Conflict {
        kind,
        start: raw.l_start,
        length: raw.l_len,
        pid: raw.l_pid,
    }))
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// SIGALRM in so many seconds, with a handler that does nothing and restarts nothing.
pub(crate) fn alarm_after(seconds: u32) -> Result<(), Errno> {
    // SAFETY: a zeroed sigaction is a valid one (empty mask, no flags), the handler touches nothing, and
    // both structures outlive the calls.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        if libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) != 0 {
            return Err(last_errno());
        }
        libc::alarm(seconds);
    }
    Ok(())
}

/// Gives up root for good: supplementary groups, group and user.
pub(crate) fn become_user(uid: u32, gid: u32) -> Result<(), Errno> {
    // SAFETY: these calls take numbers only; glibc applies them to every thread.
    let results = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setresgid(gid, gid, gid),
            libc::setresuid(uid, uid, uid),
        ]
    };
    if results == [0; 3] {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// A private, read-only mapping's content.
pub(crate) fn read_mapped(fd: impl AsFd, length: usize) -> Result<Vec<u8>, Errno> {
    use rustix::mm::MapFlags;
    use rustix::mm::ProtFlags;
    // SAFETY: a new mapping of `length` bytes is made where the kernel likes, copied from while it exists,
    // and removed once. The files mapped here are at least `length` bytes long and do not shrink meanwhile.
    unsafe {
        let start = rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            ProtFlags::READ,
            MapFlags::PRIVATE,
            fd,
            0,
        )?;
        let content = std::slice::from_raw_parts(start.cast::<u8>(), length).to_vec();
        rustix::mm::munmap(start, length)?;
        Ok(content)
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Takes over an open file that was inherited by its number.
pub(crate) fn adopt(number: i32) -> std::os::fd::OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: whoever started this process opened the number for it, and nothing else here knows it.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(number) }
}

/// What `getxattr` says when asked for the size only.
pub(crate) fn xattr_size(path: &Path, name: &str) -> Result<usize, Errno> {
    let (path, name) = (
        c_string(path.as_os_str().as_bytes())?,
        c_string(name.as_bytes())?,
    );
    // SAFETY: both strings end in NUL and outlive the call; with size 0 the kernel writes nothing.
    let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
    usize::try_from(length).map_err(|_| last_errno())
}

/// What `listxattr` says when asked for the size only.
pub(crate) fn xattr_list_size(path: &Path) -> Result<usize, Errno> {
    let path = c_string(path.as_os_str().as_bytes())?;
    // SAFETY: the string ends in NUL and outlives the call; with size 0 the kernel writes nothing.
    let length = unsafe { libc::llistxattr(path.as_ptr(), std::ptr::null_mut(), 0) };
    usize::try_from(length).map_err(|_| last_errno())
}

fn c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::INVAL)
}

/// Writes through a shared mapping of the file's first pages.
pub(crate) fn write_mapped(fd: impl AsFd, at: usize, data: &[u8]) -> Result<(), Errno> {
    use rustix::mm::MapFlags;
    use rustix::mm::ProtFlags;
    let length = at + data.len();
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping of `length` bytes is made where the kernel likes, copied to within its bounds
    // while it exists, and removed once. The files mapped here are at least that long.
    unsafe {
        let start = rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            access,
            MapFlags::SHARED,
            fd,
            0,
        )?;
        std::ptr::copy_nonoverlapping(data.as_ptr(), start.cast::<u8>().add(at), data.len());
        rustix::mm::munmap(start, length)
    }
}

/// Nanoseconds of processor time of a process with all threads it ever had.
pub(crate) fn process_cputime(process: i32) -> Result<u64, Errno> {
    let mut clock = 0;
    // SAFETY: the kernel's answer goes into `clock`, which outlives the call.
    let error = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if error != 0 {
        return Err(Errno::from_raw_os_error(error));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel's answer goes into `time`, which outlives the call.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(last_errno());
    }
    let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(u64::try_from);
    let seconds = seconds.map_err(|_| Errno::OVERFLOW)?;
    Ok(seconds * 1_000_000_000 + nanoseconds.map_err(|_| Errno::OVERFLOW)?)
}
