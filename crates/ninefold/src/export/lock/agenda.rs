//! When which file's waiters have to be looked at. A file is in it once, while somebody waits there, and
//! once more when it was busy at its time.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

use crate::locked;
use crate::sys::FileId;

#[derive(Default)]
pub(super) struct Agenda(Mutex<BTreeSet<(Instant, FileId)>>);

impl Agenda {
    /// Moves a file from the time it had to another. Returns whether that is sooner.
    pub(super) fn plan(
        &self,
        file: FileId,
        planned: &mut Option<Instant>,
        due: Option<Instant>,
    ) -> bool {
        if *planned == due {
            return false;
        }
        let mut times = locked(&self.0);
        if let Some(old) = *planned {
            times.remove(&(old, file));
        }
        times.extend(due.map(|due| (due, file)));
        let sooner = due.is_some_and(|due| planned.is_none_or(|old| due < old));
        *planned = due;
        sooner
    }

    /// Looks at a file at that time as well.
    pub(super) fn put_off(&self, file: FileId, until: Instant) {
        locked(&self.0).insert((until, file));
    }

    /// Takes out the next file whose time has come.
    pub(super) fn take_due(&self, now: Instant) -> Option<FileId> {
        let mut times = locked(&self.0);
        let first = times.first().filter(|(due, _)| *due <= now).copied()?;
        times.remove(&first);
        Some(first.1)
    }

    /// When the next file's time comes.
    pub(super) fn next(&self) -> Option<Instant> {
        locked(&self.0).first().map(|(due, _)| *due)
    }
}
