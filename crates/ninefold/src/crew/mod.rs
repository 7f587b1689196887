//! The threads that serve, and what they wait on.
//!
//! N threads share one edge-triggered epoll set. The thread that receives a request runs it to its
//! end and sends the reply; it invites a colleague only when more frames are waiting. Blocking
//! system calls are welcome: a blocked thread is only a stack. A connection that is busy one
//! request at a time keeps its thread, which then waits in the receive itself (see
//! [`channel`]); the [`watch`] gives the connection back to the set when that thread is stuck.

mod buffer;
mod channel;
mod listen;
mod rx;
mod tx;
mod watch;

pub use listen::{ListenError, Listener};

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ninefold_wire::DATA_HEADER_LEN;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::export::Export;
use crate::locked;
use crate::session::SessionOptions;
use buffer::Buffer;
use channel::Channel;
use watch::Watch;

/// Tokens of the epoll set that are no connection's and no listener's number.
const WAKE: u64 = 0;
const STOP: u64 = 1;
const FIRST_ID: u64 = 2;

/// Most connections at once; further ones are closed at once.
const CONNECTIONS_MAX: usize = 16384;
/// Least and most threads when their number is not given.
const THREADS: (usize, usize) = (8, 64);

/// How the crew is set up.
#[derive(Clone, Copy, Debug)]
pub struct CrewOptions {
    /// Threads; 0 is twice the processors, at least 8 and at most 64.
    pub threads: usize,
    /// What its sessions offer.
    pub session: SessionOptions,
}

/// A running server: threads, listeners, connections.
pub struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    watch: Option<JoinHandle<()>>,
}

/// What all threads share.
struct Shared {
    epoll: OwnedFd,
    wake: OwnedFd,
    stop: OwnedFd,
    stopping: AtomicBool,
    options: CrewOptions,
    ids: AtomicU64,
    listeners: Mutex<HashMap<u64, Arc<Door>>>,
    channels: Mutex<HashMap<u64, Arc<Channel>>>,
    /// Connections with frames that wait for a thread.
    ready: Mutex<VecDeque<Arc<Channel>>>,
    /// Threads that wait in the epoll set.
    idle: AtomicUsize,
    /// A wake-up is on its way to one of them.
    waking: AtomicBool,
    watch: Arc<Watch>,
}

/// A listener and what is behind it.
struct Door {
    listener: Listener,
    export: Arc<Export>,
    /// Times that somebody was told of newcomers since the last look at the door.
    knocks: AtomicUsize,
}

/// What one thread works with; kept from request to request.
struct Worker {
    frame: Buffer,
    reply: Buffer,
    scratch: Vec<u8>,
}

impl Crew {
    /// Starts the threads.
    ///
    /// # Errors
    /// That of the host when it has no descriptors or threads left.
    pub fn start(options: CrewOptions) -> io::Result<Self> {
        let threads = if options.threads > 0 {
            options.threads
        } else {
            default_threads()
        };
        // One connection may not hold all of them, so that there are at least two.
        let options = CrewOptions {
            threads: threads.max(2),
            ..options
        };
        let shared = Arc::new(Shared::new(options)?);
        let watch = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("watch".into())
                .spawn(move || shared.watch.run())?
        };
        let mut crew = Self {
            shared,
            threads: Vec::new(),
            watch: Some(watch),
        };
        for number in 0..options.threads {
            let shared = Arc::clone(&crew.shared);
            let builder = thread::Builder::new().name(format!("worker-{number}"));
            crew.threads.push(builder.spawn(move || shared.work())?);
        }
        Ok(crew)
    }

    /// Serves `export` to whoever connects to `listener`.
    ///
    /// # Errors
    /// That of the host when the listener cannot be watched.
    pub fn listen(&self, listener: Listener, export: &Arc<Export>) -> io::Result<()> {
        let shared = &self.shared;
        shared.watch.add_export(export);
        let id = shared.new_id();
        let door = Arc::new(Door {
            listener,
            export: Arc::clone(export),
            knocks: AtomicUsize::new(0),
        });
        locked(&shared.listeners).insert(id, Arc::clone(&door));
        let data = EventData::new_u64(id);
        epoll::add(
            &shared.epoll,
            door.listener.fd(),
            data,
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(())
    }

    /// Serves `export` on a connected stream socket.
    ///
    /// # Errors
    /// That of the host when the socket cannot be watched.
    pub fn adopt(&self, socket: OwnedFd, export: &Arc<Export>) -> io::Result<()> {
        self.shared.watch.add_export(export);
        Ok(self.shared.adopt(socket, export)?)
    }

    /// Connections at this moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        locked(&self.shared.channels).len()
    }
}

/// Stops: no new connections, no new requests; what runs is finished, then all is closed.
impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..).chain(self.watch.take()) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
        self.shared.close_all();
    }
}

fn default_threads() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (2 * processors).clamp(THREADS.0, THREADS.1)
}

impl Shared {
    fn new(options: CrewOptions) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (wake, stop) = (eventfd(0, flags)?, eventfd(0, flags)?);
        epoll::add(
            &epoll,
            &wake,
            EventData::new_u64(WAKE),
            EventFlags::IN | EventFlags::ET,
        )?;
        // Level-triggered, so that every thread sees it.
        epoll::add(&epoll, &stop, EventData::new_u64(STOP), EventFlags::IN)?;
        Ok(Self {
            epoll,
            wake,
            stop,
            stopping: AtomicBool::new(false),
            options,
            ids: AtomicU64::new(FIRST_ID),
            listeners: Mutex::default(),
            channels: Mutex::default(),
            ready: Mutex::default(),
            idle: AtomicUsize::new(0),
            waking: AtomicBool::new(false),
            watch: Arc::default(),
        })
    }

    fn new_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Threads that one connection may have at once: some are always left for others.
    fn threads_per_channel(&self) -> usize {
        (self.options.threads * 3 / 4).max(1)
    }

    /// The life of a thread.
    fn work(self: &Arc<Self>) {
        let msize = self.options.session.msize_max as usize;
        let mut worker = Worker {
            frame: rx::frame_buffer(),
            reply: Buffer::new(
                msize.max(crate::session::MSIZE_MIN as usize),
                DATA_HEADER_LEN,
            ),
            scratch: Vec::new(),
        };
        while !self.is_stopping() {
            if let Some(channel) = self.take_offer() {
                channel.serve(&mut worker);
            } else if let Some(event) = self.wait() {
                self.dispatch(event, &mut worker);
            }
        }
    }

    fn take_offer(&self) -> Option<Arc<Channel>> {
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

    /// Asks for a colleague to help with a connection. False when all are at work.
    fn invite(&self, channel: &Arc<Channel>) -> bool {
        if self.idle.load(Ordering::SeqCst) == 0 {
            return false;
        }
        if channel.make_offer() {
            self.offer(channel);
        }
        true
    }

    /// Puts a connection where the next free thread finds it.
    fn offer(&self, channel: &Arc<Channel>) {
        locked(&self.ready).push_back(Arc::clone(channel));
        self.wake_one();
    }

    /// Has a thread look at a connection whose state another one has changed.
    fn revisit(&self, id: u64) {
        let channel = locked(&self.channels).get(&id).cloned();
        if let Some(channel) = channel.filter(|channel| channel.make_offer()) {
            self.offer(&channel);
        }
    }

    fn wake_one(&self) {
        let idle = self.idle.load(Ordering::SeqCst) > 0;
        if idle && !self.waking.swap(true, Ordering::SeqCst) {
            signal(&self.wake);
        }
    }

    /// Lets newcomers in. One thread does: when there are no descriptors left it stays at the door,
    /// and the others are for those who are inside.
    fn accept(self: &Arc<Self>, id: u64) {
        let Some(door) = locked(&self.listeners).get(&id).cloned() else {
            return;
        };
        if door.knocks.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        let mut heard = 1;
        while heard > 0 {
            self.accept_all(&door);
            heard = door.knocks.fetch_sub(heard, Ordering::SeqCst) - heard;
        }
    }

    fn accept_all(self: &Arc<Self>, door: &Door) {
        while !self.is_stopping() {
            match door.listener.accept() {
                Ok(socket) => {
                    if let Err(errno) = self.adopt(socket, &door.export) {
                        tracing::warn!(%errno, "cannot serve a new connection");
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => {
                    tracing::warn!(%errno, "cannot accept a connection, trying again");
                    // Out of descriptors, most likely: the door stays open for when there are some.
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn adopt(self: &Arc<Self>, socket: OwnedFd, export: &Arc<Export>) -> Result<(), Errno> {
        let id = self.new_id();
        let channel = Channel::new(self, id, socket, export)?;
        let mut channels = locked(&self.channels);
        if channels.len() >= CONNECTIONS_MAX {
            return Err(Errno::MFILE);
        }
        channels.insert(id, Arc::clone(&channel));
        drop(channels);
        let added = channel.register();
        if added.is_err() {
            self.forget(id);
        }
        added
    }

    fn forget(&self, id: u64) {
        // Dropped unlocked: a channel's end can be long work.
        let channel = locked(&self.channels).remove(&id);
        drop(channel);
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        signal(&self.stop);
        self.watch.stop();
    }

    fn close_all(&self) {
        locked(&self.listeners).clear();
        locked(&self.ready).clear();
        let channels = std::mem::take(&mut *locked(&self.channels));
        for channel in channels.values() {
            channel.close();
        }
    }
}

fn signal(eventfd: &OwnedFd) {
    // It cannot fail: the counter overflows after 2^64 unread signals.
    let _ = rustix::io::write(eventfd.as_fd(), &1u64.to_ne_bytes());
}
