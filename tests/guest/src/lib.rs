//! What runs inside a real Linux guest, and the host's part in it.
//!
//! `ninefold-suite` runs rows of behaviour against two mounts of one export: the first mount is "this
//! client", the second is "the other client". `ninefold-host-agent` does what "the host" does, below the
//! exported directory. A row passes on a plain local directory too (`--fs local`, both mounts the same
//! directory): that is the oracle, so no row invents a rule of its own. What the Linux 9p client itself
//! cannot do is skipped, with the reason.
//!
//! `ninefold-guest-bench` measures the same work on several mounts in turn.
//!
//! This crate knows nothing of 9P messages and starts no server: it only makes system calls.

mod acl;
mod agent;
mod bench;
mod cli;
mod ctx;
mod deeds;
mod expect;
mod files;
mod host;
mod peer;
mod race;
mod row;
mod runner;
mod suites;
mod sys;
mod talk;

pub use agent::agent_main;
pub use bench::bench_main;
pub use cli::suite_main;
