//! Locks between the guest and processes of the host, in both directions.
//!
//! A flock(2) of the guest is a lock of the whole file on its way, so that there is no row for
//! flock against fcntl: what the guest cannot say the server cannot tell apart.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::files;
use crate::row::Row;
use crate::sys;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

/// The spaces that the host may use against a guest's lock of a space.
const PAIRS: [(Space, Space); 4] = [
    (Space::Posix, Space::Posix),
    (Space::Posix, Space::Ofd),
    (Space::Ofd, Space::Posix),
    (Space::Flock, Space::Flock),
];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (guest, host) in PAIRS {
        let pair = format!("{}-against-{}", guest.word(), host.word());
        rows.push(Row::new(format!("guest-holds/{pair}"), move |ctx| {
            guest_holds(ctx, guest, host)
        }));
        rows.push(Row::new(format!("host-holds/{pair}"), move |ctx| {
            host_holds(ctx, guest, host)
        }));
        rows.push(Row::new(format!("both-read/{pair}"), move |ctx| {
            both_read(ctx, guest, host)
        }));
    }
    rows.push(Row::new("ranges/guest-holds", ranges_guest));
    rows.push(Row::new("ranges/host-holds", ranges_host));
    rows.push(Row::new("release/close-in-the-guest", release_by_close));
    rows
}

fn lock_of(ctx: &Ctx, space: Space, kind: Kind, range: Range) -> [Vec<u8>; 5] {
    let number = |number: i64| number.to_string().into_bytes();
    [
        space.word().into(),
        kind.word().into(),
        number(range.start),
        number(range.length),
        ctx.h("file"),
    ]
}

/// Whether the host could have the lock now.
fn host_tries(ctx: &Ctx, space: Space, kind: Kind, range: Range) -> Result<Result<(), Errno>> {
    Ok(ctx
        .host
        .try_lock(
            &lock_of(ctx, space, kind, range)
                .each_ref()
                .map(Vec::as_slice),
        )?
        .map(drop))
}

fn host_takes(ctx: &Ctx, space: Space, kind: Kind, range: Range) -> Result<Vec<u8>> {
    ctx.host
        .hold(
            &lock_of(ctx, space, kind, range)
                .each_ref()
                .map(Vec::as_slice),
        )?
        .context("the host's lock")
}

fn stage(ctx: &Ctx) -> Result<std::os::fd::OwnedFd> {
    ctx.put(Who::This, "file", &[b'.'; 1000])?;
    files::open(ctx.a("file"), OFlags::RDWR).context("open")
}

fn guest_holds(ctx: &Ctx, guest: Space, host: Space) -> Result<()> {
    let fd = stage(ctx)?;
    sys::lock(&fd, guest, Kind::Write, Range::WHOLE, false).context("the guest's lock")?;
    for kind in [Kind::Read, Kind::Write] {
        fails(
            "the host",
            host_tries(ctx, host, kind, Range::WHOLE)?,
            &[Errno::AGAIN],
        )?;
    }
    sys::lock(&fd, guest, Kind::Unlock, Range::WHOLE, false).context("unlock")?;
    host_tries(ctx, host, Kind::Write, Range::WHOLE)?.context("the host, once free")
}

fn host_holds(ctx: &Ctx, guest: Space, host: Space) -> Result<()> {
    let fd = stage(ctx)?;
    let holder = host_takes(ctx, host, Kind::Write, Range::WHOLE)?;
    for kind in [Kind::Read, Kind::Write] {
        fails(
            "the guest",
            sys::lock(&fd, guest, kind, Range::WHOLE, false),
            &[Errno::AGAIN],
        )?;
    }
    ctx.host.release(&holder)?;
    sys::lock(&fd, guest, Kind::Write, Range::WHOLE, false).context("the guest, once free")
}

fn both_read(ctx: &Ctx, guest: Space, host: Space) -> Result<()> {
    let fd = stage(ctx)?;
    let holder = host_takes(ctx, host, Kind::Read, Range::WHOLE)?;
    sys::lock(&fd, guest, Kind::Read, Range::WHOLE, false).context("the guest reads as well")?;
    ctx.host.release(&holder)?;
    fails(
        "the host's write lock",
        host_tries(ctx, host, Kind::Write, Range::WHOLE)?,
        &[Errno::AGAIN],
    )
}

fn ranges_guest(ctx: &Ctx) -> Result<()> {
    let fd = stage(ctx)?;
    sys::lock(&fd, Space::Posix, Kind::Write, Range::new(100, 50), false).context("lock")?;
    fails(
        "inside",
        host_tries(ctx, Space::Posix, Kind::Read, Range::new(149, 1))?,
        &[Errno::AGAIN],
    )?;
    host_tries(ctx, Space::Posix, Kind::Write, Range::new(150, 10))?.context("beside")?;
    host_tries(ctx, Space::Posix, Kind::Write, Range::new(0, 100))?.context("before")
}

fn ranges_host(ctx: &Ctx) -> Result<()> {
    let fd = stage(ctx)?;
    let _holder = host_takes(ctx, Space::Posix, Kind::Write, Range::new(100, 50))?;
    let lock = |range| sys::lock(&fd, Space::Posix, Kind::Write, range, false);
    fails("inside", lock(Range::new(149, 1)), &[Errno::AGAIN])?;
    lock(Range::new(150, 10)).context("beside")?;
    lock(Range::new(0, 100)).context("before")
}

fn release_by_close(ctx: &Ctx) -> Result<()> {
    let fd = stage(ctx)?;
    sys::lock(&fd, Space::Posix, Kind::Write, Range::WHOLE, false).context("lock")?;
    drop(fd);
    host_tries(ctx, Space::Posix, Kind::Write, Range::WHOLE)?
        .context("the host after the guest's close")
}
