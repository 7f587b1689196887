//! Listings while the directory changes: what is there all the time is listed once.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::holds;
use crate::expect::same;
use crate::files;
use crate::row::Row;
use crate::suites::readdir::raw;
use crate::suites::readdir::raw::Entry;

/// How many files a row begins with, and how much longer than necessary their names are. Where the
/// host does the work, which it does quickly, they fill more than the largest message there is.
fn extent(who: Who) -> (usize, usize) {
    if who == Who::Host {
        (5_000, 200)
    } else {
        (600, 0)
    }
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for who in Who::ALL {
        let mut add = |name: &str, run: fn(&Ctx, Who) -> Result<()>| {
            rows.push(
                Row::new(format!("meanwhile/{}/{name}", who.word()), move |ctx| {
                    run(ctx, who)
                })
                .within(180),
            );
        };
        add("delete-what-was-listed", delete_listed);
        add("delete-every-other", delete_every_other);
        add("create", create);
        add("rename-within", rename);
    }
    rows.push(Row::new("meanwhile/remove-all-in-one-listing", remove_all).within(180));
    rows
}

fn stage(ctx: &Ctx, who: Who) -> Result<OwnedFd> {
    let (count, padding) = extent(who);
    ctx.mkdir(Who::This, "many")?;
    ctx.host.make_many_long(&ctx.h("many"), count, padding)?;
    files::open(ctx.a("many"), OFlags::RDONLY | OFlags::DIRECTORY).context("open")
}

/// The path of one of the first files.
fn path(who: Who, number: usize) -> String {
    format!("many/f{number}{}", "-".repeat(extent(who).1))
}

/// The number in a name of the first ones.
fn number(entry: &Entry) -> Option<usize> {
    let name = std::str::from_utf8(entry.name.strip_prefix(b"f")?).ok()?;
    name.trim_end_matches('-').parse().ok()
}

fn delete_listed(ctx: &Ctx, who: Who) -> Result<()> {
    let fd = stage(ctx, who)?;
    let count = extent(who).0;
    let entries = raw::list_from(&fd, 1024, &mut |entry| match number(entry) {
        Some(number) => ctx.unlink(who, &path(who, number)),
        None => Ok(()),
    })?;
    same("entries", raw::by_name(&entries)?.len(), count)?;
    same("names left", files::list(&ctx.b("many"))?, vec![])
}

/// Of those still to come.
fn delete_every_other(ctx: &Ctx, who: Who) -> Result<()> {
    let fd = stage(ctx, who)?;
    let count = extent(who).0;
    let mut first = true;
    let entries = raw::list_from(&fd, 1024, &mut |_| {
        if std::mem::take(&mut first) {
            for number in (0..count).step_by(2) {
                ctx.unlink(who, &path(who, number))?;
            }
        }
        Ok(())
    })?;
    let listed: HashSet<usize> = raw::by_name(&entries)?
        .values()
        .filter_map(number)
        .collect();
    let missed = (1..count)
        .step_by(2)
        .find(|number| !listed.contains(number));
    same("kept but not listed", missed, None)?;
    same("names left", files::list(&ctx.b("many"))?.len(), count / 2)
}

fn create(ctx: &Ctx, who: Who) -> Result<()> {
    let fd = stage(ctx, who)?;
    let count = extent(who).0;
    let mut made = 0;
    let entries = raw::list_from(&fd, 1024, &mut |_| {
        made += 1;
        if made <= 300 {
            ctx.put(who, &format!("many/new{made}"), b"")
        } else {
            Ok(())
        }
    })?;
    let listed: HashSet<usize> = raw::by_name(&entries)?
        .values()
        .filter_map(number)
        .collect();
    same("the first ones listed", listed.len(), count)?;
    same(
        "names in the end",
        files::list(&ctx.b("many"))?.len(),
        count + 300,
    )
}

/// The renamed ones may be listed under either name; the others are not disturbed.
fn rename(ctx: &Ctx, who: Who) -> Result<()> {
    let fd = stage(ctx, who)?;
    let count = extent(who).0;
    let mut renamed = 0;
    let entries = raw::list_from(&fd, 1024, &mut |_| {
        if renamed >= 200 {
            return Ok(());
        }
        renamed += 1;
        ctx.rename(
            who,
            &path(who, count - renamed),
            &format!("many/other{renamed}"),
        )
    })?;
    let listed: HashSet<usize> = raw::by_name(&entries)?
        .values()
        .filter_map(number)
        .collect();
    let missed = (0..count - 200).find(|number| !listed.contains(number));
    same("left alone but not listed", missed, None)?;
    holds(
        "each renamed one has a name",
        files::list(&ctx.b("many"))?.len() == count,
    )
}

/// Files and directories, removed as they come: a second listing finds nothing.
fn remove_all(ctx: &Ctx) -> Result<()> {
    let fd = stage(ctx, Who::This)?;
    for number in 0..50 {
        ctx.mkdir(Who::Host, &format!("many/d{number}"))?;
    }
    let path = ctx.a("many");
    raw::list_from(&fd, 4096, &mut |entry| {
        let path = files::join(&path, &entry.name);
        match entry.name.first() {
            Some(b'f') => rustix::fs::unlink(path).context("unlink"),
            Some(b'd') => rustix::fs::rmdir(path).context("rmdir"),
            _ => Ok(()),
        }
    })?;
    same("names left", files::list(&ctx.b("many"))?, vec![])?;
    rustix::fs::rmdir(ctx.b("many")).context("rmdir in the end")
}
