//! Tlock and Tgetlock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ninefold_wire::{LockRange, LockType, Reply, flags};
use rustix::io::Errno;

use super::{Answer, Call};
use crate::export::{HolderId, LockKind, LockOutcome, LockOwner, LockWait, Range, Woken};
use crate::fid::{Fid, State};
use crate::locked;
use crate::session::Wait;
use crate::sys::Result;

/// How long a blocking request waits here before it is told that it is blocked.
///
/// Linux's client sleeps 30 seconds then and asks again. While it waits for us no signal but a
/// deadly one reaches the process; while it sleeps every signal does: so that `flock -w` and
/// alarm(2) work, the wait must end, and so that most waiters are woken at once, not too soon.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The node name that stands for the host itself in an Rgetlock.
const HOST_ID: &[u8] = b"host";

/// Longest node name of a client, bytes: each lock keeps it, and Linux's has at most 64.
const CLIENT_ID_MAX: usize = 255;

fn owner(call: &Call<'_>, range: &LockRange<'_>) -> Result<LockOwner> {
    if range.client_id.len() > CLIENT_ID_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    Ok(LockOwner {
        session: call.session,
        client_id: range.client_id.into(),
        proc_id: range.proc_id,
    })
}

fn kind_of(kind: u8) -> Result<Option<LockKind>> {
    match LockType::of_number(kind).ok_or(Errno::INVAL)? {
        LockType::Read => Ok(Some(LockKind::Read)),
        LockType::Write => Ok(Some(LockKind::Write)),
        LockType::Unlock => Ok(None),
    }
}

/// As whom an open file or directory locks.
fn holder(fid: &Fid) -> Result<HolderId> {
    match &fid.state {
        State::File(file) => Ok(file.locks().id()),
        State::Dir(listing) => Ok(locked(listing).cursor.locks().id()),
        _ => Err(Errno::BADF),
    }
}

/// Takes or gives back a byte-range lock.
pub(super) fn lock(
    call: &mut Call<'_>,
    fid: u32,
    kind: u8,
    wire: u32,
    asked: &LockRange<'_>,
) -> Result<Answer> {
    if wire & !(flags::lock::BLOCK | flags::lock::RECLAIM) != 0 {
        return Err(Errno::INVAL);
    }
    let kind = kind_of(kind)?;
    let range = Range::new(asked.start, asked.length)?;
    let fid = call.fids.any(fid)?;
    let holder = holder(&fid)?;
    let owner = owner(call, asked)?;
    let locks = call.export.locks();
    let Some(kind) = kind else {
        locks.unlock(fid.node.id(), &owner, range)?;
        return call.out.reply(&Reply::Lock {
            status: flags::lock::SUCCESS,
        });
    };
    let wait = (wire & flags::lock::BLOCK != 0).then(|| wait_for_reply(call));
    match locks.lock(&fid.node, holder, (owner, kind, range), wait)? {
        LockOutcome::Granted => call.out.reply(&Reply::Lock {
            status: flags::lock::SUCCESS,
        }),
        LockOutcome::Blocked => call.out.reply(&Reply::Lock {
            status: flags::lock::BLOCKED,
        }),
        LockOutcome::Waits(wait) => Ok(Answer::Waits(Wait::Lock(wait))),
    }
}

/// What answers the request once its wait is over.
fn wait_for_reply(call: &Call<'_>) -> LockWait {
    let outlet = Arc::clone(call.outlet);
    let ticket = call.ticket;
    let wake = move |woken| {
        let status = match woken {
            Woken::Granted => flags::lock::SUCCESS,
            Woken::Expired => flags::lock::BLOCKED,
            Woken::Closed | Woken::Failed(_) => flags::lock::ERROR,
        };
        let mut frame = [0; 16];
        if let Ok(len) = (Reply::Lock { status }).encode(ticket.tag(), &mut frame) {
            outlet.complete(ticket, &frame[..len]);
        }
    };
    LockWait {
        deadline: Instant::now() + WAIT_MAX,
        wake: Box::new(wake),
    }
}

/// Says which lock is in the way. Linux's client asks about type "unlock" whatever the program
/// asked about: taken for a write lock, to which every other lock is in the way.
pub(super) fn getlock(
    call: &mut Call<'_>,
    fid: u32,
    kind: u8,
    asked: &LockRange<'_>,
) -> Result<Answer> {
    let kind = kind_of(kind)?.unwrap_or(LockKind::Write);
    let range = Range::new(asked.start, asked.length)?;
    let fid = call.fids.any(fid)?;
    holder(&fid)?;
    let owner = owner(call, asked)?;
    let held = call.export.locks().test(&fid.node, &owner, kind, range)?;
    let Some(held) = held else {
        return call.out.reply(&Reply::Getlock {
            kind: LockType::Unlock.number(),
            range: *asked,
        });
    };
    let kind = match held.kind {
        LockKind::Read => LockType::Read.number(),
        LockKind::Write => LockType::Write.number(),
    };
    let range = LockRange {
        start: held.range.start,
        length: held.range.length(),
        proc_id: held.proc_id,
        client_id: held.client_id.as_deref().unwrap_or(HOST_ID),
    };
    call.out.reply(&Reply::Getlock { kind, range })
}
