//! Both clients and the host at once, in the same names.

use std::collections::HashSet;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::race;
use crate::race::PRIZES;
use crate::race::STOP;
use crate::row::Row;
use crate::suites::coherence::party::Party;
use crate::suites::coherence::party::together;

/// Names that each race for a prize is about.
const NAMES: usize = 60;
/// Renames there and back of each who does so.
const SHUTTLES: &str = "60";
const VERSIONS: &str = "60";
const LINES: u32 = 80;
const LINKS: u32 = 40;
const FILES: u32 = 60;
const SECONDS: u64 = 150;

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = PRIZES
        .into_iter()
        .map(|prize| {
            Row::new(format!("race/one-winner/{prize}"), move |ctx| {
                one_winner(ctx, prize)
            })
        })
        .collect();
    for who in Who::ALL {
        let name = |kind: &str| format!("race/{kind}/{}", who.word());
        rows.push(Row::new(name("name-always-there"), move |ctx| {
            always_there(ctx, who)
        }));
        rows.push(Row::new(name("replaced-as-a-whole"), move |ctx| {
            replaced(ctx, who)
        }));
        rows.push(Row::new(name("directory-on-the-move"), move |ctx| {
            on_the_move(ctx, who)
        }));
    }
    rows.push(Row::new("race/append", append));
    rows.push(Row::new("race/link-count", link_count));
    rows.into_iter().map(|row| row.within(SECONDS)).collect()
}

/// Each of the names has one winner, whoever that is.
fn one_winner(ctx: &Ctx, prize: &str) -> Result<()> {
    if prize == "symlink" && !ctx.host_sees_metadata() {
        return skip("in this model the host has no symbolic links");
    }
    let parties = Party::all(ctx)?;
    if matches!(prize, "unlink" | "rename") {
        (0..NAMES).try_for_each(|number| {
            parties[0]
                .must(&["write", &format!("n{number}"), ""])
                .map(drop)
        })?;
    } else if prize == "rmdir" {
        (0..NAMES)
            .try_for_each(|number| parties[0].must(&["mkdir", &format!("n{number}")]).map(drop))?;
    } else if prize == "link" {
        ctx.put(Who::This, "source", b"")?;
    }
    let count = NAMES.to_string();
    let jobs = parties.into_iter().map(|party| {
        let tag = if prize == "link" {
            "source"
        } else {
            party.who.word()
        };
        (party, vec!["race", "claim", prize, &count, tag])
    });
    let won = together(jobs.collect())?;
    for number in 0..NAMES {
        let winners = won
            .iter()
            .filter(|won| won.as_bytes().get(number) == Some(&b'1'));
        same(&format!("winners of n{number}"), winners.count(), 1)?;
    }
    let left = files::list(&ctx.first)?;
    same(
        "names by the other client",
        &files::list(&ctx.second)?,
        &left,
    )?;
    let expected = match prize {
        "unlink" | "rmdir" => 0,
        "link" => NAMES + 1,
        _ => NAMES,
    };
    same("names left", left.len(), expected)
}

/// Two rename one file there and back, and the third looks: it always has one of its names.
fn always_there(ctx: &Ctx, looking: Who) -> Result<()> {
    ctx.put(Who::This, "left", b"content")?;
    let (mut movers, mut witnesses) = (Vec::new(), Vec::new());
    for who in Who::ALL {
        if who != looking {
            movers.push((
                Party::of(ctx, who)?,
                vec!["race", "shuttle", "left", "right", SHUTTLES],
            ));
        }
        // Linux's client reads to the end of a directory, and a name that moves may get behind it or be met twice.
        let most = if who == Who::Host { "1" } else { "2" };
        if who == looking || who == Who::Other {
            witnesses.push((
                Party::of(ctx, who)?,
                vec!["race", "witness", "1", most, "left", "right"],
            ));
        }
    }
    let (moved, seen) = std::thread::scope(|scope| {
        let seen = scope.spawn(|| together(witnesses));
        let moved = together(movers);
        let stopped = ctx.put(Who::This, STOP, b"");
        let seen = seen.join().ok().context("a thread died");
        stopped.and(Ok((moved?, seen??)))
    })?;
    seen.iter()
        .try_for_each(|complaint| same("looks", complaint.as_str(), ""))?;
    ensure!(
        moved.iter().all(|count| count != "0"),
        "expected both to move it, came {moved:?}"
    );
    let names = files::list(&ctx.second)?;
    same("names left", names.len(), 2)?;
    let left = names
        .iter()
        .find(|name| *name != STOP.as_bytes())
        .context("the file")?;
    same_bytes(
        "content",
        &std::fs::read(ctx.a(left)).context("read")?,
        b"content",
    )
}

/// Readers see an old or a new file, whole.
fn replaced(ctx: &Ctx, writing: Who) -> Result<()> {
    let first = race::version(0);
    ctx.put(writing, "file", &first)?;
    let mut jobs = vec![(
        Party::of(ctx, writing)?,
        vec!["race", "replace", "file", VERSIONS],
    )];
    for who in Who::ALL {
        jobs.push((
            Party::of(ctx, who)?,
            vec!["race", "follow", "file", VERSIONS],
        ));
    }
    together(jobs)?
        .iter()
        .try_for_each(|complaint| same("readers", complaint.as_str(), ""))
}

/// The others fill a directory that one renames all the time; they hold it, and no file gets lost.
fn on_the_move(ctx: &Ctx, moving: Who) -> Result<()> {
    ctx.mkdir(Who::This, "here")?;
    let count = FILES.to_string();
    let mut jobs = vec![(
        Party::of(ctx, moving)?,
        vec!["race", "shuttle", "here", "there", SHUTTLES],
    )];
    let others = [Who::This, Who::Other]
        .into_iter()
        .filter(|who| *who != moving);
    for who in others.clone() {
        jobs.push((
            Party::below(ctx, who, "here")?,
            vec!["race", "fill", who.word(), &count],
        ));
    }
    together(jobs)?;
    let mut expected: Vec<Vec<u8>> = others
        .flat_map(|who| {
            (0..FILES).map(move |number| format!("{}{number}", who.word()).into_bytes())
        })
        .collect();
    expected.sort();
    same("files", &files::list(&ctx.b("here"))?, &expected)?;
    same("names beside it", files::list(&ctx.second)?.len(), 1)
}

fn append(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "log", b"")?;
    let count = LINES.to_string();
    let tags = [
        (Who::This, "a1"),
        (Who::This, "a2"),
        (Who::Other, "b1"),
        (Who::Host, "h1"),
        (Who::Host, "h2"),
    ];
    let jobs: Result<_> = tags
        .iter()
        .map(|&(who, tag)| {
            Ok((
                Party::of(ctx, who)?,
                vec!["race", "append", "log", tag, &count],
            ))
        })
        .collect();
    together(jobs?)?;
    let mut expected: HashSet<Vec<u8>> = tags
        .iter()
        .flat_map(|(_, tag)| race::lines(tag.as_bytes(), LINES))
        .collect();
    let log = std::fs::read(ctx.a("log")).context("read")?;
    for line in log.split_inclusive(|&byte| byte == b'\n') {
        let start = String::from_utf8_lossy(&line[..line.len().min(20)]);
        ensure!(
            expected.remove(line),
            "expected whole lines, each once, came {start:?}, {} bytes",
            line.len()
        );
    }
    same("lines lost", expected.len(), 0)
}

fn link_count(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"")?;
    let count = LINKS.to_string();
    let jobs = Party::all(ctx)?.into_iter().map(|party| {
        let tag = party.who.word();
        (party, vec!["race", "links", "file", tag, &count])
    });
    together(jobs.collect())?;
    let expected = 1 + 3 * LINKS / 2;
    for eye in Party::all(ctx)? {
        let came = eye.must(&["look", "links", "file"])?;
        same_bytes(eye.who.word(), &came, expected.to_string().as_bytes())?;
        same(
            "names",
            eye.must(&["list", "."])?
                .split(|&byte| byte == b' ')
                .count(),
            usize::try_from(expected)?,
        )?;
    }
    Ok(())
}
