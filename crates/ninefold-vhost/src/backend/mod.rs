//! What the VMM asks of the device, and what follows from it.
//!
//! A VMM stops the queue when its guest resets the device, but also when it only pauses the guest;
//! the two look the same. So a session outlives a stop: whether it goes on is seen when the queue
//! starts again, at the place where it was stopped or at another one. A new driver's first message
//! begins anew in any case.

mod requests;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use ninefold::{Crew, Export, MessageQueue, QueueLink};
use vhost::vhost_user::message::VhostUserVirtioFeatures;
use vhost::vhost_user::{Error, Result};

use crate::memory::Regions;
use crate::ring::Ring;
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
