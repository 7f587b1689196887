//! What a file descriptor means after its name is gone or elsewhere: it stays that object.
//!
//! `gone` is about names removed or taken over by another file, `moves` about renames of the file or
//! of anything above it, by this client, the other client and the host.

mod dirs;
mod file_io;
mod file_meta;
mod gone;
mod links;
mod moved_dirs;
mod moved_files;
mod moves;

use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    [
        gone::rows(),
        dirs::rows(),
        links::rows(),
        moved_files::rows(),
        moved_dirs::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
