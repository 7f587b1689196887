//! A device's socket, and the thread that waits there for VMMs, one after the other.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ninefold::{Crew, Errno, Export, Listener};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use vhost::vhost_user::{BackendReqHandler, Error};

use crate::backend::{Backend, Share};
use crate::locked;
use crate::tag::Tag;

/// How long after the start of a driver its memory may take to be shared.
const MEMORY_DELAY: Duration = Duration::from_secs(3);

/// A virtio-9p device for one VMM at a time. Dropping it ends the connection.
pub struct Device {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// How the thread is told to end.
struct Stop {
    event: OwnedFd,
    asked: AtomicBool,
    /// The connection, on which a message may be waited for that never comes as a whole.
    stream: Mutex<Option<UnixStream>>,
}

struct Door {
    listener: Listener,
    share: Arc<Share>,
    stop: Arc<Stop>,
}

impl Device {
    /// Serves `export` to the guests of the VMMs that connect to `listener`, a unix socket.
    ///
    /// # Errors
    /// That of the host when it has no descriptors or threads left.
    pub fn start(
        listener: Listener,
        tag: Tag,
        crew: &Arc<Crew>,
        export: &Arc<Export>,
    ) -> io::Result<Self> {
        let stop = Arc::new(Stop {
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            asked: AtomicBool::new(false),
            stream: Mutex::default(),
        });
        let door = Door {
            listener,
            share: Arc::new(Share {
                crew: Arc::clone(crew),
                export: Arc::clone(export),
                tag,
            }),
            stop: Arc::clone(&stop),
        };
        let builder = thread::Builder::new().name("vhost-user".into());
        let thread = Some(builder.spawn(move || door.run())?);
        Ok(Self { stop, thread })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.asked.store(true, Ordering::Release);
        // It cannot fail: the counter overflows after 2^64 signals.
        let _ = rustix::io::write(&self.stop.event, &1u64.to_ne_bytes());
        if let Some(stream) = &*locked(&self.stop.stream) {
            // The VMM may have gone already.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Stop {
    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits until there is something to read; false when the thread is to end or time is up.
    fn wait_for(&self, fd: impl AsFd, timeout: Option<Duration>) -> bool {
        let timeout = timeout.and_then(|it| Timespec::try_from(it).ok());
        let mut fds = [
            PollFd::new(&fd, PollFlags::IN),
            PollFd::new(&self.event, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => !self.is_asked() && !fds[0].revents().is_empty(),
            Err(_) => false,
        }
    }
}

impl Door {
    fn run(&self) {
        while !self.stop.is_asked() {
            if !self.stop.wait_for(self.listener.fd(), None) {
                continue;
            }
            match self.listener.accept() {
                Ok(socket) => match self.listener.admit(&socket) {
                    Ok(()) => self.serve(socket.into()),
                    Err(error) => tracing::warn!("refused a VMM: {error}"),
                },
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => {
                    tracing::warn!(%errno, "cannot accept a VMM, trying again");
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Serves one VMM until it goes.
    fn serve(&self, stream: UnixStream) {
        tracing::info!("a VMM has connected");
        match stream.try_clone() {
            Ok(clone) => *locked(&self.stop.stream) = Some(clone),
            Err(error) => return tracing::warn!(%error, "cannot serve a VMM"),
        }
        // A defect of ours costs this guest its device, and the others nothing.
        match catch_unwind(AssertUnwindSafe(|| self.converse(stream))) {
            Ok(Ok(()) | Err(Error::Disconnected)) => tracing::info!("the VMM has gone"),
            Ok(Err(error)) => tracing::warn!(%error, "the connection to a VMM has ended"),
            Err(_) => tracing::error!("the connection to a VMM has ended by a defect"),
        }
        *locked(&self.stop.stream) = None;
    }

    fn converse(&self, stream: UnixStream) -> Result<(), Error> {
        let incoming = stream.try_clone().map_err(Error::SocketError)?;
        let backend = Backend::new(&self.share).map_err(Error::ReqHandlerError)?;
        let backend = Arc::new(Mutex::new(backend));
        let mut handler = BackendReqHandler::from_stream(stream, Arc::clone(&backend));
        let mut lacking = Lacking::default();
        while !self.stop.is_asked() {
            if self.stop.wait_for(&incoming, lacking.left()) {
                handler.handle_request()?;
            }
            lacking.look(locked(&backend).lacks_memory());
        }
        Ok(())
    }
}

/// Since when the guest's memory is missed.
#[derive(Default)]
struct Lacking {
    since: Option<Instant>,
    said: bool,
}

impl Lacking {
    /// When to look again, if ever.
    fn left(&self) -> Option<Duration> {
        let since = self.since.filter(|_| !self.said)?;
        Some(MEMORY_DELAY.saturating_sub(since.elapsed()))
    }

    fn look(&mut self, lacks: bool) {
        if !lacks {
            *self = Self::default();
            return;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if !self.said && since.elapsed() >= MEMORY_DELAY {
            self.said = true;
            tracing::warn!(
                "the guest uses the device, but its memory has not been shared: expected \
                 -object memory-backend-memfd,share=on and -machine memory-backend=... (QEMU), \
                 or the like"
            );
        }
    }
}
