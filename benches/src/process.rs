//! What the kernel tells about a process: processor time, memory, descriptors; and on which processor one may run.

use std::fs;
use std::io;

use anyhow::Context;
use anyhow::Result;
use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use rustix::thread::CpuSet;

/// Processor time that all living threads of a process have used, nanoseconds.
///
/// Right while they sleep; a thread that runs is behind by a tick at most.
pub fn cpu_nanos(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = match fs::read_to_string(task?.path().join("schedstat")) {
            Ok(text) => text,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        let first = text.split(' ').next().context("schedstat is empty")?;
        sum += first.parse::<u64>()?;
    }
    Ok(sum)
}

/// What the host of a virtual machine has taken from all its processors so far, hundredths of a second; 0 where that is
/// not known.
pub fn stolen() -> Result<u64> {
    let all = fs::read_to_string("/proc/stat")?;
    let stolen = all.split_whitespace().nth(8);
    Ok(stolen.map_or(Ok(0), str::parse)?)
}

/// Whether a thread ended between being listed and being looked at.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// The most memory that a process has had, KiB.
pub fn memory_peak_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmHWM:")
}

/// The memory that a process has, KiB.
pub fn memory_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmRSS:")
}

fn status_kib(pid: u32, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let line = line.with_context(|| format!("no {key} in its status"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Open descriptors of a process.
pub fn descriptors(pid: u32) -> Result<u64> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64)
}

/// As many descriptors as the host allows, for this process and the servers that it starts: all of a row's connections
/// to all servers are open at the same time.
pub fn raise_descriptor_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Keeps this thread, and what it starts, to one processor until dropped.
pub struct Pin(CpuSet);

impl Pin {
    /// To the processor that everything of a pinned row runs on.
    pub fn new() -> Result<Self> {
        let before = rustix::thread::sched_getaffinity(None)?;
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu));
        let mut one = CpuSet::new();
        one.set(first.context("no processor to run on")?);
        rustix::thread::sched_setaffinity(None, &one)?;
        Ok(Self(before))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // What was allowed before is allowed still.
        let _ = rustix::thread::sched_setaffinity(None, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads that end while they are counted are no error.
    #[test]
    fn threads_may_end_meanwhile() {
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = std::thread::spawn(|| ()).join();
                }
            });
            let looked = (0..2000).try_for_each(|_| cpu_nanos(std::process::id()).map(drop));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            looked.expect("processor time");
        });
    }
}
