//! Hard links: several names, one file.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("link/count", count),
        Row::new("link/count-by-both-clients-and-host", count_by_all),
        Row::new("link/same-inode-same-content", same_inode),
        Row::new("link/attributes-are-shared", attributes),
        Row::new("link/over-existing", |ctx| {
            refused(ctx, "one", "two", &[Errno::EXIST])
        }),
        Row::new("link/to-itself", |ctx| {
            refused(ctx, "one", "one", &[Errno::EXIST])
        }),
        Row::new("link/of-a-directory", |ctx| {
            refused(ctx, "directory", "new", &[Errno::PERM])
        }),
        Row::new("link/of-nothing", |ctx| {
            refused(ctx, "nothing", "new", &[Errno::NOENT])
        }),
        Row::new("link/into-missing-directory", |ctx| {
            refused(ctx, "one", "no/new", &[Errno::NOENT])
        }),
        Row::new("link/of-a-symlink", of_symlink),
        Row::new("link/of-a-fifo", of_fifo),
        Row::new("link/into-another-directory", into_directory),
        Row::new("link/a-hundred", hundred),
    ]
}

fn links(ctx: &Ctx, name: &str) -> Result<u64> {
    Ok(rustix::fs::lstat(ctx.a(name))
        .with_context(|| format!("stat of {name}"))?
        .st_nlink)
}

fn count(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "one", b"x")?;
    same("links", links(ctx, "one")?, 1)?;
    rustix::fs::link(ctx.a("one"), ctx.a("two")).context("link")?;
    rustix::fs::link(ctx.a("two"), ctx.a("three")).context("link of a link")?;
    same("links", links(ctx, "one")?, 3)?;
    ctx.unlink(Who::This, "one")?;
    same("links", (links(ctx, "two")?, links(ctx, "three")?), (2, 2))?;
    ctx.put(Who::This, "new", b"")?;
    ctx.rename(Who::This, "new", "two")?;
    same("links", links(ctx, "three")?, 1)
}

fn count_by_all(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "one", b"x")?;
    rustix::fs::link(ctx.a("one"), ctx.a("two")).context("link")?;
    rustix::fs::link(ctx.b("one"), ctx.b("three")).context("link by the other client")?;
    same(
        "links on the host",
        ctx.host.stat(&ctx.h("one"))?.context("host: stat")?.nlink,
        3,
    )?;
    ctx.unlink(Who::Host, "two")?;
    same("links", links(ctx, "one")?, 2)
}

fn same_inode(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "one", b"content")?;
    rustix::fs::link(ctx.a("one"), ctx.a("two")).context("link")?;
    let inode = |name| {
        rustix::fs::stat(ctx.b(name))
            .context("stat")
            .map(|stat| stat.st_ino)
    };
    same("inode", inode("two")?, inode("one")?)?;
    std::fs::write(ctx.b("two"), b"through the other name").context("write")?;
    same_bytes(
        "content",
        &std::fs::read(ctx.a("one")).context("read")?,
        b"through the other name",
    )
}

fn attributes(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "one", b"")?;
    rustix::fs::link(ctx.a("one"), ctx.a("two")).context("link")?;
    rustix::fs::chmod(ctx.a("two"), files::mode(0o640)).context("chmod")?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(12), rustix::fs::Gid::from_raw(34));
    rustix::fs::chown(ctx.a("two"), Some(uid), Some(gid)).context("chown")?;
    let stat = rustix::fs::stat(ctx.b("one")).context("stat")?;
    same("mode", stat.st_mode & 0o7777, 0o640)?;
    if ctx.keeps_owners() {
        same("owner", (stat.st_uid, stat.st_gid), (12, 34))?;
    }
    // Nor does the loss of one name take them from the other.
    ctx.unlink(Who::This, "two")?;
    same(
        "mode in the end",
        rustix::fs::stat(ctx.b("one")).context("stat")?.st_mode & 0o7777,
        0o640,
    )
}

fn refused(ctx: &Ctx, from: &str, to: &str, errors: &[Errno]) -> Result<()> {
    ctx.put(Who::This, "one", b"1")?;
    ctx.put(Who::This, "two", b"2")?;
    ctx.mkdir(Who::This, "directory")?;
    fails("link", rustix::fs::link(ctx.a(from), ctx.a(to)), errors)?;
    same("names", files::list(&ctx.second)?.len(), 3)?;
    same("links", (links(ctx, "one")?, links(ctx, "two")?), (1, 1))?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("two")).context("read")?,
        b"2",
    )
}

/// Linux links the symlink itself.
fn of_symlink(ctx: &Ctx) -> Result<()> {
    rustix::fs::symlink("nowhere", ctx.a("pointer")).context("symlink")?;
    rustix::fs::linkat(CWD, ctx.a("pointer"), CWD, ctx.a("link"), AtFlags::empty())
        .context("link")?;
    same("links", links(ctx, "link")?, 2)?;
    let target = rustix::fs::readlink(ctx.b("link"), vec![]).context("readlink")?;
    same("target", target.to_bytes(), b"nowhere".as_slice())
}

fn of_fifo(ctx: &Ctx) -> Result<()> {
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(CWD, ctx.a("fifo"), kind, files::mode(0o644), 0).context("mkfifo")?;
    rustix::fs::link(ctx.a("fifo"), ctx.a("link")).context("link")?;
    same("links", links(ctx, "link")?, 2)?;
    same(
        "type",
        rustix::fs::lstat(ctx.b("link")).context("lstat")?.st_mode & 0o170_000,
        0o010_000,
    )
}

fn into_directory(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "directory")?;
    ctx.put(Who::This, "one", b"x")?;
    rustix::fs::link(ctx.a("one"), ctx.a("directory/two")).context("link")?;
    ctx.rename(Who::This, "directory", "elsewhere")?;
    ctx.unlink(Who::This, "one")?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("elsewhere/two")).context("read")?,
        b"x",
    )?;
    same("links", links(ctx, "elsewhere/two")?, 1)
}

fn hundred(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "l0", b"x")?;
    for number in 1..100_u64 {
        rustix::fs::link(
            ctx.a(format!("l{}", number - 1)),
            ctx.a(format!("l{number}")),
        )
        .context("link")?;
    }
    same("links", links(ctx, "l50")?, 100)?;
    for number in 0..99 {
        ctx.unlink(Who::This, &format!("l{number}"))?;
    }
    same("links", links(ctx, "l99")?, 1)
}
