//! The system calls that the server makes on files, each a few lines.
//!
//! Everything works on descriptors: of a directory plus one [`Name`], or of the object itself.
//! Nothing here decides anything about ownership, sessions or messages. The only module of this
//! crate with `unsafe` code, for the calls that rustix does not have.

mod handle;
pub(crate) mod identity;
pub(crate) mod interrupt;
mod limits;
mod lock;
mod memory;
mod pipe;
mod socket;
mod stat;
mod switches;
mod users;
mod writeout;
mod xattr;
mod xattrat;

pub use handle::{FileHandle, generation};
pub use identity::act_as_server;
pub use interrupt::{block_sigpipe, interruptible};
pub use limits::{descriptor_limit, raise_descriptor_limit};
pub use lock::{ForeignLock, LockKind, lock_range, test_range};
pub use memory::{Memory, Source, Target};
pub use pipe::Pipe;
pub use socket::{inherited_descriptor, peer_uid};
pub use stat::{FileId, Stat, Time, identify_entry, stat, stat_entry};
pub use switches::{Spent, Switches};
pub use users::{groups_of, uid_of};
pub use writeout::start_writeout;
pub use xattr::{XattrTarget, xattr_get, xattr_list, xattr_remove, xattr_set};

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ninefold_wire::Name;
use rustix::fs::{self, Access, AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::path::DecInt;

/// Result of a call on the host: the error is the kernel's number.
pub type Result<T> = std::result::Result<T, Errno>;

/// How one component is resolved: below the directory, through no link of any kind.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// `/proc/self/fd`, through which a descriptor that only names an object (`O_PATH`) is opened.
static PROC_FDS: OnceLock<OwnedFd> = OnceLock::new();

/// Opens `/proc/self/fd` once for the life of the process.
///
/// # Errors
/// The errno of the open: without a mounted `/proc` no file can be opened by its descriptor.
pub fn open_proc() -> Result<()> {
    if PROC_FDS.get().is_none() {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open("/proc/self/fd", flags, Mode::empty())?;
        // Two exports opened at once may both get here; either descriptor serves.
        let _ = PROC_FDS.set(fd);
    }
    Ok(())
}

fn proc_fds() -> Result<BorrowedFd<'static>> {
    PROC_FDS.get().map(AsFd::as_fd).ok_or(Errno::NOENT)
}

/// Opens one component below `dir`. Used with `O_PATH` to name an object and with
/// `O_CREAT|O_EXCL` to make a file. A symbolic link is never followed.
///
/// # Errors
/// The errno of openat2(2), or of openat(2) on kernels before 5.6.
pub fn open_entry(
    dir: BorrowedFd<'_>,
    name: Name<'_>,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd> {
    static NO_OPENAT2: AtomicBool = AtomicBool::new(false);
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || {
        if !NO_OPENAT2.load(Ordering::Relaxed) {
            match fs::openat2(dir, name.bytes(), flags, mode, RESOLVE) {
                Err(Errno::NOSYS) => NO_OPENAT2.store(true, Ordering::Relaxed),
                done => return done,
            }
        }
        // A checked name is one component, so that O_NOFOLLOW alone keeps it below `dir`.
        fs::openat(dir, name.bytes(), flags, mode)
    };
    if flags.contains(OFlags::CREATE) {
        // Where it fails so, a file may have been made.
        open()
    } else {
        interruptible(open)
    }
}

/// Opens the entry `name` of the directory `sub`, which is an entry of `dir`, in one call.
///
/// # Errors
/// As [`open_entry`].
pub fn open_entry_in(
    dir: BorrowedFd<'_>,
    sub: Name<'_>,
    name: Name<'_>,
    flags: OFlags,
) -> Result<OwnedFd> {
    let path = [sub.bytes(), b"/", name.bytes()].concat();
    let wanted = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match interruptible(|| fs::openat2(dir, &path[..], wanted, Mode::empty(), RESOLVE)) {
        Err(Errno::NOSYS) => {}
        done => return done,
    }
    let way = OFlags::PATH | OFlags::DIRECTORY;
    let sub = open_entry(dir, sub, way, Mode::empty())?;
    open_entry(sub.as_fd(), name, flags, Mode::empty())
}

/// A descriptor of the parent of the directory `dir`, which names it and no more.
///
/// # Errors
/// The errno of openat(2).
pub fn open_parent(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    interruptible(|| fs::openat(dir, "..", flags, Mode::empty()))
}

/// Opens the very object of a descriptor anew, with other flags.
///
/// # Errors
/// The errno of openat(2). The caller has made sure that it is a regular file or a directory:
/// opening a FIFO could wait, opening a device could do anything.
pub fn reopen(object: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd> {
    let (proc_fds, flags) = (proc_fds()?, flags | OFlags::CLOEXEC);
    // Somebody may have a lease on the file.
    interruptible(|| fs::openat(proc_fds, DecInt::from_fd(object), flags, Mode::empty()))
}

/// Whether this process may open the very object of a descriptor in such a way.
#[must_use]
pub fn may_access(object: BorrowedFd<'_>, access: Access) -> bool {
    let allowed = proc_fds()
        .and_then(|fds| fs::accessat(fds, DecInt::from_fd(object), access, AtFlags::empty()));
    allowed.is_ok()
}

/// Opens a directory for reading its entries.
///
/// # Errors
/// The errno of openat(2).
pub fn open_directory(dir: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match interruptible(|| fs::openat(dir, ".", flags, Mode::empty())) {
        // To read it one need not be allowed to search it, as this way needs.
        Err(Errno::ACCESS) => reopen(dir, flags),
        done => done,
    }
}

/// Where the object of a descriptor is now, as the host's path. Only a hint: whoever uses it
/// resolves it again below the export and compares the objects.
///
/// # Errors
/// The errno of readlinkat(2).
pub fn path_hint(object: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let path = fs::readlinkat(proc_fds()?, DecInt::from_fd(object), Vec::new())?;
    Ok(path.into_bytes())
}

/// Sets the permission bits of an object that is not a symbolic link.
///
/// # Errors
/// The errno of fchmodat2(2), or before Linux 6.6 of chmod(2) through `/proc`.
pub fn chmod(object: BorrowedFd<'_>, mode: Mode) -> Result<()> {
    static NO_FCHMODAT2: AtomicBool = AtomicBool::new(false);
    if !NO_FCHMODAT2.load(Ordering::Relaxed) {
        match fchmodat2(object, mode) {
            Err(Errno::NOSYS) => NO_FCHMODAT2.store(true, Ordering::Relaxed),
            done => return done,
        }
    }
    fs::chmodat(proc_fds()?, DecInt::from_fd(object), mode, AtFlags::empty())
}

fn fchmodat2(object: BorrowedFd<'_>, mode: Mode) -> Result<()> {
    let (fd, mode) = (object.as_raw_fd(), mode.as_raw_mode());
    // SAFETY: the path is a NUL-terminated constant, the descriptor is borrowed for the call.
    let status = unsafe {
        libc::syscall(
            libc::SYS_fchmodat2,
            fd,
            c"".as_ptr(),
            mode,
            libc::AT_EMPTY_PATH,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

/// Changes owner or group of the object itself; none of both is "leave".
///
/// # Errors
/// The errno of fchownat(2).
pub fn chown(object: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    fs::chownat(
        object,
        "",
        uid.map(Uid::from_raw),
        gid.map(Gid::from_raw),
        flags,
    )
}

/// Gives the object one more name.
///
/// # Errors
/// The errno of linkat(2).
pub fn link(object: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: Name<'_>) -> Result<()> {
    match fs::linkat(object, "", dir, name.bytes(), AtFlags::EMPTY_PATH) {
        // Before Linux 6.10 this form needs CAP_DAC_READ_SEARCH and fails so without it.
        Err(Errno::NOENT) => {
            let from = DecInt::from_fd(object);
            fs::linkat(
                proc_fds()?,
                from,
                dir,
                name.bytes(),
                AtFlags::SYMLINK_FOLLOW,
            )
        }
        done => done,
    }
}

/// The error of the last raw call.
fn last_errno() -> Errno {
    let raw = std::io::Error::last_os_error().raw_os_error();
    raw.map_or(Errno::IO, Errno::from_raw_os_error)
}
