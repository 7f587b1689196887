//! Who owns a file, here and there.

use anyhow::Context;
use anyhow::Result;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::peer::Peer;
use crate::row::Row;
use crate::suites::coherence::Party;
use crate::suites::ids::GROUPS;
use crate::suites::ids::USERS;
use crate::suites::ids::on_host;
use crate::suites::ids::open_to_all;
use crate::suites::ids::shows;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("owner/of-new-things", of_new_things),
        Row::new("owner/of-roots-things", of_roots_things),
        Row::new("owner/chown", chown),
        Row::new("owner/chown-beyond-the-map", chown_beyond),
        Row::new("owner/create-beyond-the-map", create_beyond),
        Row::new("owner/given-by-the-host", given_by_host),
        Row::new("owner/of-the-host-beyond-the-map", host_beyond),
        Row::new("owner/stored-in-attributes", stored),
    ]
}

/// One of each kind, by a user.
fn of_new_things(ctx: &Ctx) -> Result<()> {
    if !ctx.keeps_owners() {
        return skip("the server may not give files away");
    }
    let all = open_to_all(ctx)?;
    let user = Peer::of_user(1_234, 1_999)?;
    for words in [
        &["write", "file", "x"][..],
        &["mkdir", "dir"],
        &["symlink", "target", "symlink"],
        &["link", "file", "link"],
    ] {
        user.act(&all, words)?.with_context(|| words.join(" "))?;
    }
    for name in ["file", "dir", "symlink", "link"] {
        let name = format!("all/{name}");
        shows(ctx, &name, 1_234, 1_999)?;
        on_host(ctx, &name, 1_234 + USERS, 1_999 + GROUPS)?;
    }
    user.act(&all, &["append", "file", "y"])?
        .context("append by its owner")?;
    same_bytes("content", &ctx.host.read(&ctx.h("all/file"))?, b"xy")
}

fn of_roots_things(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    ctx.mkdir(Who::Other, "dir")?;
    let server = if ctx.unprivileged { 65_534 } else { 0 };
    for name in ["file", "dir", "."] {
        shows(ctx, name, 0, 0)?;
        on_host(ctx, name, server, server)?;
    }
    Ok(())
}

fn chown(ctx: &Ctx) -> Result<()> {
    if !ctx.keeps_owners() {
        return skip("the server may not give files away");
    }
    ctx.put(Who::This, "file", b"x")?;
    let this = Party::of(ctx, Who::This)?;
    for (uid, gid) in [(1_000, 1_000), (1_999, 1_001), (0, 1_500), (1_500, 0)] {
        this.must(&["chown", "file", &uid.to_string(), &gid.to_string()])?;
        shows(ctx, "file", uid, gid)?;
        let there = |id, by| if id == 0 { 0 } else { id + by };
        on_host(ctx, "file", there(uid, USERS), there(gid, GROUPS))?;
    }
    Ok(())
}

/// An error, and nobody else's file.
fn chown_beyond(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    let this = Party::of(ctx, Who::This)?;
    for (uid, gid) in [
        (5, 0),
        (0, 5),
        (2_000, 0),
        (999, 0),
        (51_000, 0),
        (0, 61_000),
    ] {
        let came = this.ask(&["chown", "file", &uid.to_string(), &gid.to_string()])?;
        fails(
            &format!("chown to {uid}:{gid}"),
            came,
            &[Errno::PERM, Errno::INVAL],
        )?;
        shows(ctx, "file", 0, 0)?;
    }
    Ok(())
}

fn create_beyond(ctx: &Ctx) -> Result<()> {
    let all = open_to_all(ctx)?;
    for (uid, gid) in [(5, 1_000), (1_000, 5), (70_000, 70_000)] {
        let user = Peer::of_user(uid, gid)?;
        for words in [
            &["write", "file", "x"][..],
            &["mkdir", "dir"],
            &["symlink", "target", "symlink"],
        ] {
            let came = user.act(&all, words)?;
            fails(
                &format!("{} by {uid}:{gid}", words[0]),
                came,
                &[Errno::PERM, Errno::INVAL],
            )?;
        }
    }
    same("names made", files::list(&ctx.b("all"))?, vec![])
}

fn given_by_host(ctx: &Ctx) -> Result<()> {
    if !ctx.host_sees_metadata() {
        return skip("in this model the host's owners are not the guest's");
    }
    ctx.put(Who::Host, "file", b"x")?;
    let (uid, gid) = ((1_007 + USERS).to_string(), (1_008 + GROUPS).to_string());
    Party::of(ctx, Who::Host)?.must(&["chown", "file", &uid, &gid])?;
    shows(ctx, "file", 1_007, 1_008)
}

/// It cannot be looked at, for it has no owner here; its neighbours can.
fn host_beyond(ctx: &Ctx) -> Result<()> {
    if !ctx.host_sees_metadata() {
        return skip("in this model the host's owners are not the guest's");
    }
    ctx.put(Who::Host, "file", b"x")?;
    ctx.put(Who::This, "neighbour", b"y")?;
    let host = Party::of(ctx, Who::Host)?;
    for (uid, gid) in [("1000", "0"), ("7", "7"), ("52000", "0"), ("51000", "7")] {
        host.must(&["chown", "file", uid, gid])?;
        let came = rustix::fs::lstat(ctx.a("file")).map(|stat| stat.st_uid);
        fails(&format!("stat of {uid}:{gid}'s"), came, &[Errno::OVERFLOW])?;
    }
    same("names", files::list(&ctx.a("."))?.len(), 2)?;
    same_bytes(
        "neighbour",
        &std::fs::read(ctx.b("neighbour")).context("read")?,
        b"y",
    )
}

/// On the disk are the host's numbers, whatever keeps them there.
fn stored(ctx: &Ctx) -> Result<()> {
    if ctx.model != crate::cli::Model::MappedXattr {
        return skip("this model keeps them elsewhere");
    }
    ctx.put(Who::This, "file", b"x")?;
    Party::of(ctx, Who::This)?.must(&["chown", "file", "1004", "1005"])?;
    for (name, expected) in [
        ("user.virtfs.uid", 1_004 + USERS),
        ("user.virtfs.gid", 1_005 + GROUPS),
    ] {
        let came = ctx
            .host
            .getxattr(&ctx.h("file"), name.as_bytes())?
            .context(name)?;
        same_bytes(name, &came, &expected.to_le_bytes())?;
    }
    Ok(())
}
