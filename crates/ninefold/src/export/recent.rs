//! Directories that a client walked to a moment ago, which are still open: to walk there again takes
//! neither an open nor a close.
//!
//! Nothing here says that a directory is still where it was: whoever finds one has the host compare.
//! Files are not kept, because what is removed is to give its space back. A directory that this
//! client removes or renames is closed with it; of one that others remove, the inode stays until the
//! client walks to its name or the watch comes, which is two periods at most. The same goes for those above it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use ahash::{HashMap, RandomState};
use ninefold_wire::Name;
use rustix::fs::FileType;

use super::budget::{Descriptor, Offer, Parkable, Parked};
use super::node::{Node, Tree};
use super::object::Object;
use crate::locked;
use crate::sys::{FileId, Stat};

/// A directory that is not walked to is closed after one to two of these.
const PERIOD: Duration = Duration::from_secs(1);
/// Most directories that a client walked to since the last period began. As many from before are
/// still open.
const DIRS_MAX: usize = 128;
/// The same as a part of all descriptors.
const BUDGET_PART: usize = 8;

/// The directories of one client. One that is walked to is among the `young`; all of them grow old
/// at once, and what was old before is closed.
pub(super) struct Recent {
    known: Mutex<Known>,
    /// Whether there may be any. Said with the lock held.
    has_any: AtomicBool,
    hasher: RandomState,
    /// Most of each age.
    max: usize,
}

#[derive(Default)]
struct Known {
    young: Entries,
    old: Entries,
    /// Whether it will be asked when descriptors are short.
    offered: bool,
    /// Whether it is among those that grow old.
    listed: bool,
}

/// By a hash of where they are. That two have the same costs nothing but time.
type Entries = HashMap<u64, Entry>;

/// A directory as the entry of another.
struct Entry {
    parent: FileId,
    name: Box<[u8]>,
    object: Arc<Object>,
    /// The node with which it was passed last. It has the tree, and the tree has this: which is why nothing
    /// stays here for good.
    passed: Option<Arc<Node>>,
}

/// A directory that was somewhere a moment ago.
pub(super) enum Found {
    /// The node with which it was passed on the way from the same one.
    Passed(Arc<Node>),
    /// The object.
    Open(Arc<Object>),
}

impl Found {
    pub(super) fn object(&self) -> &Arc<Object> {
        match self {
            Self::Passed(node) => node.object(),
            Self::Open(object) => object,
        }
    }

    /// For who comes from `parent`.
    fn from(self, parent: &Arc<Node>) -> Self {
        match self {
            Self::Passed(node) if !node.is_below(parent) => Self::Open(Arc::clone(node.object())),
            found => found,
        }
    }
}

impl Entry {
    fn is_at(&self, parent: FileId, name: Name<'_>) -> bool {
        self.parent == parent && *self.name == *name.bytes()
    }

    /// Whether what is below it may be known by way of it.
    fn is_on_a_way(&self) -> bool {
        let here = u32::from(self.passed.is_some());
        let has_more = self
            .passed
            .as_ref()
            .is_some_and(|node| Arc::strong_count(node) > 1);
        has_more || self.object.nodes() > here
    }

    /// What is known for who walks there, or passes it.
    fn found(&self, passed: bool) -> Found {
        match &self.passed {
            Some(node) if passed => Found::Passed(Arc::clone(node)),
            _ => Found::Open(Arc::clone(&self.object)),
        }
    }
}

impl Known {
    /// Adds one. Returns what is to be closed.
    fn insert(&mut self, key: u64, entry: Entry, max: usize) -> Option<Entries> {
        let too_old = (self.young.len() >= max).then(|| self.grow_old());
        self.young.insert(key, entry);
        too_old
    }

    /// Returns what is to be closed.
    fn take_all(&mut self) -> [Entries; 2] {
        [
            std::mem::take(&mut self.young),
            std::mem::take(&mut self.old),
        ]
    }

    /// Returns what is to be closed.
    fn grow_old(&mut self) -> Entries {
        std::mem::replace(&mut self.old, std::mem::take(&mut self.young))
    }

    fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }
}

impl Recent {
    /// For a client who shares so many descriptors with others.
    pub(super) fn new(descriptors: usize) -> Self {
        Self {
            known: Mutex::default(),
            has_any: AtomicBool::new(false),
            hasher: RandomState::new(),
            max: (descriptors / BUDGET_PART).clamp(1, DIRS_MAX),
        }
    }

    fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Acquire)
    }

    fn key(&self, parent: FileId, name: Name<'_>) -> u64 {
        self.hasher.hash_one((parent, name.bytes()))
    }

    /// The directory that was at `name` a moment ago, if it is still open, and its descriptor.
    pub(super) fn find(
        &self,
        parent: &Arc<Node>,
        (name, passed): (Name<'_>, bool),
    ) -> Option<(Found, Arc<Descriptor>)> {
        if !self.has_any() {
            return None;
        }
        let key = self.key(parent.id(), name);
        let mut known = locked(&self.known);
        let (entry, too_old) = match known.young.get(&key) {
            Some(entry) => (entry, None),
            None => {
                let entry = known.old.remove(&key)?;
                let too_old = known.insert(key, entry, self.max);
                (known.young.get(&key)?, too_old)
            }
        };
        let is_at = entry.is_at(parent.id(), name);
        let found = is_at.then(|| entry.found(passed));
        drop(known);
        drop(too_old);
        let found = found?.from(parent);
        let held = found.object().held();
        if held.is_none() {
            self.forget(parent.id(), name);
        }
        Some((found, held?))
    }

    /// Has others who pass the directory use this node, too.
    pub(super) fn pass(&self, parent: FileId, name: Name<'_>, node: &Arc<Node>) {
        let key = self.key(parent, name);
        let mut known = locked(&self.known);
        let entry = known.young.get_mut(&key);
        let entry = entry.filter(|entry| entry.is_at(parent, name));
        let before = entry.and_then(|entry| entry.passed.replace(Arc::clone(node)));
        // The end of a node can take long: not with the lock held.
        drop(known);
        drop(before);
    }

    /// Closes a directory that is not at `name` any more, unless others hold it: if what is below it does, that
    /// with all else.
    pub(super) fn forget(&self, parent: FileId, name: Name<'_>) {
        if !self.has_any() {
            return;
        }
        let key = self.key(parent, name);
        let mut known = locked(&self.known);
        let lost = [known.young.remove(&key), known.old.remove(&key)];
        let is_on_a_way = lost.iter().flatten().any(Entry::is_on_a_way);
        let others = is_on_a_way.then(|| known.take_all());
        // Closing can take long: not with the lock held.
        drop(known);
        drop((lost, others));
    }

    /// Closes all, because the client goes.
    pub(super) fn clear(&self) {
        let mut known = locked(&self.known);
        let all = known.take_all();
        self.has_any.store(false, Ordering::Release);
        drop(known);
        drop(all);
    }

    /// Ends a period. False when nothing is left.
    fn grow_old(&self) -> bool {
        let mut known = locked(&self.known);
        let too_old = known.grow_old();
        known.listed = !known.is_empty();
        self.has_any.store(known.listed, Ordering::Release);
        let listed = known.listed;
        drop(known);
        drop(too_old);
        listed
    }
}

impl Parkable for Recent {
    fn park(self: Arc<Self>) -> Parked {
        let mut known = locked(&self.known);
        known.offered = false;
        let all = known.take_all();
        drop(known);
        if all.iter().all(Entries::is_empty) {
            Parked::Never
        } else {
            Parked::Yes
        }
    }
}

/// Those of all clients of an export.
pub(super) struct Recents {
    /// What may be kept open: what is on the root's device and mount. Others could not be unmounted.
    dev: u64,
    mount: Option<u64>,
    aging: Mutex<Aging>,
}

#[derive(Default)]
struct Aging {
    /// Who has any.
    clients: Vec<Weak<Recent>>,
    /// When they grow old.
    next: Option<Instant>,
}

impl Recents {
    /// Of the tree whose root has these attributes.
    pub(super) fn new(root: &Stat) -> Self {
        Self {
            dev: root.id.dev,
            mount: root.mount,
            aging: Mutex::default(),
        }
    }

    /// Whether an object is one that may be kept open.
    pub(super) fn take(&self, stat: &Stat) -> bool {
        stat.file_type() == FileType::Directory
            && stat.id.dev == self.dev
            && stat.mount.is_some()
            && stat.mount == self.mount
    }

    /// Keeps the directory open that was just found as an entry of another. True when
    /// [`Recents::expire`] had nothing to do before.
    pub(super) fn remember(
        &self,
        tree: &Arc<Tree>,
        (parent, name): (FileId, Name<'_>),
        object: &Arc<Object>,
    ) -> bool {
        let recent = &tree.recent;
        let entry = Entry {
            parent,
            name: name.bytes().into(),
            object: Arc::clone(object),
            passed: None,
        };
        let key = recent.key(parent, name);
        let mut known = locked(&recent.known);
        let too_old = known.insert(key, entry, recent.max);
        recent.has_any.store(true, Ordering::Release);
        let is_offered = std::mem::replace(&mut known.offered, true);
        let is_listed = std::mem::replace(&mut known.listed, true);
        drop(known);
        drop(too_old);
        if !is_offered {
            let holds = Arc::downgrade(recent);
            tree.keeper.offer(Offer::OfLiving(holds));
        }
        !is_listed && self.list(recent)
    }

    fn list(&self, recent: &Arc<Recent>) -> bool {
        let mut aging = locked(&self.aging);
        aging.clients.push(Arc::downgrade(recent));
        aging.clients.len() == 1
    }

    /// Closes what was not walked to of late. Returns when to come back; none when there is nothing.
    pub(super) fn expire(&self, now: Instant) -> Option<Instant> {
        let mut aging = locked(&self.aging);
        if aging.next.is_some_and(|next| next <= now) {
            let mut clients = std::mem::take(&mut aging.clients);
            // Closing can take long: not with the lock held.
            drop(aging);
            clients.retain(|recent| recent.upgrade().is_some_and(|it| it.grow_old()));
            aging = locked(&self.aging);
            aging.clients.append(&mut clients);
            aging.next = None;
        }
        if aging.clients.is_empty() {
            aging.next = None;
        } else if aging.next.is_none() {
            aging.next = Some(now + PERIOD);
        }
        aging.next
    }
}
