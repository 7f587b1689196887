//! Two clients and the host in one tree. What one does the others see at once, and of several that want
//! the same thing one gets it.
//!
//! The mounts are uncached. Of its other modes Linux promises less: with `cache=mmap` a file that was
//! closed is read anew when it is opened again, and that is asked here; with `cache=loose` and `fscache`
//! a client never looks again for what others have changed, and no server can make it.

mod open;
mod party;
mod races;
mod views;

pub(crate) use self::party::Party;
use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    [views::rows(), open::rows(), races::rows()]
        .into_iter()
        .flatten()
        .collect()
}
