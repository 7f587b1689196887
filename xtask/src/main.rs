//! What needs more than cargo.

fn main() {}
