//! A mount of the share in another dialect, for the length of a row.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use super::Dialect;
use crate::ctx::Ctx;
use crate::expect;
use crate::files;

/// The variable that holds the mount options of the suite, for 9P2000.L.
const OPTIONS: &str = "SHARE_OPTIONS";
/// The variable that holds what to mount. `%` stands for a device of one's own.
const SOURCE: &str = "SHARE_SOURCE";
/// The device that is for further mounts.
const DEVICE: &str = "mmap";

/// The row's directory, as a client of another dialect sees it. On a local file system it is the
/// directory itself.
pub(super) struct Place {
    directory: PathBuf,
    mounted: Option<PathBuf>,
    dialect: Dialect,
    is_9p: bool,
}

impl Place {
    pub(super) fn new(ctx: &Ctx, dialect: Dialect) -> Result<Self> {
        if !ctx.is_9p() {
            return Ok(Self {
                directory: ctx.first.clone(),
                mounted: None,
                dialect,
                is_9p: false,
            });
        }
        let row = ctx.first.file_name().context("the row's directory")?;
        let point = std::env::temp_dir().join(format!("dialect-{}", std::process::id()));
        std::fs::create_dir(&point).context("mkdir of the mount point")?;
        mount(&options(dialect)?, &point)?;
        Ok(Self {
            directory: point.join(row),
            mounted: Some(point),
            dialect,
            is_9p: true,
        })
    }

    /// A name in the row's directory.
    pub(super) fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        files::join(&self.directory, name)
    }

    /// Skips what Linux's client cannot say in plain 9P2000.
    pub(super) fn only_in_dotu(&self, why: &str) -> Result<()> {
        if self.is_9p && self.dialect == Dialect::Plain {
            return expect::skip(why);
        }
        Ok(())
    }

    /// Whether owners, links and special files are seen through this mount.
    pub(super) fn sees_unix(&self) -> bool {
        !self.is_9p || self.dialect == Dialect::Unix
    }

    pub(super) fn is_9p(&self) -> bool {
        self.is_9p
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(point) = &self.mounted {
            let _ = Command::new("umount").arg("--lazy").arg(point).status();
            let _ = std::fs::remove_dir(point);
        }
    }
}

/// ACLs and the client's own permission checks are of .L alone.
fn options(dialect: Dialect) -> Result<String> {
    let options = std::env::var(OPTIONS).with_context(|| OPTIONS.to_owned())?;
    let version = format!("version={}", dialect.version());
    let kept = options
        .trim()
        .split(',')
        .filter(|option| !["posixacl", "access=client"].contains(option))
        .map(|option| match option.strip_prefix("version=") {
            Some(_) => &version,
            None => option,
        });
    Ok(kept.collect::<Vec<_>>().join(","))
}

fn mount(options: &str, point: &Path) -> Result<()> {
    let source = std::env::var(SOURCE).context(SOURCE)?;
    let source = source.replace('%', DEVICE);
    let mut command = Command::new("mount");
    command.args(["-t", "9p", "-o", options, &source]);
    command.arg(point);
    let out = command.output().context("mount")?;
    ensure!(
        out.status.success(),
        "mount -o {options}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}
