//! What processes of the host have cost so far.
//!
//! Only those whose numbers stand in a directory that the agent was started with: a guest may not ask after others.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use rustix::io::Errno;

use crate::sys;
use crate::talk::Reply;

/// How QEMU calls the threads that are a guest's processors.
const PROCESSOR: &str = "CPU ";

/// A directory of files, each named as a process and holding its number.
#[derive(Clone)]
pub(super) struct Processes(pub(super) Option<PathBuf>);

impl Processes {
    /// For each process its name, its nanoseconds and those of them that were a guest's processors, all of them words.
    pub(super) fn cputimes(&self) -> Reply {
        let directory = self.0.as_ref().ok_or(Errno::NOSYS)?;
        all(directory).map(String::into_bytes).map_err(|error| {
            eprintln!("ninefold-host-agent: {error:#}");
            Errno::SRCH
        })
    }
}

fn all(directory: &Path) -> Result<String> {
    let mut words = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path())?;
        let process: i32 = text.trim().parse().with_context(|| name.clone())?;
        // Threads that have ended are in the first number only, so that it is asked for and not added up.
        let total = sys::process_cputime(process).with_context(|| name.clone())?;
        words.push(format!("{name} {total} {}", processors(process)?));
    }
    Ok(words.join(" "))
}

fn processors(process: i32) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        // One that has ended meanwhile is no processor: those last as long as the guest.
        let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
        if name.starts_with(PROCESSOR) {
            let text = fs::read_to_string(thread.join("schedstat"))?;
            let first = text.split_whitespace().next();
            sum += first.context("schedstat")?.parse::<u64>()?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_grows_and_others_are_not_there() {
        let directory = std::env::temp_dir().join(format!("cputime-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("me"), std::process::id().to_string()).unwrap();
        let processes = Processes(Some(directory.clone()));
        let total = || {
            let text = String::from_utf8(processes.cputimes().unwrap()).unwrap();
            let words: Vec<_> = text.split(' ').collect();
            assert_eq!((words.len(), words[0]), (3, "me"));
            words[1].parse::<u64>().unwrap()
        };
        let first = total();
        while total() == first {}
        fs::remove_dir_all(directory).unwrap();
        assert_eq!(Processes(None).cputimes(), Err(Errno::NOSYS));
    }
}
