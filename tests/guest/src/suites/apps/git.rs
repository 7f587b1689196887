//! git: many small files, renames over existing ones, hard links, read-only objects, lock files.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::ctx::Ctx;
use crate::expect::same;
use crate::files;
use crate::row::Row;
use crate::suites::apps::needs;
use crate::suites::apps::sh;

/// Configured by one file of ours, because only a file reaches the git that a clone starts: the
/// repository's owner may be somebody else.
const GIT: &str = "git() { command git -c user.name=N -c user.email=n@example.org \
     -c init.defaultBranch=main -c advice.detachedHead=false -c gc.auto=0 -c core.pager=cat \"$@\"; }
     export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/tmp/ninefold-gitconfig GIT_TERMINAL_PROMPT=0
     printf '[safe]\\n\\tdirectory = *\\n' > \"$GIT_CONFIG_GLOBAL\"\n";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("git/init-add-commit-status", commit),
        Row::new("git/clone-fsck", clone),
        Row::new("git/gc-fsck", collect),
        Row::new("git/checkout-back-and-forth", checkout),
        Row::new("git/merge-and-rebase", merge),
        Row::new("git/by-both-clients", both_clients),
    ]
}

fn git(ctx: &Ctx, text: &str) -> Result<String> {
    sh(ctx, &format!("{GIT}{text}"))
}

/// A repository with one commit of so many small files. An emulated processor takes a minute for a
/// hundred.
fn plant(ctx: &Ctx, count: usize) -> Result<()> {
    needs(&["git"])?;
    for directory in 0..8 {
        std::fs::create_dir_all(ctx.a(format!("repo/d{directory}"))).context("mkdir")?;
    }
    for number in 0..count {
        let text = format!("line of file {number}\n").repeat(1 + number % 40);
        std::fs::write(ctx.a(name(number)), text).context("write")?;
    }
    git(
        ctx,
        "git -C repo init -q; git -C repo add -A; git -C repo commit -q -m first",
    )
    .map(drop)
}

fn name(number: usize) -> String {
    format!("repo/d{}/file{number}", number % 8)
}

fn commit(ctx: &Ctx) -> Result<()> {
    plant(ctx, 40)?;
    same(
        "status",
        git(ctx, "git -C repo status --porcelain")?.as_str(),
        "",
    )?;
    same(
        "files",
        git(ctx, "git -C repo ls-files | wc -l")?.trim(),
        "40",
    )?;
    std::fs::write(ctx.a(name(17)), "changed\n").context("write")?;
    std::fs::remove_file(ctx.a(name(18))).context("unlink")?;
    same(
        "status",
        git(ctx, "git -C repo status --porcelain")?.trim(),
        "M d1/file17\n D d2/file18",
    )?;
    git(ctx, "git -C repo commit -q -a -m second")?;
    same(
        "commits",
        git(ctx, "git -C repo rev-list --count HEAD")?.trim(),
        "2",
    )
}

fn clone(ctx: &Ctx) -> Result<()> {
    plant(ctx, 24)?;
    // The first links the objects, the second copies them.
    for (target, option) in [("linked", ""), ("copied", "--no-hardlinks")] {
        git(
            ctx,
            &format!(
                "git clone -q {option} \"$PWD/repo\" {target}; git -C {target} fsck --full --strict"
            ),
        )?;
        same(
            "status",
            git(ctx, &format!("git -C {target} status --porcelain"))?.as_str(),
            "",
        )?;
        for number in [0, 10, 23] {
            let there = name(number).replacen("repo", target, 1);
            let content = std::fs::read(ctx.a(there)).context("read")?;
            ensure!(
                content == std::fs::read(ctx.a(name(number))).context("read")?,
                "expected the same content"
            );
        }
    }
    Ok(())
}

fn collect(ctx: &Ctx) -> Result<()> {
    plant(ctx, 24)?;
    git(
        ctx,
        "git -C repo gc -q --prune=now; git -C repo fsck --full --strict",
    )?;
    let counts = git(ctx, "git -C repo count-objects -v")?;
    ensure!(
        counts.contains("count: 0\n") && counts.contains("packs: 1\n"),
        "expected one pack only, came {counts:?}"
    );
    std::fs::write(ctx.a("repo/new"), "new\n").context("write")?;
    git(
        ctx,
        "git -C repo add -A; git -C repo commit -q -m more; git -C repo repack -q -a -d; git -C repo fsck",
    )?;
    same(
        "status",
        git(ctx, "git -C repo status --porcelain")?.as_str(),
        "",
    )
}

fn checkout(ctx: &Ctx) -> Result<()> {
    plant(ctx, 16)?;
    git(
        ctx,
        "cd repo; git checkout -q -b other
         for f in d3/*; do echo changed >> $f; done; git mv d4 moved; git rm -q -r d5; ln -s d0/file0 pointer
         git add -A; git commit -q -m other",
    )?;
    for _ in 0..2 {
        git(ctx, "cd repo; git checkout -q main")?;
        ensure!(
            ctx.a("repo/d5").is_dir() && !ctx.a("repo/moved").exists(),
            "expected the tree of main"
        );
        git(ctx, "cd repo; git checkout -q other")?;
        ensure!(
            !ctx.a("repo/d5").exists() && ctx.a("repo/moved").is_dir(),
            "expected the tree of the branch"
        );
        same(
            "status",
            git(ctx, "git -C repo status --porcelain")?.as_str(),
            "",
        )?;
    }
    git(
        ctx,
        "cd repo; echo x > d3/file3; git stash -q; git stash pop -q; git reset -q --hard; git clean -qfdx",
    )?;
    same(
        "status in the end",
        git(ctx, "git -C repo status --porcelain")?.as_str(),
        "",
    )
}

fn merge(ctx: &Ctx) -> Result<()> {
    plant(ctx, 8)?;
    git(
        ctx,
        "cd repo; git checkout -q -b one; echo one > one; git add -A; git commit -q -m one
         git checkout -q -b two main; echo two > two; git add -A; git commit -q -m two
         git checkout -q -b three main; echo three > three; git add -A; git commit -q -m three
         git rebase -q one; git checkout -q two; git merge -q --no-edit three",
    )?;
    same(
        "names",
        git(ctx, "cd repo; ls one two three")?
            .split_whitespace()
            .count(),
        3,
    )?;
    git(ctx, "git -C repo fsck --full --strict").map(drop)
}

/// One works, then the other: each sees the other's work.
fn both_clients(ctx: &Ctx) -> Result<()> {
    plant(ctx, 8)?;
    let second = ctx.b("repo");
    let there = second.to_str().context("path")?;
    git(
        ctx,
        &format!(
            "cd '{there}'; git status --porcelain; echo x > by-other; git add -A; git commit -q -m other"
        ),
    )?;
    same(
        "commits",
        git(ctx, "git -C repo rev-list --count HEAD")?.trim(),
        "2",
    )?;
    same(
        "names",
        files::list(&ctx.a("repo"))?.contains(&b"by-other".to_vec()),
        true,
    )?;
    same(
        "status",
        git(ctx, "git -C repo status --porcelain")?.as_str(),
        "",
    )?;
    git(ctx, "git -C repo fsck --full").map(drop)
}
