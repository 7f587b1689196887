//! Directories of any size.

use std::collections::HashSet;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::files;
use crate::row::Row;
use crate::suites::readdir::raw;

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = [1_usize, 2, 100, 1_000, 5_000]
        .into_iter()
        .map(|count| {
            Row::new(format!("size/{count}-entries"), move |ctx| {
                listed_once(ctx, count, 32 * 1024)
            })
        })
        .collect();
    rows.push(
        Row::new("size/50000-entries", |ctx| {
            listed_once(ctx, 50_000, 32 * 1024)
        })
        .within(300),
    );
    rows.push(Row::new("size/small-buffer", |ctx| {
        listed_once(ctx, 2_000, 64)
    }));
    rows.push(Row::new("size/large-buffer", |ctx| listed_once(ctx, 20_000, 4 << 20)).within(120));
    rows.push(Row::new("size/made-by-this-client", made_here).within(180));
    rows.push(Row::new("size/remove-tree", remove_tree).within(300));
    rows.push(Row::new("size/by-both-clients-at-once", both_at_once).within(180));
    rows
}

fn check(entries: &[raw::Entry], count: usize) -> Result<()> {
    let entries = raw::by_name(entries)?;
    let missing = (0..count).find(|number| !entries.contains_key(format!("f{number}").as_bytes()));
    ensure!(
        missing.is_none(),
        "expected f{} among {count}, came {} without it",
        missing.unwrap_or(0),
        entries.len()
    );
    same("entries", entries.len(), count)?;
    let numbers: HashSet<u64> = entries.values().map(|entry| entry.ino).collect();
    same("different inode numbers", numbers.len(), count)
}

fn listed_once(ctx: &Ctx, count: usize, buffer: usize) -> Result<()> {
    ctx.mkdir(Who::This, "many")?;
    ctx.host.make_many(&ctx.h("many"), count)?;
    check(&raw::list(&ctx.a("many"), buffer)?, count)
}

fn made_here(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "many")?;
    for number in 0..400 {
        ctx.put(
            if number % 2 == 0 {
                Who::This
            } else {
                Who::Other
            },
            &format!("many/f{number}"),
            b"",
        )?;
    }
    check(&raw::list(&ctx.a("many"), 4096)?, 400)?;
    check(&raw::list(&ctx.b("many"), 4096)?, 400)
}

/// `rm -rf` in the guest, of what the host made.
fn remove_tree(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "tree")?;
    for number in 0..4 {
        ctx.mkdir(Who::This, &format!("tree/d{number}"))?;
        ctx.host.make_many(&ctx.h(format!("tree/d{number}")), 150)?;
    }
    let status = std::process::Command::new("rm")
        .arg("-rf")
        .arg(ctx.a("tree"))
        .status()
        .context("rm")?;
    same("exit of rm -rf", status.code(), Some(0))?;
    same("names left", files::list(&ctx.second)?, vec![])
}

fn both_at_once(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "many")?;
    ctx.host.make_many(&ctx.h("many"), 3_000)?;
    let threads: Vec<_> = [ctx.a("many"), ctx.b("many"), ctx.a("many"), ctx.b("many")]
        .into_iter()
        .map(|path| std::thread::spawn(move || raw::list(&path, 4096)))
        .collect();
    for thread in threads {
        check(&thread.join().ok().context("thread")??, 3_000)?;
    }
    Ok(())
}
