//! Writable shared mappings, which the 9p client has with `cache=mmap`.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;
use crate::sys;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("map/write-is-in-the-file", write),
        Row::new("map/write-is-on-the-host", on_the_host),
        Row::new("map/unlinked", |ctx| {
            without_name(ctx, |ctx| ctx.unlink(Who::This, "file"))
        }),
        Row::new("map/unlinked-by-host", |ctx| {
            without_name(ctx, |ctx| ctx.unlink(Who::Host, "file"))
        }),
        Row::new("map/replaced", replaced),
    ]
}

static CONTENT: [u8; 20_000] = [b'.'; 20_000];

fn stage(ctx: &Ctx) -> Result<std::os::fd::OwnedFd> {
    ctx.put(Who::This, "file", &CONTENT)?;
    files::open(ctx.a("file"), OFlags::RDWR).context("open")
}

/// The content after `mapped` was written across a page boundary.
fn expected() -> Vec<u8> {
    let mut content = CONTENT.to_vec();
    content[8_190..8_196].copy_from_slice(b"mapped");
    content
}

fn write(ctx: &Ctx) -> Result<()> {
    let fd = stage(ctx)?;
    sys::write_mapped(&fd, 8_190, b"mapped").context("mmap")?;
    same_bytes("content", &files::read_fd(&fd)?, &expected())
}

fn on_the_host(ctx: &Ctx) -> Result<()> {
    let fd = stage(ctx)?;
    sys::write_mapped(&fd, 8_190, b"mapped").context("mmap")?;
    rustix::fs::fsync(&fd).context("fsync")?;
    drop(fd);
    same_bytes(
        "content on the host",
        &ctx.host.read(&ctx.h("file"))?,
        &expected(),
    )?;
    same_bytes(
        "by the other client",
        &std::fs::read(ctx.b("file")).context("read")?,
        &expected(),
    )
}

fn without_name(ctx: &Ctx, misfortune: fn(&Ctx) -> Result<()>) -> Result<()> {
    let fd = stage(ctx)?;
    misfortune(ctx)?;
    sys::write_mapped(&fd, 8_190, b"mapped").context("mmap")?;
    rustix::fs::fsync(&fd).context("fsync")?;
    same_bytes("content", &files::read_fd(&fd)?, &expected())
}

fn replaced(ctx: &Ctx) -> Result<()> {
    let fd = stage(ctx)?;
    ctx.put(Who::Host, "new", &[b'n'; 20_000])?;
    ctx.rename(Who::Host, "new", "file")?;
    sys::write_mapped(&fd, 8_190, b"mapped").context("mmap")?;
    rustix::fs::fsync(&fd).context("fsync")?;
    same_bytes("the old file", &files::read_fd(&fd)?, &expected())?;
    same_bytes(
        "the new file",
        &ctx.host.read(&ctx.h("file"))?,
        &[b'n'; 20_000],
    )
}
