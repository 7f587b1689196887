//! What was read of files last, and is still so because nothing of them has changed.
//!
//! Setting an attribute sets the time of change, and so does writing or truncating a file; nobody
//! can set it back. What was read of a file when its last change was long enough ago to be told from
//! the next one is therefore what would be read again while that time is the same. An inode number
//! that is given again comes with a later time.
//!
//! An attribute and its time are set in one step. Content is not: a write of another program sets the
//! time first and then copies its data. Who reads content therefore notes it only when the last change
//! has [rested](Stat::rested). A program that stores through a mapping sets the time once for many
//! stores: of it not all is seen.
//!
//! Nothing here reads, or knows whether the file is the object or one beside it.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, OnceLock};

use ahash::HashMap;

use super::attributes::Attributes;
use crate::export::{Export, Node};
use crate::locked;
use crate::sys::{FileId, Stat, Time};

/// Parts of the table, each with its own lock.
const SHARDS: usize = 16;
/// Most files in each; when there are more, all are forgotten. One costs some 90 bytes.
const SHARD_MAX: usize = 2048;

/// Attributes by the file that they were read of.
#[derive(Default)]
pub(super) struct Known {
    shards: [Mutex<HashMap<FileId, Entry>>; SHARDS],
    /// Whether the file system is one of those that are known to keep the time.
    keeps_time: OnceLock<bool>,
}

struct Entry {
    changed: Time,
    attributes: Attributes,
}

impl Known {
    fn shard(&self, id: FileId) -> &Mutex<HashMap<FileId, Entry>> {
        let mixed = id.ino.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        let at = usize::try_from(mixed).unwrap_or_default() % SHARDS;
        &self.shards[at]
    }

    /// The attributes read of the file that the host has just described so.
    pub(super) fn get(&self, stat: &Stat) -> Option<Attributes> {
        let shard = locked(self.shard(stat.id));
        let entry = shard.get(&stat.id)?;
        (entry.changed == stat.ctime).then_some(entry.attributes)
    }

    /// Takes note of what was read after the host had described the file so.
    pub(super) fn put(&self, export: &Export, stat: &Stat, attributes: Attributes) {
        if stat.fresh || stat.id.dev != export.root().id().dev || !self.keeps_time(export.root()) {
            return;
        }
        let mut shard = locked(self.shard(stat.id));
        if shard.len() >= SHARD_MAX {
            shard.clear();
        }
        let changed = stat.ctime;
        let entry = Entry {
            changed,
            attributes,
        };
        shard.insert(stat.id, entry);
    }

    /// Whether every change sets the time of change, as it does on Linux's own file systems.
    /// Others pass both on to somebody, who may see it differently.
    fn keeps_time(&self, root: &Arc<Node>) -> bool {
        const BTRFS: u64 = 0x9123_683e;
        const EXT: u64 = 0xef53;
        const F2FS: u64 = 0xf2f5_2010;
        const TMPFS: u64 = 0x0102_1994;
        const XFS: u64 = 0x5846_5342;
        *self.keeps_time.get_or_init(|| {
            let figures = root.fd().and_then(|fd| rustix::fs::fstatfs(fd.as_fd()));
            let magic = figures.ok().and_then(|it| u64::try_from(it.f_type).ok());
            magic.is_some_and(|magic| [BTRFS, EXT, F2FS, TMPFS, XFS].contains(&magic))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{ExportOptions, SecurityModel};
    use crate::sys;

    /// What was read of a file at rest, by how the host describes the file now.
    #[test]
    fn what_may_have_changed_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let export = Export::open(dir.path(), &ExportOptions::new(SecurityModel::None)).unwrap();
        let keeps_time = Known::default().keeps_time(export.root());
        let root = sys::stat(export.root().fd().unwrap().as_fd()).unwrap();
        let at_rest = Stat {
            fresh: false,
            ..root
        };
        let attributes = Attributes {
            uid: Some(5),
            ..Attributes::default()
        };
        let known = |put: &Stat, get: &Stat| {
            let known = Known::default();
            known.put(&export, put, attributes);
            known.get(get).is_some()
        };
        assert_eq!(known(&at_rest, &at_rest), keeps_time);
        let fresh = Stat {
            fresh: true,
            ..at_rest
        };
        assert!(!known(&fresh, &at_rest), "the next change has this time");
        let mut other = at_rest;
        other.ctime.nsec ^= 1;
        assert!(!known(&at_rest, &other), "changed since");
        let mut other = at_rest;
        other.id.ino += 1;
        assert!(!known(&at_rest, &other), "another file");
        other.id.dev += 1;
        assert!(!known(&other, &other), "on another file system");
    }
}
