//! Extended attributes and what is kept in them: capabilities and access control lists.

mod acl_inherit;
mod acls;
mod kinds;
mod limits;
mod models;
mod shared;
mod user;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::row::Row;

/// The file that most rows work on.
const FILE: &str = "file";

pub(crate) fn rows() -> Vec<Row> {
    [
        user::rows(),
        limits::rows(),
        kinds::rows(),
        shared::rows(),
        acls::rows(),
        acl_inherit::rows(),
        models::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Skips where there are no ACLs.
fn needs_acls(ctx: &Ctx) -> anyhow::Result<()> {
    if ctx.keeps_acls() {
        Ok(())
    } else {
        crate::expect::skip("the model keeps no ACLs")
    }
}

/// Makes the file and tells its path.
fn file(ctx: &Ctx) -> anyhow::Result<std::path::PathBuf> {
    ctx.put(Who::This, FILE, b"content")?;
    Ok(ctx.a(FILE))
}
