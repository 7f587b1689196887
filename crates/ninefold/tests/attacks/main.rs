//! Hostile and broken clients, and a hostile host, against a running server over unix sockets.
//!
//! Time limits only turn a hang into a failure; nothing is decided by them.

mod blocked;
mod bulk;
#[path = "../common/mod.rs"]
mod common;
mod contest;
mod crowd;
mod depth;
mod descriptors;
mod doors;
mod halves;
mod hung;
mod leases;
mod metadata;
mod races;
mod streams;
mod throttled;
mod users;
mod vanish;
mod vectors;
