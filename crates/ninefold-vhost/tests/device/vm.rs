//! A VMM and its guest, with memory of two regions in a file each.

mod client;
mod host;
mod ring;

pub use host::Host;
pub use ring::{Buffer, wait};

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

/// Turns a hang into a failure; nothing is decided by it.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Where the guest's memory begins, and how long each of its two regions is.
pub const BASE: u64 = 0x10_0000;
pub const REGION: u64 = 4 << 20;
/// The end of it.
pub const END: u64 = BASE + 2 * REGION;
/// Where the VMM has it.
const VMM: u64 = 0x7f00_0000_0000;
const DESCRIPTORS: u64 = BASE;
const AVAILABLE: u64 = BASE + 0x8000;
const USED: u64 = BASE + 0x1_0000;
/// Where indirect tables and buffers may be.
pub const DATA: u64 = BASE + 0x2_0000;

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

pub const MSIZE: u32 = 512_000;

/// How a guest uses its ring.
#[derive(Clone, Copy)]
pub struct Style {
    pub size: u16,
    pub indirect: bool,
    pub event_idx: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            size: 128,
            indirect: true,
            event_idx: true,
        }
    }
}

/// A VMM with one guest.
pub struct Vm {
    pub frontend: Frontend,
    pub memory: GuestMemoryMmap<()>,
    files: Vec<File>,
    pub style: Style,
    pub kick: EventFd,
    pub call: EventFd,
    pub error: EventFd,
    /// Requests offered and replies seen.
    pub offered: u16,
    seen: u16,
    /// The next free descriptor and byte.
    free: u16,
    pub data: u64,
    tag: u16,
    /// Heads that the device has.
    busy: HashSet<u16>,
}

impl Vm {
    /// Connects, and begins with the driver.
    pub fn new(socket: &Path, style: Style) -> Self {
        let mut vm = Self::connect(socket, style);
        vm.share_memory();
        vm.start(0);
        vm
    }

    /// Connects as far as features go.
    pub fn connect(socket: &Path, style: Style) -> Self {
        let stream = UnixStream::connect(socket).expect("the device listens");
        let mut frontend = Frontend::from_stream(stream, 1);
        let offered = frontend.get_features().expect("features");
        assert_eq!(offered, 0x1_7000_0001);
        let wanted = VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS;
        let known = frontend.get_protocol_features().expect("features");
        assert!(known.contains(wanted), "{known:?}");
        frontend.set_protocol_features(wanted).expect("taken");
        frontend.set_hdr_flags(vhost::vhost_user::message::VhostUserHeaderFlag::NEED_REPLY);
        frontend.set_owner().expect("an owner");
        let mut features = 1 | (1 << 32) | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        features |= u64::from(style.indirect) << 28 | u64::from(style.event_idx) << 29;
        frontend.set_features(features).expect("taken");
        let (memory, files) = memory();
        let event = || EventFd::new(nonblocking()).expect("an eventfd");
        Self {
            frontend,
            memory,
            files,
            style,
            kick: event(),
            call: event(),
            error: event(),
            offered: 0,
            seen: 0,
            free: 0,
            data: DATA,
            tag: 0,
            busy: HashSet::new(),
        }
    }

    pub fn share_memory(&self) {
        let region = |at: usize, file: &File| VhostUserMemoryRegionInfo {
            guest_phys_addr: BASE + at as u64 * REGION,
            memory_size: REGION,
            userspace_addr: VMM + 2 * at as u64 * REGION,
            mmap_offset: 0,
            mmap_handle: file.as_raw_fd(),
        };
        let files = self.files.iter().enumerate();
        let regions: Vec<_> = files.map(|(at, file)| region(at, file)).collect();
        self.frontend.set_mem_table(&regions).expect("a table");
    }

    /// Takes the first region away.
    pub fn share_only_the_second_region(&self) {
        let region = VhostUserMemoryRegionInfo {
            guest_phys_addr: BASE + REGION,
            memory_size: REGION,
            userspace_addr: VMM + 2 * REGION,
            mmap_offset: 0,
            mmap_handle: self.files[1].as_raw_fd(),
        };
        self.frontend.set_mem_table(&[region]).expect("a table");
    }

    /// Starts the queue where it has been left.
    pub fn start(&mut self, base: u16) {
        let frontend = &mut self.frontend;
        frontend.set_vring_num(0, self.style.size).expect("a size");
        frontend.set_vring_base(0, base).expect("a base");
        let vmm = |guest: u64| VMM + (guest - BASE);
        let places = VringConfigData {
            queue_max_size: self.style.size,
            queue_size: self.style.size,
            flags: 0,
            desc_table_addr: vmm(DESCRIPTORS),
            used_ring_addr: vmm(USED),
            avail_ring_addr: vmm(AVAILABLE),
            log_addr: None,
        };
        frontend.set_vring_addr(0, &places).expect("places");
        frontend.set_vring_err(0, &self.error).expect("an eventfd");
        frontend.set_vring_call(0, &self.call).expect("an eventfd");
        frontend.set_vring_kick(0, &self.kick).expect("an eventfd");
        frontend.set_vring_enable(0, true).expect("enabled");
    }

    /// A new driver, with a new ring.
    pub fn reboot(&mut self) {
        self.stop();
        (self.offered, self.seen, self.free) = (0, 0, 0);
        self.busy.clear();
        self.put(AVAILABLE, &[0; 0x8000]);
        self.put(USED, &[0; 0x8000]);
        self.start(0);
    }

    /// Stops the queue; returns where.
    pub fn stop(&mut self) -> u16 {
        let frontend = &mut self.frontend;
        frontend.set_vring_enable(0, false).expect("disabled");
        let base = frontend.get_vring_base(0).expect("a base");
        u16::try_from(base).expect("an index of 16 bits")
    }
}

fn nonblocking() -> i32 {
    i32::try_from(rustix::event::EventfdFlags::NONBLOCK.bits()).expect("a flag")
}

fn memory() -> (GuestMemoryMmap<()>, Vec<File>) {
    let file = || {
        let file = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).expect("a memfd");
        let file = File::from(file);
        file.set_len(REGION).expect("its length");
        file
    };
    let files = vec![file(), file()];
    let len = usize::try_from(REGION).expect("a length");
    let range = |at: usize| {
        let file = files[at].try_clone().expect("a file");
        let start = GuestAddress(BASE + at as u64 * REGION);
        (start, len, Some(FileOffset::new(file, 0)))
    };
    let ranges = [range(0), range(1)];
    let memory = GuestMemoryMmap::from_ranges_with_files(&ranges).expect("memory");
    (memory, files)
}
