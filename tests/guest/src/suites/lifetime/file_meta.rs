//! Attributes and locks of a file that lost its name.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::expect::fails;
use crate::expect::holds;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::suites::lifetime::gone::Cause;
use crate::suites::lifetime::gone::Gone;
use crate::suites::lifetime::gone::LINK;
use crate::suites::lifetime::gone::MARK;
use crate::suites::lifetime::gone::Op;
use crate::suites::lifetime::gone::gid;
use crate::suites::lifetime::gone::uid;
use crate::sys;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

const RW: &[OFlags] = &[OFlags::RDWR];
const RO: &[OFlags] = &[OFlags::RDONLY];
const TWO: &[OFlags] = &[OFlags::RDWR, OFlags::RDWR];

pub(super) static OPS: &[Op] = &[
    Op {
        name: "fstat",
        by_all: true,
        opens: RO,
        run: fstat,
    },
    Op {
        name: "fstat-path-only",
        by_all: false,
        opens: &[OFlags::PATH],
        run: fstat,
    },
    Op {
        name: "link-count",
        by_all: false,
        opens: RO,
        run: link_count,
    },
    Op {
        name: "fchmod",
        by_all: true,
        opens: RW,
        run: fchmod,
    },
    Op {
        name: "fchmod-read-only",
        by_all: false,
        opens: RO,
        run: fchmod,
    },
    Op {
        name: "fchown",
        by_all: true,
        opens: RW,
        run: fchown,
    },
    Op {
        name: "futimens",
        by_all: true,
        opens: RW,
        run: futimens,
    },
    Op {
        name: "futimens-now",
        by_all: false,
        opens: RW,
        run: futimens_now,
    },
    Op {
        name: "fstatfs",
        by_all: true,
        opens: RO,
        run: fstatfs,
    },
    Op {
        name: "fsetxattr",
        by_all: true,
        opens: RW,
        run: fsetxattr,
    },
    Op {
        name: "fgetxattr",
        by_all: true,
        opens: RO,
        run: fgetxattr,
    },
    Op {
        name: "flistxattr",
        by_all: false,
        opens: RO,
        run: flistxattr,
    },
    Op {
        name: "fremovexattr",
        by_all: false,
        opens: RW,
        run: fremovexattr,
    },
    Op {
        name: "linkat",
        by_all: true,
        opens: RW,
        run: linkat,
    },
    Op {
        name: "fcntl-lock",
        by_all: true,
        opens: TWO,
        run: fcntl_lock,
    },
    Op {
        name: "flock",
        by_all: false,
        opens: TWO,
        run: flock,
    },
];

fn stat(gone: &Gone) -> Result<Stat> {
    rustix::fs::fstat(gone.fd()).context("fstat")
}

fn fstat(_: &Ctx, gone: &Gone) -> Result<()> {
    let (came, before) = (stat(gone)?, &gone.stat);
    same("inode number", came.st_ino, before.st_ino)?;
    same("size", came.st_size, before.st_size)?;
    same("mode", came.st_mode, before.st_mode)?;
    same(
        "owner",
        (came.st_uid, came.st_gid),
        (before.st_uid, before.st_gid),
    )
}

fn link_count(_: &Ctx, gone: &Gone) -> Result<()> {
    let expected = u64::from(gone.cause == Cause::ReplacedWithLink);
    same("link count", stat(gone)?.st_nlink, expected)
}

fn fchmod(ctx: &Ctx, gone: &Gone) -> Result<()> {
    rustix::fs::fchmod(gone.fd(), files::mode(0o601)).context("fchmod")?;
    same("mode", stat(gone)?.st_mode & 0o7777, 0o601)?;
    if gone.cause == Cause::ReplacedWithLink {
        let other = rustix::fs::stat(ctx.b(LINK)).context("stat of the other name")?;
        same("mode by the other name", other.st_mode & 0o7777, 0o601)?;
    }
    Ok(())
}

fn fchown(ctx: &Ctx, gone: &Gone) -> Result<()> {
    rustix::fs::fchown(gone.fd(), uid(1001), gid(1002)).context("fchown")?;
    if ctx.keeps_owners() {
        let came = stat(gone)?;
        same("owner", (came.st_uid, came.st_gid), (1001, 1002))?;
    }
    Ok(())
}

fn futimens(_: &Ctx, gone: &Gone) -> Result<()> {
    let at = |seconds| Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: at(1_000_000_000),
        last_modification: at(1_100_000_000),
    };
    rustix::fs::futimens(gone.fd(), &times).context("futimens")?;
    let came = stat(gone)?;
    same(
        "times",
        (came.st_atime, came.st_mtime),
        (1_000_000_000, 1_100_000_000),
    )
}

fn futimens_now(ctx: &Ctx, gone: &Gone) -> Result<()> {
    futimens(ctx, gone)?;
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    rustix::fs::futimens(gone.fd(), &times).context("futimens")?;
    // The clock is the server's: only that it is not the old time can be told here.
    holds(
        "the modification time is recent",
        stat(gone)?.st_mtime > 1_600_000_000,
    )
}

fn fstatfs(_: &Ctx, gone: &Gone) -> Result<()> {
    let came = rustix::fs::fstatfs(gone.fd()).context("fstatfs")?;
    holds(
        "the file system has blocks",
        came.f_blocks > 0 && came.f_bsize > 0,
    )
}

fn fsetxattr(ctx: &Ctx, gone: &Gone) -> Result<()> {
    rustix::fs::fsetxattr(gone.fd(), "user.more", b"value", XattrFlags::CREATE)
        .context("fsetxattr")?;
    same_bytes(
        "new attribute",
        &files::fd_xattr(gone.fd(), "user.more").context("fgetxattr")?,
        b"value",
    )?;
    rustix::fs::fsetxattr(gone.fd(), MARK, b"changed", XattrFlags::REPLACE).context("fsetxattr")?;
    same_bytes(
        "changed attribute",
        &files::fd_xattr(gone.fd(), MARK).context("fgetxattr")?,
        b"changed",
    )?;
    if gone.cause == Cause::ReplacedWithLink {
        same_bytes(
            "by the other name",
            &files::xattr(&ctx.b(LINK), MARK).context("getxattr")?,
            b"changed",
        )?;
    }
    Ok(())
}

fn fgetxattr(_: &Ctx, gone: &Gone) -> Result<()> {
    same_bytes(
        "attribute",
        &files::fd_xattr(gone.fd(), MARK).context("fgetxattr")?,
        b"old",
    )?;
    fails(
        "missing attribute",
        files::fd_xattr(gone.fd(), "user.missing"),
        &[Errno::NODATA],
    )
}

fn flistxattr(_: &Ctx, gone: &Gone) -> Result<()> {
    let names = files::fd_xattr_names(gone.fd()).context("flistxattr")?;
    holds("the list has user.mark", names.contains(&MARK.into()))
}

fn fremovexattr(_: &Ctx, gone: &Gone) -> Result<()> {
    rustix::fs::fremovexattr(gone.fd(), MARK).context("fremovexattr")?;
    fails(
        "removed attribute",
        files::fd_xattr(gone.fd(), MARK),
        &[Errno::NODATA],
    )?;
    fails(
        "removing it again",
        rustix::fs::fremovexattr(gone.fd(), MARK),
        &[Errno::NODATA],
    )
}

/// A file without any name cannot get one again; one that has another name can.
fn linkat(ctx: &Ctx, gone: &Gone) -> Result<()> {
    let path = files::by_fd(gone.fd());
    let linked = rustix::fs::linkat(CWD, path, CWD, ctx.a("again"), AtFlags::SYMLINK_FOLLOW);
    if gone.cause != Cause::ReplacedWithLink {
        fails("link of a file without links", linked, &[Errno::NOENT])?;
        return same(
            "names made",
            files::list(&ctx.second)?.contains(&b"again".to_vec()),
            false,
        );
    }
    linked.context("linkat")?;
    let came = rustix::fs::stat(ctx.b("again")).context("stat of the new link")?;
    same("inode of the new link", came.st_ino, gone.stat.st_ino)?;
    same("link count", came.st_nlink, 2)
}

fn fcntl_lock(_: &Ctx, gone: &Gone) -> Result<()> {
    let range = Range::new(10, 20);
    let try_lock = |fd, kind| sys::lock(fd, Space::Ofd, kind, range, false);
    try_lock(gone.fd(), Kind::Write).context("lock")?;
    fails(
        "the lock again",
        try_lock(&gone.fds[1], Kind::Read),
        &[Errno::AGAIN],
    )?;
    try_lock(gone.fd(), Kind::Unlock).context("unlock")?;
    try_lock(&gone.fds[1], Kind::Write).context("lock once free")
}

fn flock(_: &Ctx, gone: &Gone) -> Result<()> {
    let try_lock = |fd, kind| sys::lock(fd, Space::Flock, kind, Range::WHOLE, false);
    try_lock(gone.fd(), Kind::Write).context("flock")?;
    fails(
        "the lock again",
        try_lock(&gone.fds[1], Kind::Read),
        &[Errno::AGAIN],
    )?;
    try_lock(gone.fd(), Kind::Unlock).context("unlock")?;
    try_lock(&gone.fds[1], Kind::Write).context("flock once free")
}
