//! All objects of one tree that clients know, found by their numbers.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use ahash::HashSet;
use ninefold_wire::Name;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Object, Way};
use crate::export::Place;
use crate::export::budget::Descriptor;
use crate::locked;
use crate::sys::{self, FileHandle, FileId, Result, Stat};

/// Parts of the table, each with its own lock.
const SHARDS: usize = 16;

/// An object in the table, found by its number.
struct Known(Arc<Object>);

impl Borrow<FileId> for Known {
    fn borrow(&self) -> &FileId {
        &self.0.id
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Known {}

/// All objects of one tree that clients know.
pub(in crate::export) struct Objects {
    shards: [Mutex<HashSet<Known>>; SHARDS],
    /// The root, open, and the number of its mount: where file handles can be opened.
    mount: Option<(OwnedFd, i32)>,
}

impl Objects {
    /// For the tree below `root`.
    pub(in crate::export) fn new(root: BorrowedFd<'_>) -> Self {
        Self {
            shards: Default::default(),
            mount: mount(root),
        }
    }

    /// Whether objects are found by handle. Those on other mounts are not: the root's descriptor
    /// does not lead there.
    pub(in crate::export) fn have_handles(&self) -> bool {
        self.mount.is_some()
    }

    fn shard(&self, id: FileId) -> &Mutex<HashSet<Known>> {
        // Inode numbers are dense, or multiples of a power of two.
        let mixed = id.ino.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        let at = usize::try_from(mixed).unwrap_or_default() % SHARDS;
        &self.shards[at]
    }

    /// The object that was just opened as `fd`. Every call is undone by one of [`Objects::leave`].
    pub(in crate::export) fn enter(&self, fd: Arc<Descriptor>, stat: &Stat) -> Arc<Object> {
        let mut known = locked(self.shard(stat.id));
        if let Some(Known(object)) = known.get(&stat.id) {
            if let Some(is_held) = object.recognizes(fd.as_fd(), stat) {
                object.add_node();
                let object = Arc::clone(object);
                drop(known);
                // What it held before, or `fd`, is closed now: that can take long.
                if !is_held {
                    object.hold(fd);
                }
                return object;
            }
        }
        let object = Object::new(stat, Way::Held(fd));
        known.replace(Known(Arc::clone(&object)));
        object
    }

    /// One more node of an object that may have none left, but is held by `fd` and was found in its
    /// place just now. Undone by [`Objects::leave`].
    pub(in crate::export) fn enter_held(
        &self,
        object: &Arc<Object>,
        fd: &Arc<Descriptor>,
        stat: &Stat,
    ) -> Arc<Object> {
        let mut known = locked(self.shard(stat.id));
        match known.get(&stat.id) {
            Some(Known(found)) if Arc::ptr_eq(found, object) => {
                found.add_node();
            }
            // Somebody else has opened it meanwhile.
            Some(Known(found)) if found.is_still(fd.as_fd(), stat) => {
                let found = Arc::clone(found);
                found.add_node();
                drop(known);
                found.hold(Arc::clone(fd));
                return found;
            }
            _ => {
                object.begin_again();
                known.replace(Known(Arc::clone(object)));
            }
        }
        Arc::clone(object)
    }

    /// The object of a file that was just made, open as `fd`.
    pub(in crate::export) fn enter_made(&self, fd: Arc<Descriptor>, stat: &Stat) -> Arc<Object> {
        let object = Object::new(stat, Way::Lent(fd));
        locked(self.shard(stat.id)).replace(Known(Arc::clone(&object)));
        object
    }

    /// One more node of an object that has one.
    pub(in crate::export) fn enter_again(&self, object: &Arc<Object>) -> Arc<Object> {
        let _known = locked(self.shard(object.id));
        object.add_node();
        Arc::clone(object)
    }

    /// One more node of the entry `name` of a directory, of which the host just said that it has this number: if it is an
    /// object that has a node. It is told by its handle, so that nothing is opened.
    pub(in crate::export) fn enter_entry(
        &self,
        (dir, name): (BorrowedFd<'_>, Name<'_>),
        id: FileId,
    ) -> Option<Arc<Object>> {
        let (_, mount) = self.mount.as_ref()?;
        let (handle, its_mount) = FileHandle::of_entry(dir, name)?;
        let known = locked(self.shard(id));
        let Known(object) = known.get(&id)?;
        if its_mount != *mount || !object.has_handle(&handle) {
            return None;
        }
        object.add_node();
        Some(Arc::clone(object))
    }

    /// Where an object was moved to, from its last node: a place is the beginning of a chain, which
    /// the caller takes apart. Who finds the object again meanwhile knows a newer place.
    pub(in crate::export) fn take_moved(&self, object: &Arc<Object>) -> Option<Place> {
        if !object.has_extra.load(Ordering::Acquire) {
            return None;
        }
        let _known = locked(self.shard(object.id));
        if object.nodes.load(Ordering::Relaxed) > 1 {
            return None;
        }
        locked(&object.state).extra.as_mut()?.moved.take()
    }

    /// A node of the object is gone. Whether there are others.
    pub(in crate::export) fn leave(&self, object: &Arc<Object>) -> bool {
        let mut known = locked(self.shard(object.id));
        if object.remove_node() > 0 {
            return true;
        }
        let gone = match known.get(&object.id) {
            Some(Known(found)) if Arc::ptr_eq(found, object) => known.take(&object.id),
            _ => None,
        };
        // The object itself may stay for a moment, what its nodes knew does not.
        let extra = object.take_extra();
        drop(known);
        drop((gone, extra));
        false
    }

    /// The object with this number, if a client knows it.
    pub(in crate::export) fn find(&self, id: FileId) -> Option<Arc<Object>> {
        let known = locked(self.shard(id));
        known.get(&id).map(|Known(object)| Arc::clone(object))
    }

    /// Takes note that a client has moved an object, for the next time it is looked for by name.
    pub(in crate::export) fn moved(&self, id: FileId, place: impl FnOnce() -> Place) {
        if let Some(object) = self.find(id) {
            object.move_to(place());
        }
    }

    /// The handle of an object by which it can be opened here.
    pub(in crate::export) fn handle(&self, object: BorrowedFd<'_>) -> Option<FileHandle> {
        let (_, mount) = self.mount.as_ref()?;
        let (handle, its_mount) = FileHandle::of(object)?;
        (its_mount == *mount).then_some(handle)
    }

    /// Opens an object by its handle.
    ///
    /// # Errors
    /// ESTALE when it is gone.
    pub(in crate::export) fn open(&self, handle: &FileHandle, flags: OFlags) -> Result<OwnedFd> {
        let (mount, _) = self.mount.as_ref().ok_or(Errno::STALE)?;
        handle.open(mount.as_fd(), flags)
    }
}

/// The root, open so that handles can be opened on its mount, if this process may do that.
fn mount(root: BorrowedFd<'_>) -> Option<(OwnedFd, i32)> {
    let (handle, number) = FileHandle::of(root)?;
    let fd = sys::open_directory(root).ok()?;
    handle.open(fd.as_fd(), OFlags::PATH).ok()?;
    Some((fd, number))
}
