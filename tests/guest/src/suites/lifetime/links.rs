//! Nameless files in numbers, and what programs do with them.

use std::os::fd::OwnedFd;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
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
        Row::new("unlinked/hold-300", hold_300).within(240),
        Row::new(
            "unlinked/host/hold-100-removed-by-host",
            hold_removed_by_host,
        )
        .within(120),
        Row::new("unlinked/execute", execute),
        Row::new("unlinked/create-exclusive-use-forget", temporary),
        Row::new("unlinked/same-name-again-and-again", same_name),
        Row::new("unlinked/last-close-frees-the-link", by_other_link),
        Row::new("replaced/replace-loop-with-open-readers", replace_loop).within(120),
        Row::new("replaced/after-close-the-name-is-the-new-file", after_close),
    ]
}

fn content(number: u64) -> Vec<u8> {
    files::pattern(number, 100 + usize::try_from(number).unwrap_or_default())
}

fn hold(ctx: &Ctx, count: u64) -> Result<Vec<OwnedFd>> {
    let mut fds = Vec::new();
    for number in 0..count {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let fd = files::open(ctx.a(format!("t{number}")), flags)
            .with_context(|| format!("create {number}"))?;
        files::write_at(&fd, &content(number), 0)?;
        fds.push(fd);
    }
    Ok(fds)
}

fn check(fds: &[OwnedFd]) -> Result<()> {
    for (number, fd) in (0..).zip(fds) {
        let size = rustix::fs::fstat(fd)
            .with_context(|| format!("fstat of {number}"))?
            .st_size;
        same("size", size, i64::try_from(content(number).len())?)?;
        same_bytes("content", &files::read_fd(fd)?, &content(number))?;
        rustix::fs::ftruncate(fd, 10 + number).with_context(|| format!("ftruncate of {number}"))?;
        let size = rustix::fs::fstat(fd)
            .with_context(|| format!("fstat of {number}"))?
            .st_size;
        same("size after ftruncate", size, i64::try_from(10 + number)?)?;
    }
    Ok(())
}

fn hold_300(ctx: &Ctx) -> Result<()> {
    let fds = hold(ctx, 300)?;
    for number in 0..300 {
        rustix::fs::unlink(ctx.a(format!("t{number}"))).context("unlink")?;
    }
    same("names left", files::list(&ctx.second)?.len(), 0)?;
    check(&fds)
}

fn hold_removed_by_host(ctx: &Ctx) -> Result<()> {
    let fds = hold(ctx, 100)?;
    for number in 0..100 {
        ctx.unlink(Who::Host, &format!("t{number}"))?;
    }
    check(&fds)
}

/// As package managers do with scripts and as updated programs live on.
fn execute(ctx: &Ctx) -> Result<()> {
    std::fs::copy("/bin/true", ctx.a("program")).context("copy /bin/true")?;
    rustix::fs::chmod(ctx.a("program"), files::mode(0o755)).context("chmod")?;
    let fd = files::open(ctx.a("program"), OFlags::RDONLY).context("open")?;
    ctx.unlink(Who::This, "program")?;
    let status = Command::new(files::by_fd(&fd))
        .status()
        .context("run the unlinked program")?;
    same("exit", status.code(), Some(0))
}

/// What `TemporaryFile` of many languages does.
fn temporary(ctx: &Ctx) -> Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let fd = files::open(ctx.a("tmp"), flags).context("create")?;
    ctx.unlink(Who::This, "tmp")?;
    rustix::fs::fchmod(&fd, files::mode(0o600)).context("fchmod")?;
    let data = files::pattern(7, 300_000);
    files::write_at(&fd, &data, 0)?;
    rustix::fs::fsync(&fd).context("fsync")?;
    same_bytes("content", &files::read_fd(&fd)?, &data)?;
    same(
        "mode",
        rustix::fs::fstat(&fd).context("fstat")?.st_mode & 0o7777,
        0o600,
    )
}

fn same_name(ctx: &Ctx) -> Result<()> {
    let mut fds = Vec::new();
    for number in 0..40 {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let fd = files::open(ctx.a("same"), flags).context("create")?;
        files::write_at(&fd, &content(number), 0)?;
        ctx.unlink(Who::This, "same")?;
        fds.push(fd);
    }
    check(&fds)
}

fn by_other_link(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "one", b"content")?;
    rustix::fs::link(ctx.a("one"), ctx.a("two")).context("link")?;
    let fd = files::open(ctx.a("one"), OFlags::RDWR).context("open")?;
    ctx.unlink(Who::This, "one")?;
    same(
        "links",
        rustix::fs::fstat(&fd).context("fstat")?.st_nlink,
        1,
    )?;
    files::write_at(&fd, b"CON", 0)?;
    same_bytes(
        "by the other name",
        &std::fs::read(ctx.b("two")).context("read")?,
        b"CONtent",
    )?;
    ctx.unlink(Who::Host, "two")?;
    same(
        "links",
        rustix::fs::fstat(&fd).context("fstat")?.st_nlink,
        0,
    )?;
    same_bytes("without a name", &files::read_fd(&fd)?, b"CONtent")
}

/// Each reader keeps the version that it opened.
fn replace_loop(ctx: &Ctx) -> Result<()> {
    let mut fds = Vec::new();
    for version in 0..60_u64 {
        let who = Who::ALL[usize::try_from(version % 3)?];
        ctx.put(who, "next", &content(version))?;
        ctx.rename(who, "next", "current")?;
        // A new process would find the new file; this one may still have the old name pinned.
        let path = if who == Who::This {
            ctx.a("current")
        } else {
            ctx.b("current")
        };
        if who == Who::This {
            fds.push((version, files::open(path, OFlags::RDWR).context("open")?));
        } else {
            same_bytes(
                "new version",
                &std::fs::read(path).context("read")?,
                &content(version),
            )?;
        }
    }
    for (version, fd) in &fds {
        same_bytes(
            "the version that was opened",
            &files::read_fd(fd)?,
            &content(*version),
        )?;
        rustix::fs::ftruncate(fd, 1).context("ftruncate")?;
    }
    same_bytes(
        "the last version",
        &ctx.host.read(&ctx.h("current"))?,
        &content(59),
    )
}

fn after_close(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"old")?;
    let fd = files::open(ctx.a("file"), OFlags::RDWR).context("open")?;
    ctx.put(Who::Host, "new", b"new content")?;
    ctx.rename(Who::Host, "new", "file")?;
    rustix::fs::ftruncate(&fd, 0).context("ftruncate")?;
    drop(fd);
    same_bytes(
        "content by name",
        &std::fs::read(ctx.a("file")).context("read")?,
        b"new content",
    )?;
    ctx.unlink(Who::This, "file")?;
    fails(
        "the host's stat",
        ctx.host.stat(&ctx.h("file"))?,
        &[Errno::NOENT],
    )
}
