//! Whole conversations in memory: one thread, no sockets, a folder of their own for each.
//!
//! Every message of 9P2000.L: what the reply is, and what is on the disk afterwards.

mod attach;
mod attr;
mod client;
mod create;
mod dir;
mod flush;
mod io;
mod lock;
mod malformed;
mod multidevs;
mod names;
mod objects;
mod open;
mod readonly;
mod share;
mod throttle;
mod verbs;
mod version;
mod walk;
mod xattr;
