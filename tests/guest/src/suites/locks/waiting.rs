//! Waiting for a lock, and ways to stop waiting without it.

use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::holds;
use crate::files;
use crate::row::Row;
use crate::suites::locks::stage::Between;
use crate::suites::locks::stage::FILE;
use crate::suites::locks::stage::Owner;
use crate::suites::locks::stage::Stage;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

const SPACES: [Space; 3] = [Space::Posix, Space::Ofd, Space::Flock];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for between in Between::BOTH {
        for space in SPACES {
            let name = format!(
                "waiting/{}/{}/killed-waiter-leaves-nothing",
                between.word(),
                space.word()
            );
            rows.push(Row::new(name, move |ctx| killed(ctx, between, space)));
        }
        let name = format!("waiting/{}/interrupted-by-a-signal", between.word());
        rows.push(Row::new(name, move |ctx| interrupted(ctx, between)));
    }
    rows.push(Row::new("waiting/others-work-meanwhile", others_work));
    rows.push(Row::new("waiting/twenty-waiters-stop-nobody", twenty).within(120));
    rows.push(
        Row::new(
            "waiting/killed-in-turn-then-the-last-gets-it",
            queue_of_the_dead,
        )
        .within(120),
    );
    rows
}

fn killed(ctx: &Ctx, between: Between, space: Space) -> Result<()> {
    let Stage { one, mut other } = Stage::set(ctx, between)?;
    one.gets("hold", space, Kind::Write, Range::WHOLE)?;
    other.waits(space, Kind::Write, Range::WHOLE)?;
    other.peer.kill()?;
    let third = Owner::of(ctx, between)?;
    third.denied("while held", space, Kind::Read, Range::WHOLE)?;
    one.unlocks(space, Range::WHOLE)?;
    third.gets("after both are gone", space, Kind::Write, Range::WHOLE)
}

fn interrupted(ctx: &Ctx, between: Between) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::WHOLE)?;
    other.peer.ask(&[b"alarm", b"2"])?.context("alarm")?;
    other.waits(Space::Posix, Kind::Write, Range::WHOLE)?;
    let came = other.peer.answer(Duration::from_secs(17))?;
    // The 9p client makes EAGAIN of it when the conflict is with another client.
    let of_9p = ctx.is_9p() && between == Between::Clients;
    let expected: &[Errno] = if of_9p {
        &[Errno::INTR, Errno::AGAIN]
    } else {
        &[Errno::INTR]
    };
    fails("the interrupted wait", came, expected)?;
    one.unlocks(Space::Posix, Range::WHOLE)?;
    let third = Owner::of(ctx, between)?;
    third.gets("what nobody has", Space::Posix, Kind::Write, Range::WHOLE)
}

/// A waiter of a client must not keep its other processes from the server.
fn others_work(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::new(0, 10))?;
    other.waits(Space::Posix, Kind::Write, Range::new(0, 10))?;
    work_beside(ctx)?;
    one.unlocks(Space::Posix, Range::new(0, 10))?;
    other.is_woken("after the others' work")
}

fn work_beside(ctx: &Ctx) -> Result<()> {
    let start = Instant::now();
    let beside = Owner::of(ctx, Between::Clients)?;
    beside.could(
        "another range",
        Space::Posix,
        Kind::Write,
        Range::new(100, 10),
    )?;
    std::fs::write(ctx.b("beside"), b"x").context("write another file")?;
    std::fs::read(ctx.b(FILE)).context("read the same file")?;
    files::list(&ctx.second)?;
    std::fs::remove_file(ctx.b("beside")).context("unlink")?;
    holds(
        "other work takes less than 10 s",
        start.elapsed() < Duration::from_secs(10),
    )
}

fn twenty(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::WHOLE)?;
    let mut waiters = Vec::new();
    for number in 0..20 {
        // flock on files of their own as well: more than one queue
        let name = format!("file{}", number % 4);
        ctx.put(Who::This, &name, b"")?;
        let holder = Owner::open(ctx, Between::Processes, &name, OFlags::RDWR)?;
        let waiter = Owner::open(
            ctx,
            Between::Clients,
            if number < 10 { FILE } else { &name },
            OFlags::RDWR,
        )?;
        if number >= 10 {
            holder.gets("hold", Space::Posix, Kind::Read, Range::WHOLE)?;
        }
        waiter
            .peer
            .begin_lock(waiter.fd, Space::Posix, Kind::Write, Range::new(number, 1))?;
        waiters.push((waiter, holder));
    }
    work_beside_twenty(ctx)?;
    drop(other);
    one.unlocks(Space::Posix, Range::WHOLE)?;
    for (waiter, _) in &waiters[..10] {
        waiter.is_woken("one of twenty")?;
    }
    Ok(())
}

/// As [`work_beside`], but no lock: the file is locked as a whole.
fn work_beside_twenty(ctx: &Ctx) -> Result<()> {
    let start = Instant::now();
    for number in 0..5 {
        std::fs::write(ctx.b(format!("beside{number}")), b"x").context("write")?;
        std::fs::read(ctx.b(FILE)).context("read the locked file")?;
    }
    holds(
        "other work takes less than 10 s",
        start.elapsed() < Duration::from_secs(10),
    )
}

fn queue_of_the_dead(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Flock, Kind::Write, Range::WHOLE)?;
    for _ in 0..5 {
        let mut dying = Owner::of(ctx, Between::Clients)?;
        dying
            .peer
            .begin_lock(dying.fd, Space::Flock, Kind::Write, Range::WHOLE)?;
        std::thread::sleep(Duration::from_millis(300));
        dying.peer.kill()?;
    }
    other.waits(Space::Flock, Kind::Write, Range::WHOLE)?;
    one.unlocks(Space::Flock, Range::WHOLE)?;
    other.is_woken("after five died waiting")
}
