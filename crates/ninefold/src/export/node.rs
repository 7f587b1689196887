//! An object of the tree, held by a descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock};

use ninefold_wire::Name;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::locked;
use crate::sys::{self, FileId, Result, Stat};

/// An object that a client walked to or made: the object itself, whatever becomes of its name.
///
/// The descriptor pins the inode, so that its number is not given to another object while the
/// node lives; what it was opened for (`O_PATH`) allows nothing but to name it. All clones of a
/// fid share one node.
pub struct Node {
    fd: Arc<OwnedFd>,
    /// Whether `fd` is that of an open file, which must not outlive the file.
    lent: bool,
    id: FileId,
    file_type: FileType,
    /// How the client came here. A hint: others may have moved the object since.
    place: Option<Place>,
    generation: OnceLock<Option<u32>>,
    /// The file that holds the object's attributes, where the security model has such files.
    metadata: Mutex<Option<Arc<OwnedFd>>>,
}

/// A directory and a name in it.
#[derive(Clone)]
pub struct Place {
    parent: Arc<Node>,
    name: Box<[u8]>,
}

impl Place {
    /// The entry `name` of `parent`.
    #[must_use]
    pub fn new(parent: &Arc<Node>, name: Name<'_>) -> Self {
        Self {
            parent: Arc::clone(parent),
            name: name.bytes().into(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn parent(&self) -> &Arc<Node> {
        &self.parent
    }

    /// The name in it.
    ///
    /// # Errors
    /// Never: it was a name when the place was made.
    pub fn name(&self) -> Result<Name<'_>> {
        Name::new(&self.name).map_err(|_| Errno::INVAL)
    }

    /// Whether the entry is `node` at this moment.
    pub(crate) fn names(&self, node: &Node) -> Result<bool> {
        match sys::stat_entry(self.parent.fd(), self.name()?) {
            Ok(stat) => Ok(stat.id == node.id),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

impl Node {
    pub(crate) fn new(fd: OwnedFd, stat: &Stat, place: Option<Place>) -> Self {
        Self::of(Arc::new(fd), false, stat, place)
    }

    /// A node for a file just made, which borrows the descriptor of the open file.
    pub(crate) fn of_open(fd: &Arc<OwnedFd>, stat: &Stat, place: Place) -> Self {
        Self::of(Arc::clone(fd), true, stat, Some(place))
    }

    fn of(fd: Arc<OwnedFd>, lent: bool, stat: &Stat, place: Option<Place>) -> Self {
        let generation = OnceLock::new();
        Self {
            fd,
            lent,
            id: stat.id,
            file_type: stat.file_type(),
            place,
            generation,
            metadata: Mutex::default(),
        }
    }

    /// The same object for another fid.
    ///
    /// # Errors
    /// The errno of openat(2), when a descriptor of its own is needed.
    pub fn share(self: &Arc<Self>) -> Result<Arc<Self>> {
        if !self.lent {
            return Ok(Arc::clone(self));
        }
        let fd = sys::reopen(self.fd(), OFlags::PATH)?;
        Ok(Arc::new(Self {
            fd: Arc::new(fd),
            lent: false,
            id: self.id,
            file_type: self.file_type,
            place: self.place.clone(),
            generation: OnceLock::new(),
            metadata: Mutex::new(self.metadata()),
        }))
    }

    /// Whether the descriptor is one of an open file, which every call takes.
    pub(super) fn is_open(&self) -> bool {
        self.lent
    }

    /// The object's metadata file, if it is known.
    pub(super) fn metadata(&self) -> Option<Arc<OwnedFd>> {
        locked(&self.metadata).clone()
    }

    /// Keeps the object's metadata file for as long as the node lives. The first one stays.
    pub(super) fn keep_metadata(&self, metadata: OwnedFd) -> Arc<OwnedFd> {
        Arc::clone(locked(&self.metadata).get_or_insert_with(|| Arc::new(metadata)))
    }

    /// Lets go of a metadata file that is not the object's any more.
    pub(super) fn forget_metadata(&self, lost: &Arc<OwnedFd>) {
        locked(&self.metadata).take_if(|known| Arc::ptr_eq(known, lost));
    }

    /// The descriptor that names the object.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Which object.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// What kind of object on the host; it never changes.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        self.file_type
    }

    /// Whether it can be walked from.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.file_type == FileType::Directory
    }

    /// Where the client found it.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The inode's generation, asked of the host once.
    #[must_use]
    pub fn generation(&self) -> Option<u32> {
        *self
            .generation
            .get_or_init(|| sys::generation(self.fd(), self.id.ino))
    }
}

/// A node holds its parent, that one its own: a chain as deep as the tree. It is taken apart here
/// link by link, because the compiler's way is recursion, and a client can build it deep enough to
/// run out of stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.place.take();
        while let Some(place) = next {
            next = Arc::into_inner(place.parent).and_then(|mut parent| parent.place.take());
        }
    }
}
