//! One connection: a socket, a session, and the threads that are with it at the moment.
//!
//! Receiving is one thread's at a time, in order; serving is any thread's; sending is in the order
//! in which requests end. Two rules keep replies moving. Gathered replies are sent before a thread
//! runs a request, unless an invited colleague will come by; and before it waits or leaves. And
//! whoever finds the receiving half taken leaves a note in `edge`, which its holder reads after.
//!
//! A connection is either in the epoll set or *held*: then no thread is woken for it, because one
//! waits for its bytes in the receive call itself. That saves a quick client's requests one system
//! call of four.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use ninefold_wire::Reply;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};

use super::rx::{Cut, Received, Rx};
use super::tx::{Sent, Tx};
use super::{Shared, Worker};
use crate::export::Export;
use crate::locked;
use crate::session::{Admission, Outlet, Served, Session, Ticket};

/// Requests that a thread serves of one connection before it looks after others.
const TURNS: usize = 64;
/// How long a thread waits for a held connection's next request.
const PATIENCE: Duration = Duration::from_millis(10);
/// Requests that must follow each other within [`QUICK`] before a connection is held.
const QUICK_MIN: u32 = 4;
/// See [`QUICK_MIN`].
const QUICK: Duration = Duration::from_millis(2);
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
    /// Replies wait in `tx` to be sent.
    pending: AtomicBool,
    /// A colleague has been invited and is not here yet.
    offered: AtomicBool,
    /// Threads here.
    threads: AtomicUsize,
    /// A thread has come and found no place.
    turned_away: AtomicBool,
    /// The client sends no more: after the bytes that are left comes the end.
    ended: AtomicBool,
    /// Nor does it receive any.
    gone: AtomicBool,
    closed: AtomicBool,
    interest: Mutex<Interest>,
    held: AtomicBool,
    receiving: AtomicBool,
    progress: AtomicU64,
}

/// The receiving half.
struct Receiving {
    rx: Rx,
    /// The socket had no more when last asked.
    drained: bool,
    last: Instant,
    /// Requests that followed each other quickly.
    quick: u32,
}

/// What the epoll set watches the socket for.
#[derive(Clone, Copy, Default)]
struct Interest {
    held: bool,
    stalled: bool,
}

/// What a thread is to do next.
enum Next {
    Serve(Ticket, usize),
    Nothing,
    Close,
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
            rx: Mutex::new(Receiving {
                rx: Rx::new(),
                drained: true,
                last: Instant::now(),
                quick: 0,
            }),
            tx: Mutex::default(),
            edge: AtomicBool::new(false),
            frames_left: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            offered: AtomicBool::new(false),
            threads: AtomicUsize::new(0),
            turned_away: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            interest: Mutex::default(),
            held: AtomicBool::new(false),
            receiving: AtomicBool::new(false),
            progress: AtomicU64::new(0),
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

    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.load(Ordering::SeqCst)
    }

    /// True when nobody else has offered this connection yet.
    pub(super) fn make_offer(&self) -> bool {
        !self.offered.swap(true, Ordering::SeqCst)
    }

    pub(super) fn accept_offer(&self) {
        self.offered.store(false, Ordering::SeqCst);
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

    /// What the epoll set has to say.
    pub(super) fn on_event(self: &Arc<Self>, flags: EventFlags, worker: &mut Worker) {
        if flags.contains(EventFlags::OUT) {
            self.drain();
        }
        if flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            self.ended.store(true, Ordering::SeqCst);
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            self.gone.store(true, Ordering::SeqCst);
        }
        self.edge.store(true, Ordering::SeqCst);
        self.serve(worker);
    }

    /// Serves requests until there are none, or others have to have their turn.
    pub(super) fn serve(self: &Arc<Self>, worker: &mut Worker) {
        let places = self.crew.threads_per_channel();
        if self.threads.fetch_add(1, Ordering::SeqCst) < places {
            self.serve_some(worker);
        } else {
            self.turned_away.store(true, Ordering::SeqCst);
        }
        let taken = self.threads.fetch_sub(1, Ordering::SeqCst) - 1;
        self.flush();
        // What brought a thread here that found no place may have come after the others' last look.
        if taken < places && self.turned_away.swap(false, Ordering::SeqCst) && self.make_offer() {
            self.crew.offer(self);
        }
    }

    fn serve_some(self: &Arc<Self>, worker: &mut Worker) {
        for _ in 0..TURNS {
            match self.next(worker) {
                Next::Serve(ticket, len) => self.run(worker, ticket, len),
                Next::Nothing => return,
                Next::Close => return self.close(),
            }
        }
        // Not done, but others have waited: to the end of the line.
        if self.make_offer() {
            self.crew.offer(self);
        }
    }

    /// Finds the next request and puts it into the worker's frame.
    fn next(self: &Arc<Self>, worker: &mut Worker) -> Next {
        loop {
            if self.closed.load(Ordering::SeqCst) || self.crew.is_stopping() {
                return Next::Nothing;
            }
            if let Some((ticket, frame)) = self.session.take_ready() {
                worker.frame.fill(&frame);
                return Next::Serve(ticket, frame.len());
            }
            let Some(mut receiving) = self.try_receiving() else {
                return Next::Nothing;
            };
            let next = self.next_received(&mut receiving, worker);
            drop(receiving);
            fence(Ordering::SeqCst);
            if !matches!(next, Next::Nothing) || !self.edge.load(Ordering::SeqCst) {
                return next;
            }
        }
    }

    /// The receiving half, if no other thread waits in it.
    fn try_receiving(&self) -> Option<MutexGuard<'_, Receiving>> {
        fence(Ordering::SeqCst);
        loop {
            match self.rx.try_lock() {
                Ok(receiving) => return Some(receiving),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if self.is_receiving() => return None,
                // Cutting a frame takes less than a microsecond, if its thread is running.
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }

    fn next_received(self: &Arc<Self>, receiving: &mut Receiving, worker: &mut Worker) -> Next {
        if locked(&self.tx).is_stalled() {
            // No more requests from a client that does not take the replies.
            self.edge.store(false, Ordering::SeqCst);
            return Next::Nothing;
        }
        loop {
            let max = self.session.frame_max();
            match receiving.rx.cut(max) {
                Cut::Broken => return Next::Close,
                Cut::Partial => {
                    self.frames_left.store(false, Ordering::SeqCst);
                    match self.receive(receiving) {
                        Received::Some { .. } => {}
                        Received::Nothing => return Next::Nothing,
                        Received::Closed => return Next::Close,
                    }
                }
                Cut::Frame(len) => match self.session.admit(receiving.rx.frame(len)) {
                    Admission::Run(ticket) => {
                        receiving.rx.take(len, &mut worker.frame);
                        let left = matches!(receiving.rx.cut(max), Cut::Frame(_));
                        self.frames_left.store(left, Ordering::SeqCst);
                        return Next::Serve(ticket, len);
                    }
                    Admission::Waits => receiving.rx.skip(len),
                    // Nothing is received meanwhile, so that the end would not be found.
                    Admission::Hold if self.gone.load(Ordering::SeqCst) => return Next::Close,
                    Admission::Hold => {
                        self.edge.store(false, Ordering::SeqCst);
                        return Next::Nothing;
                    }
                    Admission::Violation => return Next::Close,
                },
            }
        }
    }

    /// Gets more bytes, if there may be any.
    fn receive(self: &Arc<Self>, receiving: &mut Receiving) -> Received {
        let edge = self.edge.swap(false, Ordering::SeqCst);
        if self.is_held() && self.crew.idle.load(Ordering::SeqCst) == 0 {
            // Others have nobody: no connection keeps a thread now.
            self.let_go();
        }
        // A short receive does not mean that the end has been seen, and no event tells of it again.
        let quiet = receiving.drained && !edge && !self.ended.load(Ordering::SeqCst);
        if quiet && !self.is_held() && !self.try_hold(receiving) {
            return Received::Nothing;
        }
        self.receiving.store(true, Ordering::SeqCst);
        self.flush();
        let wait = self.is_held();
        let received = receiving.rx.receive(self.socket.as_fd(), wait);
        self.receiving.store(false, Ordering::SeqCst);
        self.progress.fetch_add(1, Ordering::Relaxed);
        match received {
            Received::Some { drained } => {
                receiving.drained = drained;
                receiving.note_pace(wait);
            }
            Received::Nothing => {
                receiving.drained = true;
                receiving.quick = 0;
                if wait {
                    self.let_go();
                }
            }
            Received::Closed => {}
        }
        received
    }

    /// Keeps the connection for this thread when its requests come quickly, one at a time, and
    /// enough threads are left for others.
    fn try_hold(self: &Arc<Self>, receiving: &Receiving) -> bool {
        let others = self.crew.idle.load(Ordering::SeqCst);
        if receiving.quick < QUICK_MIN || others < IDLE_MIN {
            return false;
        }
        self.set_interest(|interest| interest.held = true);
        self.crew.watch.hold(self);
        true
    }

    fn run(self: &Arc<Self>, worker: &mut Worker, ticket: Ticket, len: usize) {
        let more = self.frames_left.load(Ordering::SeqCst);
        let helped = more && self.may_have_more_threads() && self.crew.invite(self);
        if !helped {
            self.flush();
        }
        self.progress.fetch_add(1, Ordering::Relaxed);
        let outlet: Arc<dyn Outlet> = Arc::<Self>::clone(self);
        let Worker {
            frame,
            reply,
            scratch,
        } = worker;
        let (frame, reply) = (&frame.bytes()[..len], reply.bytes_mut());
        let serve = AssertUnwindSafe(|| self.session.serve(ticket, frame, reply, scratch, &outlet));
        match catch_unwind(serve) {
            Ok(Served::Reply(len)) => self.finish(ticket, &worker.reply.bytes()[..len]),
            Ok(Served::Dropped) => self.finish(ticket, &[]),
            Ok(Served::Later) => self.crew.watch.waiting(),
            // A defect of ours: the client gets an answer, and the others their server.
            Err(_) => self.finish_failed(ticket),
        }
    }

    fn may_have_more_threads(&self) -> bool {
        self.threads.load(Ordering::SeqCst) < self.crew.threads_per_channel()
    }

    fn finish_failed(&self, ticket: Ticket) {
        let ecode = Errno::IO.raw_os_error().unsigned_abs();
        let mut frame = [0; 16];
        if let Ok(len) = (Reply::Lerror { ecode }).encode(ticket.tag(), &mut frame) {
            self.finish(ticket, &frame[..len]);
        }
    }

    /// Ends a request: its reply and the Rflushes that waited for it go out, in this order.
    fn finish(&self, ticket: Ticket, reply: &[u8]) {
        let more = self.frames_left.load(Ordering::SeqCst);
        let mut tx = locked(&self.tx);
        let retired = self.session.retire(ticket);
        let mut sent = Sent::Fine;
        if !retired.silent && !reply.is_empty() {
            sent = tx.push(self.socket.as_fd(), reply, self.may_block(), more);
        }
        for tag in retired.flushed {
            let mut frame = [0; ninefold_wire::HEADER_LEN];
            if let Ok(len) = (Reply::Flush {}).encode(tag, &mut frame) {
                sent =
                    sent.max(tx.push(self.socket.as_fd(), &frame[..len], self.may_block(), more));
            }
        }
        self.after_send(tx, sent);
    }

    /// Whether a thread may wait a moment for the client to take a large reply.
    fn may_block(&self) -> bool {
        self.crew.idle.load(Ordering::SeqCst) >= IDLE_MIN
    }

    /// Sends what is gathered.
    fn flush(&self) {
        if self.pending.load(Ordering::SeqCst) {
            let mut tx = locked(&self.tx);
            if !tx.is_stalled() {
                let sent = tx.flush(self.socket.as_fd(), self.may_block());
                self.after_send(tx, sent);
            }
        }
    }

    /// Sends more of what a client did not take before.
    fn drain(&self) {
        let mut tx = locked(&self.tx);
        if tx.is_stalled() {
            let sent = tx.flush(self.socket.as_fd(), false);
            if sent == Sent::Fine {
                self.set_interest(|interest| interest.stalled = false);
            }
            self.after_send(tx, sent);
        }
    }

    fn after_send(&self, tx: MutexGuard<'_, Tx>, sent: Sent) {
        self.pending
            .store(tx.is_pending() && !tx.is_stalled(), Ordering::SeqCst);
        match sent {
            Sent::Fine => {}
            Sent::Stalled => self.set_interest(|interest| {
                *interest = Interest {
                    held: false,
                    stalled: true,
                };
            }),
            Sent::Closed => {
                drop(tx);
                self.close();
            }
        }
    }

    /// Ends the connection; what its client held is given up.
    pub(super) fn close(&self) {
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

impl Receiving {
    fn note_pace(&mut self, held: bool) {
        if held {
            return;
        }
        let now = Instant::now();
        self.quick = if now - self.last < QUICK {
            self.quick.saturating_add(1)
        } else {
            0
        };
        self.last = now;
    }
}

impl Outlet for Channel {
    fn complete(&self, ticket: Ticket, reply: &[u8]) {
        self.finish(ticket, reply);
        self.flush();
        self.crew.revisit(self.id);
    }

    fn resume(&self, ticket: Ticket) {
        self.session.resume(ticket);
        self.crew.revisit(self.id);
    }
}

fn events(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::ET;
    flags.set(EventFlags::IN | EventFlags::RDHUP, !interest.held);
    flags.set(EventFlags::OUT, interest.stalled);
    flags
}
