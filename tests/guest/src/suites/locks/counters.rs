//! What locks are for: several processes change one thing and nothing is lost.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same_bytes;
use crate::row::Row;
use crate::suites::locks::stage::Between;
use crate::suites::locks::stage::FILE;
use crate::suites::locks::stage::Owner;
use crate::sys::Space;

const LIMIT: u64 = 240;

pub(super) fn rows() -> Vec<Row> {
    [Space::Posix, Space::Ofd, Space::Flock]
        .into_iter()
        .map(|space| {
            Row::new(format!("counter/{}", space.word()), move |ctx| {
                count(ctx, space)
            })
            .within(LIMIT)
        })
        .collect()
}

/// Four processes, two on each client, 25 increments each.
fn count(ctx: &Ctx, space: Space) -> Result<()> {
    ctx.put(Who::This, FILE, b"00000000")?;
    let places = [
        Between::Processes,
        Between::Clients,
        Between::Processes,
        Between::Clients,
    ];
    let owners = places
        .map(|between| Owner::of(ctx, between))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    for owner in &owners {
        owner
            .peer
            .begin(&[b"count", &owner.fd.word(), space.word().as_bytes(), b"25"])?;
    }
    for owner in &owners {
        owner
            .peer
            .answer(Duration::from_secs(LIMIT))?
            .context("a counting process")?;
    }
    same_bytes(
        "the counter by this client",
        &std::fs::read(ctx.a(FILE)).context("read")?,
        b"00000100",
    )?;
    same_bytes(
        "the counter by the host",
        &ctx.host.read(&ctx.h(FILE))?,
        b"00000100",
    )
}
