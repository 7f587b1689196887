//! Directories that a client walked to a moment ago, which are still open: to walk there again takes
//! neither an open nor a close.
//!
//! Nothing here says that a directory is still where it was: whoever finds one has the host compare.
//! Files are not kept, because what is removed is to give its space back. A directory that this
//! client removes or renames is closed with it; of one that others remove, the inode stays until the
//! client walks to its name or the watch comes, which is two periods at most.

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
const DIRS_MAX: usize = 64;
/// The same as a part of all descriptors.
const BUDGET_PART: usize = 8;

/// The directories of one client. One that is walked to is among the `young`; all of them grow old
/// at once, and what was old before is closed.
pub(super) struct Recent {
    known: Mutex<Known>,
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
    /// The node with which it was passed last, for as long as something below it is known.
    passed: Weak<Node>,
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

    /// What is known for who walks there, or passes it.
    fn found(&self, passed: bool) -> Found {
        let node = passed.then(|| self.passed.upgrade()).flatten();
        node.map_or_else(|| Found::Open(Arc::clone(&self.object)), Found::Passed)
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
            hasher: RandomState::new(),
            max: (descriptors / BUDGET_PART).clamp(1, DIRS_MAX),
        }
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
        if let Some(entry) = locked(&self.known).young.get_mut(&key) {
            if entry.is_at(parent, name) {
                entry.passed = Arc::downgrade(node);
            }
        }
    }

    /// Closes a directory that is not at `name` any more, unless others hold it.
    pub(super) fn forget(&self, parent: FileId, name: Name<'_>) {
        let key = self.key(parent, name);
        let mut known = locked(&self.known);
        let lost = (known.young.remove(&key), known.old.remove(&key));
        // Closing can take long: not with the lock held.
        drop(known);
        drop(lost);
    }

    /// Ends a period. False when nothing is left.
    fn grow_old(&self) -> bool {
        let mut known = locked(&self.known);
        let too_old = known.grow_old();
        known.listed = !known.is_empty();
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
        let all = (std::mem::take(&mut known.young), known.grow_old());
        drop(known);
        if all.0.is_empty() && all.1.is_empty() {
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
            passed: Weak::new(),
        };
        let key = recent.key(parent, name);
        let mut known = locked(&recent.known);
        let too_old = known.insert(key, entry, recent.max);
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
