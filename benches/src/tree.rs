//! The tree that is served.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// A file of [`SMALL_LEN`] bytes.
pub const SMALL: &str = "small";
pub const SMALL_LEN: u32 = 4096;
/// A file of [`BIG_LEN`] bytes.
pub const BIG: &str = "big";
pub const BIG_LEN: u64 = 64 << 20;
/// Directories in one another.
pub const DEEP: usize = 100;

/// Makes all but what only a few rows need.
pub fn make(root: &Path) -> Result<()> {
    fs::write(root.join(SMALL), vec![b's'; SMALL_LEN as usize])?;
    fs::write(root.join(BIG), vec![b'b'; usize::try_from(BIG_LEN)?])?;
    fs::create_dir_all(root.join(deep(DEEP).join("/")))?;
    Ok(())
}

/// The path to the directory that lies `names` deep.
pub fn deep(names: usize) -> Vec<String> {
    (1..=names).map(|level| format!("d{level}")).collect()
}
