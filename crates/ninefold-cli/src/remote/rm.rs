//! `ninefold rm`: a file, with `-r` a folder and all that is in it.
//!
//! Everything is removed by its name in the directory it was found in, and no link is followed:
//! nothing outside the tree named can be reached, whatever is moved meanwhile.

use ninefold_client::wire::flags::unlink::REMOVEDIR;
use ninefold_client::{Error, Fid, ReadDir};

use super::{ENOTEMPTY, Remote, doing};
use crate::args::RmArgs;

/// Most folders inside folders: a server can make up any number.
const DEPTH_MAX: usize = 10_000;

/// A folder being emptied.
struct Level {
    /// Its name in the level above.
    name: Vec<u8>,
    entries: ReadDir,
    /// Whether anything went away since the entries were read from the start.
    removed: bool,
}

impl Level {
    fn open(dir: Fid, name: Vec<u8>) -> Result<Self, Error> {
        Ok(Self {
            name,
            entries: dir.read_dir()?,
            removed: false,
        })
    }
}

pub fn rm(args: &RmArgs) -> anyhow::Result<()> {
    doing(remove(args), "removing", &args.url)
}

fn remove(args: &RmArgs) -> anyhow::Result<()> {
    let Remote { client, path } = Remote::connect(&args.url, &args.link)?;
    let (parent, name) = client.resolve_parent(&path)?;
    let fid = parent.walk(name)?;
    if !fid.is_dir() {
        return Ok(parent.remove_entry(name, 0)?);
    }
    if !args.recursive {
        anyhow::bail!("expected a file, came a directory (-r removes it with all that is in it)");
    }
    remove_tree(&parent, Level::open(fid, name.to_vec())?)
}

/// Removes a folder of `parent`, the innermost folders first.
fn remove_tree(parent: &Fid, top: Level) -> anyhow::Result<()> {
    let mut above = Vec::new();
    let mut level = top;
    loop {
        if let Some(inner) = empty(&mut level)? {
            if above.len() >= DEPTH_MAX {
                anyhow::bail!("expected at most {DEPTH_MAX} folders inside each other, came more");
            }
            above.push(std::mem::replace(&mut level, inner));
            continue;
        }
        let dir = above
            .last()
            .map_or(parent, |level: &Level| level.entries.fid());
        if !remove_dir(dir, &mut level)? {
            continue;
        }
        let Some(mut outer) = above.pop() else {
            return Ok(());
        };
        outer.removed = true;
        level = outer;
    }
}

/// Removes entries until a folder comes; returns it opened, or nothing at the end.
fn empty(level: &mut Level) -> Result<Option<Level>, Error> {
    while let Some(entry) = level.entries.next().transpose()? {
        if matches!(&entry.name[..], b"." | b"..") {
            continue;
        }
        let dir = level.entries.fid();
        let fid = dir.walk(&entry.name)?;
        if fid.is_dir() {
            return Level::open(fid, entry.name).map(Some);
        }
        dir.remove_entry(&entry.name, 0)?;
        level.removed = true;
    }
    Ok(None)
}

/// Removes an emptied folder. False when it is not empty after all: some file systems lose their
/// place in a directory that shrinks, so it is read again as long as that helps.
fn remove_dir(dir: &Fid, level: &mut Level) -> Result<bool, Error> {
    match dir.remove_entry(&level.name, REMOVEDIR) {
        Err(error) if error.errno() == Some(ENOTEMPTY) && level.removed => {
            level.removed = false;
            level.entries.seek(0);
            Ok(false)
        }
        result => result.map(|()| true),
    }
}
