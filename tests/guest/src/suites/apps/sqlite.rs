//! sqlite3: byte-range locks, fsync, truncation, and with WAL a shared mapping.

use std::fmt::Write as _;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;

use crate::ctx::Ctx;
use crate::expect::holds;
use crate::expect::same;
use crate::expect::skip;
use crate::row::Row;
use crate::suites::apps::check;
use crate::suites::apps::needs;
use crate::suites::apps::script;
use crate::suites::apps::sh;

/// Transactions of each writer.
const EACH: usize = 10;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for mode in ["delete", "wal"] {
        rows.push(Row::new(format!("sqlite/{mode}/one-writer"), move |ctx| {
            one(ctx, mode)
        }));
        rows.push(Row::new(format!("sqlite/{mode}/two-writers"), move |ctx| {
            two(ctx, mode, false)
        }));
        rows.push(Row::new(
            format!("sqlite/{mode}/killed-writer"),
            move |ctx| killed(ctx, mode),
        ));
    }
    rows.push(Row::new(
        "sqlite/delete/two-writers-on-two-clients",
        |ctx| two(ctx, "delete", true),
    ));
    rows.push(Row::new("sqlite/delete/other-client-reads", other_reads));
    rows.push(Row::new("sqlite/delete/vacuum", vacuum));
    rows.push(Row::new(
        "sqlite/wal/checkpoint-empties-the-log",
        checkpoint,
    ));
    rows
}

fn plant(ctx: &Ctx, mode: &str) -> Result<()> {
    needs(&["sqlite3"])?;
    let text = format!(
        "PRAGMA journal_mode={mode}; CREATE TABLE t(who TEXT, number INTEGER, filler BLOB);"
    );
    same(
        "journal mode",
        sh(ctx, &format!("sqlite3 db '{text}'"))?.trim(),
        mode,
    )
}

/// A shell loop of inserts, each a transaction of its own, in one sqlite3.
fn writer(directory: &Path, who: &str, times: usize) -> Result<Child> {
    let statement =
        format!("INSERT INTO t VALUES(\"{who}\", $i, randomblob(500));").replace('"', "'");
    let text = format!(
        "i=0; {{ echo .bail on; echo .timeout 120000
         while [ $i -lt {times} ]; do echo \"{statement}\"; i=$((i+1)); done; }} | sqlite3 db"
    );
    let mut command = script(directory, &text);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("start a writer")
}

fn finish(writer: Child) -> Result<()> {
    check("a writer", &writer.wait_with_output()?).map(drop)
}

fn ask(ctx: &Ctx, question: &str) -> Result<String> {
    Ok(sh(
        ctx,
        &format!("sqlite3 -cmd '.timeout 120000' db \"{question}\""),
    )?
    .trim()
    .to_owned())
}

fn whole(ctx: &Ctx) -> Result<()> {
    same(
        "integrity",
        ask(ctx, "PRAGMA integrity_check")?.as_str(),
        "ok",
    )
}

fn one(ctx: &Ctx, mode: &str) -> Result<()> {
    plant(ctx, mode)?;
    finish(writer(&ctx.first, "one", EACH)?)?;
    same(
        "rows",
        ask(ctx, "SELECT count(*) FROM t")?,
        EACH.to_string(),
    )?;
    whole(ctx)
}

fn two(ctx: &Ctx, mode: &str, on_two_clients: bool) -> Result<()> {
    if on_two_clients && keeps_pages()? {
        return skip(
            "with cache=mmap Linux 6.4 and newer read an open file from their own pages, whatever another client has written: that takes cache=none",
        );
    }
    plant(ctx, mode)?;
    let place = if on_two_clients {
        &ctx.second
    } else {
        &ctx.first
    };
    let writers = [
        writer(&ctx.first, "one", EACH)?,
        writer(place, "two", EACH)?,
    ];
    writers.into_iter().try_for_each(finish)?;
    let counts = ask(
        ctx,
        "SELECT who, count(DISTINCT number) FROM t GROUP BY who ORDER BY who",
    )?;
    same("rows", counts, format!("one|{EACH}\ntwo|{EACH}"))?;
    whole(ctx)
}

/// Whether the client keeps pages of open files under `cache=mmap`. Source:
/// Documentation/filesystems/9p.rst, where the mode includes caching of files since Linux 6.4.
fn keeps_pages() -> Result<bool> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("osrelease")?;
    let mut numbers = release
        .split('.')
        .map_while(|word| word.parse::<u32>().ok());
    Ok((numbers.next(), numbers.next()) >= (Some(6), Some(4)))
}

/// A sqlite3 in the middle of a transaction that has reached the file already, its cache being tiny.
fn half_done(ctx: &Ctx) -> Result<Child> {
    let mut sqlite = Command::new("sqlite3");
    let sqlite = sqlite
        .arg("db")
        .current_dir(&ctx.first)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut sqlite = sqlite.spawn().context("run sqlite3")?;
    let mut text = String::from("PRAGMA cache_size=10;\nBEGIN IMMEDIATE;\n");
    for number in 0..200 {
        writeln!(
            text,
            "INSERT INTO t VALUES('dead', {number}, randomblob(2000));"
        )?;
    }
    text.push_str(".print written\n");
    let mut pipe = sqlite.stdin.take().context("pipe")?;
    std::io::Write::write_all(&mut pipe, text.as_bytes()).context("tell sqlite3")?;
    let mut line = String::new();
    let mut answers = BufReader::new(sqlite.stdout.take().context("pipe")?);
    answers.read_line(&mut line)?;
    same("what the writer says", line.trim(), "written")?;
    sqlite.stdin = Some(pipe);
    Ok(sqlite)
}

/// What a dead writer began is rolled back by the next one, and its locks are gone.
fn killed(ctx: &Ctx, mode: &str) -> Result<()> {
    plant(ctx, mode)?;
    finish(writer(&ctx.first, "before", 3)?)?;
    let mut dying = half_done(ctx)?;
    let locked = script(
        &ctx.first,
        "sqlite3 db \"INSERT INTO t VALUES('x', 1, '')\"",
    )
    .output()
    .context("run sh")?;
    holds("nobody else writes meanwhile", !locked.status.success())?;
    dying.kill().context("kill the writer")?;
    dying.wait().context("wait for the writer")?;
    finish(writer(&ctx.first, "alive", 5)?)?;
    same(
        "rows",
        ask(ctx, "SELECT who, count(*) FROM t GROUP BY who")?.as_str(),
        "alive|5\nbefore|3",
    )?;
    whole(ctx)
}

fn other_reads(ctx: &Ctx) -> Result<()> {
    plant(ctx, "delete")?;
    for turn in 1..=5 {
        finish(writer(&ctx.first, "one", 4)?)?;
        let output = script(
            &ctx.second,
            "sqlite3 db 'SELECT count(*) FROM t; PRAGMA integrity_check'",
        )
        .output();
        let said = check("the other client's query", &output.context("run sh")?)?;
        same(
            "what the other client sees",
            said,
            format!("{}\nok\n", turn * 4),
        )?;
    }
    Ok(())
}

fn vacuum(ctx: &Ctx) -> Result<()> {
    plant(ctx, "delete")?;
    finish(writer(&ctx.first, "one", EACH)?)?;
    let before = std::fs::metadata(ctx.a("db")).context("stat")?.len();
    ask(ctx, "DELETE FROM t WHERE number > 5; VACUUM;")?;
    let after = std::fs::metadata(ctx.a("db")).context("stat")?.len();
    holds(
        &format!("the file shrinks, it went from {before} to {after}"),
        after < before,
    )?;
    same(
        "size on the host",
        ctx.host.stat(&ctx.h("db"))?.context("host: stat")?.size,
        after,
    )?;
    whole(ctx)
}

fn checkpoint(ctx: &Ctx) -> Result<()> {
    plant(ctx, "wal")?;
    finish(writer(&ctx.first, "one", EACH)?)?;
    let said = ask(
        ctx,
        "INSERT INTO t VALUES('x', 1, ''); PRAGMA wal_checkpoint(TRUNCATE);",
    )?;
    same("checkpoint", said.as_str(), "0|0|0")?;
    same(
        "rows",
        ask(ctx, "SELECT count(*) FROM t")?,
        (EACH + 1).to_string(),
    )?;
    whole(ctx)
}
