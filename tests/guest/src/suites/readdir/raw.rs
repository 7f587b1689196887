//! A listing as the kernel gives it.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::fs::RawDir;

use crate::files;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) ino: u64,
    pub(super) kind: FileType,
    /// Where the listing goes on after this one
    pub(super) next: u64,
}

/// What to do after each entry.
pub(super) type Then<'a> = &'a mut dyn FnMut(&Entry) -> Result<()>;

/// Lists from where the descriptor stands, with a buffer of this size.
pub(super) fn list_from(fd: impl AsFd, buffer: usize, then: Then<'_>) -> Result<Vec<Entry>> {
    let mut buffer = vec![MaybeUninit::uninit(); buffer];
    let mut directory = RawDir::new(fd, &mut buffer);
    let mut entries = Vec::new();
    while let Some(entry) = directory.next() {
        let entry = entry.context("getdents")?;
        let entry = Entry {
            name: entry.file_name().to_bytes().to_vec(),
            ino: entry.ino(),
            kind: entry.file_type(),
            next: entry.next_entry_cookie(),
        };
        then(&entry)?;
        entries.push(entry);
    }
    Ok(entries)
}

/// Opens and lists all of it.
pub(super) fn list(path: &Path, buffer: usize) -> Result<Vec<Entry>> {
    let fd = files::open(path, OFlags::RDONLY | OFlags::DIRECTORY).context("open the directory")?;
    list_from(fd, buffer, &mut |_| Ok(()))
}

/// The entries by name, each of which must be there once; without `.` and `..`.
pub(super) fn by_name(entries: &[Entry]) -> Result<BTreeMap<Vec<u8>, Entry>> {
    let mut map = BTreeMap::new();
    for entry in entries {
        let twice = map.insert(entry.name.clone(), entry.clone()).is_some();
        ensure!(
            !twice,
            "expected each name once, came {:?} twice",
            String::from_utf8_lossy(&entry.name)
        );
    }
    map.remove(b".".as_slice());
    map.remove(b"..".as_slice());
    Ok(map)
}
