//! The guest's root drive: a small Debian in an ext4 file, made without mounting anything.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::cache;
use super::packages;
use crate::places;
use crate::process;

/// Room for the tree; the file is sparse.
const SIZE: &str = "1G";
/// A guest needs no manuals, and only the C locale.
const LEFT_OUT: [&str; 4] = [
    "/usr/share/man/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
];
const LIMIT: Duration = Duration::from_secs(1200);

/// Finds or makes the root drive.
pub fn ready() -> Result<PathBuf> {
    let list = fs::read_to_string(places::recipe().join("packages.txt"))?;
    let packages: Vec<_> = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let recipe = ("1", &packages, SIZE, LEFT_OUT);
    let dir = cache::kept("image", &recipe, |dir| make(&packages, dir))?;
    Ok(dir.join("root.ext4"))
}

fn make(packages: &[&str], dir: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(dir)?;
    let tree = work.path().join("tree");
    install(packages, &tree)?;
    let mut format = Command::new("mke2fs");
    format.args(["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d"]);
    format.arg(&tree).arg(dir.join("root.ext4")).arg(SIZE);
    process::run("mke2fs", &format, LIMIT)
}

fn install(packages: &[&str], tree: &Path) -> Result<()> {
    let mut install = Command::new("mmdebstrap");
    install.args(["--quiet", "--mode=root", "--variant=essential"]);
    install.arg(format!("--include={}", packages.join(",")));
    for path in LEFT_OUT {
        install.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    for setting in packages::proxy_settings()? {
        install.arg(format!("--aptopt={setting}"));
    }
    install
        .arg(packages::RELEASE)
        .arg(tree)
        .arg(packages::source_line(packages::RELEASE)?.trim_end());
    process::run("mmdebstrap", &install, LIMIT)
}
