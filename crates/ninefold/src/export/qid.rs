//! qids: the number of an object for the client, unique over all file systems of the export.
//!
//! The numbers of `multidevs=remap` are QEMU's (`qid_path_suffixmap`): an object of the device first
//! seen (the export's root is on it) has twice its inode number plus one. Only where QEMU gives two
//! objects one number does the second of them get another here.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use ninefold_wire::flags;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::locked;
use crate::sys::{FileId, Result, Stat, Time};

/// What becomes of objects that are on another device than the root of the export (`multidevs`):
/// inode numbers are unique on one device only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Multidevs {
    /// All objects get numbers that are unique in the whole tree. After a restart they are the same
    /// as long as the same mounts are below the root; those of file systems mounted later, and of
    /// devices that are no mounts (subvolumes of btrfs), depend on the order of their discovery.
    #[default]
    Remap,
    /// Objects on other devices cannot be reached (ENODEV) and are not listed.
    Forbid,
    /// Objects keep their inode numbers, be they unique or not; the log says so once.
    Warn,
}

/// The first index that no short suffix has: its suffix is for single inodes.
const FULL_SUFFIX_INDEX: u32 = 65536;

/// Inodes that get a number of their own at most; each costs some 50 bytes. They are those left
/// when all short suffixes are given, which takes a file system with inode numbers like hashes.
const FULL_MAX: usize = 1 << 22;

/// The type byte of a qid.
pub(super) fn kind(file_type: FileType) -> u8 {
    match file_type {
        FileType::Directory => flags::qid::DIR,
        FileType::Symlink => flags::qid::SYMLINK,
        _ => flags::qid::FILE,
    }
}

/// A number that changes whenever the content does, and is never 0: Linux 6.4 and newer take 0 for
/// "do not cache". See [`change`].
pub(super) fn version(stat: &Stat) -> u32 {
    // The lowest bit, which tells settled from fresh, is kept.
    let change = change(stat);
    let short = u32::try_from(change >> 32).unwrap_or(0) & !1 | u32::from(change & 1 == 1);
    if short == 0 { 2 } else { short }
}

/// The same in 64 bits.
///
/// It is made of size and times, and so the same after a restart. But the clock that times changes
/// has ticks: two writes within one leave the same times, and who read between them would never
/// notice the second. While that is possible each look brings another number, which no object has
/// ever had, and which is none that the object will have when it has settled. What a client keeps
/// of such an object it will look at again.
pub(super) fn change(stat: &Stat) -> u64 {
    if stat.fresh {
        return fresh();
    }
    let mut mixed = stat.size.rotate_left(32);
    for Time { sec, nsec } in [stat.mtime, stat.ctime] {
        mixed = (mixed ^ u64::from_ne_bytes(sec.to_ne_bytes())).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ u64::from(nsec)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    mixed & !1
}

/// An odd number; the upper halves of 2^31 of them, one after the other, differ in more than their
/// lowest bits.
fn fresh() -> u64 {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
        // Another start than the last server's.
        AtomicU64::new(RandomState::new().build_hasher().finish() | 1)
    });
    NEXT.fetch_add(1 << 33, Ordering::Relaxed)
}

/// Numbers for inodes of several devices.
pub(super) struct QidMap {
    root_dev: u64,
    multidevs: Multidevs,
    warned: AtomicBool,
    suffixes: Mutex<Suffixes>,
}

/// Which suffix has been given to which inodes.
struct Suffixes {
    /// The index to give next.
    next: u32,
    /// By the inodes that it serves, the value of a suffix.
    values: HashMap<Prefix, u64>,
    /// The numbers of inodes that have none of the short suffixes.
    full: HashMap<FileId, u64>,
}

/// The inodes of a device whose numbers begin with certain `len` bits: just as many bits as their
/// suffix pushes out at the top.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Prefix {
    dev: u64,
    len: u32,
    high: u64,
}

impl Prefix {
    fn of(id: FileId, len: u32) -> Self {
        Self {
            dev: id.dev,
            len,
            high: id.ino >> (64 - len),
        }
    }
}

/// Low bits of a path that tell one [`Prefix`] from another; no suffix ends in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suffix {
    len: u32,
    value: u64,
}

impl Suffix {
    /// The `index`th suffix, from 1: an exponential Golomb code (k = 0) read backwards.
    fn of(index: u32) -> Self {
        let len = Self::len(index);
        Self {
            len,
            value: u64::from(index).reverse_bits() >> (64 - len),
        }
    }

    fn len(index: u32) -> u32 {
        2 * (32 - index.leading_zeros()) - 1
    }

    fn path(self, number: u64) -> u64 {
        (number << self.len) | self.value
    }
}

impl QidMap {
    /// Numbers for a tree whose root is on `root_dev`. Under remap, suffixes are given in the order
    /// of `known`, so that they do not depend on what a client looks at first.
    pub(super) fn new(root_dev: u64, multidevs: Multidevs, known: &[FileId]) -> Self {
        let mut suffixes = Suffixes {
            next: 1,
            values: HashMap::new(),
            full: HashMap::new(),
        };
        let root = FileId {
            dev: root_dev,
            ino: 0,
        };
        // The root's device is the first seen, which gives it the shortest suffix.
        for id in [&root].into_iter().chain(known) {
            suffixes.of(*id);
        }
        Self {
            root_dev,
            multidevs,
            warned: AtomicBool::new(false),
            suffixes: Mutex::new(suffixes),
        }
    }

    /// Whether a client may know of an object.
    pub(super) fn admits(&self, id: FileId) -> bool {
        self.multidevs != Multidevs::Forbid || id.dev == self.root_dev
    }

    /// The number of an object.
    ///
    /// # Errors
    /// ENODEV under forbid for an object on another device than the root; ENFILE under remap when
    /// the numbers for odd inode numbers have run out.
    pub(super) fn path(&self, id: FileId) -> Result<u64> {
        if !self.admits(id) {
            return Err(Errno::NODEV);
        }
        let foreign = id.dev != self.root_dev;
        if self.multidevs != Multidevs::Remap {
            if foreign {
                self.warn_once(id.dev);
            }
            return Ok(id.ino);
        }
        if !foreign && id.ino >> 63 == 0 {
            return Ok((id.ino << 1) | 1);
        }
        locked(&self.suffixes).path(id)
    }

    fn warn_once(&self, dev: u64) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
            tracing::warn!(
                "the shared tree has objects on another device ({major}:{minor}) than its root: \
                 different files can have the same number for clients; use multidevs=remap"
            );
        }
    }
}

impl Suffixes {
    fn path(&mut self, id: FileId) -> Result<u64> {
        match self.of(id) {
            Some(suffix) => Ok(suffix.path(id.ino)),
            None => self.full_path(id),
        }
    }

    /// The suffix of an inode. It serves those only that have the bits in common which it pushes
    /// out; that makes the paths unique. No two prefixes fit one inode: a longer one is given only
    /// to inodes that no shorter one fits.
    fn of(&mut self, id: FileId) -> Option<Suffix> {
        for len in (1..=Suffix::len(self.next)).step_by(2) {
            if let Some(value) = self.values.get(&Prefix::of(id, len)) {
                return Some(Suffix { len, value: *value });
            }
        }
        if self.next == FULL_SUFFIX_INDEX {
            return None;
        }
        let suffix = Suffix::of(self.next);
        self.next += 1;
        self.values.insert(Prefix::of(id, suffix.len), suffix.value);
        Some(suffix)
    }

    fn full_path(&mut self, id: FileId) -> Result<u64> {
        let given = self.full.len();
        if let Some(known) = self.full.get(&id) {
            return Ok(*known);
        }
        if given == FULL_MAX {
            return Err(Errno::NFILE);
        }
        let number = u64::try_from(given + 1).map_err(|_| Errno::NFILE)?;
        let path = Suffix::of(FULL_SUFFIX_INDEX).path(number);
        self.full.insert(id, path);
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::collection::{hash_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn stat(size: u64, nsec: u32, fresh: bool) -> Stat {
        let time = Time { sec: 7, nsec };
        Stat {
            id: FileId { dev: 1, ino: 1 },
            mode: 0o100_644,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            size,
            blksize: 4096,
            blocks: 8,
            atime: time,
            mtime: time,
            ctime: time,
            btime: None,
            mount: None,
            fresh,
            rested: false,
        }
    }

    #[test]
    fn settled_versions_follow_size_and_times() {
        let settled = |size, nsec| version(&stat(size, nsec, false));
        assert_eq!(settled(3, 5), settled(3, 5));
        let others = [(3, 5), (4, 5), (3, 6), (3, 0), (0, 0)];
        let versions: HashSet<_> = others.map(|(size, nsec)| settled(size, nsec)).into();
        assert_eq!(versions.len(), others.len());
        assert!(
            versions
                .iter()
                .all(|version| *version != 0 && version % 2 == 0)
        );
    }

    /// Times and size are the same: a client must look again.
    #[test]
    fn fresh_versions_are_each_another() {
        let fresh: HashSet<_> = (0..10_000).map(|_| version(&stat(3, 5, true))).collect();
        assert_eq!(fresh.len(), 10_000);
        assert!(
            fresh.iter().all(|version| version % 2 == 1),
            "never settled"
        );
        let changes: HashSet<_> = (0..100).map(|_| change(&stat(3, 5, true))).collect();
        assert_eq!(changes.len(), 100);
        assert!(!changes.contains(&change(&stat(3, 5, false))));
    }

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

    fn remap() -> QidMap {
        QidMap::new(1, Multidevs::Remap, &[])
    }

    #[test]
    fn devices_are_told_apart_as_qemu_does() {
        let map = remap();
        let path = |dev, ino| map.path(FileId { dev, ino }).unwrap();
        assert_eq!(path(1, 0xaa_066c), 0x154_0cd9);
        assert_eq!([path(2, 1), path(2, 2), path(2, 3)], [10, 18, 26]);
        assert_eq!([path(3, 1), path(3, 2)], [14, 22]);
    }

    #[test]
    fn numbers_follow_the_devices_known_at_the_start() {
        let id = |dev, ino| FileId { dev, ino };
        let known = [id(1, 7), id(9, 2), id(5, 2), id(9, 8)];
        let map = QidMap::new(1, Multidevs::Remap, &known);
        let path = |dev, ino| map.path(id(dev, ino)).unwrap();
        assert_eq!([path(3, 1), path(5, 1), path(9, 1)], [36, 14, 10]);
    }

    /// QEMU gives both the number 0xa.
    #[test]
    fn bits_that_a_suffix_pushes_out_make_a_difference() {
        let map = remap();
        let path = |ino| map.path(FileId { dev: 1, ino }).unwrap();
        let (first, second) = (path(0x8000_0000_0000_0001), path(0xc000_0000_0000_0001));
        assert_eq!(first, 0xa, "the first of both has QEMU's number");
        assert_ne!(first, second);
    }

    #[test]
    fn forbid_and_warn_keep_inode_numbers() {
        let (own, other) = (FileId { dev: 1, ino: 9 }, FileId { dev: 2, ino: 9 });
        let forbid = QidMap::new(1, Multidevs::Forbid, &[]);
        assert_eq!(forbid.path(own), Ok(9));
        assert_eq!(forbid.path(other), Err(Errno::NODEV));
        assert_eq!((forbid.admits(own), forbid.admits(other)), (true, false));
        let warn = QidMap::new(1, Multidevs::Warn, &[]);
        assert_eq!(warn.path(own), Ok(9));
        assert!(!warn.warned.load(Ordering::Relaxed), "nothing to warn of");
        assert_eq!(warn.path(other), Ok(9));
        assert!(warn.warned.load(Ordering::Relaxed));
    }

    /// Asks for the numbers of all, twice: each has its own and keeps it.
    fn check_unique(map: &QidMap, ids: &HashSet<FileId>) {
        let paths: HashMap<u64, FileId> = ids
            .iter()
            .map(|id| (map.path(*id).expect("a number"), *id))
            .collect();
        assert_eq!(paths.len(), ids.len(), "a number for each");
        for (path, id) in paths {
            assert_eq!(map.path(id), Ok(path), "the same again");
        }
    }

    /// More prefixes than there are suffixes.
    #[test]
    fn numbers_are_unique_when_suffixes_run_out() {
        let map = remap();
        let mut state = 1_u64;
        let ids = (0..200_000).map(|number| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let ino = if number % 3 == 0 { number } else { state };
            FileId {
                dev: 1 + number % 5,
                ino,
            }
        });
        check_unique(&map, &ids.collect());
        assert!(!locked(&map.suffixes).full.is_empty(), "they ran out");
    }

    /// Inode numbers that differ in few bits at the top, at the bottom, or anywhere.
    fn inode() -> impl Strategy<Value = u64> {
        let high = (0..64_u64, 0..58_u32).prop_map(|(bits, at)| bits << at);
        let top = (0..64_u64, 0..4_u64).prop_map(|(bits, low)| bits << 58 | low);
        let one = (0..64_u32).prop_map(|at| 1 << at);
        prop_oneof![0..16_u64, high, top, one, any::<u64>()]
    }

    proptest! {
        #[test]
        fn numbers_are_unique(
            known in vec((0..8_u64, inode()), 0..4),
            ids in hash_set((0..8_u64, inode()), 1..400),
        ) {
            let id = |(dev, ino)| FileId { dev, ino };
            let known: Vec<_> = known.into_iter().map(id).collect();
            let map = QidMap::new(1, Multidevs::Remap, &known);
            check_unique(&map, &ids.into_iter().map(id).collect());
        }
    }
}
