//! Paired benchmarks of 9P servers on one host: ninefold, its peers and the floor, in the same run.
//!
//! `cargo xtask bench` builds what this needs and starts it. It judges nothing by a time: its exit status says whether
//! figures could be had.
#![forbid(unsafe_code)]

mod connection;
mod drive;
mod figures;
mod histogram;
mod null;
mod plain;
mod process;
mod row;
mod run;
mod server;
mod syscalls;
mod table;
mod tree;
mod work;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use clap::Parser;

use crate::run::Settings;
use crate::server::Peer;
use crate::server::Programs;

/// Benchmarks of 9P servers.
#[derive(Parser)]
#[command(name = "ninefold-bench")]
enum Task {
    /// Measure servers side by side
    Run(Options),
    /// Be the null responder
    #[command(hide = true)]
    Null { socket: PathBuf, entries: u64 },
}

#[derive(clap::Args)]
struct Options {
    /// The program to measure
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "target/release/ninefold"
    )]
    ninefold: PathBuf,
    /// The directory of peer-p9 and peer-unpfs
    #[arg(
        long,
        value_name = "DIR",
        default_value = "benches/peers/target/release"
    )]
    peer_programs: PathBuf,
    /// The servers, in the order of their turns
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "ninefold,null,diod,p9,unpfs"
    )]
    peers: Vec<Peer>,
    /// Only rows whose name holds this
    #[arg(long, value_name = "PATTERN", default_value = "")]
    rows: String,
    /// How often each row is measured with each server
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// How long, each time
    #[arg(long, value_name = "S", default_value_t = 0.5)]
    seconds: f64,
    /// See whether the harness works: one round of a few milliseconds, no system calls counted
    #[arg(long)]
    quick: bool,
    /// Where to put the table, the figures and, for the time of the run, the tree
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    output: PathBuf,
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Run(options) => run(&options),
        Task::Null { socket, entries } => null::serve(&socket, entries),
    }
}

fn run(options: &Options) -> Result<()> {
    fs::create_dir_all(&options.output)?;
    let place = tempfile::Builder::new()
        .prefix("run-")
        .tempdir_in(fs::canonicalize(&options.output)?)?;
    let tree = place.path().join("tree");
    fs::create_dir(&tree)?;
    tree::make(&tree)?;
    let settings = Settings {
        programs: Programs {
            ninefold: options.ninefold.clone(),
            peers: options.peer_programs.clone(),
        },
        peers: options.peers.clone(),
        rounds: if options.quick { 1 } else { options.rounds },
        time: if options.quick {
            Duration::from_millis(5)
        } else {
            Duration::try_from_secs_f64(options.seconds)?
        },
        count_calls: !options.quick,
        tree,
        beside: place.path().to_path_buf(),
    };
    let mut rows = Vec::new();
    for row in row::all()
        .iter()
        .filter(|row| row.name.contains(&options.rows))
    {
        let measured = run::measure(&settings, row)?;
        println!("{}", table::markdown(std::slice::from_ref(&measured)));
        rows.push(measured);
    }
    ensure!(!rows.is_empty(), "no row is named so");
    fs::write(options.output.join("table.md"), table::markdown(&rows))?;
    let figures = serde_json::to_string_pretty(&table::json(&rows))?;
    fs::write(options.output.join("figures.json"), figures)?;
    Ok(())
}
