//! Owners that are others on the host than in the guest.
//!
//! `ids`: the server was told that the guest's root is the server's user, and that the guest's users 1000 to
//! 1999 are the host's 51000 to 51999, the groups 61000 to 61999. `me`: that all in the guest are the
//! server's user, who is 1000 there.

mod acls;
mod me;
mod owners;

use anyhow::Context;
use anyhow::Result;

use crate::ctx::Ctx;
use crate::deeds;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::row::Row;

/// Of the host's users from the guest's.
const USERS: u32 = 50_000;
/// Of the host's groups from the guest's.
const GROUPS: u32 = 60_000;

/// The rows of suite `ids`.
pub(crate) fn translated() -> Vec<Row> {
    let rows = [owners::rows(), acls::rows()].into_iter().flatten();
    rows.map(|row| row.needing(on_9p)).collect()
}

/// The rows of suite `me`.
pub(crate) fn me() -> Vec<Row> {
    let rows = me::rows().into_iter();
    rows.map(|row| row.needing(on_9p)).collect()
}

/// A local file system translates nothing.
fn on_9p(ctx: &Ctx) -> Result<()> {
    if ctx.is_9p() {
        Ok(())
    } else {
        skip("no server, no translation")
    }
}

/// Both clients see this owner.
fn shows(ctx: &Ctx, name: &str, uid: u32, gid: u32) -> Result<()> {
    for path in [ctx.a(name), ctx.b(name)] {
        let stat = rustix::fs::lstat(&path).with_context(|| format!("stat {name}"))?;
        let owner = deeds::said(&stat, b"owner")?;
        same_bytes(name, owner.as_bytes(), format!("{uid}:{gid}").as_bytes())?;
    }
    Ok(())
}

/// Whom it belongs to on the host, where the model leaves that to the file system.
fn on_host(ctx: &Ctx, name: &str, uid: u32, gid: u32) -> Result<()> {
    if !ctx.host_sees_metadata() || !ctx.keeps_owners() {
        return Ok(());
    }
    let came = ctx.host.stat(&ctx.h(name))?.context("stat on the host")?;
    let expected = format!("{uid}:{gid}");
    let what = format!("{name} on the host");
    same_bytes(
        &what,
        format!("{}:{}", came.uid, came.gid).as_bytes(),
        expected.as_bytes(),
    )
}

/// A directory in which everybody may make something.
fn open_to_all(ctx: &Ctx) -> Result<std::path::PathBuf> {
    let path = ctx.a("all");
    std::fs::create_dir(&path).context("mkdir")?;
    rustix::fs::chmod(&path, files::mode(0o777)).context("chmod")?;
    Ok(path)
}
