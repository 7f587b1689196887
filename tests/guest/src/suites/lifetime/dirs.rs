//! Open directories that were removed.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use rustix::fs::AtFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::skip;
use crate::files;
use crate::row::Row;

type Check = fn(&Ctx, &OwnedFd, u64) -> Result<()>;

const CHECKS: [(&str, Check); 6] = [
    ("fstat", fstat),
    ("list", list),
    ("create-in-it", create),
    ("mkdir-in-it", mkdir),
    ("fchmod", fchmod),
    ("lookup-in-it", lookup),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for who in Who::ALL {
        for (name, check) in CHECKS {
            let name = format!("removed-directory/{}/{name}", who.word());
            rows.push(Row::new(name, move |ctx| play(ctx, who, check)));
        }
        let name = format!("removed-directory/{}/new-one-in-its-place", who.word());
        rows.push(Row::new(name, move |ctx| new_one(ctx, who)));
    }
    rows
}

fn play(ctx: &Ctx, who: Who, check: Check) -> Result<()> {
    let (fd, ino) = stage(ctx, who)?;
    check(ctx, &fd, ino)?;
    same("names left", files::list(&ctx.second)?, vec![])
}

fn stage(ctx: &Ctx, who: Who) -> Result<(OwnedFd, u64)> {
    ctx.mkdir(Who::This, "gone")?;
    let fd = files::open(ctx.a("gone"), OFlags::RDONLY | OFlags::DIRECTORY).context("open")?;
    let ino = rustix::fs::fstat(&fd).context("fstat")?.st_ino;
    ctx.rmdir(who, "gone")?;
    Ok((fd, ino))
}

fn fstat(_: &Ctx, fd: &OwnedFd, ino: u64) -> Result<()> {
    let stat = rustix::fs::fstat(fd).context("fstat")?;
    same("inode number", stat.st_ino, ino)?;
    same("type", stat.st_mode & 0o170_000, 0o040_000)
}

/// Linux says ENOENT when it knows that the directory is dead; an empty list is as true.
fn list(_: &Ctx, fd: &OwnedFd, _: u64) -> Result<()> {
    match files::list_fd(fd) {
        Err(Errno::NOENT) => Ok(()),
        Ok(names) => same("names in it", names, vec![]),
        Err(errno) => bail!("list: expected ENOENT or nothing, came {errno:?}"),
    }
}

fn create(_: &Ctx, fd: &OwnedFd, _: u64) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    fails(
        "create",
        rustix::fs::openat(fd, "name", flags, files::mode(0o644)),
        &[Errno::NOENT],
    )
}

fn mkdir(_: &Ctx, fd: &OwnedFd, _: u64) -> Result<()> {
    fails(
        "mkdir",
        rustix::fs::mkdirat(fd, "name", files::mode(0o755)),
        &[Errno::NOENT],
    )
}

fn fchmod(_: &Ctx, fd: &OwnedFd, _: u64) -> Result<()> {
    rustix::fs::fchmod(fd, files::mode(0o711)).context("fchmod")?;
    same(
        "mode",
        rustix::fs::fstat(fd).context("fstat")?.st_mode & 0o7777,
        0o711,
    )
}

fn lookup(_: &Ctx, fd: &OwnedFd, _: u64) -> Result<()> {
    fails(
        "lookup",
        rustix::fs::statat(fd, "name", AtFlags::empty()).map(|stat| stat.st_ino),
        &[Errno::NOENT],
    )
}

/// What is made in a new directory of that name is not seen through the old one.
fn new_one(ctx: &Ctx, who: Who) -> Result<()> {
    let (fd, ino) = stage(ctx, who)?;
    ctx.mkdir(who, "gone")?;
    ctx.put(who, "gone/inside", b"new")?;
    same(
        "inode number",
        rustix::fs::fstat(&fd).context("fstat")?.st_ino,
        ino,
    )?;
    fails(
        "lookup",
        rustix::fs::statat(&fd, "inside", AtFlags::empty()).map(|stat| stat.st_ino),
        &[Errno::NOENT],
    )?;
    list(ctx, &fd, ino)?;
    if !ctx.metadata_follows(who) {
        return skip("in this model the host's new one has the mode of the old one");
    }
    rustix::fs::fchmod(&fd, files::mode(0o700)).context("fchmod")?;
    let new = rustix::fs::stat(ctx.b("gone")).context("stat of the new one")?;
    same("mode of the new one", new.st_mode & 0o7777, 0o755)
}
