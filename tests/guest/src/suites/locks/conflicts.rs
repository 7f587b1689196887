//! Who excludes whom.

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
const KINDS: [Kind; 2] = [Kind::Read, Kind::Write];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for between in Between::BOTH {
        for space in SPACES {
            for (first, second) in KINDS
                .into_iter()
                .flat_map(|first| KINDS.map(|second| (first, second)))
            {
                let name = format!(
                    "{}/{}/{}-then-{}",
                    between.word(),
                    space.word(),
                    first.word(),
                    second.word()
                );
                rows.push(Row::new(name, move |ctx| {
                    meet(ctx, between, space, first, second)
                }));
            }
            let name = format!("{}/{}/upgrade-alone", between.word(), space.word());
            rows.push(Row::new(name, move |ctx| {
                upgrade_alone(ctx, between, space)
            }));
            let name = format!("{}/{}/upgrade-against-reader", between.word(), space.word());
            rows.push(Row::new(name, move |ctx| {
                upgrade_against_reader(ctx, between, space)
            }));
            let name = format!("{}/{}/downgrade", between.word(), space.word());
            rows.push(Row::new(name, move |ctx| downgrade(ctx, between, space)));
        }
    }
    rows
}

/// In both directions, and free again after the release.
fn meet(ctx: &Ctx, between: Between, space: Space, first: Kind, second: Kind) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    for (holder, asker) in [(&one, &other), (&other, &one)] {
        holder.gets("the holder", space, first, Range::WHOLE)?;
        if (first, second) == (Kind::Read, Kind::Read) {
            asker.could("beside the holder", space, second, Range::WHOLE)?;
        } else {
            asker.denied("against the holder", space, second, Range::WHOLE)?;
        }
        holder.unlocks(space, Range::WHOLE)?;
        asker.could("after the holder", space, second, Range::WHOLE)?;
    }
    Ok(())
}

fn upgrade_alone(ctx: &Ctx, between: Between, space: Space) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("read", space, Kind::Read, Range::WHOLE)?;
    one.gets("upgrade", space, Kind::Write, Range::WHOLE)?;
    other.denied(
        "a reader after the upgrade",
        space,
        Kind::Read,
        Range::WHOLE,
    )
}

fn upgrade_against_reader(ctx: &Ctx, between: Between, space: Space) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("read", space, Kind::Read, Range::WHOLE)?;
    other.gets("read as well", space, Kind::Read, Range::WHOLE)?;
    one.denied("upgrade", space, Kind::Write, Range::WHOLE)?;
    other.unlocks(space, Range::WHOLE)?;
    // flock(2): a failed conversion may lose the lock. fcntl: it must not; but the 9p client forgets it
    // for its own processes, so only other clients can tell.
    if space != Space::Flock && (between == Between::Clients || !ctx.is_9p()) {
        let third = Owner::of(ctx, between)?;
        third.denied("after the failed upgrade", space, Kind::Write, Range::WHOLE)?;
    }
    one.gets("upgrade once alone", space, Kind::Write, Range::WHOLE)
}

fn downgrade(ctx: &Ctx, between: Between, space: Space) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("write", space, Kind::Write, Range::WHOLE)?;
    one.gets("downgrade", space, Kind::Read, Range::WHOLE)?;
    other.could("a reader after it", space, Kind::Read, Range::WHOLE)?;
    other.denied("a writer after it", space, Kind::Write, Range::WHOLE)
}
