//! The device's side of its one virtqueue: a split ring in the guest's memory.

use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use ninefold::{Memory, Message, MessageQueue, Place};
use rustix::fs::OFlags;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

use crate::chain::{self, Chain};
use crate::locked;
use crate::memory::GuestMemory;

/// The longest queue; QEMU's longest, too. One that refused it would make QEMU end.
pub(crate) const QUEUE_MAX: u16 = 1024;
/// In the flags of the ring with which the guest offers buffers: it does not want to be told.
const NO_INTERRUPT: u16 = 1;

/// Where the three parts of a ring are for the guest.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) descriptors: GuestAddress,
    pub(crate) available: GuestAddress,
    pub(crate) used: GuestAddress,
}

/// A ring, shared by the crew and the thread that the VMM talks to.
pub(crate) struct Ring(Mutex<State>);

struct State {
    queue: Queue,
    memory: Option<Arc<GuestMemory>>,
    addresses: Option<Addresses>,
    /// Which heads of chains are with us.
    busy: Vec<bool>,
    call: Option<File>,
    error: Option<File>,
    broken: bool,
}

impl Ring {
    /// A ring that is nowhere yet.
    ///
    /// # Errors
    /// None: the longest queue is a length that the library takes.
    pub(crate) fn new() -> std::io::Result<Self> {
        let queue = Queue::new(QUEUE_MAX).map_err(std::io::Error::other)?;
        Ok(Self(Mutex::new(State {
            queue,
            memory: None,
            addresses: None,
            busy: vec![false; QUEUE_MAX.into()],
            call: None,
            error: None,
            broken: false,
        })))
    }

    /// Sets the number of its entries; false when it cannot have as many.
    pub(crate) fn set_size(&self, size: u32) -> bool {
        let size = u16::try_from(size).unwrap_or(0);
        locked(&self.0).queue.try_set_size(size).is_ok()
    }

    /// Sets its place; false when that is not aligned.
    pub(crate) fn set_addresses(&self, addresses: Addresses) -> bool {
        let mut state = locked(&self.0);
        let queue = &mut state.queue;
        let set = queue
            .try_set_desc_table_address(addresses.descriptors)
            .and_then(|()| queue.try_set_avail_ring_address(addresses.available))
            .and_then(|()| queue.try_set_used_ring_address(addresses.used));
        state.addresses = set.is_ok().then_some(addresses);
        set.is_ok()
    }

    /// Sets the memory that it and its buffers are in.
    pub(crate) fn set_memory(&self, memory: Option<Arc<GuestMemory>>) {
        locked(&self.0).memory = memory;
    }

    pub(crate) fn has_memory(&self) -> bool {
        locked(&self.0).memory.is_some()
    }

    /// Sets whom to tell of replies.
    pub(crate) fn set_call(&self, call: Option<File>) {
        locked(&self.0).call = call.and_then(unblocked);
    }

    /// Sets whom to tell that it is broken.
    pub(crate) fn set_error(&self, error: Option<File>) {
        locked(&self.0).error = error.and_then(unblocked);
    }

    /// The number of requests that were taken, modulo 2^16.
    pub(crate) fn base(&self) -> u16 {
        locked(&self.0).queue.next_avail()
    }

    pub(crate) fn set_base(&self, base: u16) {
        locked(&self.0).queue.set_next_avail(base);
    }

    /// Begins anew, or goes on, with what is set. False when something is missing, or not in the
    /// guest's memory.
    pub(crate) fn start(&self, event_idx: bool) -> bool {
        let mut state = locked(&self.0);
        let Some(memory) = state.memory.clone() else {
            return false;
        };
        if state.addresses.is_none() {
            return false;
        }
        state.queue.set_event_idx(event_idx);
        state.queue.set_ready(true);
        if !state.queue.is_valid(&*memory) {
            state.queue.set_ready(false);
            return false;
        }
        let Ok(used) = state.queue.used_idx(&*memory, Ordering::Acquire) else {
            return false;
        };
        state.queue.set_next_used(used.0);
        state.busy.fill(false);
        state.broken = false;
        true
    }

    /// Forgets everything that a driver has set.
    pub(crate) fn reset(&self) {
        let mut state = locked(&self.0);
        state.queue.reset();
        state.addresses = None;
        state.broken = false;
    }
}

/// Nobody waits for a VMM that does not read its eventfd.
fn unblocked(file: File) -> Option<File> {
    let flags = rustix::fs::fcntl_getfl(&file).ok()?;
    rustix::fs::fcntl_setfl(&file, flags | OFlags::NONBLOCK).ok()?;
    Some(file)
}

fn ring_bell(file: Option<&File>) {
    if let Some(file) = file {
        // One that is full has been rung already.
        let _ = rustix::io::write(file, &1u64.to_ne_bytes());
    }
}

impl State {
    /// What is wrong with the guest's queue is said once; it is not looked at again until its driver
    /// begins anew.
    fn fail(&mut self, why: &str) {
        if !self.broken {
            tracing::warn!("the guest has broken its virtqueue, which is stopped: {why}");
            self.broken = true;
            ring_bell(self.error.as_ref());
        }
    }

    /// The memory, unless the queue is not to be touched.
    fn usable(&self) -> Option<Arc<GuestMemory>> {
        let usable = self.queue.ready() && !self.broken;
        self.memory.clone().filter(|_| usable)
    }

    fn next_head(&mut self, memory: &GuestMemory) -> Result<Option<u16>, String> {
        let found = match self.queue.iter(memory) {
            Ok(mut available) => available.next().map(|chain| chain.head_index()),
            Err(error) => return Err(error.to_string()),
        };
        let Some(head) = found else { return Ok(None) };
        match self.busy.get_mut(usize::from(head)) {
            Some(busy) if head < self.queue.size() && !*busy => *busy = true,
            _ => return Err(format!("descriptor {head} is no new request")),
        }
        Ok(Some(head))
    }

    fn read_chain(&self, memory: &GuestMemory, head: u16) -> Result<Chain, chain::ChainError> {
        let table = GuestAddress(self.queue.desc_table());
        chain::read(memory, table, self.queue.size(), head)
    }

    /// Whether the guest wants to be told of replies; without event index it says so in a flag.
    fn wants_call(&mut self, memory: &GuestMemory) -> bool {
        let wanted = self.queue.needs_notification(memory).unwrap_or(true);
        if !wanted || self.queue.event_idx_enabled() {
            return wanted;
        }
        let flags = GuestAddress(self.queue.avail_ring());
        let flags: Result<u16, _> = memory.load(flags, Ordering::Relaxed);
        flags.map_or(true, |flags| u16::from_le(flags) & NO_INTERRUPT == 0)
    }
}

/// A place in the guest's memory.
#[allow(
    unsafe_code,
    reason = "guest memory becomes memory for system calls here, and only here"
)]
fn place(chain: Chain, mapping: &Arc<GuestMemory>) -> Place {
    let part = |pieces: chain::Pieces| {
        let mapping = Arc::clone(mapping);
        // SAFETY: the pieces are volatile slices of the regions that `mapping` holds, which are
        // mapped readable and writable while it lives. No reference is ever made into them: all
        // access here goes through vm-memory's volatile slices.
        unsafe { Memory::new(pieces, mapping) }
    };
    Place {
        request: part(chain.request),
        reply: part(chain.reply),
    }
}

impl MessageQueue for Ring {
    fn next(&self) -> Option<Message> {
        let mut state = locked(&self.0);
        let memory = state.usable()?;
        let head = match state.next_head(&memory) {
            Ok(head) => head?,
            Err(why) => {
                state.fail(&why);
                return None;
            }
        };
        match state.read_chain(&memory, head) {
            Ok(chain) => Some(Message {
                id: head,
                place: place(chain, &memory),
            }),
            Err(error) => {
                state.fail(&error.to_string());
                None
            }
        }
    }

    fn put_back(&self, id: u16) {
        let mut state = locked(&self.0);
        state.queue.go_to_previous_position();
        if let Some(busy) = state.busy.get_mut(usize::from(id)) {
            *busy = false;
        }
    }

    fn has_more(&self) -> bool {
        let mut state = locked(&self.0);
        let Some(memory) = state.usable() else {
            return false;
        };
        match state.queue.enable_notification(&*memory) {
            Ok(more) => more,
            Err(error) => {
                state.fail(&error.to_string());
                false
            }
        }
    }

    fn complete(&self, id: u16, len: usize) {
        let mut state = locked(&self.0);
        if let Some(busy) = state.busy.get_mut(usize::from(id)) {
            *busy = false;
        }
        let Some(memory) = state.usable() else {
            return;
        };
        let len = u32::try_from(len).unwrap_or(0);
        if let Err(error) = state.queue.add_used(&*memory, id, len) {
            state.fail(&error.to_string());
        }
    }

    fn notify(&self) {
        let mut state = locked(&self.0);
        let Some(memory) = state.usable() else {
            return;
        };
        if state.wants_call(&memory) {
            ring_bell(state.call.as_ref());
        }
    }

    fn fail(&self, why: &str) {
        locked(&self.0).fail(why);
    }
}
