//! A VMM and its guest's driver, with memory of two regions in a file each.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ninefold::{Crew, CrewOptions, Export, ExportOptions, Listener, SecurityModel, SessionOptions};
use ninefold_vhost::{Device, Tag};
use ninefold_wire::{Dialect, NOFID, NOTAG, Reply, Request, Step, Steps};
use rustix::fs::MemfdFlags;
use tempfile::TempDir;
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};
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

/// A folder, a crew, and a device.
pub struct Host {
    device: Option<Device>,
    crew: Arc<Crew>,
    top: TempDir,
}

impl Host {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(set: impl FnOnce(&mut ExportOptions)) -> Self {
        let top = tempfile::tempdir().expect("a folder");
        let shared = top.path().join("shared");
        std::fs::create_dir(&shared).expect("a folder");
        let mut options = ExportOptions::new(SecurityModel::None);
        set(&mut options);
        let export = Arc::new(Export::open(&shared, &options).expect("an export"));
        let crew = Crew::start(CrewOptions {
            threads: 4,
            session: SessionOptions { msize_max: 1 << 20 },
            interrupt: true,
        });
        let crew = Arc::new(crew.expect("threads"));
        let listener = Listener::unix(&top.path().join("socket")).expect("a socket");
        let tag = Tag::new(b"share").expect("a tag");
        let device = Device::start(listener, tag, &crew, &export).expect("a device");
        Self {
            device: Some(device),
            crew,
            top,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().join("shared").join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.top.path().join("socket")
    }

    /// Waits until the crew has no sessions left.
    pub fn wait_for_no_sessions(&self) {
        let until = Instant::now() + LIMIT;
        while self.crew.connections() > 0 {
            assert!(Instant::now() < until, "expected no session to be left");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn sessions(&self) -> usize {
        self.crew.connections()
    }

    pub fn stop_device(&mut self) {
        self.device = None;
    }
}

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
}

/// A buffer: where, and how long.
pub type Buffer = (u64, u32);

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

    pub fn put(&self, place: u64, bytes: &[u8]) {
        self.memory
            .write_slice(bytes, GuestAddress(place))
            .expect("guest memory");
    }

    pub fn get(&self, place: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory
            .read_slice(&mut bytes, GuestAddress(place))
            .expect("guest memory");
        bytes
    }

    /// Room in the guest's memory, which is never used again.
    pub fn room(&mut self, len: usize) -> u64 {
        let place = self.data;
        self.data += (len as u64).next_multiple_of(64);
        assert!(self.data < END, "expected the test to use less memory");
        place
    }

    /// A buffer with these bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> Buffer {
        let place = self.room(bytes.len());
        self.put(place, bytes);
        (place, u32::try_from(bytes.len()).expect("a short buffer"))
    }

    pub fn set_descriptor(&self, table: u64, at: u16, descriptor: (u64, u32, u16, u16)) {
        let (place, len, flags, next) = descriptor;
        let descriptor = Descriptor::new(place, len, flags, next);
        let place = GuestAddress(table + 16 * u64::from(at));
        self.memory.write_obj(descriptor, place).expect("a table");
    }

    /// Sets a descriptor of the ring's own table.
    pub fn descriptor(&self, at: u16, place: u64, len: u32, flags: u16, next: u16) {
        self.set_descriptor(DESCRIPTORS, at, (place, len, flags, next));
    }

    /// Writes a chain; returns its head.
    pub fn chain(&mut self, out: &[Buffer], into: &[Buffer]) -> u16 {
        let count = u16::try_from(out.len() + into.len()).expect("a short chain");
        let (table, first, head) = if self.style.indirect {
            let table = self.room(16 * usize::from(count));
            let head = self.free % self.style.size;
            self.descriptor(head, table, 16 * u32::from(count), INDIRECT, 0);
            self.free = self.free.wrapping_add(1);
            (table, 0, head)
        } else {
            let first = self.free;
            self.free = self.free.wrapping_add(count);
            (DESCRIPTORS, first, first % self.style.size)
        };
        let index = |at: u16| match self.style.indirect {
            true => at,
            false => first.wrapping_add(at) % self.style.size,
        };
        let all = out
            .iter()
            .map(|it| (it, 0))
            .chain(into.iter().map(|it| (it, WRITE)));
        for (at, ((place, len), flags)) in (0..count).zip(all) {
            let next = if at + 1 < count { NEXT } else { 0 };
            let descriptor = (*place, *len, flags | next, index(at + 1));
            self.set_descriptor(table, index(at), descriptor);
        }
        head
    }

    /// Puts a head into the ring without telling anybody.
    pub fn offer_quietly(&mut self, head: u16) {
        let slot = u64::from(self.offered % self.style.size);
        let place = GuestAddress(AVAILABLE + 4 + 2 * slot);
        self.memory.write_obj(head, place).expect("a ring");
        self.offered = self.offered.wrapping_add(1);
        self.set_available(self.offered);
    }

    pub fn set_available(&self, index: u16) {
        let place = GuestAddress(AVAILABLE + 2);
        self.memory
            .store(index, place, Ordering::Release)
            .expect("a ring");
    }

    pub fn offer(&mut self, head: u16) {
        self.offer_quietly(head);
        self.kick.write(1).expect("a kick");
    }

    fn used(&self) -> u16 {
        let place = GuestAddress(USED + 2);
        self.memory.load(place, Ordering::Acquire).expect("a ring")
    }

    /// The next reply that is there: head and length.
    pub fn poll_used(&mut self) -> Option<(u16, u32)> {
        if self.used() == self.seen {
            return None;
        }
        let slot = u64::from(self.seen % self.style.size);
        let place = GuestAddress(USED + 4 + 8 * slot);
        let [head, len]: [u32; 2] = self.memory.read_obj(place).expect("a ring");
        self.seen = self.seen.wrapping_add(1);
        // Where the guest wants to be told again: of the next one.
        let event = AVAILABLE + 4 + 2 * u64::from(self.style.size);
        let event = GuestAddress(event);
        self.memory
            .store(self.seen, event, Ordering::SeqCst)
            .expect("a ring");
        Some((u16::try_from(head).expect("a head"), len))
    }

    /// Waits for the next reply, by the interrupts that come.
    pub fn wait_used(&mut self) -> (u16, u32) {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(used) = self.poll_used() {
                return used;
            }
            assert!(Instant::now() < until, "expected a reply");
            // A driver looks once more after it has said what it wants to be told of.
            std::sync::atomic::fence(Ordering::SeqCst);
            if self.used() == self.seen {
                assert!(wait(&self.call, LIMIT), "expected to be told of a reply");
            }
        }
    }

    /// Encodes a request with the next tag.
    pub fn encode(&mut self, request: &Request<'_>) -> (u16, Vec<u8>) {
        let tag = match request {
            Request::Version { .. } => NOTAG,
            _ => self.tag,
        };
        self.tag = (self.tag + 1) % 1000;
        let mut frame = vec![0; 1 << 20];
        let len = request.encode(tag, &mut frame).expect("a request");
        frame.truncate(len);
        (tag, frame)
    }

    /// Offers a request as Linux lays out a small one; returns its head and the reply's place.
    pub fn send(&mut self, request: &Request<'_>) -> (u16, u64) {
        let (_, frame) = self.encode(request);
        let (out, into) = (self.bytes(&frame), self.room(8192));
        let head = self.chain(&[out], &[(into, 8192)]);
        self.offer(head);
        (head, into)
    }

    /// One request and its reply.
    pub fn ask(&mut self, request: &Request<'_>) -> Vec<u8> {
        let data = self.data;
        let (head, into) = self.send(request);
        let (used, len) = self.wait_used();
        assert_eq!(used, head);
        let reply = self.get(into, len as usize);
        self.data = data;
        reply
    }

    /// One request that must succeed; `check` looks at the reply.
    pub fn ok<T>(
        &mut self,
        request: &Request<'_>,
        check: impl FnOnce(&Reply<'_>) -> Option<T>,
    ) -> T {
        let reply = self.ask(request);
        let (_, reply) = Reply::decode(&reply, Dialect::Linux).expect("a reply");
        check(&reply).unwrap_or_else(|| panic!("{request:?} was answered {reply:?}"))
    }

    pub fn version(&mut self) {
        let version = Request::Version {
            msize: MSIZE,
            version: b"9P2000.L",
        };
        self.ok(&version, |reply| match reply {
            Reply::Version { msize: MSIZE, .. } => Some(()),
            _ => None,
        });
    }

    /// Mounts: fid 1 is the root.
    pub fn mount(&mut self) {
        self.version();
        let attach = Request::Attach {
            fid: 1,
            afid: NOFID,
            uname: b"root",
            aname: b"",
            n_uname: Some(0),
        };
        self.ok(&attach, |it| {
            matches!(it, Reply::Attach { .. }).then_some(())
        });
    }

    /// Opens a file of the root as a fid.
    pub fn open(&mut self, name: &str, fid: u32, flags: u32) {
        let steps = [Step::new(name.as_bytes()).expect("a name")];
        let walk = Request::Walk {
            fid: 1,
            newfid: fid,
            steps: Steps::of(&steps).expect("few names"),
        };
        self.ok(&walk, |it| matches!(it, Reply::Walk { .. }).then_some(()));
        let open = Request::Lopen { fid, flags };
        self.ok(&open, |it| matches!(it, Reply::Lopen { .. }).then_some(()));
    }
}

fn nonblocking() -> i32 {
    i32::try_from(rustix::event::EventfdFlags::NONBLOCK.bits()).expect("a flag")
}

/// Waits until an eventfd has been written to, and takes note of it.
pub fn wait(event: &EventFd, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while event.read().is_err() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    true
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
