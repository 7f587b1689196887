//! Whose lock it is: what a close, a duplicate, a child or a stranger does to it.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::files;
use crate::peer::Peer;
use crate::row::Row;
use crate::suites::locks::stage::Between;
use crate::suites::locks::stage::FILE;
use crate::suites::locks::stage::Owner;
use crate::suites::locks::stage::Stage;
use crate::sys;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

/// Why a row cannot be asked of two 9p clients.
const BY_PROCESS: &str =
    "the 9p client tells the server that a close releases all locks of the process";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for between in Between::BOTH {
        let mut add = |name: &str, run: fn(&Ctx, Between) -> Result<()>| {
            rows.push(Row::new(
                format!("owner/{}/{name}", between.word()),
                move |ctx| run(ctx, between),
            ));
        };
        add("posix-goes-with-any-close", any_close);
        add("posix-goes-with-close-of-a-duplicate", close_of_duplicate);
        add("posix-is-not-inherited", not_inherited);
        add("posix-not-released-by-another", not_by_another);
        add("ofd-survives-another-close", ofd_survives);
        add("ofd-is-shared-with-a-child", ofd_shared);
        add("flock-survives-close-of-a-duplicate", flock_duplicate);
        add("flock-kept-when-the-child-closes", flock_child_closes);
        add("flock-kept-by-the-child", flock_child_keeps);
        add("flock-not-released-by-another", flock_not_by_another);
        add("exit-releases", exit_releases);
    }
    rows.push(Row::new("owner/posix-never-against-itself", itself));
    rows.push(Row::new("owner/ofd-two-opens-exclude-each-other", |ctx| {
        two_opens(ctx, Space::Ofd)
    }));
    rows.push(Row::new(
        "owner/flock-two-opens-exclude-each-other",
        |ctx| two_opens(ctx, Space::Flock),
    ));
    rows
}

/// This process as the owner, and somebody who tries.
fn stage(ctx: &Ctx, between: Between, space: Space) -> Result<(OwnedFd, Owner)> {
    ctx.put(Who::This, FILE, b"")?;
    let fd = files::open(ctx.a(FILE), OFlags::RDWR).context("open")?;
    sys::lock(&fd, space, Kind::Write, Range::WHOLE, false).context("lock")?;
    let other = Owner::of(ctx, between)?;
    other.denied("in the beginning", space, Kind::Write, Range::WHOLE)?;
    Ok((fd, other))
}

fn any_close(ctx: &Ctx, between: Between) -> Result<()> {
    let (_fd, other) = stage(ctx, between, Space::Posix)?;
    drop(files::open(ctx.a(FILE), OFlags::RDONLY).context("open again")?);
    other.gets(
        "after the other close",
        Space::Posix,
        Kind::Write,
        Range::WHOLE,
    )
}

fn close_of_duplicate(ctx: &Ctx, between: Between) -> Result<()> {
    let (fd, other) = stage(ctx, between, Space::Posix)?;
    drop(rustix::io::dup(&fd).context("dup")?);
    other.gets(
        "after the other close",
        Space::Posix,
        Kind::Write,
        Range::WHOLE,
    )
}

fn not_inherited(ctx: &Ctx, between: Between) -> Result<()> {
    let (fd, other) = stage(ctx, between, Space::Posix)?;
    let (child, inherited) = Peer::inheriting(&fd)?;
    let came = child.lock(inherited, Space::Posix, Kind::Write, Range::WHOLE)?;
    fails("the child", came, &[Errno::AGAIN, Errno::ACCESS])?;
    child.close(inherited)?;
    other.denied(
        "after the child's close",
        Space::Posix,
        Kind::Write,
        Range::WHOLE,
    )
}

fn not_by_another(ctx: &Ctx, between: Between) -> Result<()> {
    not_released(ctx, between, Space::Posix)
}

fn flock_not_by_another(ctx: &Ctx, between: Between) -> Result<()> {
    not_released(ctx, between, Space::Flock)
}

/// Unlocking what one does not have is no error and does nothing.
fn not_released(ctx: &Ctx, between: Between, space: Space) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, between)?;
    one.gets("hold", space, Kind::Write, Range::WHOLE)?;
    other.unlocks(space, Range::WHOLE)?;
    let third = Owner::of(ctx, between)?;
    third.unlocks(space, Range::WHOLE)?;
    third.denied("after strangers unlocked", space, Kind::Read, Range::WHOLE)?;
    third.peer.close(third.fd)?;
    other.denied("after a stranger closed", space, Kind::Read, Range::WHOLE)
}

fn ofd_survives(ctx: &Ctx, between: Between) -> Result<()> {
    if between == Between::Clients {
        ctx.not_on_9p(BY_PROCESS)?;
    }
    let (_fd, other) = stage(ctx, between, Space::Ofd)?;
    drop(files::open(ctx.a(FILE), OFlags::RDWR).context("open again")?);
    other.denied("after another close", Space::Ofd, Kind::Write, Range::WHOLE)
}

fn ofd_shared(ctx: &Ctx, between: Between) -> Result<()> {
    ctx.not_on_9p("to the server of a 9p client the child is another owner")?;
    let (fd, other) = stage(ctx, between, Space::Ofd)?;
    let (child, inherited) = Peer::inheriting(&fd)?;
    child
        .lock(inherited, Space::Ofd, Kind::Read, Range::WHOLE)?
        .context("the child downgrades")?;
    other.could("beside the reader", Space::Ofd, Kind::Read, Range::WHOLE)?;
    drop(fd);
    other.denied(
        "while the child has it",
        Space::Ofd,
        Kind::Write,
        Range::WHOLE,
    )
}

fn flock_duplicate(ctx: &Ctx, between: Between) -> Result<()> {
    if between == Between::Clients {
        ctx.not_on_9p(BY_PROCESS)?;
    }
    let (fd, other) = stage(ctx, between, Space::Flock)?;
    let copy = rustix::io::dup(&fd).context("dup")?;
    drop(fd);
    other.denied(
        "while a duplicate is open",
        Space::Flock,
        Kind::Write,
        Range::WHOLE,
    )?;
    drop(copy);
    other.gets(
        "after the last close",
        Space::Flock,
        Kind::Write,
        Range::WHOLE,
    )
}

fn flock_child_closes(ctx: &Ctx, between: Between) -> Result<()> {
    let (fd, other) = stage(ctx, between, Space::Flock)?;
    let (child, inherited) = Peer::inheriting(&fd)?;
    child.close(inherited)?;
    drop(child);
    other.denied(
        "while the parent has it",
        Space::Flock,
        Kind::Write,
        Range::WHOLE,
    )?;
    drop(fd);
    other.gets(
        "after the last close",
        Space::Flock,
        Kind::Write,
        Range::WHOLE,
    )
}

fn flock_child_keeps(ctx: &Ctx, between: Between) -> Result<()> {
    if between == Between::Clients {
        ctx.not_on_9p(BY_PROCESS)?;
    }
    let (fd, other) = stage(ctx, between, Space::Flock)?;
    let (child, inherited) = Peer::inheriting(&fd)?;
    drop(fd);
    other.denied(
        "while the child has it",
        Space::Flock,
        Kind::Write,
        Range::WHOLE,
    )?;
    child.close(inherited)?;
    other.gets(
        "after the last close",
        Space::Flock,
        Kind::Write,
        Range::WHOLE,
    )
}

fn exit_releases(ctx: &Ctx, between: Between) -> Result<()> {
    for space in [Space::Posix, Space::Ofd, Space::Flock] {
        let Stage { one, other } = Stage::set(ctx, between)?;
        one.gets("hold", space, Kind::Write, Range::WHOLE)?;
        drop(one);
        other.could("after the holder's end", space, Kind::Write, Range::WHOLE)?;
    }
    Ok(())
}

/// Two descriptors of one process are one owner.
fn itself(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, FILE, b"")?;
    let fds = [OFlags::RDWR, OFlags::RDWR].map(|flags| files::open(ctx.a(FILE), flags));
    let [one, two] = fds;
    let (one, two) = (one.context("open")?, two.context("open")?);
    sys::lock(&one, Space::Posix, Kind::Write, Range::WHOLE, false).context("lock")?;
    sys::lock(&two, Space::Posix, Kind::Write, Range::new(5, 5), false)
        .context("lock by the other descriptor")?;
    sys::lock(&two, Space::Posix, Kind::Unlock, Range::WHOLE, false)
        .context("unlock by the other descriptor")?;
    let other = Owner::of(ctx, Between::Clients)?;
    other.gets("after that unlock", Space::Posix, Kind::Write, Range::WHOLE)
}

fn two_opens(ctx: &Ctx, space: Space) -> Result<()> {
    let (fd, _other) = stage(ctx, Between::Processes, space)?;
    let again = files::open(ctx.a(FILE), OFlags::RDWR).context("open again")?;
    let came = sys::lock(&again, space, Kind::Read, Range::WHOLE, false);
    fails("by the second open", came, &[Errno::AGAIN])?;
    sys::lock(&fd, space, Kind::Unlock, Range::WHOLE, false).context("unlock")?;
    sys::lock(&again, space, Kind::Read, Range::WHOLE, false)
        .context("by the second open, once free")
}
