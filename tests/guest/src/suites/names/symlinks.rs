//! Symlinks: stored as they are, followed by the client alone.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = [1_usize, 59, 60, 255, 256, 1023, 4094, 4095]
        .into_iter()
        .map(|length| {
            Row::new(format!("symlink/target-of-{length}-bytes"), move |ctx| {
                target_of(ctx, length)
            })
        })
        .collect();
    rows.extend([
        Row::new("symlink/target-of-4096-bytes", too_long),
        Row::new("symlink/empty-target", empty),
        Row::new("symlink/any-bytes", any_bytes),
        Row::new("symlink/dangling", dangling),
        Row::new("symlink/absolute-is-the-guests", absolute),
        Row::new("symlink/loop", looping),
        Row::new("symlink/forty-in-a-row", forty),
        Row::new("symlink/to-a-directory", to_directory),
        Row::new("symlink/out-of-the-export-on-the-host", host_made),
        Row::new("symlink/no-follow", no_follow),
        Row::new("symlink/create-through-dangling", create_through),
        Row::new("symlink/owner-and-times", owner_and_times),
        Row::new("symlink/size-is-the-length", size),
        Row::new("symlink/replaced-by-rename", replaced),
    ]);
    rows
}

fn read(ctx: &Ctx, name: &str) -> Result<Vec<u8>> {
    Ok(rustix::fs::readlink(ctx.b(name), vec![])
        .context("readlink")?
        .into_bytes())
}

fn target_of(ctx: &Ctx, length: usize) -> Result<()> {
    let target = vec![b't'; length];
    rustix::fs::symlink(&target[..], ctx.a("pointer")).context("symlink")?;
    same_bytes("target", &read(ctx, "pointer")?, &target)?;
    let stat = rustix::fs::lstat(ctx.a("pointer")).context("lstat")?;
    same("size", stat.st_size, i64::try_from(length)?)
}

fn too_long(ctx: &Ctx) -> Result<()> {
    fails(
        "symlink",
        rustix::fs::symlink(&vec![b't'; 4096][..], ctx.a("pointer")),
        &[Errno::NAMETOOLONG],
    )?;
    same("names", files::list(&ctx.second)?, vec![])
}

fn empty(ctx: &Ctx) -> Result<()> {
    fails(
        "symlink",
        rustix::fs::symlink("", ctx.a("pointer")),
        &[Errno::NOENT],
    )
}

fn any_bytes(ctx: &Ctx) -> Result<()> {
    for (number, target) in [
        b"a/../../b//c/.".as_slice(),
        b"\xff\n \x01",
        b"../..",
        b"/",
        b"%2e%2e",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("pointer{number}");
        rustix::fs::symlink(*target, ctx.a(&name)).context("symlink")?;
        same_bytes("target", &read(ctx, &name)?, target)?;
    }
    Ok(())
}

fn dangling(ctx: &Ctx) -> Result<()> {
    rustix::fs::symlink("nothing", ctx.a("pointer")).context("symlink")?;
    fails(
        "stat",
        rustix::fs::stat(ctx.b("pointer")).map(|stat| stat.st_ino),
        &[Errno::NOENT],
    )?;
    fails(
        "open",
        files::open(ctx.b("pointer"), OFlags::RDONLY),
        &[Errno::NOENT],
    )?;
    same(
        "type",
        rustix::fs::lstat(ctx.b("pointer"))
            .context("lstat")?
            .st_mode
            & 0o170_000,
        0o120_000,
    )?;
    rustix::fs::unlink(ctx.b("pointer")).context("unlink")
}

/// `/proc/self/comm` of whoever resolves it: the guest's program, never the server.
fn absolute(ctx: &Ctx) -> Result<()> {
    rustix::fs::symlink("/proc/self/comm", ctx.a("pointer")).context("symlink")?;
    let direct = std::fs::read("/proc/self/comm").context("read")?;
    same_bytes(
        "through it",
        &std::fs::read(ctx.b("pointer")).context("read through it")?,
        &direct,
    )
}

fn looping(ctx: &Ctx) -> Result<()> {
    rustix::fs::symlink("two", ctx.a("one")).context("symlink")?;
    rustix::fs::symlink("one", ctx.a("two")).context("symlink")?;
    rustix::fs::symlink("self", ctx.a("self")).context("symlink")?;
    for name in ["one", "two", "self", "self/x"] {
        fails(
            name,
            rustix::fs::stat(ctx.b(name)).map(|stat| stat.st_ino),
            &[Errno::LOOP],
        )?;
    }
    Ok(())
}

fn forty(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "l0", b"at the end")?;
    for number in 1..=41_u32 {
        rustix::fs::symlink(format!("l{}", number - 1), ctx.a(format!("l{number}")))
            .context("symlink")?;
    }
    same_bytes(
        "through forty",
        &std::fs::read(ctx.b("l40")).context("read")?,
        b"at the end",
    )?;
    fails(
        "through forty-one",
        std::fs::read(ctx.b("l41")),
        &[Errno::LOOP],
    )
}

fn to_directory(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "directory")?;
    rustix::fs::symlink("directory", ctx.a("pointer")).context("symlink")?;
    ctx.put(Who::This, "pointer/file", b"x")?;
    same(
        "names",
        files::list(&ctx.b("directory"))?,
        vec![b"file".to_vec()],
    )?;
    same(
        "names through it",
        files::list(&ctx.b("pointer"))?,
        vec![b"file".to_vec()],
    )?;
    fails(
        "rmdir of the symlink",
        rustix::fs::rmdir(ctx.a("pointer")),
        &[Errno::NOTDIR],
    )?;
    fails(
        "mkdir over it",
        rustix::fs::mkdir(ctx.a("pointer"), files::mode(0o755)),
        &[Errno::EXIST],
    )
}

/// The server neither follows it nor forbids it: what it means is the guest's business.
fn host_made(ctx: &Ctx) -> Result<()> {
    ctx.host.symlink(b"/proc/self/comm", &ctx.h("pointer"))?;
    same_bytes("target", &read(ctx, "pointer")?, b"/proc/self/comm")?;
    let direct = std::fs::read("/proc/self/comm").context("read")?;
    same_bytes(
        "through it",
        &std::fs::read(ctx.a("pointer")).context("read through it")?,
        &direct,
    )
}

fn no_follow(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    rustix::fs::symlink("file", ctx.a("pointer")).context("symlink")?;
    fails(
        "open",
        files::open(ctx.a("pointer"), OFlags::RDONLY | OFlags::NOFOLLOW),
        &[Errno::LOOP],
    )?;
    let path_only = OFlags::PATH | OFlags::NOFOLLOW;
    let fd = files::open(ctx.a("pointer"), path_only).context("open the symlink itself")?;
    let stat = rustix::fs::fstat(fd).context("fstat")?;
    same("type", stat.st_mode & 0o170_000, 0o120_000)
}

fn create_through(ctx: &Ctx) -> Result<()> {
    rustix::fs::symlink("target", ctx.a("pointer")).context("symlink")?;
    let exclusive = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    fails(
        "exclusive",
        files::open(ctx.a("pointer"), exclusive),
        &[Errno::EXIST],
    )?;
    ctx.put(Who::This, "pointer", b"made")?;
    same_bytes(
        "target's content",
        &std::fs::read(ctx.b("target")).context("read")?,
        b"made",
    )?;
    same(
        "type",
        rustix::fs::lstat(ctx.b("pointer"))
            .context("lstat")?
            .st_mode
            & 0o170_000,
        0o120_000,
    )
}

/// Of the symlink, not of its target.
fn owner_and_times(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    rustix::fs::symlink("file", ctx.a("pointer")).context("symlink")?;
    let before = rustix::fs::stat(ctx.a("file")).context("stat")?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(12), rustix::fs::Gid::from_raw(34));
    rustix::fs::chownat(
        CWD,
        ctx.a("pointer"),
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .context("lchown")?;
    let at = Timespec {
        tv_sec: 1_000_000_000,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: at,
        last_modification: at,
    };
    rustix::fs::utimensat(CWD, ctx.a("pointer"), &times, AtFlags::SYMLINK_NOFOLLOW)
        .context("utimensat")?;
    let pointer = rustix::fs::lstat(ctx.b("pointer")).context("lstat")?;
    same("time of the symlink", pointer.st_mtime, 1_000_000_000)?;
    if ctx.keeps_owners() {
        same(
            "owner of the symlink",
            (pointer.st_uid, pointer.st_gid),
            (12, 34),
        )?;
    }
    let after = rustix::fs::stat(ctx.b("file")).context("stat")?;
    let of = |stat: &rustix::fs::Stat| (stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mode);
    same("the target", of(&after), of(&before))
}

fn size(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", &[b'x'; 5_000])?;
    rustix::fs::symlink("file", ctx.a("pointer")).context("symlink")?;
    same(
        "size",
        rustix::fs::lstat(ctx.b("pointer"))
            .context("lstat")?
            .st_size,
        4,
    )?;
    same(
        "size through it",
        rustix::fs::stat(ctx.b("pointer")).context("stat")?.st_size,
        5_000,
    )
}

/// How programs switch a version: rename a new symlink over the old one.
fn replaced(ctx: &Ctx) -> Result<()> {
    for version in ["v1", "v2", "v3"] {
        ctx.put(Who::This, version, version.as_bytes())?;
        rustix::fs::symlink(version, ctx.a("next")).context("symlink")?;
        ctx.rename(Who::This, "next", "current")?;
        same_bytes("target", &read(ctx, "current")?, version.as_bytes())?;
        same_bytes(
            "content",
            &std::fs::read(ctx.b("current")).context("read")?,
            version.as_bytes(),
        )?;
    }
    same("names", files::list(&ctx.second)?.len(), 4)
}
