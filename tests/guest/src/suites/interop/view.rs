//! All that a mount shows of a directory, in a form that can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use rustix::fs::FileType;
use rustix::fs::Stat;

use crate::files;
use crate::talk::escape;

/// One name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    /// What a case expects: mode with type, owner, size or device number, links beyond the first, names of attributes
    summary: String,
    /// What only has to be the same everywhere
    rest: String,
}

/// The names below a directory, by path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tree(BTreeMap<String, View>);

impl Tree {
    pub(super) fn take(directory: &Path) -> Result<Self> {
        let mut tree = Self(BTreeMap::new());
        tree.below(directory, "")?;
        Ok(tree)
    }

    fn below(&mut self, directory: &Path, above: &str) -> Result<()> {
        for name in files::list(directory)? {
            let path = files::join(directory, &name);
            let shown = format!("{above}{}", escape(&name));
            let stat = rustix::fs::lstat(&path).with_context(|| format!("stat {shown}"))?;
            let view = View::take(&path, &stat).with_context(|| format!("look at {shown}"))?;
            if kind(&stat) == FileType::Directory {
                self.below(&path, &format!("{shown}/"))?;
            }
            self.0.insert(shown, view);
        }
        Ok(())
    }

    /// A line for each name.
    pub(super) fn lines(&self) -> Vec<String> {
        let lines = self.0.iter();
        lines
            .map(|(path, view)| format!("{path} {}", view.summary))
            .collect()
    }

    /// An error that names the first difference to `other`.
    pub(super) fn same(&self, other: &Self) -> Result<()> {
        for path in self.0.keys().chain(other.0.keys()) {
            let (one, two) = (self.0.get(path), other.0.get(path));
            if one != two {
                bail!(
                    "{path}: this server shows {}, QEMU shows {}",
                    said(one),
                    said(two)
                );
            }
        }
        Ok(())
    }
}

fn said(view: Option<&View>) -> String {
    view.map_or("nothing".to_owned(), |view| {
        format!("{} ({})", view.summary, view.rest)
    })
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

impl View {
    fn take(path: &Path, stat: &Stat) -> Result<Self> {
        let mut summary = format!("{:o} {}:{}", stat.st_mode, stat.st_uid, stat.st_gid);
        let mut rest = format!("modified {}.{:09}", stat.st_mtime, stat.st_mtime_nsec);
        match kind(stat) {
            FileType::RegularFile => {
                let content = std::fs::read(path).context("read")?;
                let _ = write!(summary, " {}", stat.st_size);
                let _ = write!(rest, ", content {:08x}", files::crc32(&content));
            }
            FileType::Symlink => {
                let target = rustix::fs::readlink(path, vec![]).context("readlink")?;
                let _ = write!(summary, " {}", stat.st_size);
                let _ = write!(rest, ", target {}", escape(target.to_bytes()));
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let (major, minor) = (
                    rustix::fs::major(stat.st_rdev),
                    rustix::fs::minor(stat.st_rdev),
                );
                let _ = write!(summary, " {major}:{minor}");
            }
            _ => {}
        }
        // A directory's links differ where a server keeps directories of its own in it.
        if kind(stat) != FileType::Directory && stat.st_nlink > 1 {
            let _ = write!(summary, " x{}", stat.st_nlink);
        }
        attributes(path, &mut summary, &mut rest)?;
        Ok(Self { summary, rest })
    }
}

/// Only those that QEMU knows: it has neither `security.*` nor `trusted.*`.
fn attributes(path: &Path, summary: &mut String, rest: &mut String) -> Result<()> {
    let names = match files::xattr_names(path) {
        Ok(names) => names,
        Err(errno) => {
            let _ = write!(rest, ", no attributes: {errno:?}");
            return Ok(());
        }
    };
    for name in names {
        if name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_") {
            let value = files::xattr(path, &name).context("getxattr")?;
            let _ = write!(summary, " {}", escape(&name));
            let _ = write!(rest, ", {}={}", escape(&name), escape(&value));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let directory = std::env::temp_dir().join(format!("ninefold-view-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("sub")).unwrap();
        std::fs::write(directory.join("sub/file"), "content").unwrap();
        let before = Tree::take(&directory).unwrap();
        assert_eq!(before.lines().len(), 2);
        before.same(&Tree::take(&directory).unwrap()).unwrap();
        std::fs::write(directory.join("sub/file"), "CONTENT").unwrap();
        let after = Tree::take(&directory).unwrap();
        let error = before.same(&after).unwrap_err().to_string();
        assert!(error.starts_with("sub/file: "), "{error}");
        std::fs::remove_file(directory.join("sub/file")).unwrap();
        let less = Tree::take(&directory).unwrap();
        assert!(after.same(&less).is_err() && less.same(&after).is_err());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
