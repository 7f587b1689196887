//! A chain of directories, each held open by the one that is in it.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::row::Row;
use crate::suites::fids::crowd;

/// Deeper than a path may be long.
const LEVELS: usize = 800;
const NAME: &str = "level";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![Row::new("deep/every-level-open", every_level)];
    for who in Who::ALL {
        let name = format!("deep/moved-by-{}", who.word());
        rows.push(Row::new(name, move |ctx| moved(ctx, who)));
    }
    rows
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

fn plant(ctx: &Ctx) -> Result<Vec<OwnedFd>> {
    crowd::allow(LEVELS)?;
    ctx.mkdir(Who::This, "top")?;
    let mut fds = vec![files::open(ctx.a("top"), DIRECTORY).context("open")?];
    for level in 1..LEVELS {
        let above = &fds[level - 1];
        rustix::fs::mkdirat(above, NAME, files::mode(0o755))
            .with_context(|| format!("mkdir of level {level}"))?;
        let below = rustix::fs::openat(above, NAME, DIRECTORY, Mode::empty());
        fds.push(below.with_context(|| format!("open of level {level}"))?);
    }
    Ok(fds)
}

/// Makes a file in some of the levels, and finds what is there.
fn use_them(fds: &[OwnedFd]) -> Result<()> {
    for (level, fd) in fds.iter().enumerate().step_by(7) {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(fd, "file", flags, files::mode(0o644));
        let file = file.with_context(|| format!("create in level {level}"))?;
        let text = format!("level {level}");
        files::write_at(&file, text.as_bytes(), 0)?;
        same_bytes("content", &files::read_fd(&file)?, text.as_bytes())?;
        let mut expected = vec![b"file".to_vec()];
        if level + 1 < fds.len() {
            expected.push(NAME.into());
        }
        same("names", files::list_fd(fd).context("list")?, expected)?;
    }
    Ok(())
}

fn every_level(ctx: &Ctx) -> Result<()> {
    use_them(&plant(ctx)?)
}

/// The top gets another name and something else its old one.
fn moved(ctx: &Ctx, who: Who) -> Result<()> {
    if who == Who::Host && ctx.open_files_max.is_some() && ctx.unprivileged {
        return skip("an unprivileged server that may open few files knows files by their names");
    }
    let fds = plant(ctx)?;
    ctx.rename(who, "top", "moved")?;
    ctx.mkdir(who, "top")?;
    use_them(&fds)?;
    same("names in the new one", files::list(&ctx.b("top"))?, vec![])?;
    let found = files::list(&ctx.b("moved"))?;
    same(
        "names in the old one",
        found,
        vec![b"file".to_vec(), NAME.into()],
    )
}
