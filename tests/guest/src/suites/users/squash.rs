//! The guest's root is nobody on the host.

use anyhow::Context;
use anyhow::Result;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same_bytes;
use crate::peer::Peer;
use crate::row::Row;
use crate::suites::coherence::Party;
use crate::suites::users::ANN;
use crate::suites::users::belongs;

/// User and group.
const NOBODY: u32 = 65_534;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("squash/root-makes-files-of-nobody", makes),
        Row::new("squash/root-has-no-rights", no_rights),
        Row::new("squash/root-gives-nothing-away", gives_nothing),
        Row::new("squash/users-are-who-they-are", users),
    ]
}

fn makes(ctx: &Ctx) -> Result<()> {
    let root = Party::of(ctx, Who::This)?;
    for words in [
        &["write", "file", "x"][..],
        &["mkdir", "dir"],
        &["write", "dir/inside", "y"],
        &["symlink", "target", "symlink"],
        &["chmod", "file", "600"],
        &["append", "file", "z"],
    ] {
        root.must(words)?;
    }
    for name in ["file", "dir", "dir/inside", "symlink"] {
        belongs(ctx, name, NOBODY, NOBODY)?;
    }
    root.must(&["unlink", "file"]).map(drop)
}

/// The guest's own kernel would let it.
fn no_rights(ctx: &Ctx) -> Result<()> {
    let host = Party::of(ctx, Who::Host)?;
    host.must(&["write", "file", "secret"])?;
    host.must(&["chmod", "file", "600"])?;
    host.must(&["mkdir", "dir"])?;
    let root = Party::of(ctx, Who::This)?;
    for words in [
        &["look", "content", "file"][..],
        &["append", "file", "x"],
        &["truncate", "file", "0"],
        &["chmod", "file", "666"],
        &["utime", "file", "1000000000"],
        &["setxattr", "file", "user.mark", "x"],
        &["unlink", "file"],
        &["rename", "file", "mine"],
        &["rmdir", "dir"],
        &["write", "dir/inside", "x"],
        &["mkdir", "dir/inside"],
    ] {
        fails(
            &words.join(" "),
            root.ask(words)?,
            &[Errno::ACCESS, Errno::PERM],
        )?;
    }
    same_bytes(
        "content",
        &host.must(&["look", "content", "file"])?,
        b"secret",
    )?;
    same_bytes("names", &host.must(&["list", "."])?, b"dir file")
}

fn gives_nothing(ctx: &Ctx) -> Result<()> {
    let root = Party::of(ctx, Who::This)?;
    root.must(&["write", "file", "x"])?;
    let came = root.ask(&["chown", "file", "1", "1"])?;
    if ctx.model == crate::cli::Model::Passthrough {
        fails("chown", came, &[Errno::PERM])?;
    }
    belongs(ctx, "file", NOBODY, NOBODY)
}

fn users(ctx: &Ctx) -> Result<()> {
    let ann = Peer::of_user(ANN, ANN)?;
    ann.act(&ctx.first, &["write", "file", "secret"])?
        .context("write")?;
    ann.act(&ctx.first, &["chmod", "file", "600"])?
        .context("chmod")?;
    belongs(ctx, "file", ANN, ANN)?;
    let came = Party::of(ctx, Who::Other)?.ask(&["look", "content", "file"])?;
    fails("to root", came, &[Errno::ACCESS])
}
