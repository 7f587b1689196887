//! Writes the golden and captured messages as a starting corpus for the fuzzer: one file each, the
//! dialect's number before the frame. Takes the directory to write to.

#[path = "../tests/corpus/mod.rs"]
mod corpus;

use std::path::PathBuf;
use std::{env, fs, io};

use ninefold_wire::Dialect;

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("expected the directory to write to"));
    };
    fs::create_dir_all(&directory)?;
    for (number, line) in corpus::lines().iter().enumerate() {
        let input = [&[choice(line.dialect)], line.bytes.as_slice()].concat();
        fs::write(directory.join(format!("{number:04}")), input)?;
    }
    println!("{} inputs in {}", corpus::LINES, directory.display());
    Ok(())
}

/// The dialect's place in the fuzz target's list.
fn choice(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::Legacy => 0,
        Dialect::Unix => 1,
        Dialect::Linux => 2,
    }
}
