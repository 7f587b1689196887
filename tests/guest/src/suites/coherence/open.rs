//! What shows in a file that is open meanwhile, and in one that was closed by a client that caches.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::deeds;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::row::Row;
use crate::suites::coherence::party::Party;

/// More than fit into a tick of the host's clock of files, which is one to ten milliseconds.
const REWRITES: u32 = 40;

type Check = fn(&Ctx, &Party, &[OwnedFd]) -> Result<()>;

const CHECKS: [(&str, Check); 5] = [
    ("rewrites-of-the-same-size", rewrites),
    ("growth", growth),
    ("shrinking", shrinking),
    ("attributes", attributes),
    ("rename-over", rename_over),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for who in Who::ALL {
        for (name, check) in CHECKS {
            let name = format!("open/{}/{name}", who.word());
            rows.push(Row::new(name, move |ctx| play(ctx, who, check)));
        }
        let name = format!("closed-and-opened-again/{}", who.word());
        rows.push(Row::new(name, move |ctx| reopened(ctx, who)));
    }
    rows
}

fn play(ctx: &Ctx, who: Who, check: Check) -> Result<()> {
    ctx.put(Who::This, "file", b"version 0000")?;
    let open = |path| files::open(path, OFlags::RDONLY).context("open");
    let fds = [open(ctx.a("file"))?, open(ctx.b("file"))?];
    for fd in &fds {
        same_bytes("before", &files::read_fd(fd)?, b"version 0000")?;
    }
    check(ctx, &Party::of(ctx, who)?, &fds)
}

/// The size is asked first, as programs that follow a file do.
fn shows(fds: &[OwnedFd], expected: &[u8]) -> Result<()> {
    for fd in fds {
        let stat = rustix::fs::fstat(fd).context("fstat")?;
        same("size", stat.st_size, i64::try_from(expected.len())?)?;
        same_bytes("content", &files::read_fd(fd)?, expected)?;
    }
    Ok(())
}

fn rewrites(ctx: &Ctx, actor: &Party, fds: &[OwnedFd]) -> Result<()> {
    let parties = Party::all(ctx)?;
    for number in 1..=REWRITES {
        let text = format!("version {number:04}");
        actor.must(&["pwrite", "file", "0", &text])?;
        for fd in fds {
            same_bytes("open", &files::read_at(fd, text.len(), 0)?, text.as_bytes())?;
        }
        for eye in &parties {
            let came = eye.must(&["look", "content", "file"])?;
            same_bytes(eye.who.word(), &came, text.as_bytes())?;
        }
    }
    Ok(())
}

fn growth(_: &Ctx, actor: &Party, fds: &[OwnedFd]) -> Result<()> {
    let mut expected = b"version 0000".to_vec();
    for number in 0..10 {
        let more = format!(", line {number}");
        actor.must(&["append", "file", &more])?;
        expected.extend_from_slice(more.as_bytes());
        shows(fds, &expected)?;
    }
    Ok(())
}

fn shrinking(_: &Ctx, actor: &Party, fds: &[OwnedFd]) -> Result<()> {
    for size in [11, 7, 1, 0] {
        actor.must(&["truncate", "file", &size.to_string()])?;
        shows(fds, &b"version 0000"[..size])?;
    }
    actor.must(&["write", "file", "grown again"])?;
    shows(fds, b"grown again")
}

fn attributes(ctx: &Ctx, actor: &Party, fds: &[OwnedFd]) -> Result<()> {
    actor.must(&["utime", "file", "1000000000"])?;
    actor.must(&["setxattr", "file", "user.mark", "new"])?;
    let sees_mode = ctx.host_sees_metadata() || actor.who != Who::Host;
    if sees_mode {
        actor.must(&["chmod", "file", "600"])?;
    }
    for fd in fds {
        let stat = rustix::fs::fstat(fd).context("fstat")?;
        let said = |field: &[u8]| deeds::said(&stat, field).context("field");
        same("mtime", said(b"mtime")?, "1000000000".to_owned())?;
        if sees_mode {
            same("mode", said(b"mode")?, "600".to_owned())?;
        }
        let mark = files::fd_xattr(fd, "user.mark").context("fgetxattr")?;
        same_bytes("user.mark", &mark, b"new")?;
    }
    Ok(())
}

/// Who has the old file open keeps it, and who opens the name gets the new one. Linux's client does not look the name
/// up again while it has the old file open: only others are asked.
fn rename_over(ctx: &Ctx, actor: &Party, fds: &[OwnedFd]) -> Result<()> {
    let host = Party::of(ctx, Who::Host)?;
    for number in 1..=10 {
        let text = format!("another {number:06}");
        actor.must(&["write", "new", &text])?;
        actor.must(&["rename", "new", "file"])?;
        shows(fds, b"version 0000")?;
        let came = host.must(&["look", "content", "file"])?;
        same_bytes("on the host", &came, text.as_bytes())?;
        if let Some(cached) = &ctx.cached {
            let came = std::fs::read(cached.join("file")).context("read by a third client")?;
            same_bytes("by a third client", &came, text.as_bytes())?;
        }
    }
    Ok(())
}

/// Between two of its looks the other one writes as many bytes as there were.
fn reopened(ctx: &Ctx, who: Who) -> Result<()> {
    let Some(cached) = &ctx.cached else {
        return skip("no mount caches");
    };
    ctx.put(Who::This, "file", b"version 0000")?;
    let actor = Party::of(ctx, who)?;
    for number in 1..=REWRITES {
        let text = format!("version {number:04}");
        actor.must(&["pwrite", "file", "0", &text])?;
        let came = std::fs::read(cached.join("file")).context("read with a cache")?;
        same_bytes("with a cache", &came, text.as_bytes())?;
    }
    Ok(())
}
