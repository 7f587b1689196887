//! An open file or directory whose descriptor may be given back for a time.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError, Weak};

use rustix::fs::{Access, OFlags};
use rustix::io::Errno;

use super::Node;
use super::budget::{Descriptor, Offer, Parkable, Parked};
use super::object::Object;
use crate::locked;
use crate::sys::{self, Result, identity};

/// Flags that belong to the first opening alone: a file that is opened once more must never be
/// emptied or made by it.
const ONCE: OFlags = OFlags::TRUNC.union(OFlags::CREATE).union(OFlags::EXCL);

/// An object open in some way.
pub(super) struct Opened {
    node: Arc<Node>,
    flags: OFlags,
    /// Whether it can be opened once more whatever becomes of its mode.
    reopens: bool,
    held: Mutex<Held>,
    used: AtomicBool,
    offered: AtomicBool,
}

struct Held {
    fd: Option<Arc<Descriptor>>,
    /// How often it has been opened.
    times: u64,
}

impl Opened {
    pub(super) fn new(
        node: &Arc<Node>,
        fd: Arc<Descriptor>,
        flags: OFlags,
        reopens: bool,
    ) -> Arc<Self> {
        let opened = Arc::new(Self {
            node: Arc::clone(node),
            flags: flags - ONCE,
            reopens,
            held: Mutex::new(Held {
                fd: Some(fd),
                times: 0,
            }),
            used: AtomicBool::new(false),
            offered: AtomicBool::new(false),
        });
        opened.offer();
        opened
    }

    /// From now on it may be asked to do without a descriptor, if anybody is.
    pub(super) fn offer(self: &Arc<Self>) {
        if !self.node.keeper().wants_offers() {
            return;
        }
        if !self.offered.load(Ordering::Relaxed) && !self.offered.swap(true, Ordering::Relaxed) {
            let holds = Arc::downgrade(self);
            self.node.keeper().offer(Offer::OfLiving(holds));
        }
    }

    /// The open descriptor, and how often the object was opened until now: a position in it is of
    /// no use after another opening.
    ///
    /// # Errors
    /// When it was given back: those of [`Node::fd`] and of openat(2).
    pub(super) fn fd(self: &Arc<Self>) -> Result<(Arc<Descriptor>, u64)> {
        self.used.store(true, Ordering::Relaxed);
        let mut held = locked(&self.held);
        if held.fd.is_none() {
            let object = self.node.fd()?;
            // Whoever could open it may have it open again.
            let open = || self.reopen(&object);
            let fd = identity::as_server(|| self.node.keeper().open(open))?;
            held.fd = Some(fd);
            held.times += 1;
        }
        let fd = held.fd.clone().ok_or(Errno::BADF)?;
        let times = held.times;
        drop(held);
        self.offer();
        Ok((fd, times))
    }

    fn reopen(&self, object: &Descriptor) -> Result<OwnedFd> {
        match sys::reopen(object.as_fd(), self.flags) {
            Err(Errno::PERM) if self.flags.contains(OFlags::NOATIME) => {
                sys::reopen(object.as_fd(), self.flags - OFlags::NOATIME)
            }
            opened => opened,
        }
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether the host would let this server open the object in the same way now.
    fn may_reopen(&self, fd: &Descriptor) -> bool {
        let mut access = Access::empty();
        access.set(Access::READ_OK, !self.flags.contains(OFlags::WRONLY));
        access.set(
            Access::WRITE_OK,
            self.flags.intersects(OFlags::WRONLY | OFlags::RDWR),
        );
        sys::stat(fd.as_fd()).is_ok_and(|stat| stat.nlink > 0)
            && sys::may_access(fd.as_fd(), access)
    }
}

/// A change of an object's mode, after which the host might not let its open files be opened again:
/// for its time they are open, and stay so.
pub(super) struct ModeChange {
    object: Arc<Object>,
    held: Vec<Arc<Descriptor>>,
}

impl ModeChange {
    /// Opens again what is closed.
    ///
    /// # Errors
    /// As [`Opened::fd`]; the mode must not change then.
    pub(super) fn begin(object: &Arc<Object>) -> Result<Self> {
        let closed = object.begin_mode_change();
        let files = closed.iter().filter_map(Weak::upgrade);
        let held: Result<Vec<_>> = files.map(|file| file.fd().map(|(fd, _)| fd)).collect();
        match held {
            Ok(held) => Ok(Self {
                object: Arc::clone(object),
                held,
            }),
            Err(errno) => {
                object.end_mode_change(false);
                Err(errno)
            }
        }
    }
}

impl Drop for ModeChange {
    fn drop(&mut self) {
        self.object.end_mode_change(true);
        self.held.clear();
    }
}

impl Parkable for Opened {
    fn park(self: Arc<Self>) -> Parked {
        if self.used.swap(false, Ordering::Relaxed) {
            return Parked::Later;
        }
        let mut held = match self.held.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return Parked::Later,
        };
        let Some(fd) = &held.fd else {
            self.offered.store(false, Ordering::Relaxed);
            return Parked::Already;
        };
        if Arc::strong_count(fd) > 1 {
            return Parked::Later;
        }
        if !self.reopens && !self.node.note_closing(Arc::downgrade(&self)) {
            return Parked::Later;
        }
        self.offered.store(false, Ordering::Relaxed);
        if !self.may_reopen(fd) {
            return Parked::Never;
        }
        let before = held.fd.take();
        drop(held);
        drop(before);
        Parked::Yes
    }
}
