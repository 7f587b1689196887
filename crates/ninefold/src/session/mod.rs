//! One connection's 9P state: dialect and msize, fids, and the tags of requests under way.
//!
//! A session has no thread and no socket. Whoever receives frames calls [`Session::admit`] for each
//! in the order of receiving, [`Session::serve`] for what was admitted, from any thread, and
//! [`Session::retire`] at the moment when it sends the reply.

mod refusal;
mod ticket;

pub(crate) use ticket::Wait;
pub use ticket::{Admission, Retired, Ticket};

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ninefold_wire::{Dialect, Reply, Request};
use rustix::io::Errno;

use crate::export::Export;
use crate::fid::FidTable;
use crate::ops::{self, Answer, Call, Out};
use ticket::Tickets;

/// The smallest msize worth serving; Linux refuses less.
pub(crate) const MSIZE_MIN: u32 = 4096;
/// The longest frame before msize is agreed on.
const FIRST_FRAME_MAX: u32 = 8192;

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
    /// It waits; the outlet gets the reply, or hears that the request is to be served again.
    Later,
    /// It was given up while it was about to wait: retire it, send no reply.
    Dropped,
}

/// The 9P state of one connection.
pub struct Session {
    id: u64,
    export: Arc<Export>,
    msize_max: u32,
    /// The msize agreed on, 0 before a Tversion succeeded.
    msize: AtomicU32,
    fids: FidTable,
    tickets: Tickets,
}

impl Session {
    /// A session that serves `export`.
    #[must_use]
    pub fn new(export: Arc<Export>, options: SessionOptions) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            msize_max: options.msize_max.max(MSIZE_MIN),
            msize: AtomicU32::new(0),
            fids: FidTable::new(export.max_xattr()),
            export,
            tickets: Tickets::default(),
        }
    }

    /// The longest frame that the client may send now, bytes.
    #[must_use]
    pub fn frame_max(&self) -> u32 {
        match self.msize.load(Ordering::Acquire) {
            0 => FIRST_FRAME_MAX,
            msize => msize,
        }
    }

    /// Registers a request, in the order of receiving.
    #[must_use]
    pub fn admit(&self, frame: &[u8]) -> Admission {
        self.tickets.admit(frame, |wait| self.cancel(wait))
    }

    /// A request that had to wait for others and may now be served.
    #[must_use]
    pub fn take_ready(&self) -> Option<(Ticket, Vec<u8>)> {
        self.tickets.take_ready()
    }

    /// Readies a request whose wait is over. One that was given up meanwhile stays so.
    pub fn resume(&self, ticket: Ticket) {
        self.tickets.resume(ticket);
    }

    /// Serves an admitted request: runs it and writes the reply to the start of `reply`, which is
    /// at least as long as the largest msize. `scratch` is room to work with.
    pub fn serve(
        &self,
        ticket: Ticket,
        frame: &[u8],
        reply: &mut [u8],
        scratch: &mut Vec<u8>,
        outlet: &Arc<dyn Outlet>,
    ) -> Served {
        let msize = self.msize.load(Ordering::Acquire);
        let room = usize::try_from(msize.max(MSIZE_MIN))
            .unwrap_or(reply.len())
            .min(reply.len());
        let tag = ticket.tag();
        let mut call = Call {
            export: &self.export,
            fids: &self.fids,
            session: self.id,
            msize,
            out: Out::new(&mut reply[..room], tag),
            scratch,
            ticket,
            outlet,
        };
        let answer = self.answer(&mut call, frame);
        tracing::debug!(session = self.id, tag, ?answer, "request");
        match answer {
            Ok(Answer::Reply(len)) => Served::Reply(len),
            Ok(Answer::Waits(wait)) => self.park(ticket, wait, frame),
            Err(errno) => Served::Reply(encode_error(errno, tag, reply)),
        }
    }

    fn answer(&self, call: &mut Call<'_>, frame: &[u8]) -> Result<Answer, Errno> {
        let (_, request) =
            Request::decode(frame, Dialect::Linux).map_err(|error| refusal::errno(frame, error))?;
        tracing::trace!(
            session = self.id,
            tag = call.ticket.tag(),
            ?request,
            "request"
        );
        match request {
            Request::Version { msize, version } => self.version(call, msize, version),
            _ if call.msize == 0 => Err(Errno::PROTO),
            _ => ops::run(call, &request),
        }
    }

    /// Begins anew: all that came before is forgotten. Source: version(5).
    fn version(&self, call: &mut Call<'_>, msize: u32, version: &[u8]) -> Result<Answer, Errno> {
        self.msize.store(0, Ordering::Release);
        self.fids.clear();
        let Some(dialect @ Dialect::Linux) = Dialect::of_version(version) else {
            return call.out.reply(&Reply::Version {
                msize,
                version: b"unknown",
            });
        };
        if msize < MSIZE_MIN {
            return Err(Errno::MSGSIZE);
        }
        let msize = msize.min(self.msize_max);
        self.msize.store(msize, Ordering::Release);
        call.out.reply(&Reply::Version {
            msize,
            version: dialect.version(),
        })
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
    pub fn retire(&self, ticket: Ticket) -> Retired {
        self.tickets.retire(ticket)
    }

    /// Ends the session: what waits is dismissed, what runs has no reply.
    pub fn close(&self) {
        self.tickets.close(|wait| self.cancel(wait));
        self.fids.clear();
    }
}

/// Writes an Rlerror; it fits every buffer a client may set aside.
fn encode_error(errno: Errno, tag: u16, reply: &mut [u8]) -> usize {
    let ecode = u32::try_from(errno.raw_os_error()).unwrap_or(5);
    Reply::Lerror { ecode }.encode(tag, reply).unwrap_or(0)
}
