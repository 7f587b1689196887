//! Which metadata file is a node's, where the security model has such files.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::Node;
use crate::export::object::{Metadata, MetadataFile, READ};
use crate::locked;
use crate::sys::{self, FileId, Result};

/// What a node knows of its metadata.
#[derive(Default)]
pub(super) enum Known {
    /// Nothing yet.
    #[default]
    Nothing,
    /// It is what the object keeps.
    Objects,
    /// It is that of the node's name, while the object keeps that of another name.
    Own(Arc<MetadataFile>),
}

impl Node {
    /// The object's metadata file, if it is known.
    ///
    /// # Errors
    /// ENFILE and EMFILE when there are no descriptors left.
    pub(in crate::export) fn metadata(&self) -> Result<Option<Arc<MetadataFile>>> {
        match &*locked(&self.metadata) {
            Known::Nothing => return Ok(None),
            Known::Own(file) => return Ok(Some(Arc::clone(file))),
            Known::Objects => {}
        }
        self.last_metadata()
    }

    /// The metadata file that the object keeps: that of its last name, if that is gone.
    ///
    /// # Errors
    /// As [`Node::metadata`].
    pub(in crate::export) fn last_metadata(&self) -> Result<Option<Arc<MetadataFile>>> {
        let handle = match self.object.metadata() {
            None => return Ok(None),
            Some(Metadata::Held(file)) => return Ok(Some(file)),
            Some(Metadata::Parked(handle)) => handle,
        };
        let objects = &self.tree.objects;
        match (self.keeper()).open(|| objects.open(&handle, READ)) {
            Ok(file) => Ok(Some(self.object.hold_metadata(&MetadataFile::of(file)))),
            Err(Errno::STALE) => {
                self.object.forget_metadata(None);
                Ok(None)
            }
            Err(errno) => Err(errno),
        }
    }

    /// The metadata file of this number, if the object holds it: then it is the node's from now on.
    pub(in crate::export) fn same_metadata(&self, id: FileId) -> Option<Arc<MetadataFile>> {
        let mut known = locked(&self.metadata);
        if let Known::Own(own) = &*known {
            return own.is(id).then(|| Arc::clone(own));
        }
        match self.object.metadata() {
            Some(Metadata::Held(file)) if file.is(id) => {
                *known = Known::Objects;
                Some(file)
            }
            _ => None,
        }
    }

    /// Keeps the object's metadata file for as long as the node lives. The first one stays.
    pub(in crate::export) fn keep_metadata(&self, file: Arc<MetadataFile>) -> Arc<MetadataFile> {
        let mut known = locked(&self.metadata);
        if let Known::Own(known) = &*known {
            return Arc::clone(known);
        }
        match self.object.keep_metadata(&file) {
            Some(kept) => {
                *known = Known::Objects;
                kept
            }
            None => {
                *known = Known::Own(Arc::clone(&file));
                file
            }
        }
    }

    /// Lets go of a metadata file that is not the object's any more.
    pub(in crate::export) fn forget_metadata(&self, lost: &Arc<MetadataFile>) {
        self.object.forget_metadata(Some(lost));
        let mut known = locked(&self.metadata);
        if !matches!(&*known, Known::Own(own) if !Arc::ptr_eq(own, lost)) {
            *known = Known::Nothing;
        }
    }

    /// Gives the metadata file back for a time, if it can be had again.
    pub(super) fn park_metadata(&self) {
        self.object.park_metadata(&self.tree.objects);
        let mut known = locked(&self.metadata);
        if let Known::Own(file) = &*known {
            // It is looked for again by its name.
            if sys::stat(file.fd().as_fd()).is_ok_and(|stat| stat.nlink > 0) {
                *known = Known::Nothing;
            }
        }
    }
}
