//! Rename: over what, into what, and what it refuses.

use anyhow::Context;
use anyhow::Result;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("rename/to-itself", to_itself),
        Row::new("rename/to-a-hard-link-of-itself", to_own_link),
        Row::new("rename/keeps-the-inode", keeps_inode),
        Row::new("rename/file-over-file", file_over_file),
        Row::new("rename/file-over-directory", |ctx| {
            refused(ctx, "file", "empty", &[Errno::ISDIR])
        }),
        Row::new("rename/directory-over-file", |ctx| {
            refused(ctx, "empty", "file", &[Errno::NOTDIR])
        }),
        Row::new("rename/over-non-empty-directory", |ctx| {
            refused(ctx, "empty", "full", NOT_EMPTY)
        }),
        Row::new("rename/into-own-child", |ctx| {
            refused(ctx, "full", "full/sub/child", &[Errno::INVAL])
        }),
        Row::new("rename/over-own-parent", |ctx| {
            refused(ctx, "full/sub", "full", NOT_EMPTY)
        }),
        Row::new("rename/missing", |ctx| {
            refused(ctx, "nothing", "other", &[Errno::NOENT])
        }),
        Row::new("rename/into-missing-directory", |ctx| {
            refused(ctx, "file", "no/file", &[Errno::NOENT])
        }),
        Row::new("rename/below-a-file", |ctx| {
            refused(ctx, "empty", "file/x", &[Errno::NOTDIR])
        }),
        Row::new("rename/dot", |ctx| {
            refused(ctx, "empty/.", "other", &[Errno::BUSY, Errno::INVAL])
        }),
        Row::new("rename/dot-dot", |ctx| {
            refused(ctx, "full/..", "other", &[Errno::BUSY, Errno::INVAL])
        }),
        Row::new("rename/file-with-slash", |ctx| {
            refused(ctx, "file", "other/", &[Errno::NOTDIR])
        }),
        Row::new("rename/directory-over-empty", directory_over_empty),
        Row::new("rename/symlink-itself", symlink_itself),
        Row::new(
            "rename/between-directories-by-both-clients",
            between_directories,
        ),
        Row::new("rename/many-in-a-cycle", cycle),
        Row::new("rename/parent-link-counts", link_counts),
    ]
}

const NOT_EMPTY: &[Errno] = &[Errno::NOTEMPTY, Errno::EXIST];

fn plant(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"file")?;
    for directory in ["empty", "full", "full/sub"] {
        ctx.mkdir(Who::This, directory)?;
    }
    ctx.put(Who::This, "full/inside", b"inside")
}

/// Nothing changes when it is refused.
fn refused(ctx: &Ctx, from: &str, to: &str, errors: &[Errno]) -> Result<()> {
    plant(ctx)?;
    fails("rename", rustix::fs::rename(ctx.a(from), ctx.a(to)), errors)?;
    let names = ["empty", "file", "full"]
        .map(|name| name.as_bytes().to_vec())
        .to_vec();
    same("names", files::list(&ctx.second)?, names)?;
    same(
        "names in full",
        files::list(&ctx.b("full"))?,
        vec![b"inside".to_vec(), b"sub".to_vec()],
    )?;
    same("names in empty", files::list(&ctx.b("empty"))?, vec![])?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        b"file",
    )
}

fn to_itself(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    for name in ["file", "full"] {
        rustix::fs::rename(ctx.a(name), ctx.a(name)).context("rename")?;
    }
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        b"file",
    )?;
    same("names in full", files::list(&ctx.b("full"))?.len(), 2)
}

/// POSIX: both names stay.
fn to_own_link(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    rustix::fs::link(ctx.a("file"), ctx.a("link")).context("link")?;
    rustix::fs::rename(ctx.a("file"), ctx.a("link")).context("rename")?;
    same("names", files::list(&ctx.second)?.len(), 4)?;
    same(
        "links",
        rustix::fs::stat(ctx.b("link")).context("stat")?.st_nlink,
        2,
    )
}

fn keeps_inode(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    for (from, to) in [
        ("file", "empty/moved"),
        ("full", "empty/full"),
        ("empty/full/inside", "file"),
    ] {
        let before = rustix::fs::stat(ctx.a(from)).context("stat")?;
        ctx.rename(Who::This, from, to)?;
        let after = rustix::fs::stat(ctx.b(to)).context("stat by the new name")?;
        let of = |stat: &rustix::fs::Stat| (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime);
        same("inode, mode, size and time", of(&after), of(&before))?;
    }
    Ok(())
}

fn file_over_file(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    let ino = rustix::fs::stat(ctx.a("file")).context("stat")?.st_ino;
    ctx.rename(Who::This, "file", "full/inside")?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("full/inside")).context("read")?,
        b"file",
    )?;
    same(
        "inode",
        rustix::fs::stat(ctx.b("full/inside"))
            .context("stat")?
            .st_ino,
        ino,
    )?;
    fails(
        "the old name",
        rustix::fs::stat(ctx.b("file")).map(|stat| stat.st_ino),
        &[Errno::NOENT],
    )
}

fn directory_over_empty(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    ctx.rename(Who::This, "full", "empty")?;
    same(
        "names",
        files::list(&ctx.second)?,
        vec![b"empty".to_vec(), b"file".to_vec()],
    )?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("empty/inside")).context("read")?,
        b"inside",
    )
}

fn symlink_itself(ctx: &Ctx) -> Result<()> {
    plant(ctx)?;
    rustix::fs::symlink("full", ctx.a("pointer")).context("symlink")?;
    ctx.rename(Who::This, "pointer", "empty/pointer")?;
    same(
        "type",
        rustix::fs::lstat(ctx.b("empty/pointer"))
            .context("lstat")?
            .st_mode
            & 0o170_000,
        0o120_000,
    )?;
    same("names in full", files::list(&ctx.b("full"))?.len(), 2)
}

fn between_directories(ctx: &Ctx) -> Result<()> {
    for directory in ["one", "two"] {
        ctx.mkdir(Who::This, directory)?;
    }
    for number in 0..20 {
        ctx.put(
            Who::This,
            &format!("one/f{number}"),
            number.to_string().as_bytes(),
        )?;
    }
    for number in 0..20 {
        let who = if number % 2 == 0 {
            Who::This
        } else {
            Who::Other
        };
        ctx.rename(who, &format!("one/f{number}"), &format!("two/g{number}"))?;
    }
    same("names in one", files::list(&ctx.b("one"))?, vec![])?;
    same("names in two", files::list(&ctx.a("two"))?.len(), 20)?;
    for number in 0..20 {
        let content = std::fs::read(ctx.b(format!("two/g{number}"))).context("read")?;
        same_bytes("content", &content, number.to_string().as_bytes())?;
    }
    Ok(())
}

fn cycle(ctx: &Ctx) -> Result<()> {
    for name in ["a", "b", "c"] {
        ctx.put(Who::This, name, name.as_bytes())?;
    }
    for _ in 0..9 {
        for (from, to) in [("a", "t"), ("b", "a"), ("c", "b"), ("t", "c")] {
            ctx.rename(Who::This, from, to)?;
        }
    }
    for name in ["a", "b", "c"] {
        same_bytes(
            "content",
            &std::fs::read(ctx.b(name)).context("read")?,
            name.as_bytes(),
        )?;
    }
    Ok(())
}

/// Moving a directory moves its `..` with it. File systems that count (ext4) show it.
fn link_counts(ctx: &Ctx) -> Result<()> {
    for directory in ["one", "two", "one/sub"] {
        ctx.mkdir(Who::This, directory)?;
    }
    let count = |name: &str| {
        rustix::fs::stat(ctx.b(name))
            .context("stat")
            .map(|stat| stat.st_nlink)
    };
    let before = (count("one")?, count("two")?);
    ctx.rename(Who::This, "one/sub", "two/sub")?;
    let expected = if before.0 == before.1 {
        before
    } else {
        (before.1, before.0)
    };
    same("link counts", (count("one")?, count("two")?), expected)
}
