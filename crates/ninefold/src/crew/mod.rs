//! The threads that serve, and what they wait on.
//!
//! N threads share one edge-triggered epoll set. The thread that receives a request runs it to its
//! end and sends the reply; it invites a colleague only when more frames are waiting. Blocking
//! system calls are welcome: a blocked thread is only a stack. A connection that is busy one
//! request at a time keeps its thread, which then waits in the receive itself (see
//! [`channel`]); the [`watch`] gives the connection back to the set when that thread is stuck.

mod admit;
mod buffer;
mod channel;
mod connection;
mod door;
mod listen;
mod pace;
mod queue;
mod rx;
mod tx;
mod watch;
mod worker;

pub use admit::{AdmitError, ConnectionOptions};
pub use listen::{Inherited, ListenError, Listener};
pub use queue::{Message, MessageQueue, QueueLink};

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

use crate::export::Export;
use crate::locked;
use crate::session::{Session, SessionOptions};
use crate::sys::interrupt::{self, Calls, Job};
use connection::Connection;
use door::Door;
use watch::Watch;
use worker::Worker;

/// Tokens of the epoll set that are no connection's and no listener's number.
const WAKE: u64 = 0;
const STOP: u64 = 1;
const FIRST_ID: u64 = 2;

/// Least and most threads when their number is not given.
const THREADS: (usize, usize) = (8, 64);

/// How long requests may run on when the crew stops.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether they have ended.
const STOP_LOOK: Duration = Duration::from_millis(1);

/// How the crew is set up.
#[derive(Clone, Copy, Debug)]
pub struct CrewOptions {
    /// Threads; 0 is twice the processors, at least 8 and at most 64.
    pub threads: usize,
    /// What its sessions offer.
    pub session: SessionOptions,
    /// Whether system calls that wait (for a lease on a file, for a file system that hangs) are ended
    /// when the client gives up their request, begins anew or hangs up. It takes a signal of the
    /// process: the first real-time signal without a handler gets one, which does nothing. Only
    /// threads of the crew are sent it.
    pub interrupt: bool,
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
    channels: Mutex<HashMap<u64, Arc<dyn Connection>>>,
    /// Connections with frames that wait for a thread.
    ready: Mutex<VecDeque<Arc<dyn Connection>>>,
    /// Threads that wait in the epoll set.
    idle: AtomicUsize,
    /// A wake-up is on its way to one of them.
    waking: AtomicBool,
    watch: Arc<Watch>,
    /// The signal that ends a thread's system calls, if one may.
    signal: Option<i32>,
    /// What its threads are at.
    calls: Mutex<Vec<Arc<Calls>>>,
    /// A connection has been taken.
    visited: AtomicBool,
    /// What to do when the last client has gone.
    on_deserted: Mutex<Option<Box<dyn FnOnce() + Send>>>,
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
        let door = Arc::new(Door::new(listener, export));
        locked(&shared.listeners).insert(id, Arc::clone(&door));
        let data = EventData::new_u64(id);
        epoll::add(
            &shared.epoll,
            door.fd(),
            data,
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(())
    }

    /// Serves `export` on a connected stream socket, which [`ConnectionOptions::admit`] has set up.
    ///
    /// # Errors
    /// That of the host when the socket cannot be watched.
    pub fn adopt(&self, socket: OwnedFd, export: &Arc<Export>) -> io::Result<()> {
        self.shared.watch.add_export(export);
        Ok(self.shared.adopt(socket, export)?)
    }

    /// Serves `export` to the client of a queue, from when [`QueueLink::start`] is called.
    #[must_use]
    pub fn link(&self, queue: Arc<dyn MessageQueue>, export: &Arc<Export>) -> QueueLink {
        self.shared.watch.add_export(export);
        QueueLink::new(&self.shared, queue, export)
    }

    /// Calls `then` once, when a connection has ended and no other is left, from the thread that
    /// finds it so: at once, if that is so already. It must not wait for the crew.
    pub fn on_deserted(&self, then: impl FnOnce() + Send + 'static) {
        let shared = &self.shared;
        *locked(&shared.on_deserted) = Some(Box::new(then));
        if shared.visited.load(Ordering::SeqCst) && self.connections() == 0 {
            shared.deserted();
        }
    }

    /// Connections at this moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        locked(&self.shared.channels).len()
    }
}

/// Stops: no new connections, no new requests; what runs is finished, then all is closed. Requests that
/// last too long are ended where that can be.
impl Drop for Crew {
    fn drop(&mut self) {
        self.shared.stop();
        let patience = Instant::now() + STOP_PATIENCE;
        while !self.threads.iter().all(JoinHandle::is_finished) {
            if Instant::now() > patience {
                self.shared.interrupt(|_| true);
            }
            thread::sleep(STOP_LOOK);
        }
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
        let signal = if options.interrupt {
            interrupt::signal()
        } else {
            None
        };
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
            signal,
            calls: Mutex::default(),
            visited: AtomicBool::new(false),
            on_deserted: Mutex::default(),
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

    /// Whether a connection waits for a thread, or one that now has something to say would.
    fn is_short_of_threads(&self) -> bool {
        self.idle.load(Ordering::SeqCst) == 0 || !locked(&self.ready).is_empty()
    }

    /// Asks for a colleague to help with a connection. False when all are at work.
    fn invite<C: Connection + 'static>(&self, channel: &Arc<C>) -> bool {
        if self.idle.load(Ordering::SeqCst) == 0 {
            return false;
        }
        if channel.make_offer() {
            self.offer(Arc::<C>::clone(channel));
        }
        true
    }

    /// Puts a connection where the next free thread finds it.
    fn offer(&self, channel: Arc<dyn Connection>) {
        locked(&self.ready).push_back(channel);
        self.wake_one();
    }

    /// Has a thread look at a connection whose state another one has changed.
    fn revisit(&self, id: u64) {
        let channel = locked(&self.channels).get(&id).cloned();
        if let Some(channel) = channel.filter(|channel| channel.make_offer()) {
            self.offer(channel);
        }
    }

    fn wake_one(&self) {
        let idle = self.idle.load(Ordering::SeqCst) > 0;
        if idle && !self.waking.swap(true, Ordering::SeqCst) {
            signal(&self.wake);
        }
    }

    fn forget(&self, id: u64) {
        let mut channels = locked(&self.channels);
        let channel = channels.remove(&id);
        let deserted = channel.is_some() && channels.is_empty();
        // What follows is done unlocked: a channel's end can be long work.
        drop(channels);
        if let Some(channel) = &channel {
            self.watch.interrupt(Arc::downgrade(channel));
        }
        drop(channel);
        if deserted {
            self.deserted();
        }
    }

    /// The last client has gone.
    fn deserted(&self) {
        let then = locked(&self.on_deserted).take();
        if let Some(then) = then {
            then();
        }
    }

    /// Ends the system calls of requests which are over for their clients.
    fn interrupt(&self, is_over: impl Fn(Job) -> bool) {
        for calls in locked(&self.calls).iter() {
            calls.interrupt(&is_over);
        }
    }

    /// Ends the system calls of a connection's requests whose replies nobody waits for. False when
    /// there are none: else they may be about to make one, and this is to be called again.
    fn interrupt_unwanted(&self, connection: u64, session: &Session) -> bool {
        let unwanted = session.unwanted();
        self.interrupt(|(id, number)| id == connection && unwanted.contains(&number));
        !unwanted.is_empty()
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
