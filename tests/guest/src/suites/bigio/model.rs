//! Many random acts through both clients, against the same acts on bytes in memory.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

const SIZE_MAX: usize = 200_000;
const ACTS: usize = 250;

pub(super) fn rows() -> Vec<Row> {
    (1..=6)
        .map(|seed| Row::new(format!("random/seed-{seed}"), move |ctx| play(ctx, seed)).within(180))
        .collect()
}

/// A small generator: rows must be the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit
    }
}

fn play(ctx: &Ctx, seed: u64) -> Result<()> {
    let first = files::open(ctx.a("file"), OFlags::RDWR | OFlags::CREATE).context("create")?;
    let fds = [
        first,
        files::open(ctx.b("file"), OFlags::RDWR).context("open")?,
    ];
    let mut dice = Dice(seed);
    let mut model = Vec::new();
    for number in 0..ACTS {
        let fd = &fds[dice.below(2)];
        act(&mut dice, fd, &mut model).with_context(|| format!("act {number}"))?;
    }
    for fd in &fds {
        same_bytes("content in the end", &files::read_fd(fd)?, &model)?;
    }
    same_bytes(
        "content on the host",
        &ctx.host.read(&ctx.h("file"))?,
        &model,
    )
}

fn act(dice: &mut Dice, fd: &OwnedFd, model: &mut Vec<u8>) -> Result<()> {
    match dice.below(10) {
        0 => {
            let size = dice.below(SIZE_MAX);
            rustix::fs::ftruncate(fd, size as u64).context("ftruncate")?;
            model.resize(size, 0);
            same(
                "size",
                usize::try_from(rustix::fs::fstat(fd).context("fstat")?.st_size)?,
                size,
            )
        }
        1..=4 => {
            let (at, length) = (dice.below(SIZE_MAX), 1 + dice.below(20_000));
            let data = files::pattern(at as u64, length);
            files::write_at(fd, &data, at as u64)?;
            if model.len() < at + length {
                model.resize(at + length, 0);
            }
            model[at..at + length].copy_from_slice(&data);
            Ok(())
        }
        _ => {
            let at = dice.below(model.len() + 1);
            let length = dice.below(30_000).min(model.len() - at);
            same_bytes(
                "what was read",
                &files::read_at(fd, length, at as u64)?,
                &model[at..at + length],
            )
        }
    }
}
