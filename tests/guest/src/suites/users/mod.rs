//! Users of the guest whose rights the host's kernel judges: mounted with `access=user`, each attaches for
//! itself.
//!
//! The users are some that every Debian host knows, with the groups that they have there. The guest's
//! kernel looks at modes too, so what only the host can refuse is hidden from it in ACLs, which such a
//! mount does not show, or asked by the guest's root.

mod rights;
mod squash;

use anyhow::Context;
use anyhow::Result;

use crate::ctx::Ctx;
use crate::expect::same;
use crate::expect::skip;
use crate::row::Row;

/// daemon, with its group.
const ANN: u32 = 1;
/// bin, with its group.
const BOB: u32 = 2;

/// The rows of suite `users`.
pub(crate) fn users() -> Vec<Row> {
    let rows = rights::rows().into_iter();
    rows.map(|row| row.needing(on_9p)).collect()
}

/// The rows of suite `squash`.
pub(crate) fn squashed() -> Vec<Row> {
    let rows = squash::rows().into_iter();
    rows.map(|row| row.needing(on_9p)).collect()
}

fn on_9p(ctx: &Ctx) -> Result<()> {
    if ctx.is_9p() {
        Ok(())
    } else {
        skip("no server, nobody to enforce")
    }
}

/// Whom it belongs to on the host.
fn belongs(ctx: &Ctx, name: &str, uid: u32, gid: u32) -> Result<()> {
    let came = ctx.host.stat(&ctx.h(name))?;
    let came = came.with_context(|| format!("{name} on the host"))?;
    same(
        &format!("owner of {name} on the host"),
        (came.uid, came.gid),
        (uid, gid),
    )
}
