//! What was read of objects last, and is still so because nothing of them has changed.
//!
//! Setting an attribute sets the time of change, which nobody can set back. What was read of an
//! object when its last change was long enough ago to be told from the next one is therefore what
//! would be read again while that time is the same. An inode number that is given again comes with
//! a later time.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, OnceLock};

use ahash::HashMap;

use super::attributes::Attributes;
use crate::export::{Export, Node};
use crate::locked;
use crate::sys::{FileId, Stat, Time};

/// Parts of the table, each with its own lock.
const SHARDS: usize = 16;
/// Most objects in each; when there are more, all are forgotten. One costs some 90 bytes.
const SHARD_MAX: usize = 2048;

/// Attributes by object.
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

    /// The attributes of the object that the host has just described so.
    pub(super) fn get(&self, stat: &Stat) -> Option<Attributes> {
        let shard = locked(self.shard(stat.id));
        let entry = shard.get(&stat.id)?;
        (entry.changed == stat.ctime).then_some(entry.attributes)
    }

    /// Takes note of what was read after the host had described the object so.
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

    /// Whether setting an attribute sets the time of change, as it does on Linux's own file systems.
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
