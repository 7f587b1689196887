//! Locks are on files: on any descriptor of them, by any name or none.

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
use crate::expect::skip;
use crate::row::Row;
use crate::suites::locks::stage::Between;
use crate::suites::locks::stage::FILE;
use crate::suites::locks::stage::Owner;
use crate::suites::locks::stage::Stage;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("file/read-only-descriptor", read_only),
        Row::new("file/write-only-descriptor", write_only),
        Row::new("file/flock-exclusive-on-read-only", flock_read_only),
        Row::new("file/flock-shared-on-write-only", flock_write_only),
        Row::new("file/append-descriptor", append),
        Row::new("file/unlinked", |ctx| {
            after(ctx, |ctx| ctx.unlink(Who::This, FILE))
        }),
        Row::new("file/unlinked-by-host", |ctx| {
            after(ctx, |ctx| ctx.unlink(Who::Host, FILE))
        }),
        Row::new("file/renamed", |ctx| {
            after(ctx, |ctx| ctx.rename(Who::Other, FILE, "elsewhere"))
        }),
        Row::new("file/replaced", replaced),
        Row::new("file/hard-links-share", hard_links),
        Row::new("file/two-files-do-not", two_files),
        Row::new("file/a-hundred-files", hundred).within(120),
        Row::new("file/advisory-only", advisory),
        Row::new("file/truncated-while-locked", truncated),
        Row::new("file/flock-utility", utility),
        Row::new("file/flock-utility-waits", utility_waits),
    ]
}

fn open(ctx: &Ctx, between: Between, flags: OFlags) -> Result<Owner> {
    Owner::open(ctx, between, FILE, flags)
}

fn read_only(ctx: &Ctx) -> Result<()> {
    let Stage { one, other: _other } = Stage::set(ctx, Between::Clients)?;
    let reader = open(ctx, Between::Clients, OFlags::RDONLY)?;
    for space in [Space::Posix, Space::Ofd] {
        fails(
            "write lock",
            reader.lock(space, Kind::Write, Range::WHOLE)?,
            &[Errno::BADF],
        )?;
        reader.gets("read lock", space, Kind::Read, Range::WHOLE)?;
        one.denied("against the reader", space, Kind::Write, Range::WHOLE)?;
        reader.unlocks(space, Range::WHOLE)?;
        one.could("after the reader", space, Kind::Write, Range::WHOLE)?;
    }
    Ok(())
}

fn write_only(ctx: &Ctx) -> Result<()> {
    let Stage { one, other: _other } = Stage::set(ctx, Between::Clients)?;
    let writer = open(ctx, Between::Clients, OFlags::WRONLY)?;
    for space in [Space::Posix, Space::Ofd] {
        fails(
            "read lock",
            writer.lock(space, Kind::Read, Range::WHOLE)?,
            &[Errno::BADF],
        )?;
        writer.gets("write lock", space, Kind::Write, Range::WHOLE)?;
        one.denied("against the writer", space, Kind::Read, Range::WHOLE)?;
        writer.unlocks(space, Range::WHOLE)?;
    }
    Ok(())
}

/// flock does not care how the file is open.
fn flock_read_only(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    let reader = open(ctx, Between::Clients, OFlags::RDONLY)?;
    reader.gets("exclusive", Space::Flock, Kind::Write, Range::WHOLE)?;
    one.denied("against it", Space::Flock, Kind::Read, Range::WHOLE)?;
    other.denied("against it", Space::Flock, Kind::Read, Range::WHOLE)?;
    reader.unlocks(Space::Flock, Range::WHOLE)?;
    one.gets("after it", Space::Flock, Kind::Write, Range::WHOLE)
}

fn flock_write_only(ctx: &Ctx) -> Result<()> {
    let Stage { one, other: _other } = Stage::set(ctx, Between::Clients)?;
    let writer = open(ctx, Between::Clients, OFlags::WRONLY)?;
    writer.gets("shared", Space::Flock, Kind::Read, Range::WHOLE)?;
    one.could("beside it", Space::Flock, Kind::Read, Range::WHOLE)?;
    one.denied("against it", Space::Flock, Kind::Write, Range::WHOLE)
}

fn append(ctx: &Ctx) -> Result<()> {
    let Stage { one, other: _other } = Stage::set(ctx, Between::Clients)?;
    let appender = open(ctx, Between::Clients, OFlags::WRONLY | OFlags::APPEND)?;
    appender.gets(
        "the end",
        Space::Posix,
        Kind::Write,
        Range::before_end(0, 0),
    )?;
    one.denied("the end", Space::Posix, Kind::Write, Range::new(1000, 1))?;
    one.could("the rest", Space::Posix, Kind::Write, Range::new(0, 1000))
}

/// The lock outlives the name, and so does its exclusion.
fn after(ctx: &Ctx, misfortune: fn(&Ctx) -> Result<()>) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::new(0, 10))?;
    misfortune(ctx)?;
    other.denied("afterwards", Space::Posix, Kind::Write, Range::new(9, 1))?;
    other.gets("beside it", Space::Posix, Kind::Write, Range::new(10, 10))?;
    one.denied("the other's", Space::Posix, Kind::Write, Range::new(10, 10))?;
    other.unlocks(Space::Posix, Range::WHOLE)?;
    other.waits(Space::Posix, Kind::Write, Range::WHOLE)?;
    one.unlocks(Space::Posix, Range::WHOLE)?;
    other.is_woken("afterwards")
}

/// The new file of the name has no locks.
fn replaced(ctx: &Ctx) -> Result<()> {
    if ctx.unprivileged {
        return skip("the host's root makes the new file, and this server may not write to it");
    }
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::WHOLE)?;
    ctx.put(Who::Host, "new", b"new")?;
    ctx.rename(Who::Host, "new", FILE)?;
    other.denied("the old file", Space::Posix, Kind::Write, Range::WHOLE)?;
    drop(other);
    // Nobody on the second client has the old one open any more.
    open(ctx, Between::Clients, OFlags::RDWR)?.gets(
        "the new file",
        Space::Posix,
        Kind::Write,
        Range::WHOLE,
    )
}

fn hard_links(ctx: &Ctx) -> Result<()> {
    let Stage { one, other: _other } = Stage::set(ctx, Between::Clients)?;
    rustix::fs::link(ctx.a(FILE), ctx.a("link")).context("link")?;
    one.gets("hold", Space::Posix, Kind::Write, Range::WHOLE)?;
    let linked = Owner::open(ctx, Between::Clients, "link", OFlags::RDWR)?;
    linked.denied("by the other name", Space::Posix, Kind::Write, Range::WHOLE)?;
    let linked = Owner::open(ctx, Between::Processes, "link", OFlags::RDWR)?;
    linked.denied(
        "by the other name here",
        Space::Posix,
        Kind::Write,
        Range::WHOLE,
    )?;
    one.unlocks(Space::Posix, Range::WHOLE)?;
    linked.gets("once free", Space::Posix, Kind::Write, Range::WHOLE)
}

fn two_files(ctx: &Ctx) -> Result<()> {
    let Stage { one, other: _other } = Stage::set(ctx, Between::Clients)?;
    ctx.put(Who::This, "second", b"")?;
    one.gets("hold", Space::Flock, Kind::Write, Range::WHOLE)?;
    let second = Owner::open(ctx, Between::Clients, "second", OFlags::RDWR)?;
    second.gets("another file", Space::Flock, Kind::Write, Range::WHOLE)
}

fn hundred(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    let mut fds = Vec::new();
    for number in 0..100 {
        ctx.put(Who::This, &format!("f{number}"), b"")?;
        let mine = one.peer.open(&ctx.a(format!("f{number}")), OFlags::RDWR)?;
        one.peer
            .lock(mine, Space::Posix, Kind::Write, Range::WHOLE)?
            .context("lock")?;
        fds.push((
            mine,
            other
                .peer
                .open(&ctx.b(format!("f{number}")), OFlags::RDWR)?,
        ));
    }
    for (mine, theirs) in &fds {
        let came = other
            .peer
            .lock(*theirs, Space::Posix, Kind::Read, Range::WHOLE)?;
        fails("while held", came, &[Errno::AGAIN, Errno::ACCESS])?;
        one.peer.close(*mine)?;
        other
            .peer
            .lock(*theirs, Space::Posix, Kind::Read, Range::WHOLE)?
            .context("once closed")?;
    }
    Ok(())
}

/// Locks keep nobody from reading and writing.
fn advisory(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::WHOLE)?;
    other
        .peer
        .ask(&[b"pwrite", &other.fd.word(), b"0", b"written"])?
        .context("write")?;
    let came = one
        .peer
        .ask(&[b"pread", &one.fd.word(), b"7", b"0"])?
        .context("read")?;
    same_bytes("content", &came, b"written")
}

fn truncated(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Posix, Kind::Write, Range::new(500, 100))?;
    std::fs::File::options()
        .write(true)
        .open(ctx.b(FILE))
        .and_then(|file| file.set_len(0))
        .context("truncate")?;
    other.denied(
        "beyond the new end",
        Space::Posix,
        Kind::Write,
        Range::new(599, 1),
    )
}

/// The exit status of `flock(1)` run on the second client.
fn flock_status(ctx: &Ctx, arguments: &[&str]) -> Result<Option<i32>> {
    let path = ctx.b(FILE);
    let status = Command::new("flock")
        .args(arguments)
        .arg(path)
        .arg("true")
        .status();
    Ok(status.context("run flock(1)")?.code())
}

fn utility(ctx: &Ctx) -> Result<()> {
    let Stage { one, other: _other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Flock, Kind::Write, Range::WHOLE)?;
    same("flock -n while held", flock_status(ctx, &["-n"])?, Some(1))?;
    same(
        "flock -s -n while held",
        flock_status(ctx, &["-s", "-n"])?,
        Some(1),
    )?;
    one.gets("downgrade", Space::Flock, Kind::Read, Range::WHOLE)?;
    same(
        "flock -s -n beside a reader",
        flock_status(ctx, &["-s", "-n"])?,
        Some(0),
    )?;
    same(
        "flock -n against a reader",
        flock_status(ctx, &["-n"])?,
        Some(1),
    )?;
    one.unlocks(Space::Flock, Range::WHOLE)?;
    same("flock -n once free", flock_status(ctx, &["-n"])?, Some(0))
}

fn utility_waits(ctx: &Ctx) -> Result<()> {
    let Stage { one, other: _other } = Stage::set(ctx, Between::Clients)?;
    one.gets("hold", Space::Flock, Kind::Write, Range::WHOLE)?;
    let start = std::time::Instant::now();
    let mut waiting = Command::new("flock")
        .arg(ctx.b(FILE))
        .arg("true")
        .spawn()
        .context("run flock(1)")?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    same(
        "an end while held",
        waiting.try_wait()?.and_then(|status| status.code()),
        None,
    )?;
    one.unlocks(Space::Flock, Range::WHOLE)?;
    same("exit", waiting.wait()?.code(), Some(0))?;
    anyhow::ensure!(
        start.elapsed().as_secs() < 14,
        "expected flock(1) to end within 12 s of the release"
    );
    Ok(())
}
