//! The driver's side of the ring, and what lies in the guest's memory.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::{AVAILABLE, DESCRIPTORS, END, INDIRECT, LIMIT, NEXT, USED, Vm, WRITE};

/// A buffer: where, and how long.
pub type Buffer = (u64, u32);

impl Vm {
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
            while self.busy.contains(&(self.free % self.style.size)) {
                self.free = self.free.wrapping_add(1);
            }
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
        self.busy.insert(head);
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

    pub fn set_available_and_kick(&self, index: u16) {
        self.set_available(index);
        self.kick.write(1).expect("a kick");
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
        let head = u16::try_from(head).expect("a head");
        self.busy.remove(&head);
        Some((head, len))
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
