//! Removing and making: what is refused, with which error.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::Access;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::files;
use crate::row::Row;

type Act = fn(&Ctx) -> Result<(), Errno>;

const REFUSED: [(&str, Act, &[Errno]); 16] = [
    (
        "unlink-a-directory",
        |ctx| rustix::fs::unlink(ctx.a("full")),
        &[Errno::ISDIR, Errno::PERM],
    ),
    (
        "unlink-nothing",
        |ctx| rustix::fs::unlink(ctx.a("nothing")),
        &[Errno::NOENT],
    ),
    (
        "unlink-below-a-file",
        |ctx| rustix::fs::unlink(ctx.a("file/x")),
        &[Errno::NOTDIR],
    ),
    (
        "rmdir-a-file",
        |ctx| rustix::fs::rmdir(ctx.a("file")),
        &[Errno::NOTDIR],
    ),
    (
        "rmdir-non-empty",
        |ctx| rustix::fs::rmdir(ctx.a("full")),
        &[Errno::NOTEMPTY, Errno::EXIST],
    ),
    (
        "rmdir-nothing",
        |ctx| rustix::fs::rmdir(ctx.a("nothing")),
        &[Errno::NOENT],
    ),
    (
        "rmdir-dot",
        |ctx| rustix::fs::rmdir(ctx.a("full/.")),
        &[Errno::INVAL],
    ),
    (
        "rmdir-dot-dot",
        |ctx| rustix::fs::rmdir(ctx.a("full/..")),
        &[Errno::NOTEMPTY],
    ),
    (
        "mkdir-over-a-file",
        |ctx| mkdir(ctx, "file"),
        &[Errno::EXIST],
    ),
    (
        "mkdir-over-a-directory",
        |ctx| mkdir(ctx, "full"),
        &[Errno::EXIST],
    ),
    (
        "mkdir-in-nothing",
        |ctx| mkdir(ctx, "nothing/new"),
        &[Errno::NOENT],
    ),
    (
        "mkdir-below-a-file",
        |ctx| mkdir(ctx, "file/new"),
        &[Errno::NOTDIR],
    ),
    (
        "symlink-over-a-file",
        |ctx| rustix::fs::symlink("x", ctx.a("file")),
        &[Errno::EXIST],
    ),
    (
        "symlink-in-nothing",
        |ctx| rustix::fs::symlink("x", ctx.a("nothing/new")),
        &[Errno::NOENT],
    ),
    (
        "readlink-of-a-file",
        |ctx| rustix::fs::readlink(ctx.a("file"), vec![]).map(drop),
        &[Errno::INVAL],
    ),
    (
        "truncate-a-directory",
        |ctx| files::open(ctx.a("full"), rustix::fs::OFlags::WRONLY).map(drop),
        &[Errno::ISDIR],
    ),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = REFUSED
        .into_iter()
        .map(|(name, act, errors)| {
            Row::new(format!("refused/{name}"), move |ctx| {
                refused(ctx, act, errors)
            })
        })
        .collect();
    rows.push(Row::new(
        "refused/mkdir-over-a-dangling-symlink",
        mkdir_over_symlink,
    ));
    rows.push(Row::new("removed/by-the-other-client", removed_by_other));
    rows.push(Row::new(
        "removed/link-counts-of-directories",
        directory_links,
    ));
    rows.push(Row::new("statfs/says-something-true", statfs));
    rows.push(Row::new("access/as-root", access));
    rows
}

fn mkdir(ctx: &Ctx, name: &str) -> Result<(), Errno> {
    rustix::fs::mkdir(ctx.a(name), files::mode(0o755))
}

/// Nothing changes when it is refused.
fn refused(ctx: &Ctx, act: Act, errors: &[Errno]) -> Result<()> {
    ctx.put(Who::This, "file", b"file")?;
    ctx.mkdir(Who::This, "full")?;
    ctx.put(Who::This, "full/inside", b"inside")?;
    fails("the call", act(ctx), errors)?;
    same(
        "names",
        files::list(&ctx.second)?,
        vec![b"file".to_vec(), b"full".to_vec()],
    )?;
    same(
        "names inside",
        files::list(&ctx.b("full"))?,
        vec![b"inside".to_vec()],
    )?;
    same(
        "content",
        std::fs::read(ctx.b("file")).context("read")?,
        b"file".to_vec(),
    )
}

fn mkdir_over_symlink(ctx: &Ctx) -> Result<()> {
    rustix::fs::symlink("nowhere", ctx.a("pointer")).context("symlink")?;
    fails("mkdir", mkdir(ctx, "pointer"), &[Errno::EXIST])?;
    same(
        "names",
        files::list(&ctx.second)?,
        vec![b"pointer".to_vec()],
    )
}

fn removed_by_other(ctx: &Ctx) -> Result<()> {
    for who in [Who::Other, Who::Host] {
        ctx.put(Who::This, "file", b"x")?;
        ctx.mkdir(Who::This, "directory")?;
        ctx.unlink(who, "file")?;
        ctx.rmdir(who, "directory")?;
        for name in ["file", "directory"] {
            fails(
                "stat",
                rustix::fs::stat(ctx.a(name)).map(|stat| stat.st_ino),
                &[Errno::NOENT],
            )?;
        }
        fails(
            "unlink again",
            rustix::fs::unlink(ctx.a("file")),
            &[Errno::NOENT],
        )?;
        same("names", files::list(&ctx.first)?, vec![])?;
    }
    Ok(())
}

/// 2 for an empty one and one more for each directory in it, or 1 always (btrfs).
fn directory_links(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "top")?;
    let count = || {
        rustix::fs::stat(ctx.b("top"))
            .context("stat")
            .map(|stat| stat.st_nlink)
    };
    let empty = count()?;
    for number in 0..3 {
        ctx.mkdir(Who::This, &format!("top/d{number}"))?;
    }
    same("links with three", count()?, if empty == 1 { 1 } else { 5 })?;
    ctx.rmdir(Who::This, "top/d0")?;
    same("links with two", count()?, if empty == 1 { 1 } else { 4 })
}

fn statfs(ctx: &Ctx) -> Result<()> {
    let (here, there) = (
        rustix::fs::statfs(&ctx.mount),
        rustix::fs::statfs(ctx.b("")),
    );
    let (here, there) = (here.context("statfs")?, there.context("statfs")?);
    same("total by both clients", here.f_blocks, there.f_blocks)?;
    same("name length", here.f_namelen, 255)?;
    let sane = here.f_blocks > 0 && here.f_bfree <= here.f_blocks && here.f_bavail <= here.f_bfree;
    crate::expect::holds(
        "free is not more than there is",
        sane && here.f_bsize >= 512,
    )
}

fn access(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"")?;
    rustix::fs::access(ctx.a("file"), Access::READ_OK | Access::WRITE_OK)
        .context("read and write")?;
    fails(
        "execute",
        rustix::fs::access(ctx.a("file"), Access::EXEC_OK),
        &[Errno::ACCESS],
    )?;
    rustix::fs::chmod(ctx.a("file"), files::mode(0o100)).context("chmod")?;
    rustix::fs::access(ctx.a("file"), Access::EXEC_OK).context("execute")?;
    fails(
        "missing",
        rustix::fs::access(ctx.a("no"), Access::EXISTS),
        &[Errno::NOENT],
    )
}
