//! An object of the tree, as a client came to know it.

mod metadata;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::Place;
use super::budget::{Descriptor, Keeper, Offer, Parkable, Parked};
use super::object::{Lost, Object, Objects, Orphan, WayBack};
use super::opened::{ModeChange, Opened};
use super::recent::Recent;
use crate::sys::{self, FileId, Result, Stat, identity};
use metadata::Known;

/// An object that a client walked to or made: the object itself, whatever becomes of its name.
///
/// The descriptor of its inode, which all nodes of the inode share, allows nothing but to name it
/// (`O_PATH`), and pins its number. It may be given back when descriptors are short, and is then
/// found again by file handle, or by name and compared: see [`Node::fd`]. All clones of a fid share
/// one node.
pub struct Node {
    object: Arc<Object>,
    tree: Arc<Tree>,
    /// How the client came here. A hint: others may have moved the object since.
    place: Option<Place>,
    /// What holds the object's attributes, where the security model has files for them.
    metadata: Mutex<Known>,
}

/// What all nodes of one client in one tree share.
pub(super) struct Tree {
    pub(super) objects: Arc<Objects>,
    pub(super) keeper: Arc<Keeper>,
    /// Directories that were walked to a moment ago.
    pub(super) recent: Arc<Recent>,
    /// Whether the last walk came to an object that was known before.
    pub(super) repeats: AtomicBool,
}

impl Tree {
    pub(super) fn new(objects: Arc<Objects>, keeper: Arc<Keeper>) -> Arc<Self> {
        Arc::new(Self {
            objects,
            recent: Arc::new(Recent::new(keeper.descriptors())),
            repeats: AtomicBool::new(false),
            keeper,
        })
    }
}

/// Most directories on the way to an object that is found by name.
const WAY_MAX: usize = 1 << 16;

impl Node {
    /// The object that was just opened as `fd`.
    pub(super) fn new(
        tree: &Arc<Tree>,
        fd: Arc<Descriptor>,
        stat: &Stat,
        place: Option<Place>,
    ) -> Arc<Self> {
        Self::of(tree.objects.enter(fd, stat), Arc::clone(tree), place)
    }

    /// A node of an object that is held by `fd` and was found at `place` just now.
    pub(super) fn of_held(
        object: &Arc<Object>,
        fd: &Arc<Descriptor>,
        stat: &Stat,
        place: Place,
    ) -> Arc<Self> {
        let tree = Arc::clone(&place.parent.tree);
        let object = tree.objects.enter_held(object, fd, stat);
        Self::of(object, tree, Some(place))
    }

    /// A node for a file just made, which borrows the descriptor of the open file.
    pub(super) fn of_made(fd: Arc<Descriptor>, stat: &Stat, place: Place) -> Arc<Self> {
        let tree = Arc::clone(&place.parent.tree);
        Self::of(tree.objects.enter_made(fd, stat), tree, Some(place))
    }

    /// A node of an object that may have given its descriptor back, and was found at `place` just now.
    pub(super) fn of_known(object: Arc<Object>, place: Place) -> Arc<Self> {
        let tree = Arc::clone(&place.parent.tree);
        Self::unoffered(object, tree, Some(place))
    }

    fn of(object: Arc<Object>, tree: Arc<Tree>, place: Option<Place>) -> Arc<Self> {
        let node = Self::unoffered(object, tree, place);
        node.offer();
        node
    }

    fn unoffered(object: Arc<Object>, tree: Arc<Tree>, place: Option<Place>) -> Arc<Self> {
        Arc::new(Self {
            object,
            tree,
            place,
            metadata: Mutex::default(),
        })
    }

    /// The root of a tree, whose descriptor is never given back.
    pub(super) fn root(tree: &Arc<Tree>, fd: OwnedFd, stat: &Stat) -> Arc<Self> {
        let fd = Descriptor::of_house(fd, &tree.keeper);
        Self::unoffered(tree.objects.enter(fd, stat), Arc::clone(tree), None)
    }

    /// The root for another client.
    pub(super) fn root_for(&self, keeper: &Arc<Keeper>) -> Arc<Self> {
        self.root_in(&Tree::new(
            Arc::clone(&self.tree.objects),
            Arc::clone(keeper),
        ))
    }

    /// The root for a client that has it already.
    pub(super) fn root_in(&self, tree: &Arc<Tree>) -> Arc<Self> {
        Self::unoffered(
            tree.objects.enter_again(&self.object),
            Arc::clone(tree),
            None,
        )
    }

    /// From now on this node may be asked to do without a descriptor, if anybody is. False when it might
    /// be before.
    fn offer(self: &Arc<Self>) -> bool {
        let begins = self.tree.keeper.wants_offers() && self.object.begins_offer();
        if begins {
            let holds = Arc::downgrade(self);
            self.tree.keeper.offer(Offer::OfLiving(holds));
        }
        begins
    }

    /// The same for this node and those on the way to it.
    pub(crate) fn offer_way(self: &Arc<Self>) {
        let mut node = self;
        while node.offer() {
            match &node.place {
                Some(place) => node = &place.parent,
                None => return,
            }
        }
    }

    /// The same object for another fid.
    ///
    /// # Errors
    /// The errno of openat(2), when a descriptor of its own is needed.
    pub fn share(self: &Arc<Self>) -> Result<Arc<Self>> {
        if let Some(file) = self.object.lent() {
            let fd = (self.keeper()).open(|| sys::reopen(file.as_fd(), OFlags::PATH))?;
            self.object.hold(fd);
        }
        Ok(Arc::clone(self))
    }

    /// Whether other nodes are the same object.
    pub(super) fn is_shared(&self) -> bool {
        self.object.is_shared()
    }

    /// The object that it is a node of.
    pub(super) fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// Who pays for descriptors.
    pub(super) fn keeper(&self) -> &Arc<Keeper> {
        &self.tree.keeper
    }

    /// The client goes: closes the directories that it walked to a moment ago.
    pub(crate) fn close_recent(&self) {
        self.tree.recent.clear();
    }

    pub(super) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// The descriptor of the open file with which the object was made, which every call takes.
    pub(super) fn open_fd(&self) -> Option<Arc<Descriptor>> {
        self.object.lent()
    }

    /// The descriptor that names the object. If it was given back, the object is found again.
    ///
    /// # Errors
    /// ESTALE when the object is gone, or, where there are no file handles, is not by the name
    /// that a client last gave it. ENFILE and EMFILE when there are no descriptors left.
    pub(crate) fn fd(self: &Arc<Self>) -> Result<Arc<Descriptor>> {
        let fd = match self.object.use_held() {
            Some(fd) => fd,
            None => self.find_again()?,
        };
        self.offer();
        Ok(fd)
    }

    fn find_again(self: &Arc<Self>) -> Result<Arc<Descriptor>> {
        let handle = match self.object.look() {
            Lost::No(fd) => return Ok(fd),
            Lost::Handle(handle) => handle,
            Lost::Name => return identity::as_server(|| self.find_by_names()),
        };
        let tree = &self.tree;
        // Whoever had reached it may have it again.
        let open = || tree.objects.open(&handle, OFlags::PATH);
        let fd = identity::as_server(|| tree.keeper.open(open))?;
        Ok(self.object.hold(fd))
    }

    /// Where it was last known to be.
    fn last_place(&self) -> Result<Place> {
        let moved = self.object.moved();
        moved.or_else(|| self.place.clone()).ok_or(Errno::STALE)
    }

    /// Finds the object by the name that was last known, or else by its own.
    fn find_by_names(self: &Arc<Self>) -> Result<Arc<Descriptor>> {
        let last = self.last_place()?;
        let found = self.find_at(last).map_err(gone);
        match (found, self.place.clone()) {
            (Err(Errno::STALE), Some(place)) => self.find_at(place).map_err(gone),
            (found, _) => found,
        }
    }

    /// Finds the object at a place, down from the next directory above that has a descriptor or a
    /// handle. In a loop, because a client can make the way long.
    fn find_at(self: &Arc<Self>, place: Place) -> Result<Arc<Descriptor>> {
        let mut way = vec![(Arc::clone(self), place)];
        let mut dir = loop {
            let Some((_, Place { parent, .. })) = way.last() else {
                return Err(Errno::STALE);
            };
            match parent.object.look() {
                Lost::No(fd) => break fd,
                Lost::Handle(_) => break parent.fd()?,
                // Places out of date may make a ring.
                Lost::Name if way.len() >= WAY_MAX => return Err(Errno::STALE),
                Lost::Name => {
                    let next = (Arc::clone(parent), parent.last_place()?);
                    way.push(next);
                }
            }
        };
        while let Some((node, place)) = way.pop() {
            let found = place.open(dir.as_fd(), node.keeper())?;
            dir = node.object.hold_found(found)?;
            node.offer();
        }
        Ok(dir)
    }

    /// Takes note that an open file of the object is about to be closed for a time. False when it must
    /// not be: the mode is about to change.
    pub(super) fn note_closing(&self, file: Weak<Opened>) -> bool {
        self.object.note_closing(file)
    }

    /// Before the mode of the object changes: has all its open files open again, and keeps them so
    /// until what is returned is dropped.
    ///
    /// # Errors
    /// As [`Node::fd`], and the errno of openat(2).
    pub(super) fn begin_mode_change(&self) -> Result<ModeChange> {
        ModeChange::begin(&self.object)
    }

    /// Which object.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.object.id()
    }

    /// What kind of object on the host; it never changes.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        self.object.file_type()
    }

    /// Whether it can be walked from.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Where the client found it.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Whether the client came here from this node.
    pub(super) fn is_below(&self, parent: &Arc<Self>) -> bool {
        let place = self.place.as_ref();
        place.is_some_and(|place| Arc::ptr_eq(&place.parent, parent))
    }

    /// Where a client moved it, if that is known.
    pub(super) fn moved(&self) -> Option<Place> {
        self.object.moved()
    }

    /// The inode's generation, asked of the host once.
    ///
    /// # Errors
    /// As [`Node::fd`].
    pub(crate) fn generation(self: &Arc<Self>) -> Result<Option<u32>> {
        Ok(self.object.generation(self.fd()?.as_fd()))
    }

    /// How this object, which has a name, can be found once its descriptor is given back.
    fn way_back(&self, fd: BorrowedFd<'_>, stat: &Stat, moved: Option<Place>) -> Option<WayBack> {
        if let Some(handle) = self.tree.objects.handle(fd) {
            return Some(WayBack::Handle(handle));
        }
        let place = moved.or_else(|| self.place.clone())?;
        // Looked at if that costs no descriptor. Where only the host can have moved it meanwhile,
        // it cannot be found again.
        if let Some(dir) = place.parent.object.held_now() {
            let entry = sys::stat_entry(dir.as_fd(), place.name().ok()?).ok()?;
            if entry.id != stat.id {
                return None;
            }
        }
        WayBack::by_name(fd, stat)
    }

    /// The object stays, but perhaps not the node that was offered.
    fn offer_others(&self) {
        if !self.tree.keeper.wants_offers() {
            self.object.ends_offer();
        } else if let Some(orphan) = Orphan::of(&self.object, &self.tree.objects) {
            self.tree.keeper.offer(Offer::OfAny(orphan));
        }
    }

    /// Forgets the places that go with this node. Adds the parents that nobody else has.
    fn leave_parents(&mut self, alone: &mut Vec<Self>) {
        let moved = self.tree.objects.take_moved(&self.object);
        let places = self.place.take().into_iter().chain(moved);
        alone.extend(places.filter_map(|place| Arc::into_inner(place.parent)));
    }
}

/// What it means that an object is not by its name.
fn gone(errno: Errno) -> Errno {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => Errno::STALE,
        _ => errno,
    }
}

impl Parkable for Node {
    fn park(self: Arc<Self>) -> Parked {
        let parked = self
            .object
            .park(|fd, stat, moved| self.way_back(fd, stat, moved));
        if matches!(parked, Parked::Yes | Parked::Already) {
            self.park_metadata();
        }
        parked
    }
}

/// A node holds its parent, that one its own: a chain as deep as the tree. It is taken apart here
/// link by link, because the compiler's way is recursion, and a client can build it deep enough to
/// run out of stack.
impl Drop for Node {
    fn drop(&mut self) {
        let objects = &self.tree.objects;
        if self.is_shared() && !objects.have_handles() {
            // The name that is known to be its own a moment longer.
            if let Some(place) = self.place.clone() {
                self.object.keep_place(place);
            }
        }
        let mut alone = Vec::new();
        self.leave_parents(&mut alone);
        while let Some(mut parent) = alone.pop() {
            parent.leave_parents(&mut alone);
        }
        let objects = &self.tree.objects;
        if objects.leave(&self.object) {
            self.offer_others();
        }
    }
}
