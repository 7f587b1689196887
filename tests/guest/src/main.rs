//! Suites.

fn main() {}
