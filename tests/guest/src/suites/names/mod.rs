//! Names, paths, links and the kinds of files, and the errors that belong to them.

mod bytes;
mod create;
mod errors;
mod hard_links;
mod modes;
mod paths;
mod rename;
mod special;
mod symlinks;

use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    [
        bytes::rows(),
        paths::rows(),
        symlinks::rows(),
        rename::rows(),
        hard_links::rows(),
        special::rows(),
        modes::rows(),
        create::rows(),
        errors::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
