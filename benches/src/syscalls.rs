//! How many system calls a server makes: perf counts them in a pass of its own, for counting is not free.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use rustix::process::Pid;
use rustix::process::Signal;

const EVENT: &str = "raw_syscalls:sys_enter";
const ATTACH_LIMIT: Duration = Duration::from_secs(10);

/// System calls of process `pid` for each of the operations that `pass` says it did. `beside` is a directory for perf's report.
pub fn count(pid: u32, beside: &Path, pass: impl FnOnce() -> Result<u64>) -> Result<f64> {
    let report = beside.join("perf");
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", EVENT, "-p", &pid.to_string(), "-o"]);
    perf.arg(&report).stdin(Stdio::null()).stdout(Stdio::null());
    let mut perf = perf.spawn().context("cannot start perf")?;
    let done = attached(&mut perf, pid).and_then(|()| pass());
    let ended = end(&mut perf);
    let done = done?;
    ended?;
    let calls = parse(&fs::read_to_string(&report)?)?;
    ensure!(done > 0, "nothing was done");
    Ok(calls as f64 / done as f64)
}

/// Waits until perf has a counter for each thread, and has had the time to let them count.
fn attached(perf: &mut Child, pid: u32) -> Result<()> {
    let deadline = Instant::now() + ATTACH_LIMIT;
    while counters(perf.id()) < fs::read_dir(format!("/proc/{pid}/task"))?.count() {
        if let Some(status) = perf.try_wait()? {
            bail!("perf ended: {status}");
        }
        ensure!(Instant::now() < deadline, "perf does not attach");
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(50));
    Ok(())
}

fn counters(perf: u32) -> usize {
    let Ok(links) = fs::read_dir(format!("/proc/{perf}/fd")) else {
        return 0;
    };
    let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().contains("perf_event"))
        .count()
}

fn end(perf: &mut Child) -> Result<()> {
    let pid = i32::try_from(perf.id()).ok().and_then(Pid::from_raw);
    rustix::process::kill_process(pid.context("a child has an id")?, Signal::INT)?;
    perf.wait()?;
    Ok(())
}

fn parse(report: &str) -> Result<u64> {
    let line = report.lines().find(|line| line.contains(EVENT));
    let count = line.and_then(|line| line.split(',').next());
    let count = count.context("perf counted nothing")?;
    count.parse().with_context(|| format!("perf says {count}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_report() {
        let report = "# started on Mon\n\n6041,,raw_syscalls:sys_enter,1000,100.00,,\n";
        assert_eq!(parse(report).unwrap(), 6041);
    }

    #[test]
    fn no_count_is_an_error() {
        assert!(parse("<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n").is_err());
        assert!(parse("").is_err());
    }
}
