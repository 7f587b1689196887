//! qids: the number of an object for the client, unique over all file systems of the export.
//!
//! The numbers are those of QEMU's `multidevs=remap` (`qid_path_suffixmap`): an object of the
//! device first seen (the export's root is on it) has twice its inode number plus one.

use std::collections::HashMap;
use std::sync::Mutex;

use ninefold_wire::flags;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::locked;
use crate::sys::{FileId, Result, Stat, Time};

/// Inode number bits that select a suffix when the short ones have run out.
const FULL_SUFFIX_INDEX: u32 = 65536;

/// The type byte of a qid.
pub(super) fn kind(file_type: FileType) -> u8 {
    match file_type {
        FileType::Directory => flags::qid::DIR,
        FileType::Symlink => flags::qid::SYMLINK,
        _ => flags::qid::FILE,
    }
}

/// A number that changes whenever the content does, and is never 0: Linux 6.4 and newer take 0 for
/// "do not cache".
pub(super) fn version(stat: &Stat) -> u32 {
    let mut mixed = stat.size.rotate_left(32);
    for Time { sec, nsec } in [stat.mtime, stat.ctime] {
        mixed = (mixed ^ u64::from_ne_bytes(sec.to_ne_bytes())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ u64::from(nsec)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    u32::try_from(mixed >> 32).unwrap_or(1).max(1)
}

/// Numbers for inodes of several devices that do not collide.
pub(super) struct QidMap {
    root_dev: u64,
    foreign: Mutex<Foreign>,
}

struct Foreign {
    /// The suffix to give next, 0 when all are given.
    next: u32,
    /// The number to give next to an inode that has none of the short suffixes, 0 at the end.
    next_full: u64,
    /// How many high bits of an inode number select the suffix, for each device.
    bits: HashMap<u64, u32>,
    suffixes: HashMap<(u64, u64), Suffix>,
    full: HashMap<FileId, u64>,
}

/// Low bits of a path that tell one device (and part of its inodes) from another; no suffix ends
/// in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suffix {
    len: u32,
    value: u64,
}

impl Suffix {
    /// The `index`th suffix, from 1: an exponential Golomb code (k = 0) read backwards.
    fn of(index: u32) -> Self {
        let len = 2 * (32 - index.leading_zeros()) - 1;
        Self {
            len,
            value: u64::from(index).reverse_bits() >> (64 - len),
        }
    }
}

impl QidMap {
    pub(super) fn new(root_dev: u64) -> Self {
        let mut foreign = Foreign {
            next: 1,
            next_full: 1,
            bits: HashMap::new(),
            suffixes: HashMap::new(),
            full: HashMap::new(),
        };
        // The root's device is the first seen, which gives it the shortest suffix.
        foreign.suffix(FileId {
            dev: root_dev,
            ino: 0,
        });
        Self {
            root_dev,
            foreign: Mutex::new(foreign),
        }
    }

    /// The number of an object.
    ///
    /// # Errors
    /// ENFILE when the numbers for odd inode numbers have run out.
    pub(super) fn path(&self, id: FileId) -> Result<u64> {
        if id.dev == self.root_dev && id.ino >> 63 == 0 {
            return Ok((id.ino << 1) | 1);
        }
        locked(&self.foreign).path(id)
    }
}

impl Foreign {
    fn path(&mut self, id: FileId) -> Result<u64> {
        match self.suffix(id) {
            Some(suffix) => Ok((id.ino << suffix.len) | suffix.value),
            None => self.full_path(id),
        }
    }

    fn suffix(&mut self, id: FileId) -> Option<Suffix> {
        let bits = *self
            .bits
            .entry(id.dev)
            .or_insert_with(|| Suffix::of(self.next.max(1)).len);
        let key = (id.dev, id.ino >> (64 - bits));
        if let Some(known) = self.suffixes.get(&key) {
            return Some(*known);
        }
        if self.next == 0 {
            return None;
        }
        let suffix = Suffix::of(self.next);
        self.next = (self.next + 1) % FULL_SUFFIX_INDEX;
        self.suffixes.insert(key, suffix);
        Some(suffix)
    }

    fn full_path(&mut self, id: FileId) -> Result<u64> {
        if let Some(known) = self.full.get(&id) {
            return Ok(*known);
        }
        if self.next_full == 0 {
            return Err(Errno::NFILE);
        }
        let suffix = Suffix::of(FULL_SUFFIX_INDEX);
        let path = (self.next_full << suffix.len) | suffix.value;
        self.next_full = (self.next_full + 1) % (1 << 31);
        self.full.insert(id, path);
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_qemus() {
        let cases = [
            (1, 1, 1),
            (2, 3, 2),
            (3, 3, 6),
            (4, 5, 4),
            (5, 5, 20),
            (6, 5, 12),
            (7, 5, 28),
            (8, 7, 8),
            (9, 7, 72),
            (16, 9, 16),
            (255, 15, 32640),
            (65535, 31, 2_147_450_880),
            (65536, 33, 65536),
        ];
        for (index, len, value) in cases {
            assert_eq!(Suffix::of(index), Suffix { len, value }, "suffix {index}");
        }
    }

    #[test]
    fn devices_are_told_apart_as_qemu_does() {
        let map = QidMap::new(1);
        let path = |dev, ino| map.path(FileId { dev, ino }).unwrap();
        assert_eq!(path(1, 0xaa_066c), 0x154_0cd9);
        assert_eq!([path(2, 1), path(2, 2), path(2, 3)], [10, 18, 26]);
        assert_eq!([path(3, 1), path(3, 2)], [14, 22]);
    }
}
