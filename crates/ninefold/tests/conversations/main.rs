//! Whole conversations in memory: one thread, no sockets, a folder of their own for each.
//!
//! Every message of each dialect: what the reply is, and what is on the disk afterwards.

mod attach;
mod attr;
mod budget;
mod change;
mod classic;
mod client;
mod create;
mod dataloss;
mod dir;
mod enforce;
mod flush;
mod foreign;
mod hostlock;
mod ids;
mod io;
mod lock;
mod lockmodel;
mod malformed;
mod mapped;
mod multidevs;
mod names;
mod objects;
mod open;
mod readonly;
mod recent;
mod share;
mod throttle;
mod verbs;
mod version;
mod walk;
mod wrong_file;
mod xattr;
