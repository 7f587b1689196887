//! The objects of a tree that clients know, each once, and how one without a descriptor is found
//! again.

mod metadata;
mod table;

pub(super) use metadata::{Metadata, MetadataFile, READ};
pub(super) use table::Objects;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, TryLockError, Weak};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::Place;
use super::budget::{Descriptor, Parkable, Parked};
use super::opened::Opened;
use crate::locked;
use crate::sys::{self, FileHandle, FileId, Result, Stat};

/// An inode that clients know. It is shared by all nodes that are it.
pub(super) struct Object {
    id: FileId,
    file_type: FileType,
    /// Used since it was last asked to give its descriptor back.
    used: AtomicBool,
    /// Whether one of its nodes is among those that will be asked.
    offered: AtomicBool,
    /// Whether the object itself is, because such a node is gone.
    orphaned: AtomicBool,
    /// How many nodes are this object. Changed with the lock of its shard held.
    nodes: AtomicU32,
    /// It may have `extra`. Said with the lock of `state` held.
    has_extra: AtomicBool,
    /// It may have the descriptor of an open file. Said with the lock of `state` held.
    is_lent: AtomicBool,
    state: Mutex<State>,
}

struct State {
    way: Way,
    /// Unknown at first; then what the host said, which may be that there is none.
    generation: Option<Option<u32>>,
    /// What few objects have.
    extra: Option<Box<Extra>>,
}

#[derive(Default)]
struct Extra {
    /// Where it was moved to by a client.
    moved: Option<Place>,
    /// The file that holds its attributes.
    metadata: Option<Metadata>,
    /// Open files that were closed for a time, of which a change of mode would make an end.
    closed: Vec<Weak<Opened>>,
    /// Changes of mode under way.
    mode_changes: usize,
}

/// How to get at the object.
#[derive(Clone)]
enum Way {
    /// By a descriptor that names it (`O_PATH`).
    Held(Arc<Descriptor>),
    /// By the descriptor of an open file, which must not outlive the file.
    Lent(Arc<Descriptor>),
    /// By its file handle.
    Handle(FileHandle),
    /// By its name. The number tells it from others that came to have the name, or the inode
    /// number, since.
    Name(u64),
}

/// How an object that has given its descriptor back can be found.
pub(super) enum Lost {
    /// It was not given back.
    No(Arc<Descriptor>),
    /// By this handle.
    Handle(FileHandle),
    /// By its name.
    Name,
}

impl Object {
    fn new(stat: &Stat, way: Way) -> Arc<Self> {
        Arc::new(Self {
            id: stat.id,
            file_type: stat.file_type(),
            used: AtomicBool::new(false),
            offered: AtomicBool::new(false),
            orphaned: AtomicBool::new(false),
            nodes: AtomicU32::new(1),
            has_extra: AtomicBool::new(false),
            is_lent: AtomicBool::new(matches!(way, Way::Lent(_))),
            state: Mutex::new(State {
                way,
                generation: None,
                extra: None,
            }),
        })
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn file_type(&self) -> FileType {
        self.file_type
    }

    /// One more node. The caller holds the lock of its shard; returns how many there were.
    fn add_node(&self) -> u32 {
        let before = self.nodes.load(Ordering::Relaxed);
        self.nodes.store(before + 1, Ordering::Relaxed);
        before
    }

    /// One node less. The caller holds the lock of its shard; returns how many are left.
    fn remove_node(&self) -> u32 {
        let left = self.nodes.load(Ordering::Relaxed) - 1;
        self.nodes.store(left, Ordering::Relaxed);
        left
    }

    /// Its state, to add to what few objects have.
    fn with_extra<T>(&self, change: impl FnOnce(&mut Extra) -> T) -> T {
        let mut state = locked(&self.state);
        self.has_extra.store(true, Ordering::Release);
        change(state.extra.get_or_insert_default())
    }

    /// What few objects have, which it has no longer.
    fn take_extra(&self) -> Option<Box<Extra>> {
        if !self.has_extra.load(Ordering::Acquire) {
            return None;
        }
        let mut state = locked(&self.state);
        self.has_extra.store(false, Ordering::Release);
        state.extra.take()
    }

    /// How many nodes it has.
    pub(super) fn nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed)
    }

    /// Whether it has more than one node.
    pub(super) fn is_shared(&self) -> bool {
        self.nodes() > 1
    }

    /// Its descriptor, if there is one, to be used now.
    #[inline]
    pub(super) fn use_held(&self) -> Option<Arc<Descriptor>> {
        self.used.store(true, Ordering::Relaxed);
        self.held()
    }

    /// Its descriptor, or how to find it.
    pub(super) fn look(&self) -> Lost {
        self.used.store(true, Ordering::Relaxed);
        match &locked(&self.state).way {
            Way::Held(fd) | Way::Lent(fd) => Lost::No(Arc::clone(fd)),
            Way::Handle(handle) => Lost::Handle(handle.clone()),
            Way::Name(_) => Lost::Name,
        }
    }

    /// Its descriptor, if there is one and nobody is about to change that. Never waits.
    pub(super) fn held_now(&self) -> Option<Arc<Descriptor>> {
        match &self.state.try_lock().ok()?.way {
            Way::Held(fd) | Way::Lent(fd) => Some(Arc::clone(fd)),
            Way::Handle(_) | Way::Name(_) => None,
        }
    }

    /// Its descriptor, if there is one. No use of it.
    #[inline]
    pub(super) fn held(&self) -> Option<Arc<Descriptor>> {
        match &locked(&self.state).way {
            Way::Held(fd) | Way::Lent(fd) => Some(Arc::clone(fd)),
            Way::Handle(_) | Way::Name(_) => None,
        }
    }

    /// The descriptor of the open file that it is made with.
    pub(super) fn lent(&self) -> Option<Arc<Descriptor>> {
        if !self.is_lent.load(Ordering::Acquire) {
            return None;
        }
        match &locked(&self.state).way {
            Way::Lent(fd) => Some(Arc::clone(fd)),
            _ => None,
        }
    }

    /// Holds `fd` from now on, unless another was quicker. Returns the one that is held.
    pub(super) fn hold(&self, fd: Arc<Descriptor>) -> Arc<Descriptor> {
        let mut state = locked(&self.state);
        if let Way::Held(known) = &state.way {
            return Arc::clone(known);
        }
        let before = std::mem::replace(&mut state.way, Way::Held(Arc::clone(&fd)));
        self.is_lent.store(false, Ordering::Release);
        drop(state);
        // Closing can take long: not with the lock held.
        drop(before);
        fd
    }

    /// The same unless there is a descriptor, whatever it is for.
    pub(super) fn hold_on(&self, fd: Arc<Descriptor>) {
        if self.held().is_none() {
            self.hold(fd);
        }
    }

    /// The same for what was found by name: if it is this object at all.
    ///
    /// # Errors
    /// ESTALE when it is another.
    pub(super) fn hold_found(&self, fd: Arc<Descriptor>) -> Result<Arc<Descriptor>> {
        let stat = sys::stat(fd.as_fd())?;
        if stat.id == self.id && self.is_still(fd.as_fd(), &stat) {
            Ok(self.hold(fd))
        } else {
            Err(Errno::STALE)
        }
    }

    /// Whether `fd`, which has this object's number, is this object; if so, whether the object holds one already.
    fn recognizes(&self, fd: BorrowedFd<'_>, stat: &Stat) -> Option<bool> {
        // As nearly always: the number is in use as long as a descriptor is.
        if matches!(locked(&self.state).way, Way::Held(_)) {
            return Some(true);
        }
        self.is_still(fd, stat).then_some(false)
    }

    /// Whether `fd`, which has this object's number, is this object: numbers are given again.
    fn is_still(&self, fd: BorrowedFd<'_>, stat: &Stat) -> bool {
        let known = match &locked(&self.state).way {
            // The number is in use as long as a descriptor is.
            Way::Held(_) | Way::Lent(_) => return true,
            Way::Handle(known) => Ok(known.clone()),
            Way::Name(known) => Err(*known),
        };
        match known {
            Ok(handle) => FileHandle::of(fd).is_some_and(|(its, _)| its == handle),
            Err(known) => mark(fd, stat) == Some(known),
        }
    }

    /// Whether this is its handle. Two objects never have the same one.
    fn has_handle(&self, handle: &FileHandle) -> bool {
        match &locked(&self.state).way {
            Way::Held(fd) | Way::Lent(fd) => {
                FileHandle::of(fd.as_fd()).is_some_and(|(its, _)| its == *handle)
            }
            Way::Handle(its) => its == handle,
            Way::Name(_) => false,
        }
    }

    /// The inode's generation, asked of the host once.
    pub(super) fn generation(&self, fd: BorrowedFd<'_>) -> Option<u32> {
        let known = locked(&self.state).generation;
        known.unwrap_or_else(|| {
            let generation = sys::generation(fd, self.id.ino);
            locked(&self.state).generation = Some(generation);
            generation
        })
    }

    /// Where a client has moved it.
    pub(super) fn moved(&self) -> Option<Place> {
        locked(&self.state).extra.as_ref()?.moved.clone()
    }

    fn move_to(&self, place: Place) {
        let before = self.with_extra(|extra| extra.moved.replace(place));
        // Not with the lock held: it may be the end of other objects.
        drop(before);
    }

    /// A name that it has, should there be no other to find it by.
    pub(super) fn keep_place(&self, place: Place) {
        let unused = self.with_extra(|extra| match extra.moved {
            Some(_) => Some(place),
            None => extra.moved.replace(place),
        });
        drop(unused);
    }

    /// Takes note that an open file is about to be closed for a time. False while the mode changes.
    pub(super) fn note_closing(&self, file: Weak<Opened>) -> bool {
        self.with_extra(|extra| {
            if extra.mode_changes > 0 {
                return false;
            }
            extra.closed.retain(|file| file.strong_count() > 0);
            extra.closed.push(file);
            true
        })
    }

    /// No open file is closed for a time before [`Object::end_mode_change`]. Returns those that are.
    pub(super) fn begin_mode_change(&self) -> Vec<Weak<Opened>> {
        self.with_extra(|extra| {
            extra.mode_changes += 1;
            extra.closed.clone()
        })
    }

    /// The mode has changed, or not; `open` again are those that were closed before.
    pub(super) fn end_mode_change(&self, open: bool) {
        self.with_extra(|extra| {
            extra.mode_changes -= 1;
            if open {
                extra.closed.clear();
            }
        });
    }

    /// The first node since the last one went. Called with the lock of its shard held.
    fn begin_again(&self) {
        if self.add_node() == 0 {
            self.ends_offer();
            drop(self.take_extra());
        }
    }

    /// Whether it is to be offered now.
    pub(super) fn begins_offer(&self) -> bool {
        !self.offered.load(Ordering::Relaxed) && !self.offered.swap(true, Ordering::Relaxed)
    }

    /// The node that was offered is gone.
    pub(super) fn ends_offer(&self) {
        self.offered.store(false, Ordering::Relaxed);
    }

    /// Gives its descriptor back, if `way_back` knows how to find it again.
    pub(super) fn park(
        &self,
        way_back: impl FnOnce(BorrowedFd<'_>, &Stat, Option<Place>) -> Option<WayBack>,
    ) -> Parked {
        if self.used.swap(false, Ordering::Relaxed) {
            return Parked::Later;
        }
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return Parked::Later,
        };
        let (fd, users, done) = match &state.way {
            Way::Held(fd) => (fd, 1, Parked::Yes),
            // The open file has the other.
            Way::Lent(fd) => (fd, 2, Parked::Already),
            Way::Handle(_) | Way::Name(_) => {
                self.ends_offer();
                return Parked::Already;
            }
        };
        if Arc::strong_count(fd) > users {
            return Parked::Later;
        }
        // Without a name it would be gone with its last descriptor.
        let stat = sys::stat(fd.as_fd()).ok().filter(|stat| stat.nlink > 0);
        let moved = state.extra.as_ref().and_then(|extra| extra.moved.clone());
        let back = stat.and_then(|stat| way_back(fd.as_fd(), &stat, moved));
        self.ends_offer();
        match back {
            Some(WayBack::Handle(handle)) => state.way = Way::Handle(handle),
            Some(WayBack::Name(mark)) => state.way = Way::Name(mark),
            None => return Parked::Never,
        }
        done
    }
}

/// How an object will be found.
pub(super) enum WayBack {
    Handle(FileHandle),
    Name(u64),
}

impl WayBack {
    /// By name, if there is something that tells the object from another with its number.
    pub(super) fn by_name(fd: BorrowedFd<'_>, stat: &Stat) -> Option<Self> {
        mark(fd, stat).map(Self::Name)
    }
}

/// Generation and time of birth, as far as the host has them, made one number; none without both.
fn mark(fd: BorrowedFd<'_>, stat: &Stat) -> Option<u64> {
    let generation = sys::generation(fd, stat.id.ino);
    if generation.is_none() && stat.btime.is_none() {
        return None;
    }
    let born = stat.btime.unwrap_or_default();
    let mut mark = u64::from(generation.unwrap_or_default());
    for part in [u64::from_ne_bytes(born.sec.to_ne_bytes()), born.nsec.into()] {
        mark = (mark ^ part)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
    Some(mark)
}

/// An object whose offered node may be gone: it is asked itself to give its descriptor back.
pub(super) struct Orphan {
    object: Weak<Object>,
    objects: Arc<Objects>,
}

impl Orphan {
    /// Of an object that is not one yet.
    pub(super) fn of(object: &Arc<Object>, objects: &Arc<Objects>) -> Option<Arc<Self>> {
        let is_first = !object.orphaned.swap(true, Ordering::Relaxed);
        is_first.then(|| {
            Arc::new(Self {
                object: Arc::downgrade(object),
                objects: Arc::clone(objects),
            })
        })
    }
}

impl Parkable for Orphan {
    fn park(self: Arc<Self>) -> Parked {
        let Some(object) = self.object.upgrade() else {
            return Parked::Never;
        };
        object.park(|fd, stat, moved| {
            let by_handle = self.objects.handle(fd).map(WayBack::Handle);
            by_handle.or_else(|| moved.and_then(|_| WayBack::by_name(fd, stat)))
        })
    }
}

/// From now on its nodes offer it again.
impl Drop for Orphan {
    fn drop(&mut self) {
        if let Some(object) = self.object.upgrade() {
            object.orphaned.store(false, Ordering::Relaxed);
            object.ends_offer();
        }
    }
}
