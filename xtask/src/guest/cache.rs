//! Things that take long to make and are kept: one directory each, named after the recipe it was made by.
//!
//! A directory under its final name is whole: it is made under another name and renamed. There is no lock; of two that
//! make the same thing at once the second finds it there and drops its own.

use std::fs;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;

use super::private;
use crate::places;

/// The directory `name` made by `recipe`; `make` fills it if it is not there yet.
pub fn kept(
    name: &str,
    recipe: &impl Hash,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let cache = places::guest().join("cache");
    let place = cache.join(format!("{name}-{:016x}", hash(recipe)));
    if place.exists() {
        return Ok(place);
    }
    println!("making {name}");
    let made = private::directory(&cache, "making")?;
    make(made.path()).with_context(|| format!("cannot make {name}"))?;
    forget_others(&cache, name)?;
    if let Err(error) = fs::rename(made.path(), &place) {
        // Another run was faster.
        return if place.exists() {
            Ok(place)
        } else {
            Err(error.into())
        };
    }
    Ok(place)
}

/// Removes what older recipes of the same name made.
fn forget_others(cache: &Path, name: &str) -> Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let is_other = file_name
            .to_str()
            .and_then(|file| file.rsplit_once('-'))
            .is_some_and(|(stem, _)| stem == name);
        if is_other {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// The same for the same recipe with the same toolchain, which is all that a cache asks.
fn hash(recipe: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    hasher.finish()
}
