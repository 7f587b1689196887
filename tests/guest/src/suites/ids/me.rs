//! A developer shares a folder: what is his is the guest's user's, and the other way round.

use anyhow::Context;
use anyhow::Result;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::peer::Peer;
use crate::row::Row;
use crate::suites::coherence::Party;
use crate::suites::ids::open_to_all;
use crate::suites::ids::shows;

/// The guest's user and group.
const ME: u32 = 1_000;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("me/everything-is-mine", everything),
        Row::new("me/at-work", at_work),
        Row::new("me/chown", chown),
        Row::new("me/made-by-the-host", made_by_host),
        Row::new("me/of-others-on-the-host", of_others),
    ]
}

/// The server's own user and group.
fn server(ctx: &Ctx) -> (u32, u32) {
    if ctx.unprivileged {
        (65_534, 65_534)
    } else {
        (0, 0)
    }
}

fn is_mine(ctx: &Ctx, name: &str) -> Result<()> {
    shows(ctx, name, ME, ME)?;
    let came = ctx.host.stat(&ctx.h(name))?.context("stat on the host")?;
    same("owner on the host", (came.uid, came.gid), server(ctx))
}

/// Whoever made it.
fn everything(ctx: &Ctx) -> Result<()> {
    let all = open_to_all(ctx)?;
    for (uid, gid) in [(0, 0), (ME, ME), (5, 7), (65_534, 65_534)] {
        let user = Peer::of_user(uid, gid)?;
        let names = ["file", "dir", "symlink"].map(|name| format!("{name}{uid}"));
        for words in [
            &["write", &names[0], "x"][..],
            &["mkdir", &names[1]],
            &["symlink", "target", &names[2]],
        ] {
            let said = || format!("{} by {uid}:{gid}", words.join(" "));
            user.act(&all, words)?.with_context(said)?;
        }
        names
            .iter()
            .try_for_each(|name| is_mine(ctx, &format!("all/{name}")))?;
    }
    Ok(())
}

/// In a directory that nobody else may write to.
fn at_work(ctx: &Ctx) -> Result<()> {
    let me = Peer::of_user(ME, ME)?;
    for words in [
        &["mkdir", "dir"][..],
        &["write", "dir/file", "one"],
        &["append", "dir/file", "two"],
        &["chmod", "dir/file", "600"],
        &["chown", "dir/file", "1000", "1000"],
        &["rename", "dir/file", "dir/other"],
        &["setxattr", "dir/other", "user.mark", "mine"],
        &["utime", "dir/other", "1000000000"],
        &["link", "dir/other", "dir/again"],
        &["unlink", "dir/other"],
    ] {
        me.act(&ctx.first, words)?
            .with_context(|| words.join(" "))?;
    }
    is_mine(ctx, "dir/again")?;
    same("mode", files::stat_mode(&ctx.b("dir/again"))?, 0o600)?;
    same_bytes("content", &ctx.host.read(&ctx.h("dir/again"))?, b"onetwo")
}

/// What root gives away stays where it is, and says so.
fn chown(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    let this = Party::of(ctx, Who::This)?;
    for (uid, gid) in [("1000", "1000"), ("0", "0"), ("5", "7")] {
        this.must(&["chown", "file", uid, gid])?;
        is_mine(ctx, "file")?;
    }
    Ok(())
}

fn made_by_host(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::Host, "file", b"host")?;
    ctx.mkdir(Who::Host, "dir")?;
    is_mine(ctx, "file")?;
    is_mine(ctx, "dir")?;
    let me = Peer::of_user(ME, ME)?;
    for words in [
        &["append", "file", " and guest"][..],
        &["write", "dir/new", "x"],
        &["chmod", "file", "640"],
    ] {
        me.act(&ctx.first, words)?
            .with_context(|| words.join(" "))?;
    }
    same_bytes(
        "content",
        &ctx.host.read(&ctx.h("file"))?,
        b"host and guest",
    )
}

fn of_others(ctx: &Ctx) -> Result<()> {
    if !ctx.host_sees_metadata() {
        return skip("in this model the host's owners are not the guest's");
    }
    ctx.put(Who::Host, "file", b"host")?;
    Party::of(ctx, Who::Host)?.must(&["chown", "file", "7", "8"])?;
    shows(ctx, "file", 65_534, 65_534)
}
