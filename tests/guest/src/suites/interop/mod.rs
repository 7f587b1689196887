//! Two servers of one directory: what one makes or changes, the other shows the same, and what both write to the disk
//! has the same form.
//!
//! The first mount is the server under test; the second is QEMU's own, at the same directory with the same model. A
//! row is done by each of them, or made by one and changed by the other, in all combinations.

mod attributes;
mod case;
mod changed;
mod hand;
mod hosts;
mod linked;
mod made;
mod moved;
mod view;

use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    let cases = [
        made::cases(),
        changed::cases(),
        attributes::cases(),
        moved::cases(),
        linked::cases(),
        hosts::cases(),
    ];
    let cases = cases.into_iter().flatten();
    let mut rows: Vec<Row> = cases.flat_map(case::Case::rows).collect();
    rows.extend(hosts::rows());
    rows
}
