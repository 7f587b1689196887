//! What the VMM asks of the device, and what follows from it.
//!
//! A VMM stops the queue when its guest resets the device, but also when it only pauses the guest;
//! the two look the same. So a session outlives a stop: whether it goes on is seen when the queue
//! starts again, at the place where it was stopped or at another one. A new driver's first message
//! begins anew in any case.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use ninefold::{Crew, Export, MessageQueue, QueueLink};
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserConfigFlags, VhostUserInflight,
    VhostUserLog, VhostUserMemoryRegion, VhostUserProtocolFeatures, VhostUserShMemConfig,
    VhostUserSharedMsg, VhostUserSingleMemoryRegion, VhostUserVirtioFeatures,
    VhostUserVringAddrFlags, VhostUserVringState,
};
use vhost::vhost_user::{Error, GpuBackend, Result, VhostUserBackendReqHandlerMut};

use vhost::VhostUserMemoryRegionBase;

use crate::memory::{Place, REGIONS_MAX, Regions};
use crate::ring::{Addresses, Ring};
use crate::tag::Tag;

/// `VIRTIO_9P_MOUNT_TAG`.
const MOUNT_TAG: u64 = 1;
/// Indirect descriptors, event index, version 1. No packed ring: the library has only split ones.
const INDIRECT: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;

/// How long a stop of the queue waits for requests that are being served. The VMM waits with it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is the same for all VMMs that connect one after the other.
pub(crate) struct Share {
    pub(crate) crew: Arc<Crew>,
    pub(crate) export: Arc<Export>,
    pub(crate) tag: Tag,
}

/// The device as one VMM knows it.
pub(crate) struct Backend {
    share: Arc<Share>,
    regions: Regions,
    ring: Arc<Ring>,
    link: Option<QueueLink>,
    features: u64,
    kick: Option<File>,
    enabled: bool,
    running: bool,
    /// How much of the configuration space the VMM has asked for.
    config_seen: u32,
}

impl Backend {
    pub(crate) fn new(share: &Arc<Share>) -> std::io::Result<Self> {
        Ok(Self {
            share: Arc::clone(share),
            regions: Regions::default(),
            ring: Arc::new(Ring::new()?),
            link: None,
            features: 0,
            kick: None,
            enabled: false,
            running: false,
            config_seen: 0,
        })
    }

    /// Whether the driver has begun and its memory is not known.
    pub(crate) fn lacks_memory(&self) -> bool {
        self.features != 0 && !self.ring.has_memory()
    }

    fn offered() -> u64 {
        let protocol = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        MOUNT_TAG | INDIRECT | EVENT_IDX | VERSION_1 | protocol
    }

    /// Without that feature, a queue is enabled from the beginning.
    fn is_enabled(&self) -> bool {
        let protocol = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        self.enabled || self.features & protocol == 0
    }

    /// Takes requests from now on, if all is there that is needed.
    fn try_start(&mut self) -> Result<()> {
        if self.running || !self.is_enabled() {
            return Ok(());
        }
        let Some(kick) = &self.kick else {
            return Ok(());
        };
        if !self.ring.start(self.features & EVENT_IDX != 0) {
            return Ok(());
        }
        let kick = kick.try_clone().map_err(Error::ReqHandlerError)?;
        let share = &self.share;
        let link = self.link.get_or_insert_with(|| {
            let queue: Arc<dyn MessageQueue> = Arc::<Ring>::clone(&self.ring);
            share.crew.link(queue, &share.export)
        });
        link.start(kick.into()).map_err(Error::ReqHandlerError)?;
        self.running = true;
        self.check_config();
        Ok(())
    }

    /// Takes no more requests, and answers those that were taken.
    fn halt(&mut self) {
        if !std::mem::take(&mut self.running) {
            return;
        }
        let alive = self.link.as_ref().is_some_and(|link| link.stop(PATIENCE));
        if !alive {
            tracing::warn!("requests were given up, because the guest was stopped while they ran");
            self.link = None;
        }
    }

    /// The end of a driver.
    fn reset(&mut self) {
        self.halt();
        self.link = None;
        self.kick = None;
        self.enabled = false;
        self.ring.reset();
    }

    fn update_memory(&mut self) -> Result<()> {
        self.ring.set_memory(self.regions.memory()?);
        self.try_start()
    }

    fn check_config(&self) {
        let needed = self.share.tag.config().len();
        if self.config_seen > 0 && usize::try_from(self.config_seen).is_ok_and(|it| it < needed) {
            tracing::warn!(
                "the guest sees {} bytes of the device's configuration, too few for its mount tag: \
                 expected config_size=64 in QEMU's -device",
                self.config_seen
            );
        }
    }
}

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
