//! Private directories that carry their owner's process id, so that what a killed run left behind is known as such.

use std::fs;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

/// A new directory `KIND-PID-XXXXXX` in `base`, removed when dropped. Those of dead processes are removed now.
pub fn directory(base: &Path, kind: &str) -> Result<TempDir> {
    fs::create_dir_all(base)?;
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .and_then(|name| owner(name, kind))
            .is_some_and(|pid| !is_alive(pid))
        {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(tempfile::Builder::new()
        .prefix(&format!("{kind}-{}-", std::process::id()))
        .tempdir_in(base)?)
}

fn owner(name: &str, kind: &str) -> Option<u32> {
    let (pid, _random) = name
        .strip_prefix(kind)?
        .strip_prefix('-')?
        .split_once('-')?;
    pid.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_only_what_the_dead_left() {
        let base = tempfile::tempdir().unwrap();
        let dead = u32::MAX;
        for name in [
            format!("run-{dead}-abc"),
            format!("other-{dead}-abc"),
            "run-mine".to_owned(),
        ] {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        let first = directory(base.path(), "run").unwrap();
        let second = directory(base.path(), "run").unwrap();
        assert!(first.path().exists() && second.path().exists());
        assert!(!base.path().join(format!("run-{dead}-abc")).exists());
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 4);
    }
}
