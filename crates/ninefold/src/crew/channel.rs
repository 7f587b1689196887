//! One connection: a socket, a session, and the threads that are with it at the moment.
//!
//! Receiving is one thread's at a time, in order; serving is any thread's; sending is in the order
//! in which requests end. Two rules keep replies moving. Gathered replies are sent before a thread
//! waits or leaves; and before it runs a request, unless an invited colleague will come by, or
//! requests have lately been short (then the watch sends somebody if this one is not). And whoever finds the receiving half taken leaves a note in `edge`, which its holder reads after.
//!
//! A connection is either in the epoll set or *held*: then no thread is woken for it, because one
//! waits for its bytes in the receive call itself. That saves a quick client's requests one system
//! call of four.

mod receiving;
mod sending;
mod stuck;

use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};

use super::pace::Pace;
use super::tx::Tx;
use super::{Connection, Shared, Worker};
use crate::export::Export;
use crate::locked;
use crate::session::{Aside, Outlet, Served, Session, Ticket};
use crate::sys::interrupt;
use receiving::{Next, Receiving};

/// Requests that a thread serves of one connection before it looks whether others wait.
const TURNS: usize = 64;
/// How often it goes on when nobody does. To give way costs some 50 us: a colleague is woken and begins
/// with cold caches. It gives way in the end all the same, because the kernel draws a thread to the
/// processor of the client that it answers, and a colleague may run on another one: to go on for good
/// was measured to cost a third of the rate at depth 16.
const ROUNDS: usize = 64;
/// Bytes of a request that lasts so long, for its data alone, that the next one is received meanwhile.
const LONG: usize = 256 * 1024;
/// How long a thread waits for a held connection's next request.
const PATIENCE: Duration = Duration::from_millis(10);
/// Idle threads that must be left when one keeps a connection.
const IDLE_MIN: usize = 2;
/// Send buffer asked for on unix sockets, whose default is less than one large reply.
const SEND_BUFFER: usize = 2 << 20;

/// A connection.
pub(super) struct Channel {
    id: u64,
    crew: Arc<Shared>,
    socket: OwnedFd,
    session: Session,
    rx: Mutex<Receiving>,
    tx: Mutex<Tx>,
    /// Bytes may have come since the last receive.
    edge: AtomicBool,
    /// A whole frame waits in `rx`.
    frames_left: AtomicBool,
    /// The last frame did not come alone.
    several: AtomicBool,
    /// How many frames there were between the last receive and the one before.
    batch: AtomicUsize,
    /// The socket may have more, and no event will tell.
    undrained: AtomicBool,
    /// Replies wait in `tx` to be sent.
    pending: AtomicBool,
    /// The client does not take them.
    stalled: AtomicBool,
    /// A colleague has been invited and is not here yet.
    offered: AtomicBool,
    /// Threads here.
    threads: AtomicUsize,
    /// A thread has come and found no place.
    turned_away: AtomicBool,
    /// The watch looks whether it makes progress.
    watched: AtomicBool,
    /// It made none.
    stuck: AtomicBool,
    /// The client sends no more: after the bytes that are left comes the end.
    ended: AtomicBool,
    /// Nor does it receive any.
    gone: AtomicBool,
    /// The end has come; what is under way is finished.
    ending: AtomicBool,
    closed: AtomicBool,
    interest: Mutex<Interest>,
    held: AtomicBool,
    receiving: AtomicBool,
    progress: AtomicU64,
    pace: Pace,
}

/// What the epoll set watches the socket for.
#[derive(Clone, Copy, Default)]
struct Interest {
    held: bool,
    stalled: bool,
}

impl Channel {
    pub(super) fn new(
        crew: &Arc<Shared>,
        id: u64,
        socket: OwnedFd,
        export: &Arc<Export>,
    ) -> Result<Arc<Self>, Errno> {
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        sockopt::set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
        if sockopt::socket_domain(&socket)? == rustix::net::AddressFamily::UNIX {
            // The host may allow less: then large replies go in several pieces.
            let _ = sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
        }
        Ok(Arc::new(Self {
            id,
            crew: Arc::clone(crew),
            socket,
            session: Session::new(Arc::clone(export), crew.options.session),
            rx: Mutex::new(Receiving::new()),
            tx: Mutex::default(),
            edge: AtomicBool::new(false),
            frames_left: AtomicBool::new(false),
            several: AtomicBool::new(false),
            batch: AtomicUsize::new(0),
            undrained: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            offered: AtomicBool::new(false),
            threads: AtomicUsize::new(0),
            turned_away: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            interest: Mutex::default(),
            held: AtomicBool::new(false),
            receiving: AtomicBool::new(false),
            progress: AtomicU64::new(0),
            pace: Pace::default(),
        }))
    }

    /// Puts the connection into the epoll set.
    pub(super) fn register(&self) -> Result<(), Errno> {
        let flags = events(Interest::default());
        epoll::add(
            &self.crew.epoll,
            &self.socket,
            EventData::new_u64(self.id),
            flags,
        )
    }

    pub(super) fn weak(self: &Arc<Self>) -> Weak<dyn Connection> {
        let weak: Weak<Self> = Arc::downgrade(self);
        weak
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.load(Ordering::Acquire)
    }

    /// Gives a held connection back to the epoll set, which then reports what has come meanwhile.
    pub(super) fn let_go(&self) {
        self.set_interest(|interest| interest.held = false);
    }

    /// Changes what the epoll set watches for. One thread at a time, so that the set and the
    /// record agree.
    fn set_interest(&self, change: impl FnOnce(&mut Interest)) {
        let mut interest = locked(&self.interest);
        change(&mut interest);
        self.held.store(interest.held, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            return;
        }
        let data = EventData::new_u64(self.id);
        if let Err(errno) = epoll::modify(&self.crew.epoll, &self.socket, data, events(*interest)) {
            tracing::warn!(%errno, "epoll_ctl");
        }
    }

    fn note_event(&self, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.drain();
        }
        if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            self.ended.store(true, Ordering::SeqCst);
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            self.gone.store(true, Ordering::SeqCst);
            if self.ending.load(Ordering::SeqCst) {
                return self.close();
            }
        }
        self.edge.store(true, Ordering::SeqCst);
        // This thread may find the receiving half taken. Then its holder finds the note.
        fence(Ordering::SeqCst);
    }

    fn serve_as_placed(self: &Arc<Self>, worker: &mut Worker) {
        let places = self.crew.threads_per_channel();
        if self.threads.fetch_add(1, Ordering::SeqCst) < places {
            self.serve_some(worker);
        } else {
            self.attend(worker);
            self.turned_away.store(true, Ordering::SeqCst);
        }
        let taken = self.threads.fetch_sub(1, Ordering::SeqCst) - 1;
        self.flush();
        // What brought a thread here that found no place may have come after the others' last look.
        if taken < places && self.turned_away.swap(false, Ordering::SeqCst) && self.make_offer() {
            self.crew.offer(Arc::<Self>::clone(self));
        }
    }

    fn serve_some(self: &Arc<Self>, worker: &mut Worker) {
        worker.stopwatch.reset();
        let outlet = self.outlet();
        for turn in 1..=TURNS * ROUNDS {
            match self.next(worker) {
                Next::Serve(ticket, len) => self.run(worker, &outlet, ticket, len),
                Next::Nothing => return,
                Next::End => return self.wind_up(),
                Next::Close => return self.close(),
            }
            if turn % TURNS == 0 && self.crew.is_short_of_threads() {
                break;
            }
        }
        // Not done, but others wait, or may be better placed: to the end of the line.
        if self.make_offer() {
            self.crew.offer(Arc::<Self>::clone(self));
        }
    }

    /// Where late replies go.
    fn outlet(self: &Arc<Self>) -> Arc<dyn Outlet> {
        Arc::<Self>::clone(self)
    }

    fn run(
        self: &Arc<Self>,
        worker: &mut Worker,
        outlet: &Arc<dyn Outlet>,
        ticket: Ticket,
        len: usize,
    ) {
        let more = self.frames_left.load(Ordering::SeqCst);
        let slow = self.pace.is_slow();
        let long = len >= LONG && self.undrained.load(Ordering::Relaxed);
        let helped =
            (more && slow || long) && self.may_have_more_threads() && self.crew.invite(self);
        if !helped && slow {
            self.flush();
        }
        let several = self.several.load(Ordering::Relaxed);
        if several && !slow {
            let crowded = self.threads.load(Ordering::Relaxed) > 1;
            worker.stopwatch.start(crowded);
        } else {
            worker.stopwatch.end_row();
        }
        self.note_progress();
        if !helped && (more || several || self.may_have_more()) {
            self.look_after();
        }
        interrupt::begin((self.id, ticket.number()));
        let Worker {
            frame,
            reply,
            scratch,
            pipe,
            ..
        } = worker;
        let (frame, reply) = (&frame.bytes()[..len], reply.bytes_mut());
        let serve = AssertUnwindSafe(|| {
            let reply = (reply, Aside::Pipe(pipe));
            self.session.serve_at(ticket, frame, reply, scratch, outlet)
        });
        let served = catch_unwind(serve);
        let moved = served.as_ref().map_or(0, Served::len);
        worker.stopwatch.stop(&self.pace, len + moved, more);
        match served {
            Ok(Served::Reply(len)) => self.finish(ticket, &worker.reply.bytes()[..len]),
            Ok(Served::Placed(len)) => {
                // What the pipe had no room for stands behind the head.
                let copied = &worker.reply.bytes()[..len - worker.pipe.len()];
                self.finish_piped(ticket, copied, &mut worker.pipe);
            }
            Ok(Served::Dropped) => self.finish(ticket, &[]),
            Ok(Served::Later) => self.crew.watch.waiting(),
            // A defect of ours: the client gets an answer, and the others their server.
            Err(_) => self.finish_failed(ticket),
        }
        // What a reply that is not wanted any more has left.
        worker.pipe.clear();
        // Something was sent, or a lock waited for.
        if !self.pending.load(Ordering::Relaxed) || self.threads.load(Ordering::Relaxed) > 1 {
            worker.stopwatch.end_row();
        }
    }

    /// Takes note that something moves. Two threads that do so at once may count as one.
    fn note_progress(&self) {
        let progress = self.progress.load(Ordering::Relaxed);
        self.progress
            .store(progress.wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether something may have come that nobody will be told of, or has nobody to come for it.
    fn may_have_more(&self) -> bool {
        let signs = [&self.undrained, &self.edge, &self.ended];
        let came = signs.iter().any(|sign| sign.load(Ordering::Relaxed));
        came || !self.may_have_more_threads()
    }

    fn may_have_more_threads(&self) -> bool {
        self.threads.load(Ordering::SeqCst) < self.crew.threads_per_channel()
    }

    /// The client sends no more. It may still want the replies that are being made, unless it has
    /// gone; over TCP that is not known until one is sent.
    fn wind_up(self: &Arc<Self>) {
        if !self.ending.swap(true, Ordering::SeqCst) {
            self.session.give_up_locks();
            self.let_go();
            self.crew.watch.linger(self);
        }
        if self.gone.load(Ordering::SeqCst) {
            return self.close();
        }
        self.close_when_done();
    }

    fn end(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        // Both may find the connection gone already.
        let _ = epoll::delete(&self.crew.epoll, &self.socket);
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        self.session.close();
        self.crew.forget(self.id);
    }
}

impl Connection for Channel {
    fn offered(&self) -> &AtomicBool {
        &self.offered
    }

    fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    fn on_event(self: Arc<Self>, flags: EventFlags, worker: &mut Worker) {
        self.note_event(flags);
        self.serve_as_placed(worker);
    }

    fn serve(self: Arc<Self>, worker: &mut Worker) {
        self.serve_as_placed(worker);
    }

    fn look(self: Arc<Self>, seen: &mut u64) -> bool {
        self.look_for_progress(seen)
    }

    fn interrupt_unwanted(&self) -> bool {
        self.crew.interrupt_unwanted(self.id, &self.session)
    }

    fn close(&self) {
        self.end();
    }
}

/// Says something about a half of the connection that is held. Mostly it is as it was, and to store
/// that again would cost more than to look.
fn note(flag: &AtomicBool, is: bool) {
    if flag.load(Ordering::Relaxed) != is {
        flag.store(is, Ordering::SeqCst);
    }
}

fn events(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::ET;
    flags.set(EventFlags::IN | EventFlags::RDHUP, !interest.held);
    flags.set(EventFlags::OUT, interest.stalled);
    flags
}
