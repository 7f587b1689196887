//! Conversations of the client with a server that is made up for each test.

mod connection;
mod contents;
mod fake;
mod paths;
