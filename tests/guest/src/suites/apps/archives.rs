//! tar, rsync, cp and cpio-like copies of a tree with something of everything.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::expect::same;
use crate::row::Row;
use crate::suites::apps::needs;
use crate::suites::apps::sh;
use crate::suites::apps::tree;
use crate::suites::apps::tree::With;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("tar/round-trip", |ctx| tar(ctx, "", With::Plain)),
        Row::new("tar/round-trip-with-xattrs-and-acls", |ctx| {
            tar(
                ctx,
                "--xattrs --xattrs-include='*' --acls",
                With::Attributes,
            )
        }),
        Row::new("tar/compressed-through-a-pipe", tar_pipe),
        Row::new("tar/over-an-existing-tree", tar_over),
        Row::new("rsync/copy-and-copy-nothing", rsync),
        Row::new("rsync/back-again-with-changes", rsync_back),
        Row::new("rsync/delete-and-in-place", rsync_delete),
        Row::new("cp/archive", cp),
        Row::new("cp/links-only", cp_links),
        Row::new("cp/by-the-other-client", cp_other),
    ]
}

fn copied(ctx: &Ctx, with: With) -> Result<()> {
    tree::same(ctx, &ctx.a("src"), &ctx.a("dst"), with)?;
    tree::same(ctx, &ctx.a("src"), &ctx.b("dst"), with)
}

fn tar(ctx: &Ctx, options: &str, with: With) -> Result<()> {
    needs(&["tar"])?;
    tree::plant(ctx, "src")?;
    sh(ctx, &format!("tar {options} -C src -cf archive.tar ."))?;
    sh(
        ctx,
        &format!("mkdir dst; tar {options} --numeric-owner -C dst -xpf archive.tar"),
    )?;
    copied(ctx, with)
}

fn tar_pipe(ctx: &Ctx) -> Result<()> {
    needs(&["tar", "gzip"])?;
    tree::plant(ctx, "src")?;
    sh(
        ctx,
        "mkdir dst; tar -C src -czf - . | tar --numeric-owner -C dst -xpzf -",
    )?;
    copied(ctx, With::Plain)
}

/// tar unlinks first what it replaces.
fn tar_over(ctx: &Ctx) -> Result<()> {
    needs(&["tar"])?;
    tree::plant(ctx, "src")?;
    sh(
        ctx,
        "mkdir dst; tar -C src -cf archive.tar .; for i in 1 2; do tar --numeric-owner -C dst -xpf archive.tar; done",
    )?;
    copied(ctx, With::Plain)
}

/// What rsync would still do, one line each.
const STILL: &str = "rsync -aHAX --modify-window=1 -i --dry-run";
const RSYNC: &str = "rsync -aHAX --modify-window=1 --numeric-ids";

fn rsync(ctx: &Ctx) -> Result<()> {
    needs(&["rsync"])?;
    tree::plant(ctx, "src")?;
    sh(ctx, &format!("{RSYNC} src/ dst/"))?;
    copied(ctx, With::Attributes)?;
    let again = sh(
        ctx,
        &format!(
            "{RSYNC} -i --stats src/ dst/ | grep -E '^(>|<|c|h|\\*|\\.[fdLDS])|files transferred'"
        ),
    )?;
    // An unprivileged `none` server forgets owners, and rsync tries to give them again.
    if ctx.keeps_owners() {
        same(
            "the second run",
            again.trim(),
            "Number of regular files transferred: 0",
        )?;
    }
    Ok(())
}

fn rsync_back(ctx: &Ctx) -> Result<()> {
    needs(&["rsync"])?;
    tree::plant(ctx, "src")?;
    sh(
        ctx,
        &format!(
            "{RSYNC} src/ dst/; echo more >> dst/small; mv dst/dir/inside dst/moved; rm dst/pointer; mkdir dst/new"
        ),
    )?;
    // Far from now, or rsync's window would let the time at which it makes a directory pass for the original's.
    sh(ctx, "touch -d @1600000000 dst/small dst/new dst/dir dst")?;
    sh(ctx, &format!("{RSYNC} --delete dst/ src/"))?;
    copied(ctx, With::Attributes)?;
    if ctx.keeps_owners() {
        same(
            "what is still to do",
            sh(ctx, &format!("{STILL} --delete dst/ src/"))?.as_str(),
            "",
        )?;
    }
    Ok(())
}

fn rsync_delete(ctx: &Ctx) -> Result<()> {
    needs(&["rsync"])?;
    tree::plant(ctx, "src")?;
    sh(
        ctx,
        "mkdir -p dst/old/deep; echo x > dst/old/deep/file; head -c 400000 /dev/zero > dst/small",
    )?;
    sh(
        ctx,
        &format!("{RSYNC} --delete --inplace --no-whole-file src/ dst/"),
    )?;
    copied(ctx, With::Attributes)
}

fn cp(ctx: &Ctx) -> Result<()> {
    tree::plant(ctx, "src")?;
    sh(ctx, "cp -a src dst")?;
    copied(ctx, With::Attributes)
}

fn cp_links(ctx: &Ctx) -> Result<()> {
    tree::plant(ctx, "src")?;
    sh(
        ctx,
        "cp -al src dst; test src/empty -ef dst/empty; rm -r src",
    )?;
    tree::plant(ctx, "src")?;
    // The remaining names have the contents; times and links of the new ones differ.
    sh(
        ctx,
        "for f in small dir/inside dir/deeper/large; do cmp src/$f dst/$f; done",
    )
    .map(drop)
}

fn cp_other(ctx: &Ctx) -> Result<()> {
    tree::plant(ctx, "src")?;
    let there = ctx.second.display();
    sh(ctx, &format!("cp -a '{there}/src' '{there}/dst'"))?;
    copied(ctx, With::Attributes)
}
