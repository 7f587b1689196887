//! Where a connection's next request comes from.

use std::os::fd::AsFd;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::{Channel, IDLE_MIN, note};
use crate::crew::Worker;
use crate::crew::rx::{Cut, Received, Rx};
use crate::session::{Admission, Ticket};

/// Requests that must follow each other within [`QUICK`] before a connection is held.
const QUICK_MIN: u32 = 4;
/// See [`QUICK_MIN`].
const QUICK: Duration = Duration::from_millis(2);
/// How often in a row replies wait for those of requests that have come meanwhile.
const GATHER_MAX: u32 = 3;

/// The receiving half.
pub(super) struct Receiving {
    rx: Rx,
    /// The socket had no more when last asked.
    drained: bool,
    last: Instant,
    /// Requests that followed each other quickly.
    quick: u32,
    /// Frames cut since the last receive.
    cut: usize,
    /// Receives since replies were last sent.
    gathered: u32,
}

/// What a thread is to do next.
pub(super) enum Next {
    Serve(Ticket, usize),
    Nothing,
    /// Nothing more comes.
    End,
    Close,
}

impl Channel {
    /// Finds the next request and puts it into the worker's frame.
    pub(super) fn next(self: &Arc<Self>, worker: &mut Worker) -> Next {
        if self.is_over() {
            return Next::Nothing;
        }
        if let Some((ticket, frame)) = self.session.take_ready() {
            worker.frame.fill(&frame);
            return Next::Serve(ticket, frame.len());
        }
        self.next_arrival(worker)
    }

    fn is_over(&self) -> bool {
        self.closed.load(Ordering::SeqCst) || self.crew.is_stopping()
    }

    /// Receives the next request that is to be served, and puts it into the worker's frame.
    pub(super) fn next_arrival(self: &Arc<Self>, worker: &mut Worker) -> Next {
        loop {
            if self.is_over() {
                return Next::Nothing;
            }
            let Some(mut receiving) = self.try_receiving() else {
                return Next::Nothing;
            };
            let next = self.next_received(&mut receiving, worker);
            drop(receiving);
            if !matches!(next, Next::Nothing) {
                return next;
            }
            // Who has found the half taken has left a note before: see `note_event`.
            fence(Ordering::SeqCst);
            if !self.edge.load(Ordering::SeqCst) {
                return next;
            }
        }
    }

    /// The receiving half, if no other thread waits in it.
    fn try_receiving(&self) -> Option<MutexGuard<'_, Receiving>> {
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
        if self.is_behind() {
            return Next::Nothing;
        }
        loop {
            let max = self.session.frame_max();
            match receiving.rx.cut(max) {
                Cut::Broken => return Next::Close,
                Cut::Partial => {
                    note(&self.frames_left, false);
                    receiving.rx.reuse(&mut worker.frame);
                    match self.receive(receiving) {
                        Received::Some { .. } => {}
                        Received::Nothing => return Next::Nothing,
                        Received::Ended => return Next::End,
                        Received::Closed => return Next::Close,
                    }
                }
                Cut::Frame(len) => match self.session.admit(receiving.rx.frame(len)) {
                    Admission::Run(ticket) => {
                        if receiving.cut == 0 {
                            worker.stopwatch.reset();
                        }
                        receiving.cut += 1;
                        let several = receiving.cut > 1;
                        receiving.rx.take(len, &mut worker.frame);
                        let left = matches!(receiving.rx.cut(max), Cut::Frame(_));
                        note(&self.frames_left, left);
                        self.several.store(several || left, Ordering::Relaxed);
                        let undrained = !receiving.drained && !left;
                        self.undrained.store(undrained, Ordering::Relaxed);
                        return Next::Serve(ticket, len);
                    }
                    Admission::Waits => {
                        receiving.rx.skip(len);
                        self.crew.watch.interrupt(self.weak());
                    }
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

    /// Whether the client does not take its replies: then it gets no more requests served. The event
    /// that tells of its reading brings a thread here.
    fn is_behind(&self) -> bool {
        if !self.stalled.load(Ordering::SeqCst) {
            return false;
        }
        self.edge.store(false, Ordering::SeqCst);
        let still = self.stalled.load(Ordering::SeqCst);
        // Who came with that event just now may have left its note before it was wiped off.
        if !still {
            self.edge.store(true, Ordering::SeqCst);
        }
        still
    }

    /// Gets more bytes, if there may be any.
    fn receive(self: &Arc<Self>, receiving: &mut Receiving) -> Received {
        // Looked at first: nearly always there is nothing to wipe off, which costs more.
        let edge = self.edge.load(Ordering::SeqCst) && self.edge.swap(false, Ordering::SeqCst);
        if self.is_held() && self.crew.idle.load(Ordering::SeqCst) == 0 {
            // Others have nobody: no connection keeps a thread now.
            self.let_go();
        }
        // A short receive does not mean that the end has been seen, and no event tells of it again.
        let quiet = receiving.drained && !edge && !self.ended.load(Ordering::SeqCst);
        if quiet && !self.is_held() && !self.try_hold(receiving) {
            return Received::Nothing;
        }
        self.receiving.store(true, Ordering::Release);
        let wait = self.is_held();
        let received = self.gather(receiving).unwrap_or_else(|| {
            self.flush();
            receiving.gathered = 0;
            receiving.rx.receive(self.socket.as_fd(), wait)
        });
        self.batch.store(receiving.cut, Ordering::Relaxed);
        receiving.cut = 0;
        self.receiving.store(false, Ordering::Release);
        self.note_progress();
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
            Received::Ended | Received::Closed => {}
        }
        received
    }

    /// Gets what has come meanwhile from a client that sends several requests at a time: then the
    /// replies to all of them leave together. None when it is time to send those that wait.
    fn gather(&self, receiving: &mut Receiving) -> Option<Received> {
        let several = receiving.cut > 1 && self.pending.load(Ordering::SeqCst);
        if !several || receiving.gathered == GATHER_MAX || self.pace.is_slow() {
            return None;
        }
        receiving.gathered += 1;
        let received = receiving.rx.receive(self.socket.as_fd(), false);
        match received {
            Received::Some { .. } => Some(received),
            // What else there is to say is said once more.
            Received::Nothing | Received::Ended | Received::Closed => None,
        }
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
}

impl Receiving {
    pub(super) fn new() -> Self {
        Self {
            rx: Rx::new(),
            drained: true,
            last: Instant::now(),
            quick: 0,
            cut: 0,
            gathered: 0,
        }
    }

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
