//! The built program, run as its users run it: wrong usage, and every client command against
//! `ninefold serve`, and two servers of one folder.

mod few_files;
mod guests;
mod listing;
mod locks;
mod server;
mod serving;
mod transfer;
mod tree;
mod usage;
mod vhost;
