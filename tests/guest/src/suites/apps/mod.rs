//! Real programs at work on the mount, which the harness makes with `cache=mmap` for them.

mod archives;
mod git;
mod maps;
mod packages;
mod sqlite;
mod tools;
mod tree;

use std::path::Path;
use std::process::Command;
use std::process::Output;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::ctx::Ctx;
use crate::expect::skip;
use crate::row::Row;

/// Programs are slow in an emulated guest.
const LIMIT: u64 = 600;

pub(crate) fn rows() -> Vec<Row> {
    [
        git::rows(),
        sqlite::rows(),
        archives::rows(),
        packages::rows(),
        tools::rows(),
        maps::rows(),
    ]
    .into_iter()
    .flatten()
    .map(|row| row.within(LIMIT))
    .collect()
}

/// Skips the row where a program is not installed.
fn needs(programs: &[&str]) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in programs {
        let mut directories = std::env::split_paths(&path);
        if !directories.any(|directory| directory.join(program).exists()) {
            return skip(&format!("{program} is not installed here"));
        }
    }
    Ok(())
}

/// A shell script that stops at the first failure, begun in a directory.
fn script(directory: &Path, text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-euc", text]).current_dir(directory);
    // Programs look for a home, a language and an editor; they get the same ones everywhere.
    command
        .env("HOME", directory)
        .env("LC_ALL", "C.UTF-8")
        .env("EDITOR", "true");
    command
}

/// Runs a script in the row's directory; what it printed. Its complaints go into the reason.
fn sh(ctx: &Ctx, text: &str) -> Result<String> {
    let output = script(&ctx.first, text).output().context("run sh")?;
    check(text, &output)
}

fn check(what: &str, output: &Output) -> Result<String> {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: expected success, came {}: {}",
        what.trim(),
        output.status,
        tail(&format!("{printed}\n{complaint}"))
    );
    Ok(printed)
}

/// The end of an output, where the cause usually is.
fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(900);
    let start = (start..text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(text.len());
    &text[start..]
}
