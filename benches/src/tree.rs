//! The tree that is served.

use std::fs;
use std::fs::File;
use std::path::Path;

use anyhow::Result;

/// A file of [`SMALL_LEN`] bytes.
pub const SMALL: &str = "small";
pub const SMALL_LEN: u32 = 4096;
/// A file of [`BIG_LEN`] bytes.
pub const BIG: &str = "big";
pub const BIG_LEN: u64 = 64 << 20;
/// An attribute of [`SMALL`], and its value.
pub const XATTR: &str = "user.bench";
pub const XATTR_VALUE: &[u8] = b"sixteen bytes ..";
/// Directories in one another.
pub const DEEP: usize = 100;
/// A directory with very many entries.
pub const WIDE: &str = "wide";
/// One with a hundredth of them.
pub const NARROW: &str = "narrow";
/// Entries of [`WIDE`] for each one of [`NARROW`].
pub const WIDER: u64 = 100;
/// Bytes of an entry's name.
pub const ENTRY_NAME_LEN: usize = 8;

/// Makes all but the directories with many entries.
pub fn make(root: &Path) -> Result<()> {
    let small = root.join(SMALL);
    fs::write(&small, vec![b's'; SMALL_LEN as usize])?;
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&small, XATTR, XATTR_VALUE, flags)?;
    fs::write(root.join(BIG), vec![b'b'; usize::try_from(BIG_LEN)?])?;
    fs::create_dir_all(root.join(deep(DEEP).join("/")))?;
    Ok(())
}

/// Makes the directories with many entries, if they are not there.
pub fn widen(root: &Path, entries: u64) -> Result<()> {
    for (dir, entries) in [(WIDE, entries), (NARROW, entries / WIDER)] {
        let dir = root.join(dir);
        if dir.exists() {
            continue;
        }
        fs::create_dir(&dir)?;
        for entry in 0..entries {
            File::create(dir.join(entry_name(entry)))?;
        }
    }
    Ok(())
}

/// The name of an entry of [`WIDE`] or [`NARROW`].
pub fn entry_name(entry: u64) -> String {
    format!("f{entry:07}")
}

/// The path to the directory that lies `names` deep.
pub fn deep(names: usize) -> Vec<String> {
    (1..=names).map(|level| format!("d{level}")).collect()
}
