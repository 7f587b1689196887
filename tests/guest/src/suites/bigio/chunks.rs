//! The same bytes, whatever the sizes of the pieces they are written and read in.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

/// Around pages, around usual message sizes, and far above any.
const SIZES: [usize; 17] = [
    1, 7, 511, 512, 4_095, 4_096, 4_097, 8_168, 8_193, 65_511, 65_512, 65_536, 131_048, 131_073,
    512_000, 1_048_577, 3_145_728,
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = SIZES
        .into_iter()
        .map(|size| {
            Row::new(format!("chunk/{size}-bytes"), move |ctx| chunk(ctx, size)).within(120)
        })
        .collect();
    rows.push(Row::new("chunk/vectors", vectors));
    rows.push(Row::new("chunk/sequential-8-mib", sequential).within(180));
    rows.push(Row::new("chunk/copy-within-the-export", copy).within(120));
    rows.push(Row::new("chunk/unaligned-buffers", unaligned));
    rows.push(Row::new("chunk/host-wrote-it", host_wrote));
    rows
}

/// Three pieces and some, or 2000 bytes at least, from an odd offset on.
fn chunk(ctx: &Ctx, size: usize) -> Result<()> {
    let data = files::pattern(
        size as u64,
        if size < 500 { 2_001 } else { 3 * size + 77 }.min(4_000_000),
    );
    let fd = files::open(ctx.a("file"), OFlags::RDWR | OFlags::CREATE).context("create")?;
    for (number, piece) in data.chunks(size).enumerate() {
        files::write_at(&fd, piece, (13 + number * size) as u64)?;
    }
    let whole = [&[0; 13], &data[..]].concat();
    let other = files::open(ctx.b("file"), OFlags::RDONLY).context("open")?;
    let mut came = Vec::new();
    while came.len() < whole.len() {
        let length = size.min(whole.len() - came.len());
        came.extend(files::read_at(&other, length, came.len() as u64)?);
    }
    same_bytes("by the other client", &came, &whole)?;
    same(
        "checksum on the host",
        ctx.host.checksum(&ctx.h("file"))?,
        files::crc32(&whole),
    )
}

fn vectors(ctx: &Ctx) -> Result<()> {
    use std::io::IoSlice;
    use std::io::IoSliceMut;
    let data = files::pattern(5, 30_000);
    let fd = files::open(ctx.a("file"), OFlags::RDWR | OFlags::CREATE).context("create")?;
    let out: Vec<IoSlice<'_>> = data.chunks(999).map(IoSlice::new).collect();
    same(
        "writev",
        rustix::io::pwritev(&fd, &out, 0).context("pwritev")?,
        30_000,
    )?;
    let mut buffers = vec![vec![0; 1_234]; 25];
    let mut into: Vec<IoSliceMut<'_>> = buffers
        .iter_mut()
        .map(|buffer| IoSliceMut::new(buffer))
        .collect();
    same(
        "readv",
        rustix::io::preadv(&fd, &mut into, 0).context("preadv")?,
        30_000,
    )?;
    same_bytes("content", &buffers.concat()[..30_000], &data)
}

fn sequential(ctx: &Ctx) -> Result<()> {
    let data = files::pattern(6, 8 << 20);
    ctx.put(Who::This, "file", &data)?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        &data,
    )?;
    same(
        "checksum on the host",
        ctx.host.checksum(&ctx.h("file"))?,
        files::crc32(&data),
    )
}

/// `copy_file_range` first, which falls back in the guest.
fn copy(ctx: &Ctx) -> Result<()> {
    let data = files::pattern(7, 2_500_001);
    ctx.put(Who::This, "file", &data)?;
    same(
        "copied",
        std::fs::copy(ctx.a("file"), ctx.a("copy")).context("copy")?,
        2_500_001,
    )?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("copy")).context("read")?,
        &data,
    )
}

fn unaligned(ctx: &Ctx) -> Result<()> {
    let data = files::pattern(8, 20_000);
    let fd = files::open(ctx.a("file"), OFlags::RDWR | OFlags::CREATE).context("create")?;
    for skew in [1, 3, 17, 4_095] {
        files::write_at(&fd, &data[skew..skew + 9_000], 0)?;
        let mut buffer = vec![0; 9_000 + skew];
        let length = rustix::io::pread(&fd, &mut buffer[skew..], 0).context("pread")?;
        same_bytes(
            "content",
            &buffer[skew..skew + length],
            &data[skew..skew + 9_000],
        )?;
    }
    Ok(())
}

fn host_wrote(ctx: &Ctx) -> Result<()> {
    let data = files::pattern(9, 300_001);
    ctx.host.write(&ctx.h("file"), &data)?;
    same_bytes(
        "content",
        &std::fs::read(ctx.a("file")).context("read")?,
        &data,
    )?;
    same_bytes(
        "by the other client",
        &std::fs::read(ctx.b("file")).context("read")?,
        &data,
    )
}
