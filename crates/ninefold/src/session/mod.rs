//! One connection's 9P state: dialect and msize, fids, and the tags of requests under way.
//!
//! A session has no thread and no socket. Whoever receives frames calls [`Session::admit`] for each
//! in the order of receiving, [`Session::serve`] for what was admitted, from any thread, and
//! [`Session::retire`] at the moment when it sends the reply.

mod agreed;
mod failure;
mod place;
mod refusal;
mod ticket;

pub(crate) use failure::FAILURE_MAX;
pub use place::{Aside, Place};
pub(crate) use refusal::moved_name;
pub(crate) use ticket::Wait;
pub use ticket::{Admission, Retired, Ticket};

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ninefold_wire::{Dialect, Reply, Request};
use rustix::io::Errno;

use crate::export::{Export, Keeper};
use crate::fid::FidTable;
use crate::ops::{self, Answer, Call, Out};
use agreed::{Agreed, Terms};
use ticket::Tickets;

/// The smallest msize worth serving; Linux refuses less.
pub(crate) const MSIZE_MIN: u32 = 4096;
/// The longest frame before msize is agreed on.
const FIRST_FRAME_MAX: u32 = 8192;

/// How a client is met that has not agreed on anything: with an Rlerror.
const STRANGER: Terms = Terms {
    msize: 0,
    dialect: Dialect::Linux,
};

/// What a session offers.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// The largest msize agreed to, bytes; at least 4096.
    pub msize_max: u32,
}

/// Where the replies of requests go that were answered later than served.
pub trait Outlet: Send + Sync {
    /// Retires the ticket and sends its reply, one whole frame.
    fn complete(&self, ticket: Ticket, reply: &[u8]);

    /// The wait of a request is over: calls [`Session::resume`], and has a thread serve what
    /// [`Session::take_ready`] then gives.
    fn resume(&self, ticket: Ticket);
}

/// What came of serving a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// The reply is so many bytes at the start of the buffer.
    Reply(usize),
    /// The reply is so many bytes. The data of an Rread is in its place with the client already, and
    /// only what comes before stands at the start of the buffer.
    Placed(usize),
    /// It waits; the outlet gets the reply, or hears that the request is to be served again.
    Later,
    /// It was given up while it was about to wait: retire it, send no reply.
    Dropped,
}

impl Served {
    /// Bytes of the reply, as far as there is one.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Reply(len) | Self::Placed(len) => *len,
            Self::Later | Self::Dropped => 0,
        }
    }
}

/// The 9P state of one connection.
pub struct Session {
    id: u64,
    export: Arc<Export>,
    msize_max: u32,
    agreed: Agreed,
    fids: Arc<FidTable>,
    keeper: Arc<Keeper>,
    tickets: Tickets,
}

impl Session {
    /// A session that serves `export`.
    #[must_use]
    pub fn new(export: Arc<Export>, options: SessionOptions) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let (fids, keeper) = (Arc::new(FidTable::new(export.max_xattr())), export.keeper());
        let holder: Weak<FidTable> = Arc::downgrade(&fids);
        keeper.held_by(holder);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            msize_max: options.msize_max.max(MSIZE_MIN),
            agreed: Agreed::default(),
            fids,
            keeper,
            export,
            tickets: Tickets::default(),
        }
    }

    /// The longest frame that the client may send now, bytes.
    #[must_use]
    pub fn frame_max(&self) -> u32 {
        self.agreed
            .get()
            .map_or(FIRST_FRAME_MAX, |terms| terms.msize)
    }

    /// Registers a request, in the order of receiving.
    #[must_use]
    #[inline]
    pub fn admit(&self, frame: &[u8]) -> Admission {
        self.tickets.admit(frame, |wait| self.cancel(wait))
    }

    /// A request that had to wait for others and may now be served.
    #[must_use]
    #[inline]
    pub fn take_ready(&self) -> Option<(Ticket, Vec<u8>)> {
        self.tickets.take_ready()
    }

    /// Readies a request whose wait is over. One that was given up meanwhile stays so.
    pub fn resume(&self, ticket: Ticket) {
        self.tickets.resume(ticket);
    }

    /// Ends the waits for locks: nobody is left to release them. They have no reply.
    pub(crate) fn give_up_locks(&self) {
        self.tickets.give_up_locks(|wait| self.cancel(wait));
    }

    /// Ends the waits for locks: they are the caller's to answer and to retire.
    pub(crate) fn end_lock_waits(&self) -> Vec<Ticket> {
        self.tickets.end_lock_waits(|wait| self.cancel(wait))
    }

    /// Whether no request is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.tickets.is_quiet()
    }

    /// Whether as many requests are kept as may be: no more is to be deferred.
    pub(crate) fn is_full(&self) -> bool {
        self.tickets.is_full()
    }

    /// Keeps an admitted request until [`Session::take_ready`] gives it to a thread that can serve
    /// it. False when it was given up meanwhile: retire it, send no reply.
    pub(crate) fn defer(&self, ticket: Ticket, frame: &[u8]) -> bool {
        self.tickets.defer(ticket, frame)
    }

    /// The numbers of requests that have begun, and whose replies nobody waits for: they are given
    /// up, or the session they were made in has ended.
    pub(crate) fn unwanted(&self) -> HashSet<u64> {
        self.tickets.unwanted()
    }

    /// Serves an admitted request: runs it and writes the reply to the start of `reply`, which is
    /// at least as long as the largest msize. `scratch` is room to work with. Where the export checks
    /// permissions, the thread works on as the request's user: see [`act_as_server`].
    ///
    /// [`act_as_server`]: crate::act_as_server
    pub fn serve(
        &self,
        ticket: Ticket,
        frame: &[u8],
        reply: &mut [u8],
        scratch: &mut Vec<u8>,
        outlet: &Arc<dyn Outlet>,
    ) -> Served {
        self.serve_at(ticket, frame, (reply, Aside::Nowhere), scratch, outlet)
    }

    /// As [`Session::serve`], for a request of a client that shares memory. Data is read and
    /// written there: of a Twrite only the first 23 bytes are in `frame`, and of an Rread only the
    /// first 11 in the buffer ([`Served::Placed`]). The reply is no longer than its place.
    pub fn serve_at(
        &self,
        ticket: Ticket,
        frame: &[u8],
        (reply, aside): (&mut [u8], Aside<'_>),
        scratch: &mut Vec<u8>,
        outlet: &Arc<dyn Outlet>,
    ) -> Served {
        let Terms { msize, dialect } = self.agreed.get().unwrap_or(STRANGER);
        let wanted = match aside {
            Aside::Memory(place) => place.reply.len(),
            Aside::Nowhere | Aside::Pipe(_) => usize::MAX,
        };
        let room = usize::try_from(msize.max(MSIZE_MIN))
            .unwrap_or(reply.len())
            .min(reply.len())
            .min(wanted);
        let tag = ticket.tag();
        let mut call = Call {
            export: &self.export,
            fids: &self.fids,
            keeper: &self.keeper,
            session: self.id,
            msize,
            dialect,
            out: Out::new(&mut reply[..room], tag),
            scratch,
            ticket,
            outlet,
            aside,
        };
        let answer = self.answer(&mut call, frame);
        let dialect = call.dialect;
        tracing::debug!(session = self.id, tag, ?answer, "request");
        match answer {
            Ok(Answer::Reply(len)) => Served::Reply(len),
            Ok(Answer::Placed(len)) => Served::Placed(len),
            Ok(Answer::Waits(wait)) => self.park(ticket, wait, frame),
            Err(errno) => Served::Reply(failure::encode(errno, dialect, tag, reply)),
        }
    }

    fn answer(&self, call: &mut Call<'_>, frame: &[u8]) -> Result<Answer, Errno> {
        let decoded = match call.aside {
            Aside::Memory(place) => place.decode(frame, call.dialect, self.frame_max()),
            Aside::Nowhere | Aside::Pipe(_) => Request::decode(frame, call.dialect),
        };
        // Not moved out: it is large.
        let (_, request) = decoded
            .as_ref()
            .map_err(|error| refusal::errno(frame, *error))?;
        tracing::trace!(
            session = self.id,
            tag = call.ticket.tag(),
            ?request,
            "request"
        );
        match *request {
            Request::Version { msize, version } => self.version(call, msize, version),
            _ if call.msize == 0 => Err(Errno::PROTO),
            _ => ops::run(call, request),
        }
    }

    /// Begins anew: all that came before is forgotten. Source: version(5).
    fn version(&self, call: &mut Call<'_>, msize: u32, version: &[u8]) -> Result<Answer, Errno> {
        self.agreed.set(None);
        self.forget_fids();
        let Some(dialect) = Dialect::of_version(version) else {
            return call.out.reply(&Reply::Version {
                msize,
                version: b"unknown",
            });
        };
        // A refusal, too, is for the client to understand.
        call.dialect = dialect;
        if msize < MSIZE_MIN {
            return Err(Errno::MSGSIZE);
        }
        let msize = msize.min(self.msize_max);
        self.agreed.set(Some(Terms { msize, dialect }));
        call.out.reply(&Reply::Version {
            msize,
            version: dialect.version(),
        })
    }

    /// The end of all fids is a clunk of each.
    fn forget_fids(&self) {
        for fid in self.fids.take() {
            // Nobody is left to hear that it failed.
            let _ = ops::end(&self.export, &fid);
            fid.node.close_recent();
        }
    }

    /// Writes the reply that says `errno` as the client understands it; returns its length.
    pub(crate) fn failure(&self, ticket: Ticket, errno: Errno, reply: &mut [u8]) -> usize {
        let dialect = self.agreed.get().unwrap_or(STRANGER).dialect;
        failure::encode(errno, dialect, ticket.tag(), reply)
    }

    fn park(&self, ticket: Ticket, wait: Wait, frame: &[u8]) -> Served {
        let kept = match wait {
            Wait::Lock(_) => Vec::new(),
            Wait::Throttle(_) => frame.to_vec(),
        };
        if self.tickets.park(ticket, wait, kept) {
            return Served::Later;
        }
        // Given up meanwhile. Whoever grants a lock now has the reply; otherwise there is none.
        match (wait, self.cancel(wait)) {
            (Wait::Lock(_), false) => Served::Later,
            (Wait::Lock(_), true) | (Wait::Throttle(_), _) => Served::Dropped,
        }
    }

    /// Takes back a wait. False when it is over already.
    fn cancel(&self, wait: Wait) -> bool {
        match wait {
            Wait::Lock(wait) => self.export.locks().cancel(wait),
            Wait::Throttle(wait) => {
                let throttle = self.export.throttle();
                throttle.is_some_and(|throttle| throttle.cancel(wait))
            }
        }
    }

    /// Ends a request at the moment its reply is sent. The caller holds what keeps replies in
    /// order, so that no later Tflush can overtake this reply.
    #[must_use]
    #[inline]
    pub fn retire(&self, ticket: Ticket) -> Retired {
        self.tickets.retire(ticket)
    }

    /// Ends the session: what waits is dismissed, what runs has no reply.
    pub fn close(&self) {
        self.tickets.close(|wait| self.cancel(wait));
        self.forget_fids();
    }
}

/// Ends it, if nobody has: directories that were walked to a moment ago would stay open.
impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}
