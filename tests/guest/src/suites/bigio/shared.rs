//! Several readers and writers of one file, on both clients and the host.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("shared/four-writers-of-ranges", four_writers).within(120),
        Row::new("shared/interleaved-blocks", interleaved).within(120),
        Row::new("shared/write-here-read-there", ping_pong),
        Row::new("shared/growth-seen-by-an-open-file", growth),
        Row::new("shared/host-append-seen-by-an-open-file", host_append),
        Row::new("shared/truncation-seen-by-an-open-file", truncation),
        Row::new("shared/many-files-at-once", many_files).within(120),
    ]
}

/// The path for a thread: even ones here, odd ones on the other client.
fn path_for(ctx: &Ctx, number: usize) -> std::path::PathBuf {
    if number % 2 == 0 {
        ctx.a("file")
    } else {
        ctx.b("file")
    }
}

/// Runs it four times at once.
fn four(run: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().ok().context("thread")?)
    })
}

fn four_writers(ctx: &Ctx) -> Result<()> {
    const LENGTH: usize = 300_001;
    ctx.put(Who::This, "file", b"")?;
    let paths: Vec<_> = (0..4).map(|number| path_for(ctx, number)).collect();
    four(|number| {
        let fd = files::open(&paths[number], OFlags::WRONLY).context("open")?;
        let data = files::pattern(number as u64, LENGTH);
        for (piece, bytes) in data.chunks(10_007).enumerate() {
            files::write_at(&fd, bytes, (number * LENGTH + piece * 10_007) as u64)?;
        }
        Ok(())
    })?;
    let expected: Vec<u8> = (0..4)
        .flat_map(|number| files::pattern(number, LENGTH))
        .collect();
    same_bytes(
        "content",
        &std::fs::read(ctx.a("file")).context("read")?,
        &expected,
    )?;
    same(
        "checksum on the host",
        ctx.host.checksum(&ctx.h("file"))?,
        files::crc32(&expected),
    )
}

/// Neighbouring blocks of 1021 bytes belong to different writers.
fn interleaved(ctx: &Ctx) -> Result<()> {
    const BLOCK: usize = 1_021;
    ctx.put(Who::This, "file", b"")?;
    let paths: Vec<_> = (0..4).map(|number| path_for(ctx, number)).collect();
    four(|number| {
        let fd = files::open(&paths[number], OFlags::WRONLY).context("open")?;
        for block in (number..200).step_by(4) {
            files::write_at(
                &fd,
                &files::pattern(block as u64, BLOCK),
                (block * BLOCK) as u64,
            )?;
        }
        Ok(())
    })?;
    let expected: Vec<u8> = (0..200)
        .flat_map(|block| files::pattern(block, BLOCK))
        .collect();
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        &expected,
    )
}

fn ping_pong(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", &[0; 64])?;
    let fds = [ctx.a("file"), ctx.b("file")].map(|path| files::open(path, OFlags::RDWR));
    let [here, there] = fds;
    let fds = [here.context("open")?, there.context("open")?];
    for turn in 0..40_usize {
        let text = format!("turn {turn:03}");
        files::write_at(&fds[turn % 2], text.as_bytes(), 5)?;
        same_bytes(
            "on the other side",
            &files::read_at(&fds[(turn + 1) % 2], 8, 5)?,
            text.as_bytes(),
        )?;
    }
    Ok(())
}

fn growth(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"")?;
    let here = files::open(ctx.a("file"), OFlags::RDONLY).context("open")?;
    let there = files::open(ctx.b("file"), OFlags::WRONLY | OFlags::APPEND).context("open")?;
    for turn in 1..=10_usize {
        rustix::io::write(&there, &[7; 1_000]).context("append")?;
        same(
            "size",
            rustix::fs::fstat(&here).context("fstat")?.st_size,
            i64::try_from(turn * 1_000)?,
        )?;
        same("readable", files::read_fd(&here)?.len(), turn * 1_000)?;
    }
    Ok(())
}

/// As `tail -f` of a log that the host writes.
fn host_append(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"first\n")?;
    let fd = files::open(ctx.a("file"), OFlags::RDONLY).context("open")?;
    let mut expected = b"first\n".to_vec();
    for line in ["second\n", "third\n"] {
        ctx.host.append(&ctx.h("file"), line.as_bytes())?;
        expected.extend_from_slice(line.as_bytes());
        same_bytes("content", &files::read_fd(&fd)?, &expected)?;
    }
    Ok(())
}

fn truncation(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", &files::pattern(1, 10_000))?;
    let fd = files::open(ctx.a("file"), OFlags::RDONLY).context("open")?;
    same("readable", files::read_fd(&fd)?.len(), 10_000)?;
    ctx.put(Who::Host, "file", b"short")?;
    same("size", rustix::fs::fstat(&fd).context("fstat")?.st_size, 5)?;
    same_bytes("content", &files::read_fd(&fd)?, b"short")
}

fn many_files(ctx: &Ctx) -> Result<()> {
    let directories = [&ctx.first, &ctx.second];
    let content = |number: usize, file: usize| files::pattern((number * 50 + file) as u64, 5_000);
    let name = |number: usize, file: usize| format!("f{number}-{file}");
    four(|number| {
        (0..50).try_for_each(|file| {
            let path = directories[number % 2].join(name(number, file));
            std::fs::write(path, content(number, file)).context("write")
        })
    })?;
    for (number, file) in (0..4).flat_map(|number| (0..50).map(move |file| (number, file))) {
        // By the client that did not write it.
        let path = directories[(number + 1) % 2].join(name(number, file));
        same_bytes(
            "content",
            &std::fs::read(path).context("read")?,
            &content(number, file),
        )?;
    }
    Ok(())
}
