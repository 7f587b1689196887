//! Why a folder cannot be shared: what was expected, what came, and what to do.

use std::io;
use std::path::PathBuf;

use super::IdOverlap;
use crate::throttle::ThrottleError;

/// Why a folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder cannot be opened.
    #[error("cannot share {path}: expected a directory that this user may open")]
    Open {
        /// The folder as given.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The file system has no extended attributes.
    #[error(
        "cannot keep owners and modes in extended attributes: the file system of {0} has no user.* attributes (choose the security model mapped-file, passthrough or none)"
    )]
    NoXattrs(PathBuf),
    /// There is no `/proc`.
    #[error(
        "cannot open /proc/self/fd, without which no file can be opened by its descriptor (mount /proc): {0}"
    )]
    Proc(io::Error),
    /// The limits to reading and writing do not go together.
    #[error("invalid throttle configuration: {0}")]
    Throttle(#[from] ThrottleError),
    /// The host does not have the owners and modes to check.
    #[error(
        "cannot enforce permissions on the server with a mapped security model: on the host all files belong to the server (choose the security model passthrough or none, or let the client enforce)"
    )]
    EnforceMapped,
    /// The server may not act for others.
    #[error(
        "cannot enforce permissions on the server: it would have to act as its clients' users (run it as root or with CAP_SETUID and CAP_SETGID, or let the client enforce)"
    )]
    EnforceRights,
    /// Two rules for the same ids.
    #[error(transparent)]
    Ids(#[from] IdOverlap),
    /// The client could not be shown whom the folder itself belongs to.
    #[error(
        "cannot share {path}: it belongs to user {uid} and group {gid}, and of one of them the id rules do not say what it is for the guest (add a rule host:ID:GUEST:1 or map:GUEST:ID:1)"
    )]
    UnknownOwner {
        /// The folder as given.
        path: PathBuf,
        /// Its owner on the host.
        uid: u32,
        /// Its group on the host.
        gid: u32,
    },
}
