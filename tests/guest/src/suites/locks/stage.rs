//! Two processes with the same file open, on two clients or on one.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::peer::Peer;
use crate::peer::PeerFd;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

/// A released lock must reach whoever waits for it within this.
pub(super) const WAKE: Duration = Duration::from_secs(12);

/// Long enough to tell that somebody waits.
const STILL: Duration = Duration::from_millis(1_000);

/// What the other process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    Clients,
    Processes,
}

impl Between {
    pub(super) const BOTH: [Self; 2] = [Self::Clients, Self::Processes];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Clients => "between-clients",
            Self::Processes => "between-processes",
        }
    }
}

/// The locked file.
pub(super) const FILE: &str = "file";

/// A process and its open file.
pub(super) struct Owner {
    pub(super) peer: Peer,
    pub(super) fd: PeerFd,
}

/// Both owners of a row.
pub(super) struct Stage {
    pub(super) one: Owner,
    pub(super) other: Owner,
}

impl Stage {
    pub(super) fn set(ctx: &Ctx, between: Between) -> Result<Self> {
        ctx.put(Who::This, FILE, &[b'.'; 1000])?;
        Ok(Self {
            one: Owner::here(ctx)?,
            other: Owner::of(ctx, between)?,
        })
    }
}

impl Owner {
    /// On the first client.
    pub(super) fn here(ctx: &Ctx) -> Result<Self> {
        Self::of(ctx, Between::Processes)
    }

    /// On the client that the second owner is on.
    pub(super) fn of(ctx: &Ctx, between: Between) -> Result<Self> {
        Self::open(ctx, between, FILE, OFlags::RDWR)
    }

    pub(super) fn open(ctx: &Ctx, between: Between, name: &str, flags: OFlags) -> Result<Self> {
        let path = match between {
            Between::Clients => ctx.b(name),
            Between::Processes => ctx.a(name),
        };
        let peer = Peer::start()?;
        let fd = peer.open(&path, flags)?;
        Ok(Self { peer, fd })
    }

    pub(super) fn lock(&self, space: Space, kind: Kind, range: Range) -> Result<Result<(), Errno>> {
        self.peer.lock(self.fd, space, kind, range)
    }

    /// The lock is free for the taking.
    pub(super) fn gets(&self, what: &str, space: Space, kind: Kind, range: Range) -> Result<()> {
        self.lock(space, kind, range)?
            .with_context(|| format!("{what}: {}", said(space, kind, range)))
    }

    /// Somebody else's lock is in the way.
    pub(super) fn denied(&self, what: &str, space: Space, kind: Kind, range: Range) -> Result<()> {
        let what = format!("{what}: {}", said(space, kind, range));
        fails(
            &what,
            self.lock(space, kind, range)?,
            &[Errno::AGAIN, Errno::ACCESS],
        )
    }

    /// The lock could be had, and is given back.
    pub(super) fn could(&self, what: &str, space: Space, kind: Kind, range: Range) -> Result<()> {
        self.gets(what, space, kind, range)?;
        self.unlocks(space, range)
    }

    pub(super) fn unlocks(&self, space: Space, range: Range) -> Result<()> {
        self.gets("release", space, Kind::Unlock, range)
    }

    /// Begins to wait for a lock, and does wait.
    pub(super) fn waits(&self, space: Space, kind: Kind, range: Range) -> Result<()> {
        self.peer.begin_lock(self.fd, space, kind, range)?;
        match self.peer.finish(STILL)? {
            None => Ok(()),
            Some(reply) => bail!(
                "{}: expected to wait, came {:?}",
                said(space, kind, range),
                reply.map(drop)
            ),
        }
    }

    /// The wait ends with the lock.
    pub(super) fn is_woken(&self, what: &str) -> Result<()> {
        match self.peer.finish(WAKE)? {
            Some(reply) => reply
                .map(drop)
                .with_context(|| format!("{what}: the waiter")),
            None => {
                bail!("{what}: expected the waiter to get the lock within {WAKE:?}, it still waits")
            }
        }
    }
}

fn said(space: Space, kind: Kind, range: Range) -> String {
    format!(
        "{} {} lock of {}+{}",
        space.word(),
        kind.word(),
        range.start,
        range.length
    )
}
