//! A small blocking 9P2000.L client for command-line tools, tests and benchmarks.
//!
//! Three layers, each usable without the one above: [`Connection`] sends and receives frames (and
//! can send garbage, for tests of servers); [`Fid`], [`File`] and [`ReadDir`] are objects on the
//! server; [`Client`] names them by path. [`Url`] says where a server is.
//!
//! It is not a mount: it caches nothing, follows symbolic links only in [`Client::resolve`], and
//! has one request under way at a time. The server may be hostile: no length of its making is
//! allocated beyond the msize that was agreed, and a reply that breaks the protocol is an
//! [`Error`], never a panic.

#![forbid(unsafe_code)]

mod attr;
mod client;
mod connect;
mod connection;
mod dir;
mod error;
mod fid;
mod file;
mod inbox;
mod lock;
mod names;
mod path;
mod resolve;
mod session;
mod url;
mod xattr;

pub use attr::Metadata;
pub use client::{Client, MSIZE_DEFAULT, Options};
pub use connection::Connection;
pub use dir::{Entry, ReadDir};
pub use error::{Error, Result};
pub use fid::Fid;
pub use file::File;
pub use lock::{HeldLock, LockStatus};
pub use ninefold_wire as wire;
pub use url::{Address, Target, Url, UrlError};
