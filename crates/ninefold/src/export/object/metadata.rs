//! The files that hold objects' attributes, where the security model has such files: one for an object,
//! whatever its nodes are.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::OFlags;

use super::{Object, Objects};
use crate::export::budget::{Descriptor, Keeper};
use crate::locked;
use crate::sys::{self, FileHandle, FileId, Result};

/// How a metadata file is opened to be read.
pub(in crate::export) const READ: OFlags = OFlags::RDONLY.union(OFlags::NOCTTY);

/// A metadata file that is held, by one descriptor. It is what the security model costs in
/// descriptors, so that it counts, but is not refused.
pub(in crate::export) struct MetadataFile {
    /// What holds it: a descriptor that only names it (`O_PATH`), until somebody has to read it.
    held: Mutex<Arc<Descriptor>>,
    /// Then the one that is open for reading.
    open: OnceLock<Arc<Descriptor>>,
    /// Asked of the host when somebody wants to know.
    id: OnceLock<FileId>,
}

impl MetadataFile {
    /// One just opened for reading, or made.
    pub(in crate::export) fn new(fd: OwnedFd, keeper: &Arc<Keeper>) -> Arc<Self> {
        Self::of(Descriptor::of_house(fd, keeper))
    }

    /// One just opened for reading whose number is known.
    pub(in crate::export) fn known(fd: OwnedFd, id: FileId, keeper: &Arc<Keeper>) -> Arc<Self> {
        Self::opened(Descriptor::of_house(fd, keeper), id.into())
    }

    /// One that was only found, by a descriptor that names it. It must be a regular file.
    pub(in crate::export) fn named(path: OwnedFd, id: FileId, keeper: &Arc<Keeper>) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(Descriptor::of_house(path, keeper)),
            open: OnceLock::new(),
            id: id.into(),
        })
    }

    /// One that was opened for reading again.
    pub(in crate::export) fn of(fd: Arc<Descriptor>) -> Arc<Self> {
        Self::opened(fd, OnceLock::new())
    }

    fn opened(fd: Arc<Descriptor>, id: OnceLock<FileId>) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(Arc::clone(&fd)),
            open: fd.into(),
            id,
        })
    }

    /// Its descriptor, which need not be one to read from.
    pub(in crate::export) fn fd(&self) -> Arc<Descriptor> {
        Arc::clone(&locked(&self.held))
    }

    /// The one to read from, if it is open.
    pub(in crate::export) fn if_open(&self) -> Option<&Arc<Descriptor>> {
        self.open.get()
    }

    /// Opens it for reading, if it is not, and holds it so from now on.
    ///
    /// # Errors
    /// The errno of openat(2).
    pub(in crate::export) fn open(&self, keeper: &Arc<Keeper>) -> Result<&Arc<Descriptor>> {
        if let Some(open) = self.open.get() {
            return Ok(open);
        }
        let fd = Descriptor::of_house(sys::reopen(self.fd().as_fd(), READ)?, keeper);
        // Another may be quicker.
        let open = self.open.get_or_init(|| fd);
        let before = std::mem::replace(&mut *locked(&self.held), Arc::clone(open));
        // Closing can take long: not with the lock held.
        drop(before);
        Ok(open)
    }

    /// Which file; its number is its own as long as this lives.
    fn id(&self) -> Option<FileId> {
        if let Some(known) = self.id.get() {
            return Some(*known);
        }
        let id = sys::stat(self.fd().as_fd()).ok()?.id;
        Some(*self.id.get_or_init(|| id))
    }

    /// Whether it is the file of this number.
    pub(in crate::export) fn is(&self, id: FileId) -> bool {
        self.id() == Some(id)
    }
}

/// An object's metadata file.
#[derive(Clone)]
pub(in crate::export) enum Metadata {
    /// By a descriptor.
    Held(Arc<MetadataFile>),
    /// To be opened by its handle.
    Parked(FileHandle),
}

impl Metadata {
    fn is(&self, file: &Arc<MetadataFile>) -> bool {
        match self {
            Self::Held(known) => {
                Arc::ptr_eq(known, file) || file.id().is_some_and(|id| known.is(id))
            }
            Self::Parked(known) => {
                let handle = FileHandle::of(file.fd().as_fd()).map(|(handle, _)| handle);
                handle.is_some_and(|handle| handle == *known)
            }
        }
    }
}

impl Object {
    /// The metadata file, if one is known.
    pub(in crate::export) fn metadata(&self) -> Option<Metadata> {
        locked(&self.state).extra.as_ref()?.metadata.clone()
    }

    /// Keeps a metadata file of the object if it has none yet, and returns the one that it keeps. None
    /// when that is another: the host can give an object two names, each with metadata.
    pub(in crate::export) fn keep_metadata(
        &self,
        file: &Arc<MetadataFile>,
    ) -> Option<Arc<MetadataFile>> {
        match self.metadata() {
            Some(known) if !known.is(file) => return None,
            Some(Metadata::Held(known)) => return Some(known),
            Some(Metadata::Parked(_)) | None => {}
        }
        Some(self.hold_metadata(file))
    }

    /// Holds a metadata file from now on, unless one is held. Returns the one that is.
    pub(in crate::export) fn hold_metadata(&self, file: &Arc<MetadataFile>) -> Arc<MetadataFile> {
        self.with_extra(|extra| {
            if let Some(Metadata::Held(known)) = &extra.metadata {
                return Arc::clone(known);
            }
            extra.metadata = Some(Metadata::Held(Arc::clone(file)));
            Arc::clone(file)
        })
    }

    /// Lets go of a metadata file that is not the object's any more, or of which nothing is left but a
    /// handle that leads nowhere.
    pub(in crate::export) fn forget_metadata(&self, lost: Option<&Arc<MetadataFile>>) {
        let mut state = locked(&self.state);
        let Some(extra) = state.extra.as_mut() else {
            return;
        };
        let before = extra.metadata.take_if(|known| match (known, lost) {
            (Metadata::Held(known), Some(lost)) => Arc::ptr_eq(known, lost),
            (Metadata::Parked(_), None) => true,
            _ => false,
        });
        drop(state);
        drop(before);
    }

    /// Gives the metadata file back for a time, if it can be had again: one without a name would be gone.
    pub(in crate::export) fn park_metadata(&self, objects: &Objects) {
        let Some(Metadata::Held(file)) = self.metadata() else {
            return;
        };
        let fd = file.fd();
        if !sys::stat(fd.as_fd()).is_ok_and(|stat| stat.nlink > 0) {
            return;
        }
        let parked = match objects.handle(fd.as_fd()) {
            Some(handle) => Some(Metadata::Parked(handle)),
            // It is looked for again beside its object.
            None if !objects.have_handles() => None,
            None => return,
        };
        if let Some(extra) = locked(&self.state).extra.as_mut() {
            extra.metadata = parked;
        }
    }
}
