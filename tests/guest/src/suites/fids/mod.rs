//! Very many things open at once. With a server that may open only few files itself (`--open-files-max`)
//! fewer of them, but still more than that.

mod crowd;
mod deep;
mod gone;
mod many;

use crate::row::Row;

/// Seconds a row may take: each open file costs an emulated guest about a millisecond a step, and several
/// where other guests and builds share the processors.
const SECONDS: u64 = 1200;

pub(crate) fn rows() -> Vec<Row> {
    let rows = [many::rows(), gone::rows(), deep::rows()];
    let rows = rows.into_iter().flatten();
    rows.map(|row| row.within(SECONDS)).collect()
}
