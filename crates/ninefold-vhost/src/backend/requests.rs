//! The requests of a VMM, one function each.

use std::fs::File;

use vhost::VhostUserMemoryRegionBase;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserConfigFlags, VhostUserInflight,
    VhostUserLog, VhostUserMemoryRegion, VhostUserProtocolFeatures, VhostUserShMemConfig,
    VhostUserSharedMsg, VhostUserSingleMemoryRegion, VhostUserVringAddrFlags, VhostUserVringState,
};
use vhost::vhost_user::{Error, GpuBackend, Result, VhostUserBackendReqHandlerMut};

use super::Backend;
use crate::memory::{Place, REGIONS_MAX, Regions};
use crate::ring::Addresses;

/// There is one queue.
fn check_index(index: impl Into<u32>) -> Result<()> {
    if index.into() == 0 {
        Ok(())
    } else {
        Err(Error::InvalidParam)
    }
}

fn place(region: &VhostUserMemoryRegion) -> Place {
    Place {
        guest: region.guest_phys_addr,
        vmm: region.user_addr,
        len: region.memory_size,
    }
}

impl VhostUserBackendReqHandlerMut for Backend {
    fn set_owner(&mut self) -> Result<()> {
        Ok(())
    }

    fn reset_owner(&mut self) -> Result<()> {
        self.reset();
        self.features = 0;
        Ok(())
    }

    fn reset_device(&mut self) -> Result<()> {
        self.reset();
        Ok(())
    }

    fn get_features(&mut self) -> Result<u64> {
        Ok(Self::offered())
    }

    fn set_features(&mut self, features: u64) -> Result<()> {
        if features & !Self::offered() != 0 {
            tracing::warn!(features, "the VMM asks for features that are not offered");
            return Err(Error::InvalidParam);
        }
        self.features = features;
        Ok(())
    }

    fn set_mem_table(
        &mut self,
        regions: &[VhostUserMemoryRegion],
        files: Vec<File>,
        _: Option<bool>,
    ) -> Result<Option<Vec<VhostUserMemoryRegionBase>>> {
        let mut table = Regions::default();
        for (region, file) in regions.iter().zip(files) {
            table.add(place(region), file, region.mmap_offset)?;
        }
        self.regions = table;
        self.update_memory()?;
        Ok(None)
    }

    fn set_vring_num(&mut self, index: u32, num: u32) -> Result<()> {
        check_index(index)?;
        self.halt();
        if self.ring.set_size(num) {
            return Ok(());
        }
        tracing::warn!(
            "the VMM wants a queue of {num}: expected a power of two up to 1024 (vq_size)"
        );
        Err(Error::InvalidParam)
    }

    fn set_vring_addr(
        &mut self,
        index: u32,
        _: VhostUserVringAddrFlags,
        descriptors: u64,
        used: u64,
        available: u64,
        _: u64,
    ) -> Result<()> {
        check_index(index)?;
        self.halt();
        let addresses = Addresses {
            descriptors: self.regions.guest_address(descriptors)?,
            available: self.regions.guest_address(available)?,
            used: self.regions.guest_address(used)?,
        };
        if !self.ring.set_addresses(addresses) {
            return Err(Error::InvalidParam);
        }
        self.try_start()
    }

    fn set_vring_base(&mut self, index: u32, base: u32) -> Result<()> {
        check_index(index)?;
        let base = u16::try_from(base).map_err(|_| Error::InvalidParam)?;
        self.halt();
        if base != self.ring.base() {
            // Another driver's.
            self.link = None;
        }
        self.ring.set_base(base);
        Ok(())
    }

    fn get_vring_base(&mut self, index: u32) -> Result<VhostUserVringState> {
        check_index(index)?;
        self.halt();
        self.kick = None;
        Ok(VhostUserVringState::new(index, self.ring.base().into()))
    }

    fn set_vring_kick(&mut self, index: u8, fd: Option<File>) -> Result<()> {
        check_index(index)?;
        self.halt();
        if fd.is_none() {
            tracing::warn!("the VMM wants its queue to be polled: expected an eventfd for kicks");
            return Err(Error::InvalidParam);
        }
        self.kick = fd;
        self.try_start()
    }

    fn set_vring_call(&mut self, index: u8, fd: Option<File>) -> Result<()> {
        check_index(index)?;
        self.ring.set_call(fd);
        Ok(())
    }

    fn set_vring_err(&mut self, index: u8, fd: Option<File>) -> Result<()> {
        check_index(index)?;
        self.ring.set_error(fd);
        Ok(())
    }

    fn get_protocol_features(&mut self) -> Result<VhostUserProtocolFeatures> {
        Ok(VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS)
    }

    fn set_protocol_features(&mut self, features: u64) -> Result<()> {
        if features & VhostUserProtocolFeatures::CONFIG.bits() == 0 {
            tracing::warn!(
                "the guest will not see the mount tag: expected config_size=64 in QEMU's -device"
            );
        }
        Ok(())
    }

    fn get_queue_num(&mut self) -> Result<u64> {
        Ok(1)
    }

    fn set_vring_enable(&mut self, index: u32, enable: bool) -> Result<()> {
        check_index(index)?;
        self.enabled = enable;
        if enable {
            return self.try_start();
        }
        self.halt();
        Ok(())
    }

    fn get_config(&mut self, offset: u32, size: u32, _: VhostUserConfigFlags) -> Result<Vec<u8>> {
        self.config_seen = self.config_seen.max(offset.saturating_add(size));
        Ok(self.share.tag.read(offset, size))
    }

    fn set_config(&mut self, _: u32, _: &[u8], _: VhostUserConfigFlags) -> Result<()> {
        // Nothing in it can be changed.
        Ok(())
    }

    fn get_max_mem_slots(&mut self) -> Result<u64> {
        Ok(REGIONS_MAX as u64)
    }

    fn add_mem_region(
        &mut self,
        region: &VhostUserSingleMemoryRegion,
        file: File,
        _: Option<bool>,
    ) -> Result<Option<VhostUserMemoryRegionBase>> {
        self.regions.add(place(region), file, region.mmap_offset)?;
        self.update_memory()?;
        Ok(None)
    }

    fn remove_mem_region(&mut self, region: &VhostUserSingleMemoryRegion) -> Result<()> {
        self.regions.remove(place(region))?;
        self.update_memory()
    }

    // What follows belongs to features that are not offered.

    fn set_gpu_socket(&mut self, _: GpuBackend) -> Result<()> {
        Err(Error::InvalidOperation("no GPU"))
    }

    fn get_shared_object(&mut self, _: VhostUserSharedMsg) -> Result<File> {
        Err(Error::InvalidOperation("no shared objects"))
    }

    fn get_inflight_fd(&mut self, _: &VhostUserInflight) -> Result<(VhostUserInflight, File)> {
        Err(Error::InvalidOperation("no record of requests in flight"))
    }

    fn set_inflight_fd(&mut self, _: &VhostUserInflight, _: File) -> Result<()> {
        Err(Error::InvalidOperation("no record of requests in flight"))
    }

    fn set_device_state_fd(
        &mut self,
        _: VhostTransferStateDirection,
        _: VhostTransferStatePhase,
        _: File,
    ) -> Result<Option<File>> {
        Err(Error::InvalidOperation("no migration"))
    }

    fn check_device_state(&mut self) -> Result<()> {
        Err(Error::InvalidOperation("no migration"))
    }

    fn get_shmem_config(&mut self) -> Result<VhostUserShMemConfig> {
        Err(Error::InvalidOperation(
            "no shared memory of the device's own",
        ))
    }

    fn set_log_base(&mut self, _: &VhostUserLog, _: File) -> Result<()> {
        Err(Error::InvalidOperation("no log of changed pages"))
    }
}
