//! Sparse files and offsets that do not fit 31, 32 or 40 bits.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::holds;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

const GIB: u64 = 1 << 30;

pub(super) fn rows() -> Vec<Row> {
    let boundaries = [
        ("2-gib", 2 * GIB),
        ("4-gib", 4 * GIB),
        ("8-gib", 8 * GIB),
        ("1-tib", 1024 * GIB),
        ("3-tib", 3 * 1024 * GIB),
    ];
    let mut rows: Vec<Row> = boundaries
        .into_iter()
        .map(|(name, at)| {
            Row::new(format!("offset/straddle-{name}"), move |ctx| {
                straddle(ctx, at)
            })
        })
        .collect();
    rows.extend([
        Row::new("offset/same-low-bits-stay-apart", low_bits),
        Row::new("offset/seek-beyond-and-write", seek_and_write),
        Row::new("offset/beyond-any", beyond_any),
        Row::new("hole/reads-as-zeros", zeros),
        Row::new("hole/takes-no-blocks", no_blocks),
        Row::new("hole/filled-later", filled_later),
        Row::new("size/truncate-to-5-gib-and-back", truncate_large),
        Row::new("size/truncate-up-and-down", truncate_up_down),
        Row::new("size/truncated-part-is-zero-when-grown", zero_when_grown),
        Row::new("size/seek-end", seek_end),
        Row::new("size/read-at-and-beyond-the-end", read_at_end),
        Row::new("size/empty-reads-and-writes", nothing),
        Row::new("size/unchanged-by-reading", unchanged),
    ]);
    rows
}

fn create(ctx: &Ctx) -> Result<std::os::fd::OwnedFd> {
    files::open(ctx.a("file"), OFlags::RDWR | OFlags::CREATE | OFlags::EXCL).context("create")
}

fn size_by_all(ctx: &Ctx, expected: u64) -> Result<()> {
    for path in [ctx.a("file"), ctx.b("file")] {
        same(
            "size",
            u64::try_from(rustix::fs::stat(path).context("stat")?.st_size)?,
            expected,
        )?;
    }
    same(
        "size on the host",
        ctx.host.stat(&ctx.h("file"))?.context("host: stat")?.size,
        expected,
    )
}

/// A write across the boundary, of an odd length at an odd place.
fn straddle(ctx: &Ctx, boundary: u64) -> Result<()> {
    let fd = create(ctx)?;
    let data = files::pattern(boundary, 10_001);
    let start = boundary - 4_999;
    files::write_at(&fd, &data, start)?;
    size_by_all(ctx, start + 10_001)?;
    same_bytes("read back", &files::read_at(&fd, 10_001, start)?, &data)?;
    let other = files::open(ctx.b("file"), OFlags::RDONLY).context("open")?;
    same_bytes(
        "by the other client",
        &files::read_at(&other, 10_001, start)?,
        &data,
    )?;
    same_bytes(
        "before it",
        &files::read_at(&other, 100, start - 100)?,
        &[0; 100],
    )?;
    same_bytes(
        "at the boundary",
        &files::read_at(&other, 2, boundary - 1)?,
        &data[4_998..5_000],
    )
}

/// The bytes at N, N + 4 GiB and N + 1 TiB are different ones.
fn low_bits(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    let places = [100, 100 + 2 * GIB, 100 + 4 * GIB, 100 + 1024 * GIB];
    for (number, place) in (1_u8..).zip(places) {
        files::write_at(&fd, &[number; 50], place)?;
    }
    let other = files::open(ctx.b("file"), OFlags::RDONLY).context("open")?;
    for (number, place) in (1_u8..).zip(places) {
        same_bytes(
            "content",
            &files::read_at(&other, 50, place)?,
            &[number; 50],
        )?;
    }
    Ok(())
}

fn seek_and_write(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    same(
        "position",
        rustix::fs::seek(&fd, SeekFrom::Start(5 * GIB + 3)).context("lseek")?,
        5 * GIB + 3,
    )?;
    for piece in ["one", "two"] {
        same(
            "write",
            rustix::io::write(&fd, piece.as_bytes()).context("write")?,
            3,
        )?;
    }
    size_by_all(ctx, 5 * GIB + 9)?;
    same_bytes(
        "content",
        &files::read_at(&fd, 9, 5 * GIB)?,
        b"\0\0\0onetwo",
    )
}

fn beyond_any(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    let far = u64::try_from(i64::MAX)? - 2;
    fails(
        "write",
        rustix::io::pwrite(&fd, b"12345", far),
        &[Errno::FBIG, Errno::INVAL, Errno::OVERFLOW],
    )?;
    size_by_all(ctx, 0)
}

fn zeros(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    files::write_at(&fd, b"start", 0)?;
    files::write_at(&fd, b"end", 3_000_000)?;
    let mut expected = b"start".to_vec();
    expected.resize(3_000_000, 0);
    expected.extend_from_slice(b"end");
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        &expected,
    )
}

fn no_blocks(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    files::write_at(&fd, b"x", 6 * GIB)?;
    let blocks = rustix::fs::stat(ctx.b("file")).context("stat")?.st_blocks;
    holds(
        &format!("6 GiB of hole take less than 1 MiB, they take {blocks} blocks"),
        blocks < 2048,
    )
}

fn filled_later(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    rustix::fs::ftruncate(&fd, 100_000).context("ftruncate")?;
    let mut expected = vec![0; 100_000];
    for place in (0..100_000).step_by(7_777).rev() {
        let data = files::pattern(place as u64, 1_000);
        files::write_at(&fd, &data, place as u64)?;
        let end = (place + 1_000).max(expected.len());
        expected.resize(end, 0);
        expected[place..place + 1_000].copy_from_slice(&data);
    }
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        &expected,
    )
}

fn truncate_large(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    files::write_at(&fd, b"kept", 0)?;
    rustix::fs::ftruncate(&fd, 5 * GIB).context("ftruncate")?;
    size_by_all(ctx, 5 * GIB)?;
    same_bytes("the end", &files::read_at(&fd, 10, 5 * GIB - 10)?, &[0; 10])?;
    rustix::fs::ftruncate(&fd, 4).context("ftruncate")?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        b"kept",
    )
}

fn truncate_up_down(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    let mut expected = files::pattern(1, 50_000);
    files::write_at(&fd, &expected, 0)?;
    for size in [60_000_usize, 4_096, 4_097, 12_288, 1, 0, 65_536, 65_535] {
        rustix::fs::ftruncate(&fd, size as u64).context("ftruncate")?;
        expected.resize(size, 0);
        size_by_all(ctx, size as u64)?;
        same_bytes("content", &files::read_fd(&fd)?, &expected)?;
    }
    Ok(())
}

fn zero_when_grown(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", &[0xff; 10_000])?;
    let fd = files::open(ctx.b("file"), OFlags::RDWR).context("open")?;
    rustix::fs::ftruncate(&fd, 5_001).context("ftruncate")?;
    rustix::fs::ftruncate(&fd, 9_000).context("ftruncate")?;
    let mut expected = vec![0xff; 5_001];
    expected.resize(9_000, 0);
    same_bytes(
        "content",
        &std::fs::read(ctx.a("file")).context("read")?,
        &expected,
    )
}

fn seek_end(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    for length in [10, 5_000, 70_000] {
        files::write_at(&fd, &vec![1; length], 0)?;
        same(
            "end",
            rustix::fs::seek(&fd, SeekFrom::End(0)).context("lseek")?,
            length as u64,
        )?;
    }
    same(
        "before the end",
        rustix::fs::seek(&fd, SeekFrom::End(-5)).context("lseek")?,
        69_995,
    )?;
    let mut came = [0; 10];
    same(
        "read",
        rustix::io::read(&fd, &mut came[..]).context("read")?,
        5,
    )
}

fn read_at_end(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    files::write_at(&fd, b"0123456789", 0)?;
    let mut came = [0; 8];
    for (at, expected) in [(10, 0), (11, 0), (1 << 40, 0), (9, 1), (5, 5), (2, 8)] {
        same(
            "length",
            rustix::io::pread(&fd, &mut came[..], at).context("pread")?,
            expected,
        )?;
    }
    Ok(())
}

fn nothing(ctx: &Ctx) -> Result<()> {
    let fd = create(ctx)?;
    same(
        "write",
        rustix::io::pwrite(&fd, b"", 0).context("pwrite")?,
        0,
    )?;
    same(
        "write",
        rustix::io::pwrite(&fd, b"", 1_000).context("pwrite")?,
        0,
    )?;
    same(
        "read",
        rustix::io::pread(&fd, &mut [0; 4][..], 0).context("pread")?,
        0,
    )?;
    size_by_all(ctx, 0)
}

fn unchanged(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", &files::pattern(1, 10_000))?;
    let before = rustix::fs::stat(ctx.a("file")).context("stat")?;
    for path in [ctx.a("file"), ctx.b("file")] {
        std::fs::read(path).context("read")?;
    }
    let after = rustix::fs::stat(ctx.b("file")).context("stat")?;
    same(
        "size and time",
        (after.st_size, after.st_mtime),
        (before.st_size, before.st_mtime),
    )
}
