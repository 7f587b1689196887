//! Locks: fcntl of the process (POSIX), fcntl of the open file (OFD) and flock, between two clients and
//! between two processes of one.
//!
//! Host processes are not in it (see `hostlocks`). Three things Linux's 9p client makes of its own and no
//! server can mend, so they are skipped there: flock and fcntl are one kind of lock; a lock's owner is the
//! process, whatever kind the lock is; F_GETLK does not say which kind of lock it is about.

mod conflicts;
mod counters;
mod files_and_names;
mod owners;
mod query;
mod ranges;
mod stage;
mod waiting;
mod wakers;

use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    [
        conflicts::rows(),
        ranges::rows(),
        query::rows(),
        waiting::rows(),
        wakers::rows(),
        owners::rows(),
        files_and_names::rows(),
        counters::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
