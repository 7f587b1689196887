//! A connection that is no stream: a queue of messages in memory that client and server share, as
//! a virtqueue is.
//!
//! Messages are taken in the order of the queue, under one lock; serving is any thread's; under the
//! same lock a request ends and its reply is given to the client, so that no Rflush can overtake.
//! Data does not pass through here: files are read and written from and to the client's memory.
//!
//! The client announces messages by a descriptor, unless somebody is about to look. Before a thread
//! runs a request with nobody on the way to take the next one, it asks to be told of that.

mod link;
mod replies;
mod stuck;

pub use link::QueueLink;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};

use ninefold_wire::message::number;
use ninefold_wire::{HEADER_LEN, Header};
use rustix::event::epoll::EventFlags;

use super::pace::Pace;
use super::{Connection, Shared, Worker};
use crate::export::Export;
use crate::locked;
use crate::session::{Admission, Aside, Outlet, Place, Served, Session, Ticket};
use crate::sys::interrupt;
use replies::Replies;

/// Requests that a thread serves of one queue before it looks after others.
const TURNS: usize = 64;

/// A request in a queue.
pub struct Message {
    /// Names it when it is given back.
    pub id: u16,
    /// Where it is, and where its reply goes.
    pub place: Place,
}

/// A queue of requests. Its methods are called by one thread at a time, and do not wait.
pub trait MessageQueue: Send + Sync {
    /// Takes the next request. None when there is none, or the client has broken the queue.
    fn next(&self) -> Option<Message>;

    /// Puts back the request that was taken last: it comes again.
    fn put_back(&self, id: u16);

    /// Whether there is another one. If not, the next one will be announced.
    fn has_more(&self) -> bool;

    /// Gives a request back whose reply has so many bytes; 0 when it has none.
    fn complete(&self, id: u16, len: usize);

    /// Tells the client of what was given back, if it wants to be told.
    fn notify(&self);

    /// The client has broken the protocol: nothing more is taken.
    fn fail(&self, why: &str);
}

/// A queue and the threads that are with it at the moment.
struct Lane {
    id: u64,
    crew: Arc<Shared>,
    session: Session,
    queue: Arc<dyn MessageQueue>,
    replies: Mutex<Replies>,
    /// All requests have been given back.
    quiet: Condvar,
    /// Another request waits in the queue.
    more: AtomicBool,
    /// Replies have been given back that the client was not told of.
    untold: AtomicBool,
    offered: AtomicBool,
    threads: AtomicUsize,
    /// A thread has come and found no place.
    turned_away: AtomicBool,
    watched: AtomicBool,
    stuck: AtomicBool,
    closed: AtomicBool,
    progress: AtomicU64,
    pace: Pace,
}

/// What a thread is to do next.
enum Next {
    Serve(Ticket, Arc<Taken>, usize),
    /// A message was dealt with.
    Again,
    Nothing,
}

/// A request that was taken.
struct Taken {
    id: u16,
    /// The type of the message.
    number: u8,
    place: Place,
}

impl Lane {
    fn new(
        crew: &Arc<Shared>,
        id: u64,
        queue: Arc<dyn MessageQueue>,
        export: &Arc<Export>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            crew: Arc::clone(crew),
            session: Session::new(Arc::clone(export), crew.options.session),
            queue,
            replies: Mutex::default(),
            quiet: Condvar::new(),
            more: AtomicBool::new(false),
            untold: AtomicBool::new(false),
            offered: AtomicBool::new(false),
            threads: AtomicUsize::new(0),
            turned_away: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            progress: AtomicU64::new(0),
            pace: Pace::default(),
        })
    }

    fn weak(self: &Arc<Self>) -> Weak<dyn Connection> {
        let weak: Weak<Self> = Arc::downgrade(self);
        weak
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
        self.tell();
        // What brought a thread here that found no place may have come after the others' last look.
        if taken < places && self.turned_away.swap(false, Ordering::SeqCst) {
            self.call_somebody();
        }
    }

    fn call_somebody(self: &Arc<Self>) {
        if self.make_offer() {
            self.crew.offer(Arc::<Self>::clone(self));
        }
    }

    fn serve_some(self: &Arc<Self>, worker: &mut Worker) {
        worker.stopwatch.reset();
        for _ in 0..TURNS {
            match self.next(worker) {
                Next::Serve(ticket, taken, len) => self.run(worker, ticket, &taken, len),
                Next::Again => {}
                Next::Nothing => return,
            }
        }
        // Not done, but others have waited: to the end of the line.
        self.call_somebody();
    }

    fn is_over(&self) -> bool {
        self.closed.load(Ordering::SeqCst) || self.crew.is_stopping()
    }

    /// Finds the next request and puts it into the worker's frame.
    fn next(self: &Arc<Self>, worker: &mut Worker) -> Next {
        if self.is_over() {
            return Next::Nothing;
        }
        let Some((ticket, frame)) = self.session.take_ready() else {
            return self.next_arrival(worker);
        };
        let found = locked(&self.replies).find(ticket.tag());
        let Some(taken) = found else {
            self.finish(ticket, &[]);
            return Next::Again;
        };
        worker.frame.fill(&frame);
        Next::Serve(ticket, taken, frame.len())
    }

    /// Takes the next request from the queue.
    fn next_arrival(self: &Arc<Self>, worker: &mut Worker) -> Next {
        let mut replies = locked(&self.replies);
        if self.is_over() || !replies.is_taking() {
            return Next::Nothing;
        }
        let Some(Message { id, place }) = self.queue.next() else {
            self.more.store(false, Ordering::SeqCst);
            // One that came before the client knew that it has to announce it.
            let more = self.queue.has_more();
            return if more { Next::Again } else { Next::Nothing };
        };
        if !place.is_sound() {
            self.complete(id, 0);
            return Next::Again;
        }
        let len = place.frame_len(self.session.frame_max());
        place.request.copy_out(0, worker.frame.room(len));
        let frame = &worker.frame.bytes()[..len];
        let taken = Arc::new(Taken {
            id,
            number: Header::peek(frame).map_or(0, |header| header.number),
            place,
        });
        self.admit(&mut replies, frame, taken)
    }

    fn admit(self: &Arc<Self>, replies: &mut Replies, frame: &[u8], taken: Arc<Taken>) -> Next {
        let tag = Header::peek(frame).map_or(0, |header| header.tag);
        let admission = self.session.admit(frame);
        if taken.number == number::FLUSH && matches!(admission, Admission::Run(_)) {
            // What it gave up had not begun, and has no reply.
            let given_up = old_tag(frame).and_then(|old| replies.take(old));
            if let Some(given_up) = given_up {
                self.complete(given_up.id, 0);
            }
        }
        match admission {
            Admission::Run(ticket) => {
                replies.expect(tag, Arc::clone(&taken));
                self.more.store(self.queue.has_more(), Ordering::SeqCst);
                Next::Serve(ticket, taken, frame.len())
            }
            Admission::Waits => {
                replies.expect(tag, taken);
                self.crew.watch.interrupt(self.weak());
                Next::Again
            }
            Admission::Hold => {
                self.queue.put_back(taken.id);
                Next::Nothing
            }
            Admission::Violation => {
                replies.stop_taking();
                self.queue.fail("two requests at a time have the same tag");
                Next::Nothing
            }
        }
    }

    fn run(self: &Arc<Self>, worker: &mut Worker, ticket: Ticket, taken: &Arc<Taken>, len: usize) {
        let more = self.more.load(Ordering::SeqCst);
        let slow = self.pace.is_slow();
        let helped = more && slow && self.may_have_more_threads() && self.crew.invite(self);
        if !helped && slow {
            self.tell();
        }
        let untold = self.untold.load(Ordering::SeqCst);
        if more && !slow {
            let crowded = self.threads.load(Ordering::Relaxed) > 1;
            worker.stopwatch.start(crowded);
        } else {
            worker.stopwatch.end_row();
        }
        self.progress.fetch_add(1, Ordering::Relaxed);
        if !helped && (more || untold || !self.may_have_more_threads()) {
            self.look_after();
        }
        interrupt::begin((self.id, ticket.number()));
        let outlet: Arc<dyn Outlet> = Arc::<Self>::clone(self);
        let Worker {
            frame,
            reply,
            scratch,
            ..
        } = worker;
        let (frame, reply) = (&frame.bytes()[..len], reply.bytes_mut());
        let serve = AssertUnwindSafe(|| {
            let reply = (reply, Aside::Memory(&taken.place));
            self.session
                .serve_at(ticket, frame, reply, scratch, &outlet)
        });
        let served = catch_unwind(serve);
        let moved = served.as_ref().map_or(0, Served::len);
        let sent = taken.place.request.len();
        worker.stopwatch.stop(&self.pace, sent + moved, more);
        let reply = |len| worker.reply.bytes().get(..len).unwrap_or(&[]);
        match served {
            Ok(Served::Reply(len)) => self.finish_taken(ticket, taken, reply(len), len),
            Ok(Served::Placed(len)) => {
                self.finish_taken(ticket, taken, reply(ninefold_wire::DATA_HEADER_LEN), len);
            }
            Ok(Served::Dropped) => self.finish(ticket, &[]),
            Ok(Served::Later) => self.crew.watch.waiting(),
            // A defect of ours: the client gets an answer, and the others their server.
            Err(_) => self.finish_failed(ticket),
        }
    }

    fn may_have_more_threads(&self) -> bool {
        self.threads.load(Ordering::SeqCst) < self.crew.threads_per_channel()
    }
}

/// The tag that a Tflush gives up.
fn old_tag(frame: &[u8]) -> Option<u16> {
    let tag = frame.get(HEADER_LEN..HEADER_LEN + 2)?;
    tag.try_into().ok().map(u16::from_le_bytes)
}

impl Connection for Lane {
    fn offered(&self) -> &AtomicBool {
        &self.offered
    }

    fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    fn on_event(self: Arc<Self>, _: EventFlags, worker: &mut Worker) {
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
