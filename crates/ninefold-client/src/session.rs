//! One session, shared by all its fids: the connection behind a lock, and the numbers in use.
//!
//! It knows no path and no object. One request is under way at a time; a caller that waits for a
//! blocking lock keeps all others of the same session waiting.

use ninefold_wire::{Qid, Reply, Request, Step, Steps};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Connection, Error, Fid, Options, Result};

/// Makes a request and takes from its reply what the pattern binds; any other reply is an error.
macro_rules! ask {
    ($session:expr, $request:expr, $pattern:pat => $value:expr) => {{
        let request = $request;
        $session.call(&request, |reply| match reply {
            $pattern => $value,
            other => Err($crate::Error::mismatch(&request, &other)),
        })
    }};
}
pub(crate) use ask;

/// Bytes of a Twalk besides its names.
const WALK_OVERHEAD: usize = 17;

pub(crate) struct Session {
    state: Mutex<State>,
    msize: u32,
    /// The group that new objects get.
    gid: u32,
}

struct State {
    connection: Connection,
    fids: Fids,
    broken: bool,
}

/// The fid numbers: the one freed last is used again first.
#[derive(Default)]
struct Fids {
    next: u32,
    free: Vec<u32>,
}

impl Fids {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let number = self.next;
            self.next += 1;
            number
        })
    }
}

impl Session {
    pub(crate) fn new(connection: Connection, gid: u32) -> Self {
        let msize = connection.msize();
        let state = State {
            connection,
            fids: Fids::default(),
            broken: false,
        };
        Self {
            state: Mutex::new(state),
            msize,
            gid,
        }
    }

    /// The longest message, bytes.
    pub(crate) fn msize(&self) -> u32 {
        self.msize
    }

    pub(crate) fn gid(&self) -> u32 {
        self.gid
    }

    /// Makes a request; `take` has the reply while it still lies in the receive buffer.
    pub(crate) fn call<T>(
        &self,
        request: &Request<'_>,
        take: impl FnOnce(Reply<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.state();
        if state.broken {
            return Err(Error::Broken);
        }
        let result = state.connection.call(request).and_then(take);
        // After half a message, or a reply to something else, no later reply can be trusted.
        state.broken = result.as_ref().is_err_and(Error::is_fatal);
        result
    }

    /// A number that no fid has.
    pub(crate) fn reserve(&self) -> u32 {
        self.state().fids.take()
    }

    /// Gives a number back that the server does not know, or no longer.
    pub(crate) fn release(&self, number: u32) {
        self.state().fids.free.push(number);
    }

    pub(crate) fn attach(self: &Arc<Self>, options: &Options) -> Result<Fid> {
        let mut fid = Fid::unborn(self);
        let request = Request::Attach {
            fid: fid.number(),
            afid: ninefold_wire::NOFID,
            uname: &options.uname,
            aname: &options.aname,
            n_uname: Some(options.uid),
        };
        fid.born(ask!(self, request, Reply::Attach { qid } => Ok(qid))?);
        Ok(fid)
    }

    /// Walks as many of the first steps as one message takes and the server can make, at least
    /// one if there is one. Returns how many, and the qid of the last.
    ///
    /// A walk that fails behind the first step does not say why. Asking for the steps that were
    /// made, and letting the caller go on from there, brings the error out.
    pub(crate) fn stride(
        &self,
        fid: u32,
        newfid: u32,
        steps: &[Step<'_>],
    ) -> Result<(usize, Option<Qid>)> {
        let mut len = self.fitting(steps);
        loop {
            let (made, qid) = self.walk(fid, newfid, &steps[..len])?;
            if made == len {
                return Ok((made, qid));
            }
            len = made;
        }
    }

    /// How many of the first steps fit into one Twalk.
    fn fitting(&self, steps: &[Step<'_>]) -> usize {
        let mut room = crate::connection::as_len(self.msize).saturating_sub(WALK_OVERHEAD);
        let fits = |step: &&Step<'_>| {
            let rest = room.checked_sub(2 + step.bytes().len());
            room = rest.unwrap_or(0);
            rest.is_some()
        };
        let count = steps
            .iter()
            .take(ninefold_wire::WALK_MAX)
            .take_while(fits)
            .count();
        count.max(steps.len().min(1))
    }

    fn walk(&self, fid: u32, newfid: u32, steps: &[Step<'_>]) -> Result<(usize, Option<Qid>)> {
        let asked = steps.len();
        let steps = Steps::of(steps).unwrap_or(Steps::NONE);
        let request = Request::Walk { fid, newfid, steps };
        ask!(self, request, Reply::Walk { qids } => {
            let qids = qids.as_slice();
            if qids.len() > asked || (qids.is_empty() && asked > 0) {
                let expected = format!("an error or qids for at most {asked} names");
                return Err(Error::protocol(expected, format!("{} qids", qids.len())));
            }
            Ok((qids.len(), qids.last().copied()))
        })
    }

    /// Has the server forget a fid. Even if it answers with an error, the number is free.
    pub(crate) fn clunk(&self, number: u32) -> Result<()> {
        ask!(self, Request::Clunk { fid: number }, Reply::Clunk {} => Ok(()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of a caller cannot leave the state half changed: no step of ours panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
