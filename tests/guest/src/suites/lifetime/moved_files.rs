//! Open files through renames of themselves and of the directories above.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::row::Row;
use crate::suites::lifetime::gone::gid;
use crate::suites::lifetime::gone::uid;
use crate::suites::lifetime::moves;
use crate::suites::lifetime::moves::Decoy;
use crate::suites::lifetime::moves::Move;
use crate::sys;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

/// An open file that is elsewhere now.
struct Moved {
    fd: OwnedFd,
    content: Vec<u8>,
    ino: u64,
    /// Where it is now
    name: &'static str,
    /// Its mode and owner are where the host did not look for them
    loses_metadata: bool,
}

type Check = fn(&Ctx, &Moved) -> Result<()>;

/// Which rows are worth asking for each who may move things, and which for this client only.
const BY_ALL: bool = true;
const BY_THIS: bool = false;

const CHECKS: [(&str, Check, bool); 9] = [
    ("fstat-read", fstat_read, BY_ALL),
    ("write", write, BY_ALL),
    ("ftruncate", ftruncate, BY_ALL),
    ("fchmod-fchown", fchmod_fchown, BY_ALL),
    ("futimens", futimens, BY_THIS),
    ("xattr", xattr, BY_ALL),
    ("reopen", reopen, BY_ALL),
    ("fsync-lock", fsync_lock, BY_THIS),
    ("unlink-then-use", unlink_then_use, BY_THIS),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for way in moves::MOVES {
        for &who in way.actors() {
            for (name, check, by_all) in CHECKS {
                if !by_all && who != Who::This && way.actors().contains(&Who::This) {
                    continue;
                }
                let name = format!("{}/{}/{name}", way.name, who.word());
                rows.push(Row::new(name, move |ctx| play(ctx, way, who, check)));
            }
        }
    }
    rows
}

fn play(ctx: &Ctx, way: Move, who: Who, check: Check) -> Result<()> {
    let content = files::pattern(3, 5_000);
    moves::plant(ctx, &content)?;
    let fd = files::open(ctx.a(moves::FILE), OFlags::RDWR).context("open")?;
    let ino = rustix::fs::fstat(&fd).context("fstat")?.st_ino;
    way.make(ctx, who)?;
    let decoy = Decoy::look(ctx, way.directory.is_some())?;
    check(
        ctx,
        &Moved {
            fd,
            content,
            ino,
            name: way.file,
            loses_metadata: way.loses_metadata(ctx, who, moves::FILE),
        },
    )?;
    decoy.check(ctx)
}

fn fstat_read(ctx: &Ctx, moved: &Moved) -> Result<()> {
    let stat = rustix::fs::fstat(&moved.fd).context("fstat")?;
    same("inode number", stat.st_ino, moved.ino)?;
    same("size", stat.st_size, i64::try_from(moved.content.len())?)?;
    same("links", stat.st_nlink, 1)?;
    same_bytes("content", &files::read_fd(&moved.fd)?, &moved.content)?;
    same(
        "inode by the new path",
        rustix::fs::stat(ctx.b(moved.name)).context("stat")?.st_ino,
        moved.ino,
    )
}

fn write(ctx: &Ctx, moved: &Moved) -> Result<()> {
    files::write_at(&moved.fd, b"changed", 1_000)?;
    let mut expected = moved.content.clone();
    expected[1_000..1_007].copy_from_slice(b"changed");
    same_bytes("content", &files::read_fd(&moved.fd)?, &expected)?;
    same_bytes(
        "content by the new path",
        &std::fs::read(ctx.b(moved.name)).context("read")?,
        &expected,
    )
}

fn ftruncate(ctx: &Ctx, moved: &Moved) -> Result<()> {
    rustix::fs::ftruncate(&moved.fd, 70).context("ftruncate")?;
    same(
        "size",
        rustix::fs::fstat(&moved.fd).context("fstat")?.st_size,
        70,
    )?;
    same_bytes(
        "by the new path",
        &std::fs::read(ctx.b(moved.name)).context("read")?,
        &moved.content[..70],
    )
}

fn fchmod_fchown(ctx: &Ctx, moved: &Moved) -> Result<()> {
    if moved.loses_metadata {
        return skip("in this model the host leaves mode and owner at the old name");
    }
    rustix::fs::fchown(&moved.fd, uid(1001), gid(1002)).context("fchown")?;
    rustix::fs::fchmod(&moved.fd, files::mode(0o461)).context("fchmod")?;
    for stat in [
        rustix::fs::fstat(&moved.fd),
        rustix::fs::stat(ctx.b(moved.name)),
    ] {
        let stat = stat.context("stat")?;
        same("mode", stat.st_mode & 0o7777, 0o461)?;
        if ctx.keeps_owners() {
            same("owner", (stat.st_uid, stat.st_gid), (1001, 1002))?;
        }
    }
    Ok(())
}

fn futimens(ctx: &Ctx, moved: &Moved) -> Result<()> {
    let at = |seconds| Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: at(1_000_000_000),
        last_modification: at(1_100_000_000),
    };
    rustix::fs::futimens(&moved.fd, &times).context("futimens")?;
    same(
        "time by the new path",
        rustix::fs::stat(ctx.b(moved.name))
            .context("stat")?
            .st_mtime,
        1_100_000_000,
    )
}

fn xattr(ctx: &Ctx, moved: &Moved) -> Result<()> {
    rustix::fs::fsetxattr(&moved.fd, "user.moved", b"yes", XattrFlags::CREATE)
        .context("fsetxattr")?;
    same_bytes(
        "attribute",
        &files::fd_xattr(&moved.fd, "user.moved").context("fgetxattr")?,
        b"yes",
    )?;
    let came = files::xattr(&ctx.b(moved.name), "user.moved").context("getxattr")?;
    same_bytes("attribute by the new path", &came, b"yes")?;
    rustix::fs::fremovexattr(&moved.fd, "user.moved").context("fremovexattr")?;
    fails(
        "by the new path",
        files::xattr(&ctx.b(moved.name), "user.moved"),
        &[Errno::NODATA],
    )
}

fn reopen(ctx: &Ctx, moved: &Moved) -> Result<()> {
    let again =
        files::open(files::by_fd(&moved.fd), OFlags::RDWR | OFlags::TRUNC).context("reopen")?;
    files::write_at(&again, b"short", 0)?;
    same_bytes("content", &files::read_fd(&moved.fd)?, b"short")?;
    same_bytes(
        "content by the new path",
        &std::fs::read(ctx.b(moved.name)).context("read")?,
        b"short",
    )
}

fn fsync_lock(_: &Ctx, moved: &Moved) -> Result<()> {
    sys::lock(
        &moved.fd,
        Space::Posix,
        Kind::Write,
        Range::new(0, 9),
        false,
    )
    .context("lock")?;
    files::write_at(&moved.fd, b"locked", 0)?;
    rustix::fs::fsync(&moved.fd).context("fsync")?;
    sys::lock(
        &moved.fd,
        Space::Posix,
        Kind::Unlock,
        Range::new(0, 9),
        false,
    )
    .context("unlock")
}

/// Both misfortunes, one after the other.
fn unlink_then_use(ctx: &Ctx, moved: &Moved) -> Result<()> {
    ctx.unlink(Who::Other, moved.name)?;
    let stat = rustix::fs::fstat(&moved.fd).context("fstat")?;
    same(
        "inode number and links",
        (stat.st_ino, stat.st_nlink),
        (moved.ino, 0),
    )?;
    rustix::fs::ftruncate(&moved.fd, 3).context("ftruncate")?;
    same_bytes("content", &files::read_fd(&moved.fd)?, &moved.content[..3])
}
