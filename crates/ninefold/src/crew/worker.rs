//! The life of a thread: it waits, and serves what comes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use ninefold_wire::DATA_HEADER_LEN;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::buffer::Buffer;
use super::pace::Stopwatch;
use super::{Connection, STOP, Shared, WAKE, rx};
use crate::locked;
use crate::sys::interrupt::Calls;
use crate::sys::{self, Pipe};

/// What one thread works with; kept from request to request.
pub(super) struct Worker {
    pub(super) frame: Buffer,
    pub(super) reply: Buffer,
    pub(super) scratch: Vec<u8>,
    pub(super) pipe: Pipe,
    pub(super) stopwatch: Stopwatch,
}

impl Shared {
    /// The life of a thread.
    pub(super) fn work(self: &Arc<Self>) {
        if let Some(signal) = self.signal {
            locked(&self.calls).push(Calls::of_this_thread(signal));
        }
        sys::block_sigpipe();
        let msize = self.options.session.msize_max as usize;
        let mut worker = Worker {
            frame: rx::frame_buffer(),
            reply: Buffer::new(
                msize.max(crate::session::MSIZE_MIN as usize),
                DATA_HEADER_LEN,
            ),
            scratch: Vec::new(),
            pipe: Pipe::default(),
            stopwatch: Stopwatch::default(),
        };
        while !self.is_stopping() {
            if let Some(channel) = self.take_offer() {
                channel.serve(&mut worker);
            } else if let Some(event) = self.wait() {
                self.dispatch(event, &mut worker);
            }
        }
    }

    fn take_offer(&self) -> Option<Arc<dyn Connection>> {
        let mut ready = locked(&self.ready);
        let channel = ready.pop_front()?;
        channel.accept_offer();
        let more = !ready.is_empty();
        drop(ready);
        if more {
            self.wake_one();
        }
        Some(channel)
    }

    fn wait(&self) -> Option<Event> {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let mut events = [Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(WAKE),
        }];
        // An offer made before this thread counted as idle has woken nobody.
        let offered = !locked(&self.ready).is_empty();
        let woken = if offered {
            Ok(0)
        } else {
            epoll::wait(&self.epoll, &mut events, None)
        };
        self.idle.fetch_sub(1, Ordering::SeqCst);
        match woken {
            Ok(1) => Some(events[0]),
            Ok(_) | Err(Errno::INTR) => None,
            Err(errno) => {
                tracing::error!(%errno, "epoll_wait");
                thread::sleep(Duration::from_millis(10));
                None
            }
        }
    }

    fn dispatch(self: &Arc<Self>, event: Event, worker: &mut Worker) {
        match event.data.u64() {
            WAKE => self.waking.store(false, Ordering::SeqCst),
            STOP => {}
            id => {
                let channel = locked(&self.channels).get(&id).cloned();
                if let Some(channel) = channel {
                    channel.on_event(event.flags, worker);
                } else {
                    self.accept(id);
                }
            }
        }
    }
}
