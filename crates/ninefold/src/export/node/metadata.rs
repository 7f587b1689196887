//! The files that hold objects' attributes, where the security model has such files.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Node;
use crate::export::budget::Descriptor;
use crate::locked;
use crate::sys::{self, FileHandle, Result};

/// The metadata file of an object.
pub(super) enum Metadata {
    /// Open for reading.
    Held(Arc<Descriptor>),
    /// To be opened by its handle.
    Parked(FileHandle),
}

impl Node {
    /// The object's metadata file, if it is known.
    ///
    /// # Errors
    /// ENFILE and EMFILE when there are no descriptors left.
    pub(in crate::export) fn metadata(&self) -> Result<Option<Arc<Descriptor>>> {
        let handle = match locked(&self.metadata).as_deref() {
            None => return Ok(None),
            Some(Metadata::Held(fd)) => return Ok(Some(Arc::clone(fd))),
            Some(Metadata::Parked(handle)) => handle.clone(),
        };
        let objects = &self.tree.objects;
        match (self.keeper()).open(|| objects.open(&handle, OFlags::RDONLY | OFlags::NOCTTY)) {
            Ok(fd) => Ok(Some(self.keep_metadata(fd))),
            Err(Errno::STALE) => {
                locked(&self.metadata).take();
                Ok(None)
            }
            Err(errno) => Err(errno),
        }
    }

    /// The metadata file of the object's last name, if that is gone.
    pub(in crate::export) fn last_metadata(&self) -> Option<Arc<Descriptor>> {
        self.object.metadata()
    }

    /// Keeps the object's metadata file for as long as the node lives. The first one stays.
    pub(in crate::export) fn keep_metadata(&self, metadata: Arc<Descriptor>) -> Arc<Descriptor> {
        let mut known = locked(&self.metadata);
        if let Some(Metadata::Held(known)) = known.as_deref() {
            return Arc::clone(known);
        }
        *known = Some(Box::new(Metadata::Held(Arc::clone(&metadata))));
        metadata
    }

    /// Lets go of a metadata file that is not the object's any more.
    pub(in crate::export) fn forget_metadata(&self, lost: &Arc<Descriptor>) {
        locked(&self.metadata).take_if(
            |known| matches!(known.as_ref(), Metadata::Held(known) if Arc::ptr_eq(known, lost)),
        );
    }

    /// Gives the metadata file back for a time, if it can be had again.
    pub(in crate::export) fn park_metadata(&self) {
        let mut known = locked(&self.metadata);
        let Some(Metadata::Held(fd)) = known.as_deref() else {
            return;
        };
        let Ok(stat) = sys::stat(fd.as_fd()) else {
            return;
        };
        let before = match self.tree.objects.handle(fd.as_fd()) {
            Some(handle) if stat.nlink > 0 => known.replace(Box::new(Metadata::Parked(handle))),
            // It is looked for again beside its object.
            None if stat.nlink > 0 && !self.tree.objects.have_handles() => known.take(),
            // It would be gone.
            _ => return,
        };
        drop(known);
        drop(before);
    }
}
