//! One file's locks towards the host: its programs, and other servers of the same tree.
//!
//! Between clients the table decides. For the host, a file with locks has one descriptor of its
//! own, the shadow, and that one's locks are the strongest that any client has at each byte. They
//! belong to the descriptor (`F_OFD_SETLK`), so that no other open or close of the file touches
//! them, and they go with it whatever happens to the server. For reading it is enough that the shadow
//! is open for reading: a file that is only looked at is not opened for writing, which a program of
//! the host might notice.
//!
//! An exclusive lock needs a descriptor that writes. Of a read-only export, of a file that the server
//! may not write and of a directory, the host's share of it is a shared lock.
//!
//! Linux's client sends a flock(2) as a lock of the whole file. So a lock asked for the whole file
//! is also taken as a flock(2) on the host, which works on every descriptor. Where the file system
//! makes locks of bytes out of flock(2) there is no need to, and giving back one would
//! give back the other.
//!
//! Where the host cannot lock, or does not let the file be opened, locks are between clients only.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, FlockOperation, OFlags};
use rustix::io::Errno;

use super::{LockKind, Range};
use crate::export::Node;
use crate::export::budget::{Descriptor, Keeper};
use crate::sys::{self, ForeignLock, Result};

/// File systems whose flock(2) is a lock of all bytes: NFS, SMB (three numbers), 9P, AFS (two).
const FLOCK_IS_BYTES: [u32; 7] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x0102_1997,
    0x5346_414f,
    0x6b41_4653,
];

/// How a file's locks are known to the host.
#[derive(Default)]
pub(super) enum HostLocks {
    /// No lock has been asked for.
    #[default]
    Unopened,
    /// They are not.
    Unknown,
    /// Through a descriptor.
    Open(Shadow),
}

/// A descriptor that holds nothing but locks.
pub(super) struct Shadow {
    fd: Arc<Descriptor>,
    /// The client who paid for it, being the first to lock the file.
    keeper: Arc<Keeper>,
    /// Whether it may hold exclusive locks of bytes.
    writes: bool,
    /// Whether one that may could be tried for.
    may_write: bool,
    /// Whether it ever held a lock of bytes.
    proven: bool,
    flocks: Flocks,
    flock: Option<LockKind>,
}

/// Whether flock(2) is something of its own on the file system.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flocks {
    NotAsked,
    Apart,
    Unused,
}

/// What a host says that cannot lock this file for us, and never will: the file system has no locks,
/// or another rule than its mode forbids it.
fn is_refusal(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::ACCESS | Errno::PERM
    )
}

/// The descriptor, or none when the host does not let the file be opened so, or cannot find it
/// without a name.
fn opened<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(fd) => Ok(Some(fd)),
        Err(
            Errno::ACCESS
            | Errno::PERM
            | Errno::ROFS
            | Errno::TXTBSY
            | Errno::NOENT
            | Errno::STALE
            | Errno::OPNOTSUPP,
        ) => Ok(None),
        Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Err(Errno::NOLCK),
        Err(errno) => Err(errno),
    }
}

/// Opens a file for its locks only. Nothing but regular files and directories is ever opened.
fn open_for_locks(object: &Descriptor, kind: FileType, flags: OFlags) -> Result<OwnedFd> {
    match kind {
        FileType::RegularFile => sys::reopen(object.as_fd(), flags | OFlags::NOCTTY),
        FileType::Directory => sys::open_directory(object.as_fd()),
        _ => Err(Errno::ACCESS),
    }
}

/// The lock of somebody on the host that would be in the way of such a one. None when the host
/// cannot tell.
pub(super) fn ask_host(
    node: &Arc<Node>,
    kind: LockKind,
    range: Range,
) -> Result<Option<ForeignLock>> {
    let Some(object) = opened(node.fd())? else {
        return Ok(None);
    };
    let fd = opened(open_for_locks(&object, node.file_type(), OFlags::RDONLY))?;
    Ok(fd.and_then(|fd| test(fd.as_fd(), kind, range)))
}

fn test(fd: BorrowedFd<'_>, kind: LockKind, range: Range) -> Option<ForeignLock> {
    sys::test_range(fd, kind, range.start, range.length()).unwrap_or(None)
}

impl HostLocks {
    /// Opens the shadow, if that has not been done.
    ///
    /// # Errors
    /// ENOLCK when the server has no descriptors left, else the errno of a host that failed.
    pub(super) fn open(&mut self, node: &Arc<Node>, kind: LockKind, may_write: bool) -> Result<()> {
        if !matches!(self, Self::Unopened) {
            return Ok(());
        }
        let Some(object) = opened(node.fd())? else {
            *self = Self::Unknown;
            return Ok(());
        };
        let open = |flags| {
            let open = || open_for_locks(&object, node.file_type(), flags);
            opened(node.keeper().open(open))
        };
        let may_write = may_write && node.file_type() == FileType::RegularFile;
        let mut writing = None;
        if may_write && kind == LockKind::Write {
            writing = open(OFlags::RDWR)?;
        }
        let writes = writing.is_some();
        let fd = match writing {
            None => open(OFlags::RDONLY)?,
            writing => writing,
        };
        *self = fd.map_or(Self::Unknown, |fd| {
            Self::Open(Shadow {
                fd,
                keeper: Arc::clone(node.keeper()),
                writes,
                may_write: may_write && kind == LockKind::Read,
                proven: false,
                flocks: Flocks::NotAsked,
                flock: None,
            })
        });
        Ok(())
    }

    /// Has all of a range locked so, which the table has found free. False when somebody on the
    /// host is in the way; then nothing has changed. `held` are the ranges of all locks.
    ///
    /// # Errors
    /// The errno of fcntl(2) when the host failed to do what it could do before.
    pub(super) fn lock(
        &mut self,
        kind: LockKind,
        range: Range,
        held: impl FnOnce() -> Vec<Range>,
    ) -> Result<bool> {
        let Self::Open(shadow) = self else {
            return Ok(true);
        };
        match shadow.lock(kind, range, held) {
            Err(errno) if !shadow.proven && is_refusal(errno) => {
                *self = Self::Unknown;
                Ok(true)
            }
            done => done,
        }
    }

    /// Gives back ranges that nobody has any more.
    pub(super) fn unlock(&self, freed: &[Range]) {
        let Self::Open(shadow) = self else {
            return;
        };
        for range in freed {
            let done = sys::lock_range(shadow.fd.as_fd(), None, range.start, range.length());
            if let Err(errno) = done {
                // All of it goes with the shadow, at the end of the file's last lock.
                tracing::warn!(%errno, "the host kept a lock that was given back");
            }
        }
    }

    /// Gives back what flock(2) holds beyond this, the strongest lock of the whole file.
    pub(super) fn weaken(&mut self, whole: impl FnOnce() -> Option<LockKind>) {
        match self {
            Self::Open(shadow) if shadow.flock.is_some() => shadow.flock_down(whole()),
            _ => {}
        }
    }

    /// As [`ask_host`], when there is a shadow. None when there is not.
    pub(super) fn test(&self, kind: LockKind, range: Range) -> Option<Option<ForeignLock>> {
        match self {
            Self::Unopened => None,
            Self::Unknown => Some(None),
            Self::Open(shadow) => Some(test(shadow.fd.as_fd(), kind, range)),
        }
    }
}

impl Shadow {
    fn lock(
        &mut self,
        kind: LockKind,
        range: Range,
        held: impl FnOnce() -> Vec<Range>,
    ) -> Result<bool> {
        if kind == LockKind::Write && self.may_write {
            self.reopen(held())?;
            self.may_write = false;
        }
        let before = self.flock;
        if range == Range::WHOLE && !self.flock_up(kind) {
            return Ok(false);
        }
        let kind = if self.writes { kind } else { LockKind::Read };
        // One call sets all of it, because nobody else has another lock there: two have the same
        // byte only to read, and then this is to read as well.
        match sys::lock_range(self.fd.as_fd(), Some(kind), range.start, range.length()) {
            Ok(()) => {
                self.proven = true;
                Ok(true)
            }
            Err(errno) => {
                // What has just been taken; a weaker lock can always be had.
                self.flock_down(before);
                if errno == Errno::AGAIN {
                    Ok(false)
                } else {
                    Err(errno)
                }
            }
        }
    }

    /// Moves all locks to a descriptor that writes, if the host permits. There are none yet but shared
    /// ones, so that both can have them for a moment.
    fn reopen(&mut self, held: Vec<Range>) -> Result<()> {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let open = || sys::reopen(self.fd.as_fd(), flags);
        let Some(fd) = opened(self.keeper.open(open))? else {
            return Ok(());
        };
        for range in super::range::union(held) {
            let kind = Some(LockKind::Read);
            sys::lock_range(fd.as_fd(), kind, range.start, range.length())?;
        }
        if let Some(kind) = self.flock {
            flock(&fd, kind)?;
        }
        self.fd = fd;
        self.writes = true;
        Ok(())
    }

    fn has_flocks(&mut self) -> bool {
        if self.flocks == Flocks::NotAsked {
            let figures = rustix::fs::fstatfs(&self.fd);
            let is_bytes = figures.is_ok_and(|figures| {
                // The kernel's number has 32 bits, whatever type the C library gives it.
                let magic = u32::try_from(figures.f_type & 0xffff_ffff);
                magic.is_ok_and(|magic| FLOCK_IS_BYTES.contains(&magic))
            });
            self.flocks = if is_bytes {
                Flocks::Unused
            } else {
                Flocks::Apart
            };
        }
        self.flocks == Flocks::Apart
    }

    /// Makes the flock(2) at least this strong. False when somebody is in the way.
    fn flock_up(&mut self, kind: LockKind) -> bool {
        if self.flock >= Some(kind) || !self.has_flocks() {
            return true;
        }
        match flock(&self.fd, kind) {
            Ok(()) => {
                self.flock = Some(kind);
                true
            }
            Err(Errno::AGAIN) => {
                // A conversion that fails has given up what was held (flock(2)). It failed because
                // others share it, so that it can be had again, unless they all left just now and
                // somebody came who does not share. Then the lock of bytes is all there is.
                self.flock = self.flock.filter(|kind| flock(&self.fd, *kind).is_ok());
                false
            }
            Err(_) => {
                self.flocks = Flocks::Unused;
                self.flock = None;
                true
            }
        }
    }

    /// Makes the flock(2) no stronger than this.
    fn flock_down(&mut self, most: Option<LockKind>) {
        if self.flock <= most {
            return;
        }
        let done = match most {
            Some(kind) => flock(&self.fd, kind),
            None => rustix::fs::flock(&self.fd, FlockOperation::Unlock),
        };
        if done.is_ok() {
            self.flock = most;
        }
    }
}

fn flock(fd: &Descriptor, kind: LockKind) -> Result<()> {
    let operation = match kind {
        LockKind::Read => FlockOperation::NonBlockingLockShared,
        LockKind::Write => FlockOperation::NonBlockingLockExclusive,
    };
    rustix::fs::flock(fd, operation)
}
