//! The program `ninefold`: serves a folder over 9P, looks into one that is served, and mounts it.
//!
//! Here is only the way from arguments to a command and from its end to an exit status: 0 done,
//! 1 failed, 2 wrong usage, 141 when nobody reads the output any more.

#![forbid(unsafe_code)]

mod args;
mod fsdev;
mod mount;
mod remote;
mod serve;
mod share;

use clap::Parser;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use args::{Args, Command};
use remote::{OutputError, message};

/// What a shell reports for a program that SIGPIPE ended.
const EXIT_SIGPIPE: u8 = 128 + 13;
/// What the program is called where mount(8) looks for it.
const HELPER: &str = "mount.ninefold";

fn main() -> ExitCode {
    match run(&Args::parse_from(arguments()).command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if OutputError::is_broken_pipe(&error) => ExitCode::from(EXIT_SIGPIPE),
        Err(error) => {
            // Where not even this can be written, the exit status has to do.
            let _ = writeln!(io::stderr(), "ninefold: {}", message(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// The command line. By the name `mount.ninefold`, as which mount(8) finds the helper for a type, it is
/// that of `ninefold mount`.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    let helper = arguments
        .first()
        .is_some_and(|name| Path::new(name).file_name() == Some(HELPER.as_ref()));
    if helper {
        arguments.insert(1, "mount".into());
    }
    arguments
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Mount(args) => mount::mount(args),
        Command::Ls(args) => remote::ls(args),
        Command::Stat(args) => remote::stat(args),
        Command::Cat(args) => remote::cat(args),
        Command::Put(args) => remote::put(args),
        Command::Mkdir(args) => remote::mkdir(args),
        Command::Rm(args) => remote::rm(args),
    }
}
