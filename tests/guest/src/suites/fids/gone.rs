//! Open files whose names have gone, among many that have theirs.

use anyhow::Context;
use anyhow::Result;

use crate::cli::Model;
use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::skip;
use crate::row::Row;
use crate::suites::fids::crowd;
use crate::suites::fids::crowd::Crowd;

/// What a server that may open 256 files can keep of those that have no name any more; fewer where a metadata
/// file belongs to each.
fn few(ctx: &Ctx) -> usize {
    if ctx.model == Model::MappedFile {
        20
    } else {
        50
    }
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        Row::new("gone/unlinked", |ctx| unlinked(ctx, Who::This)),
        Row::new("gone/unlinked-by-other-client", |ctx| {
            unlinked(ctx, Who::Other)
        }),
        Row::new("gone/unlinked-by-host", |ctx| {
            if ctx.open_files_max.is_some() {
                return skip(
                    "a server that may open few files cannot hold what the host unlinks behind its back",
                );
            }
            unlinked(ctx, Who::Host)
        }),
        Row::new("gone/unlinked-before-the-others-came", unlinked_first),
    ];
    for who in Who::ALL {
        let name = format!("gone/moved-by-{}", who.word());
        rows.push(Row::new(name, move |ctx| moved(ctx, who)));
        let name = format!("gone/directory-moved-by-{}", who.word());
        rows.push(Row::new(name, move |ctx| directory_moved(ctx, who)));
    }
    rows
}

/// All of them where there is room, else so few that a server can keep them.
fn unlinked(ctx: &Ctx, who: Who) -> Result<()> {
    let count = crowd::size(ctx, 3_000, 1_500);
    let gone = crowd::size(ctx, 3_000, few(ctx));
    let crowd = Crowd::make(ctx, count)?;
    for number in 0..gone {
        ctx.unlink(who, &crowd::name(number * (count / gone)))?;
    }
    for number in 0..gone {
        let fd = &crowd.fds[number * (count / gone)];
        let links = rustix::fs::fstat(fd).context("fstat")?.st_nlink;
        same("link count", links, 0)?;
    }
    crowd.check()
}

/// What is opened later must not push them out.
fn unlinked_first(ctx: &Ctx) -> Result<()> {
    let few = few(ctx);
    let mut crowd = Crowd::make(ctx, few)?;
    (0..few).try_for_each(|number| ctx.unlink(Who::This, &crowd::name(number)))?;
    crowd.join(ctx, 1_400)?;
    crowd.check()
}

/// The host's moves are found out only by a server that has kept a handle of the file.
fn needs_handles(ctx: &Ctx, who: Who) -> Result<()> {
    if who == Who::Host && ctx.open_files_max.is_some() && ctx.unprivileged {
        return skip("an unprivileged server that may open few files knows files by their names");
    }
    Ok(())
}

fn moved(ctx: &Ctx, who: Who) -> Result<()> {
    needs_handles(ctx, who)?;
    let count = crowd::size(ctx, 2_000, 1_000);
    let crowd = Crowd::make(ctx, count)?;
    ctx.mkdir(who, "elsewhere")?;
    for number in (0..count).step_by(5) {
        ctx.rename(who, &crowd::name(number), &format!("elsewhere/{number}"))?;
    }
    crowd.check()
}

fn directory_moved(ctx: &Ctx, who: Who) -> Result<()> {
    needs_handles(ctx, who)?;
    let crowd = Crowd::make(ctx, crowd::size(ctx, 2_000, 1_000))?;
    ctx.mkdir(who, "elsewhere")?;
    ctx.rename(who, "d0", "elsewhere/away")?;
    ctx.mkdir(who, "d0")?;
    crowd.check()
}
