//! F_GETLK: who would be in the way.
//!
//! Linux's 9p client does not pass on which kind of lock it was asked about, so a server can only answer
//! as if it were a write lock. It shows pids of other clients negated; they are not compared here.

use anyhow::Context;
use anyhow::Result;

use crate::ctx::Ctx;
use crate::expect::same;
use crate::row::Row;
use crate::suites::locks::stage::Between;
use crate::suites::locks::stage::Owner;
use crate::suites::locks::stage::Stage;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

const SPACES: [Space; 2] = [Space::Posix, Space::Ofd];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for between in Between::BOTH {
        for space in SPACES {
            for kind in [Kind::Read, Kind::Write] {
                let name = format!(
                    "query/{}/{}/{}-lock",
                    between.word(),
                    space.word(),
                    kind.word()
                );
                rows.push(Row::new(name, move |ctx| {
                    reported(ctx, between, space, kind)
                }));
            }
            let name = format!("query/{}/{}/free", between.word(), space.word());
            rows.push(Row::new(name, move |ctx| free(ctx, between, space)));
            let name = format!("query/{}/{}/to-end", between.word(), space.word());
            rows.push(Row::new(name, move |ctx| to_end(ctx, between, space)));
        }
        let name = format!("query/{}/one-of-several", between.word());
        rows.push(Row::new(name, move |ctx| one_of_several(ctx, between)));
        let name = format!("query/{}/read-beside-read", between.word());
        rows.push(Row::new(name, move |ctx| read_beside_read(ctx, between)));
    }
    rows.push(Row::new("query/own-lock-not-reported", own));
    rows.push(Row::new("query/pid-of-the-holder", pid));
    rows
}

/// Kind, start and length of what is in the way.
fn ask(owner: &Owner, space: Space, kind: Kind, range: Range) -> Result<Option<(Kind, i64, i64)>> {
    let conflict = owner.peer.in_the_way(owner.fd, space, kind, range)?;
    Ok(conflict.map(|lock| (lock.kind, lock.start, lock.length)))
}

fn reported(ctx: &Ctx, between: Between, space: Space, kind: Kind) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("hold", space, kind, Range::new(100, 50))?;
    same(
        "in the way",
        ask(&other, space, Kind::Write, Range::WHOLE)?,
        Some((kind, 100, 50)),
    )?;
    same(
        "in the way",
        ask(&other, space, Kind::Write, Range::new(149, 1))?,
        Some((kind, 100, 50)),
    )?;
    same(
        "beside it",
        ask(&other, space, Kind::Write, Range::new(150, 1))?,
        None,
    )?;
    // Asking takes nothing.
    one.unlocks(space, Range::WHOLE)?;
    one.gets("all of it", space, Kind::Write, Range::WHOLE)
}

fn free(ctx: &Ctx, between: Between, space: Space) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    for (owner, kind) in [(&one, Kind::Read), (&other, Kind::Write)] {
        same("in the way", ask(owner, space, kind, Range::WHOLE)?, None)?;
    }
    Ok(())
}

fn to_end(ctx: &Ctx, between: Between, space: Space) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("hold", space, Kind::Write, Range::new(700, 0))?;
    same(
        "in the way",
        ask(&other, space, Kind::Write, Range::WHOLE)?,
        Some((Kind::Write, 700, 0)),
    )
}

fn one_of_several(ctx: &Ctx, between: Between) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::new(100, 10))?;
    one.gets("hold", Space::Posix, Kind::Write, Range::new(300, 10))?;
    let found = ask(&other, Space::Posix, Kind::Write, Range::new(200, 0))?;
    same("in the way", found, Some((Kind::Write, 300, 10)))?;
    same(
        "between them",
        ask(&other, Space::Posix, Kind::Write, Range::new(110, 190))?,
        None,
    )
}

fn read_beside_read(ctx: &Ctx, between: Between) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("hold", Space::Posix, Kind::Read, Range::new(5, 5))?;
    // See above: on 9p the question is about a write lock, whatever the process asked.
    let expected = ctx.is_9p().then_some((Kind::Read, 5, 5));
    same(
        "in the way",
        ask(&other, Space::Posix, Kind::Read, Range::WHOLE)?,
        expected,
    )
}

fn own(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::new(5, 5))?;
    same(
        "in one's own way",
        ask(&one, Space::Posix, Kind::Write, Range::WHOLE)?,
        None,
    )?;
    same(
        "in the other's way",
        ask(&other, Space::Posix, Kind::Write, Range::WHOLE)?,
        Some((Kind::Write, 5, 5)),
    )
}

fn pid(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Processes)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::new(5, 5))?;
    let found = other
        .peer
        .in_the_way(other.fd, Space::Posix, Kind::Write, Range::WHOLE)?;
    let pid = found.context("expected a lock in the way, came none")?.pid;
    same("pid", pid, i32::try_from(one.peer.pid())?)
}
