//! Locks for objects, as many as are worth having.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::sys::FileId;

/// How many; two objects that share a lock only wait for each other.
const COUNT: usize = 64;

/// One lock for each object, shared by some. Whoever holds one does not ask for another: all that
/// are needed are taken at once.
pub(super) struct Stripes([RwLock<()>; COUNT]);

impl Default for Stripes {
    fn default() -> Self {
        Self([const { RwLock::new(()) }; COUNT])
    }
}

fn index(id: FileId) -> usize {
    let mixed = (id.ino ^ id.dev.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The top six bits: below 64 on every machine.
    usize::try_from(mixed >> 58).unwrap_or(0)
}

impl Stripes {
    /// Nobody changes the object meanwhile.
    pub(super) fn look(&self, id: FileId) -> RwLockReadGuard<'_, ()> {
        self.0[index(id)]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody looks at the object meanwhile.
    pub(super) fn change(&self, id: FileId) -> RwLockWriteGuard<'_, ()> {
        self.0[index(id)]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for several objects.
    pub(super) fn change_all(&self, ids: &[FileId]) -> Vec<RwLockWriteGuard<'_, ()>> {
        let mut wanted: Vec<usize> = ids.iter().copied().map(index).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let take = |at: usize| self.0[at].write().unwrap_or_else(PoisonError::into_inner);
        wanted.into_iter().map(take).collect()
    }
}
