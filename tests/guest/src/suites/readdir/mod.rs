//! Listing directories: everything once, with the right type and number, whatever happens meanwhile.

mod cookies;
mod entries;
mod meanwhile;
mod raw;
mod size;

use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    [
        entries::rows(),
        size::rows(),
        cookies::rows(),
        meanwhile::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
