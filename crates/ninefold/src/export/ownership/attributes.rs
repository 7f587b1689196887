//! What the mapped models keep of an object beside the host's own attributes, and how it changes.
//!
//! Here are no files: [`Attributes`] come from extended attributes or from a metadata file.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FileType;

use super::Owner;
use crate::export::OpenFile;
use crate::sys::Stat;

/// Permission bits, with set-id and sticky bits.
const PERMISSIONS: u32 = 0o7777;

/// What is kept; none is "as the host has it", and in a change "leave it".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// `st_mode`, file type included.
    pub(super) mode: Option<u32>,
    /// `st_rdev` as the C library encodes it.
    pub(super) rdev: Option<u64>,
}

impl Attributes {
    /// Those of a new object.
    pub(super) fn new(owner: Owner, file_type: FileType, mode: u32, rdev: Option<u64>) -> Self {
        Self {
            uid: owner.uid,
            gid: owner.gid,
            mode: Some(file_type.as_raw_mode() | (mode & PERMISSIONS)),
            rdev,
        }
    }

    /// What a regular file of the host is with them.
    pub(super) fn file_type(self) -> FileType {
        FileType::from_raw_mode(joined(libc::S_IFREG, self.mode.unwrap_or(libc::S_IFREG)))
    }

    /// Puts them in the place of the host's.
    pub(super) fn overlay(self, stat: &mut Stat) {
        stat.uid = self.uid.unwrap_or(stat.uid);
        stat.gid = self.gid.unwrap_or(stat.gid);
        stat.rdev = self.rdev.unwrap_or(stat.rdev);
        if let Some(kept) = self.mode {
            stat.mode = joined(stat.mode, kept);
        }
    }

    /// These, and where they say nothing, those.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            uid: self.uid.or(other.uid),
            gid: self.gid.or(other.gid),
            mode: self.mode.or(other.mode),
            rdev: self.rdev.or(other.rdev),
        }
    }
}

/// The mode shown: a regular file of the host stands for whatever the kept type says; nothing else
/// can pretend to be what it is not, least of all a directory.
fn joined(host: u32, kept: u32) -> u32 {
    let stands_for = match FileType::from_raw_mode(kept) {
        FileType::Directory | FileType::Unknown => None,
        known => Some(known),
    };
    let shown = match (FileType::from_raw_mode(host), stands_for) {
        (FileType::RegularFile, Some(known)) => known.as_raw_mode(),
        _ => host & libc::S_IFMT,
    };
    shown | (kept & PERMISSIONS)
}

/// New permission bits. The type stays: a client may send none.
pub(super) fn new_mode(now: &Stat, mode: u32) -> Attributes {
    Attributes {
        mode: Some((now.mode & libc::S_IFMT) | (mode & PERMISSIONS)),
        ..Attributes::default()
    }
}

/// A new owner, who does not get what the set-id bits give. Source: chown(2).
pub(super) fn new_owner(now: &Stat, owner: Owner) -> Attributes {
    let changes = owner.uid.is_some() || owner.gid.is_some();
    Attributes {
        uid: owner.uid,
        gid: owner.gid,
        mode: changes.then(|| without_set_id(now).mode).flatten(),
        rdev: None,
    }
}

/// The mode without set-id bits; nothing when there are none. A set-group-id bit without the right
/// to execute is no set-id bit.
pub(super) fn without_set_id(now: &Stat) -> Attributes {
    const GROUP: u32 = libc::S_ISGID | libc::S_IXGRP;
    let mut mode = now.mode & !libc::S_ISUID;
    if now.mode & GROUP == GROUP {
        mode &= !libc::S_ISGID;
    }
    let changed = now.file_type() == FileType::RegularFile && mode != now.mode;
    Attributes {
        mode: changed.then_some(mode),
        ..Attributes::default()
    }
}

/// How often a set-id bit was set: an open file written since has to look whether it got one.
pub(super) struct SetIdCount(AtomicU64);

impl Default for SetIdCount {
    fn default() -> Self {
        // No open file has seen that many.
        Self(AtomicU64::new(1))
    }
}

impl SetIdCount {
    /// Takes note of attributes just set.
    pub(super) fn note(&self, set: Attributes) {
        if set.mode.unwrap_or(0) & (libc::S_ISUID | libc::S_ISGID) != 0 {
            self.0.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether `file` may have a set-id bit that it had not when it was written last.
    pub(super) fn may_have_risen(&self, file: &OpenFile) -> bool {
        file.sees_set_id(self.0.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_can_stand_for_something_else() {
        for (host, kept, shown) in [
            (0o100_600, 0o100_644, 0o100_644),
            (0o100_600, 0o120_777, 0o120_777),
            (0o100_600, 0o020_666, 0o020_666),
            (0o100_600, 0o040_755, 0o100_755),
            (0o100_600, 0o000_640, 0o100_640),
            (0o040_700, 0o100_755, 0o040_755),
            (0o120_777, 0o100_755, 0o120_755),
            (0o010_600, 0o020_666, 0o010_666),
            (0o100_600, 0o177_777, 0o107_777),
        ] {
            assert_eq!(joined(host, kept), shown, "{host:o} with {kept:o}");
        }
    }
}
