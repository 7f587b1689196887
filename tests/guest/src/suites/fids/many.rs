//! Open files and directories that all have their names.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::files;
use crate::row::Row;
use crate::suites::fids::crowd;
use crate::suites::fids::crowd::Crowd;
use crate::sys;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

/// Locks taken before the others are opened; a server cannot give such a file back meanwhile.
const LOCKED: usize = 40;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("many/files", files_open),
        Row::new("many/files-on-two-clients", two_clients),
        Row::new("many/files-twice", twice),
        Row::new("many/directories", directories),
        Row::new("many/locked-among-them", locked),
        Row::new("many/walk-over-a-large-tree", walk),
    ]
}

fn files_open(ctx: &Ctx) -> Result<()> {
    let crowd = Crowd::make(ctx, crowd::size(ctx, 20_000, 1_500))?;
    crowd.check()?;
    crowd.check_names(ctx)
}

/// What one holds must not be taken from the other.
fn two_clients(ctx: &Ctx) -> Result<()> {
    let count = crowd::size(ctx, 2_000, 700);
    let crowd = Crowd::make(ctx, count)?;
    crowd::allow(2 * count)?;
    let there: Vec<OwnedFd> = (0..count)
        .map(|number| files::open(ctx.b(crowd::name(number)), OFlags::RDONLY))
        .collect::<Result<_, _>>()
        .context("open by the other client")?;
    crowd.check()?;
    for (number, fd) in there.iter().enumerate() {
        let name = crowd::name(number);
        let came = files::read_at(fd, name.len(), 0).context("read by the other client")?;
        same("content", String::from_utf8_lossy(&came).as_ref(), &name)?;
    }
    Ok(())
}

/// Closed and begun anew: nothing of the first time is left in the way.
fn twice(ctx: &Ctx) -> Result<()> {
    let count = crowd::size(ctx, 1_000, 700);
    for turn in 0..3 {
        for number in 0..count {
            let name = format!("t{turn}-{number}");
            ctx.put(Who::This, &name, name.as_bytes())?;
        }
        let fds: Vec<OwnedFd> = (0..count)
            .map(|number| files::open(ctx.a(format!("t{turn}-{number}")), OFlags::RDONLY))
            .collect::<Result<_, _>>()
            .with_context(|| format!("open, turn {turn}"))?;
        same("open", fds.len(), count)?;
    }
    Ok(())
}

/// Each is listed, and something is made in each.
fn directories(ctx: &Ctx) -> Result<()> {
    let count = crowd::size(ctx, 2_000, 1_000);
    crowd::allow(count)?;
    let mut fds = Vec::new();
    for number in 0..count {
        let name = format!("d{number}");
        ctx.mkdir(Who::This, &name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = files::open(ctx.a(&name), flags);
        fds.push(fd.with_context(|| format!("open {name} of {count}"))?);
    }
    for (number, fd) in fds.iter().enumerate() {
        let name = format!("in-{number}");
        rustix::fs::mkdirat(fd, &name, files::mode(0o755)).with_context(|| name.clone())?;
    }
    // Closed one after the other: the client keeps a buffer as long as a message for each that was listed.
    while let Some(fd) = fds.pop() {
        let number = fds.len();
        let names = files::list_fd(&fd).with_context(|| format!("list {number}"))?;
        same("names", names, vec![format!("in-{number}").into_bytes()])?;
    }
    Ok(())
}

/// A lock stays where it was taken, however much is opened and given back afterwards.
fn locked(ctx: &Ctx) -> Result<()> {
    let mut crowd = Crowd::make(ctx, LOCKED)?;
    for fd in &crowd.fds {
        sys::lock(fd, Space::Ofd, Kind::Write, Range::WHOLE, false).context("lock")?;
    }
    crowd.join(ctx, crowd::size(ctx, 2_000, 1_400) - LOCKED)?;
    crowd.check()?;
    let try_there = |number| {
        let fd = files::open(ctx.b(crowd::name(number)), OFlags::RDWR)?;
        sys::lock(&fd, Space::Ofd, Kind::Write, Range::WHOLE, false)
    };
    for number in 0..LOCKED {
        fails(
            "lock by the other client",
            try_there(number),
            &[Errno::AGAIN],
        )?;
    }
    drop(crowd);
    try_there(0).context("lock once it is free")
}

/// As `find -ls`, over more than any server may have open, with some files open meanwhile.
fn walk(ctx: &Ctx) -> Result<()> {
    const DIRECTORIES: usize = 20;
    const FILES: usize = 1_000;
    let crowd = Crowd::make(ctx, 150)?;
    ctx.mkdir(Who::This, "tree")?;
    for number in 0..DIRECTORIES {
        let name = format!("tree/d{number}");
        ctx.mkdir(Who::This, &name)?;
        ctx.host.make_many(&ctx.h(&name), FILES)?;
    }
    let mut found = 0;
    for directory in files::list(&ctx.a("tree"))? {
        let directory = files::join(&ctx.a("tree"), directory);
        let fd = files::open(&directory, OFlags::RDONLY | OFlags::DIRECTORY).context("open")?;
        for name in files::list_fd(&fd).context("list")? {
            let stat = rustix::fs::statat(&fd, &name[..], AtFlags::SYMLINK_NOFOLLOW);
            same("size", stat.context("stat")?.st_size, 0)?;
            found += 1;
        }
    }
    same("files", found, DIRECTORIES * FILES)?;
    crowd.check()
}
