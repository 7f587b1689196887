//! The built program, run as its users run it: wrong usage, and every client command against
//! `ninefold serve`, two servers of one folder, and
//! every way to reach one.

mod few_files;
mod guests;
mod inherited;
mod listing;
mod locks;
mod mounting;
mod peers;
mod server;
mod serving;
mod transfer;
mod tree;
mod usage;
mod vhost;
mod vsock;
