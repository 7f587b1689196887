//! Bytes in and out: large offsets, odd sizes, several writers, and that nothing is lost or torn.

mod append;
mod chunks;
mod holes;
mod model;
mod shared;
mod sync;

use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    [
        holes::rows(),
        chunks::rows(),
        model::rows(),
        shared::rows(),
        append::rows(),
        sync::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
