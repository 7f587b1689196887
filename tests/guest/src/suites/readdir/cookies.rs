//! Positions in a listing: `telldir` and `seekdir`.
//!
//! Linux's 9p client keeps a message's worth of entries and does not throw it away on a seek, so each
//! seek here comes after the listing has been read to its end.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::SeekFrom;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::holds;
use crate::expect::same;
use crate::files;
use crate::row::Row;
use crate::suites::readdir::raw;
use crate::suites::readdir::raw::Entry;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("position/return-to-any", return_to_any).within(180),
        Row::new("position/rewind", rewind),
        Row::new("position/rewind-sees-news", rewind_news),
        Row::new("position/valid-in-another-open", another_open).within(120),
        Row::new("position/after-deletes", after_deletes),
        Row::new("position/cookies-differ", differ),
        Row::new("position/end-stays-the-end", end),
    ]
}

fn stage(ctx: &Ctx, count: usize) -> Result<(OwnedFd, Vec<Entry>)> {
    ctx.mkdir(Who::This, "many")?;
    ctx.host.make_many(&ctx.h("many"), count)?;
    let fd = open(ctx)?;
    let entries = rest(&fd)?;
    same("entries", entries.len(), count + 2)?;
    Ok((fd, entries))
}

fn open(ctx: &Ctx) -> Result<OwnedFd> {
    files::open(ctx.a("many"), OFlags::RDONLY | OFlags::DIRECTORY).context("open")
}

fn rest(fd: &OwnedFd) -> Result<Vec<Entry>> {
    raw::list_from(fd, 8192, &mut |_| Ok(()))
}

fn seek(fd: &OwnedFd, position: u64) -> Result<()> {
    rustix::fs::seek(fd, SeekFrom::Start(position))
        .context("seekdir")
        .map(drop)
}

fn names(entries: &[Entry]) -> Vec<&[u8]> {
    entries.iter().map(|entry| entry.name.as_slice()).collect()
}

fn return_to_any(ctx: &Ctx) -> Result<()> {
    let (fd, entries) = stage(ctx, 500)?;
    for place in (0..entries.len()).step_by(23).rev() {
        seek(&fd, entries[place].next)?;
        same(
            "names after it",
            names(&rest(&fd)?),
            names(&entries[place + 1..]),
        )?;
    }
    Ok(())
}

fn rewind(ctx: &Ctx) -> Result<()> {
    let (fd, entries) = stage(ctx, 300)?;
    for _ in 0..3 {
        seek(&fd, 0)?;
        same("names", names(&rest(&fd)?), names(&entries))?;
    }
    Ok(())
}

fn rewind_news(ctx: &Ctx) -> Result<()> {
    let (fd, _) = stage(ctx, 10)?;
    ctx.put(Who::Other, "many/new-there", b"")?;
    ctx.put(Who::Host, "many/new-on-host", b"")?;
    ctx.unlink(Who::Other, "many/f5")?;
    seek(&fd, 0)?;
    let entries = raw::by_name(&rest(&fd)?)?;
    same("entries", entries.len(), 11)?;
    for (name, there) in [
        ("new-there", true),
        ("new-on-host", true),
        ("f5", false),
        ("f6", true),
    ] {
        same(name, entries.contains_key(name.as_bytes()), there)?;
    }
    Ok(())
}

/// As an NFS server on top would use them.
fn another_open(ctx: &Ctx) -> Result<()> {
    let (_, entries) = stage(ctx, 400)?;
    for place in [1, 7, 100, 399] {
        let fd = open(ctx)?;
        seek(&fd, entries[place].next)?;
        same(
            "names after it",
            names(&rest(&fd)?),
            names(&entries[place + 1..]),
        )?;
    }
    Ok(())
}

/// Where one stood is a place still, even if what was there is gone.
fn after_deletes(ctx: &Ctx) -> Result<()> {
    let (fd, entries) = stage(ctx, 200)?;
    let dots = |name: &[u8]| name == b"." || name == b"..";
    for entry in entries[..=100].iter().filter(|entry| !dots(&entry.name)) {
        rustix::fs::unlink(files::join(&ctx.b("many"), &entry.name)).context("unlink")?;
    }
    seek(&fd, entries[100].next)?;
    same("names after it", names(&rest(&fd)?), names(&entries[101..]))
}

fn differ(ctx: &Ctx) -> Result<()> {
    let (_, entries) = stage(ctx, 1_000)?;
    let mut positions: Vec<u64> = entries.iter().map(|entry| entry.next).collect();
    positions.sort_unstable();
    positions.dedup();
    same("different positions", positions.len(), entries.len())?;
    holds("none of them is the start", positions[0] != 0)
}

fn end(ctx: &Ctx) -> Result<()> {
    let (fd, entries) = stage(ctx, 50)?;
    same("after the end", rest(&fd)?, vec![])?;
    seek(&fd, entries[entries.len() - 1].next)?;
    same("at the end again", rest(&fd)?, vec![])
}
