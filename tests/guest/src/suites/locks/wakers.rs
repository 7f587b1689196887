//! What ends a wait with the lock: the holder lets go, in any way there is.

use anyhow::Context;
use anyhow::Result;

use crate::ctx::Ctx;
use crate::row::Row;
use crate::suites::locks::stage::Between;
use crate::suites::locks::stage::Owner;
use crate::suites::locks::stage::Stage;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

const SPACES: [Space; 3] = [Space::Posix, Space::Ofd, Space::Flock];

/// How a holder lets go.
type Way = fn(&mut Owner, Space) -> Result<()>;

const WAYS: [(&str, Way); 4] = [
    ("unlock", unlock),
    ("close", close),
    ("killed", killed),
    ("downgrade-for-a-reader", downgrade),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for between in Between::BOTH {
        for space in SPACES {
            for (name, way) in WAYS {
                let wanted = if name.ends_with("reader") {
                    Kind::Read
                } else {
                    Kind::Write
                };
                let name = format!("woken/{}/{}/{name}", between.word(), space.word());
                rows.push(Row::new(name, move |ctx| {
                    play(ctx, between, space, wanted, way)
                }));
            }
        }
    }
    rows.push(Row::new(
        "woken/between-clients/unlock-of-just-the-range",
        just_the_range,
    ));
    rows.push(Row::new(
        "woken/between-clients/all-readers-at-once",
        readers,
    ));
    rows.push(Row::new("woken/between-clients/writers-one-by-one", writers).within(120));
    rows.push(Row::new("woken/between-clients/there-and-back", there_and_back).within(120));
    rows
}

fn play(ctx: &Ctx, between: Between, space: Space, wanted: Kind, way: Way) -> Result<()> {
    let Stage { mut one, other } = Stage::set(ctx, between)?;
    one.gets("hold", space, Kind::Write, Range::WHOLE)?;
    other.waits(space, wanted, Range::WHOLE)?;
    way(&mut one, space)?;
    other.is_woken("after the holder let go")?;
    let third = Owner::here(ctx)?;
    third.denied("what the waiter has now", space, Kind::Write, Range::WHOLE)
}

fn unlock(owner: &mut Owner, space: Space) -> Result<()> {
    owner.unlocks(space, Range::WHOLE)
}

fn close(owner: &mut Owner, _: Space) -> Result<()> {
    owner.peer.close(owner.fd)
}

fn killed(owner: &mut Owner, _: Space) -> Result<()> {
    owner.peer.kill()
}

fn downgrade(owner: &mut Owner, space: Space) -> Result<()> {
    owner.gets("downgrade", space, Kind::Read, Range::WHOLE)
}

/// The holder keeps another range.
fn just_the_range(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::new(0, 100))?;
    other.waits(Space::Posix, Kind::Write, Range::new(40, 20))?;
    one.unlocks(Space::Posix, Range::new(40, 20))?;
    other.is_woken("after the release of its range")?;
    other.denied(
        "what is still held",
        Space::Posix,
        Kind::Write,
        Range::new(39, 1),
    )
}

fn readers(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::WHOLE)?;
    let more = [
        Owner::of(ctx, Between::Clients)?,
        Owner::here(ctx)?,
        Owner::here(ctx)?,
    ];
    for reader in more.iter().chain([&other]) {
        reader.waits(Space::Posix, Kind::Read, Range::WHOLE)?;
    }
    one.unlocks(Space::Posix, Range::WHOLE)?;
    for reader in more.iter().chain([&other]) {
        reader.is_woken("a reader")?;
    }
    one.denied(
        "against four readers",
        Space::Posix,
        Kind::Write,
        Range::WHOLE,
    )
}

/// The order is the server's business; that each gets its turn is not.
fn writers(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Flock, Kind::Write, Range::WHOLE)?;
    let third = Owner::of(ctx, Between::Clients)?;
    let mut waiting = vec![other, third];
    for writer in &waiting {
        writer.waits(Space::Flock, Kind::Write, Range::WHOLE)?;
    }
    one.unlocks(Space::Flock, Range::WHOLE)?;
    let start = std::time::Instant::now();
    while !waiting.is_empty() {
        anyhow::ensure!(
            start.elapsed().as_secs() < 30,
            "expected each writer's turn within 30 s"
        );
        let patience = std::time::Duration::from_millis(200);
        let mut left = Vec::new();
        for writer in waiting {
            match writer.peer.finish(patience)? {
                Some(reply) => {
                    reply.context("a writer's turn")?;
                    writer.unlocks(Space::Flock, Range::WHOLE)?;
                }
                None => left.push(writer),
            }
        }
        waiting = left;
    }
    Ok(())
}

fn there_and_back(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::WHOLE)?;
    for _ in 0..3 {
        for (holder, waiter) in [(&one, &other), (&other, &one)] {
            waiter.waits(Space::Posix, Kind::Write, Range::WHOLE)?;
            holder.unlocks(Space::Posix, Range::WHOLE)?;
            waiter.is_woken("in turn")?;
        }
    }
    Ok(())
}
