//! What is about to lose a name, perhaps its last, and is known to a client.
//!
//! An object without a descriptor is found again by its handle or its name. Without a name it has
//! neither: so it gets a descriptor first, and keeps it. What the host removes meanwhile is gone
//! (ESTALE).

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::budget::Descriptor;
use super::object::{Metadata, MetadataFile, Object};
use super::ownership::At;
use super::{Export, Place};
use crate::sys::{self, Result};

/// An object that is to outlive a name.
pub(super) struct Leaving {
    object: Arc<Object>,
    fd: Arc<Descriptor>,
    /// What holds its attributes, where the security model has files for them.
    metadata: Option<Arc<MetadataFile>>,
}

impl Leaving {
    /// The name is gone.
    pub(super) fn settle(self) {
        // Another request may have given the descriptor back before there was a reason not to.
        self.object.hold_on(self.fd);
        if let Some(metadata) = self.metadata {
            self.object.hold_metadata(&metadata);
        }
    }
}

impl Export {
    /// Readies an object to lose a name; nothing when no client knows it.
    ///
    /// # Errors
    /// ENFILE and EMFILE when there are no descriptors left; the errno of the host.
    pub(super) fn leaving(&self, at: At<'_>) -> Result<Option<Leaving>> {
        let has_files = self.ownership.has_metadata_files();
        if !has_files && self.budget.has_all() {
            return Ok(None);
        }
        let (dir, name) = at;
        let above = dir.fd()?;
        let Ok(stat) = sys::stat_entry(above.as_fd(), name) else {
            // The removal itself finds out what is wrong.
            return Ok(None);
        };
        let Some(object) = dir.tree().objects.find(stat.id) else {
            return Ok(None);
        };
        let fd = match object.held() {
            Some(fd) => fd,
            None => {
                let found = Place::new(dir, name).open(above.as_fd(), dir.keeper())?;
                match object.hold_found(found) {
                    Ok(fd) => fd,
                    // It only has the number of one that is gone.
                    Err(Errno::STALE) => return Ok(None),
                    Err(errno) => return Err(errno),
                }
            }
        };
        let metadata = if has_files {
            self.metadata_of_leaving(at, &object)?
        } else {
            None
        };
        Ok(Some(Leaving {
            object,
            fd,
            metadata,
        }))
    }
    fn metadata_of_leaving(
        &self,
        at: At<'_>,
        object: &Object,
    ) -> Result<Option<Arc<MetadataFile>>> {
        if let Some(Metadata::Held(known)) = object.metadata() {
            return Ok(Some(known));
        }
        let found = self.ownership.find_metadata(at)?;
        Ok(found.map(|file| object.hold_metadata(&MetadataFile::new(file, at.0.keeper()))))
    }
}
