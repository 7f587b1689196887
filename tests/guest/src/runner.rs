//! Runs rows, each in a process and a process group of its own, so that a row that hangs or dies is a
//! failure with a name and nothing else.

use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::MemfdFlags;
use rustix::process::Pid;
use rustix::process::Signal;

use crate::cli::Options;
use crate::ctx::Ctx;
use crate::host::Host;
use crate::row::Row;
use crate::row::Verdict;

/// How long a killed row may take to die before it is left behind.
const DYING: Duration = Duration::from_secs(10);

/// Runs the chosen rows and prints the report.
pub(crate) fn run_all(options: &Options, rows: &[Row]) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let only = options.only.as_deref().unwrap_or("");
    for (number, row) in rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.name.contains(only))
    {
        let directory = format!("{}-{number}-{}", options.name, std::process::id());
        let verdict = run_apart(options, row, &directory)
            .unwrap_or_else(|error| Verdict::NotOk(format!("the row could not be run: {error:#}")));
        sweep(options, &directory);
        match verdict {
            Verdict::Ok => passed += 1,
            Verdict::NotOk(_) => failed += 1,
            Verdict::Skip(_) => skipped += 1,
        }
        say(&verdict.line(&row.name));
    }
    say(&format!(
        "{passed} passed, {failed} failed, {skipped} skipped"
    ));
    ExitCode::from(u8::from(failed > 0 || passed == 0))
}

/// Runs one row in this process. The verdict goes to standard output, which is the runner's.
pub(crate) fn run_here(options: &Options, rows: &[Row], name: &str, directory: &str) -> ExitCode {
    let Some(row) = rows.iter().find(|row| row.name == name) else {
        return ExitCode::from(2);
    };
    let result = Ctx::open(options, directory).and_then(|ctx| (row.run)(&ctx));
    say(&Verdict::of(&result).encode());
    ExitCode::SUCCESS
}

/// A report line leaves at once: whoever reads it may be waiting for a guest that is about to hang.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn run_apart(options: &Options, row: &Row, directory: &str) -> Result<Verdict> {
    // Files rather than pipes: a grandchild that keeps one open must not keep the runner waiting.
    let mut verdict = memory_file()?;
    let mut noise = memory_file()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(["--run-row", &row.name, directory])
        .stdin(Stdio::null())
        .stdout(verdict.try_clone()?)
        .stderr(noise.try_clone()?)
        .process_group(0)
        .spawn()
        .with_context(|| format!("start row {} of suite {}", row.name, options.name))?;
    let status = wait(&mut child, row.limit);
    kill_group(&child);
    let Some(status) = status else {
        let left = wait(&mut child, DYING).map_or(", and could not be killed", |_| "");
        return Ok(Verdict::NotOk(format!(
            "expected an end within {} s, came none{left}: {}",
            row.limit.as_secs(),
            text(&mut noise)?
        )));
    };
    let verdict = Verdict::decode(&text(&mut verdict)?);
    Ok(match verdict {
        // `say` ends a line of its own; a reason never ends in white space.
        Some(verdict) => verdict,
        None => Verdict::NotOk(format!("{}: {}", ending(status), text(&mut noise)?)),
    })
}

fn ending(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("the row died of signal {signal}"),
        None => format!("the row ended with {status} and no verdict"),
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if start.elapsed() >= limit => return None,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Ends what the row left running, and the row itself if it still is.
fn kill_group(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

fn memory_file() -> Result<File> {
    let fd = rustix::fs::memfd_create("row", MemfdFlags::CLOEXEC).context("memfd_create")?;
    Ok(File::from(fd))
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The host clears up, because it is much faster than the guest. Failing to is no failure of the row.
fn sweep(options: &Options, directory: &str) {
    let host = Host::new(options.agent.as_deref().unwrap_or(""));
    let _ = host.remove_tree(directory.as_bytes());
}
