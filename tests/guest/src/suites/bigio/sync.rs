//! Flags about caches and durability: accepted, and the bytes are right.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;
use crate::sys;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("sync/fsync-and-fdatasync", fsync),
        Row::new("sync/read-only-descriptor", read_only),
        Row::new("sync/directory", directory),
        Row::new("sync/o-sync", |ctx| written_with(ctx, OFlags::SYNC)),
        Row::new("sync/o-dsync", |ctx| written_with(ctx, OFlags::DSYNC)),
        Row::new("sync/o-nonblock", |ctx| written_with(ctx, OFlags::NONBLOCK)),
        Row::new("sync/o-direct", direct),
        Row::new("sync/whole-file-system", whole),
        Row::new("map/private-sees-what-was-written", map_private),
        Row::new("map/shared-and-writable", map_shared),
    ]
}

fn create(ctx: &Ctx, flags: OFlags) -> Result<OwnedFd> {
    files::open(ctx.a("file"), OFlags::RDWR | OFlags::CREATE | flags).context("create")
}

fn fsync(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx, OFlags::empty())?;
    for turn in 0..5 {
        files::write_at(&fd, &files::pattern(turn, 3_000), turn * 3_000)?;
        rustix::fs::fsync(&fd).context("fsync")?;
        rustix::fs::fdatasync(&fd).context("fdatasync")?;
    }
    let expected: Vec<u8> = (0..5)
        .flat_map(|turn| files::pattern(turn, 3_000))
        .collect();
    same_bytes("content", &ctx.host.read(&ctx.h("file"))?, &expected)
}

fn read_only(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    let fd = files::open(ctx.a("file"), OFlags::RDONLY).context("open")?;
    rustix::fs::fsync(&fd).context("fsync")?;
    rustix::fs::fdatasync(&fd).context("fdatasync")
}

/// What every careful rename does.
fn directory(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "new", b"content")?;
    ctx.rename(Who::This, "new", "file")?;
    let fd = files::open(&ctx.first, OFlags::RDONLY | OFlags::DIRECTORY).context("open")?;
    rustix::fs::fsync(&fd).context("fsync of a directory")
}

fn written_with(ctx: &Ctx, flags: OFlags) -> Result<()> {
    let fd = create(ctx, flags)?;
    let data = files::pattern(3, 40_000);
    files::write_at(&fd, &data, 0)?;
    same_bytes("content", &files::read_fd(&fd)?, &data)?;
    same(
        "checksum on the host",
        ctx.host.checksum(&ctx.h("file"))?,
        files::crc32(&data),
    )
}

/// Whole pages from a whole page, as O_DIRECT wants it on the host.
fn direct(ctx: &Ctx) -> Result<()> {
    const PAGE: usize = 4096;
    let fd = create(ctx, OFlags::DIRECT)?;
    let mut buffer = vec![0; 5 * PAGE];
    let skew = buffer.as_ptr().align_offset(PAGE);
    let data = files::pattern(4, 4 * PAGE);
    buffer[skew..skew + 4 * PAGE].copy_from_slice(&data);
    same(
        "written",
        rustix::io::pwrite(&fd, &buffer[skew..skew + 4 * PAGE], 0).context("pwrite")?,
        4 * PAGE,
    )?;
    buffer.fill(0);
    let came = rustix::io::pread(&fd, &mut buffer[skew..skew + 4 * PAGE], 0).context("pread")?;
    same_bytes("content", &buffer[skew..skew + came], &data)?;
    same_bytes(
        "by the other client",
        &std::fs::read(ctx.b("file")).context("read")?,
        &data,
    )
}

fn whole(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx, OFlags::empty())?;
    files::write_at(&fd, b"x", 0)?;
    rustix::fs::syncfs(&fd).context("syncfs")
}

fn map_private(ctx: &Ctx) -> Result<()> {
    let data = files::pattern(5, 100_000);
    ctx.put(Who::Other, "file", &data)?;
    let fd = files::open(ctx.a("file"), OFlags::RDONLY).context("open")?;
    same_bytes(
        "mapped",
        &sys::read_mapped(&fd, data.len()).context("mmap")?,
        &data,
    )
}

fn map_shared(ctx: &Ctx) -> Result<()> {
    ctx.not_on_9p("the 9p client refuses writable shared mappings with cache=none")?;
    let fd = create(ctx, OFlags::empty())?;
    files::write_at(&fd, &[b'.'; 10_000], 0)?;
    sys::write_mapped(&fd, 5_000, b"mapped").context("mmap")?;
    same_bytes("content", &files::read_at(&fd, 8, 4_999)?, b".mapped.")?;
    let reader = files::open(ctx.a("file"), OFlags::RDONLY).context("open")?;
    fails(
        "of a read-only file",
        sys::write_mapped(reader, 0, b"x"),
        &[Errno::ACCESS],
    )
}
