//! The guest's memory, as the VMM has shared it: regions of files, mapped here.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use vhost::vhost_user::{Error, Result};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

/// All regions, mapped.
pub(crate) type GuestMemory = GuestMemoryMmap<()>;

/// Most regions of one guest.
pub(crate) const REGIONS_MAX: usize = 256;

/// Where a region is for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// For the guest.
    pub(crate) guest: u64,
    /// For the VMM, which gives the addresses of rings so.
    pub(crate) vmm: u64,
    /// Bytes.
    pub(crate) len: u64,
}

struct Region {
    place: Place,
    mapped: Arc<GuestRegionMmap<()>>,
}

/// The table of regions.
#[derive(Default)]
pub(crate) struct Regions {
    regions: Vec<Region>,
}

impl Regions {
    /// Adds a region of `file` that begins at `offset`.
    ///
    /// # Errors
    /// `InvalidParam` when it is not in the file or there are too many, else `ReqHandlerError`.
    pub(crate) fn add(&mut self, place: Place, file: File, offset: u64) -> Result<()> {
        if self.regions.len() >= REGIONS_MAX {
            return Err(Error::InvalidParam);
        }
        check_file(&file, place.len, offset)?;
        let len = usize::try_from(place.len).map_err(|_| Error::InvalidParam)?;
        let mapping = MmapRegion::from_file(FileOffset::new(file, offset), len)
            .map_err(|error| Error::ReqHandlerError(std::io::Error::other(error)))?;
        let mapped = GuestRegionMmap::new(mapping, GuestAddress(place.guest));
        let mapped = Arc::new(mapped.ok_or(Error::InvalidParam)?);
        self.regions.push(Region { place, mapped });
        self.regions.sort_by_key(|region| region.place.guest);
        Ok(())
    }

    /// Takes a region out again.
    ///
    /// # Errors
    /// `InvalidParam` when there is none like it.
    pub(crate) fn remove(&mut self, place: Place) -> Result<()> {
        let at = self.regions.iter().position(|known| known.place == place);
        self.regions.remove(at.ok_or(Error::InvalidParam)?);
        Ok(())
    }

    /// The memory of all regions; None when there are none.
    ///
    /// # Errors
    /// `InvalidParam` when two of them overlap.
    pub(crate) fn memory(&self) -> Result<Option<Arc<GuestMemory>>> {
        if self.regions.is_empty() {
            return Ok(None);
        }
        let regions = self.regions.iter().map(|it| Arc::clone(&it.mapped));
        GuestMemory::from_arc_regions(regions.collect())
            .map(|memory| Some(Arc::new(memory)))
            .map_err(|_| Error::InvalidParam)
    }

    /// What the guest calls an address of the VMM.
    ///
    /// # Errors
    /// `InvalidParam` for one in no region.
    pub(crate) fn guest_address(&self, vmm: u64) -> Result<GuestAddress> {
        let within = |place: Place| {
            let offset = vmm.checked_sub(place.vmm)?;
            (offset < place.len).then(|| place.guest.checked_add(offset))?
        };
        let found = self.regions.iter().find_map(|it| within(it.place));
        found.map(GuestAddress).ok_or(Error::InvalidParam)
    }
}

/// A mapping beyond the end of its file would end this process when it is touched.
fn check_file(file: &File, len: u64, offset: u64) -> Result<()> {
    let found = file.metadata().map_err(Error::ReqHandlerError)?;
    let end = offset.checked_add(len).ok_or(Error::InvalidParam)?;
    if len == 0 || (!found.file_type().is_char_device() && end > found.len()) {
        return Err(Error::InvalidParam);
    }
    Ok(())
}
