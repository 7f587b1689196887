//! `cargo xtask`: what needs more than cargo.
//!
//! `bench` measures servers side by side; `guest` boots a real Linux in QEMU and lets its own 9p client judge the
//! server, `guest-bench` lets it measure it beside QEMU's own; `test` runs everything there is.
//! Not part of the product: nothing in `crates/` may need it, and it holds no test of its own subject, only the machinery.
#![forbid(unsafe_code)]

mod bench;
mod failures;
mod guest;
mod places;
mod process;
mod stop;
mod test;
mod totals;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::totals::Totals;

/// Tasks of the ninefold workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Measure 9P servers side by side
    Bench(bench::Options),
    /// Boot a Linux guest, mount a share in it and run suites there
    Guest(guest::Options),
    /// Compare ninefold with QEMU's own server inside one guest
    GuestBench(guest::bench::Options),
    /// Run every check and every test
    Test(test::Options),
}

fn main() -> ExitCode {
    let task = Task::parse();
    match stop::install().and_then(|()| run(&task)) {
        Ok(totals) => {
            println!("{totals}");
            if totals.is_success() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<Totals> {
    match task {
        Task::Bench(options) => bench::run(options),
        Task::Guest(options) => guest::run(options),
        Task::GuestBench(options) => guest::bench::run(options),
        Task::Test(options) => Ok(test::run(options)),
    }
}
