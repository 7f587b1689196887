//! Paired benchmarks of 9P servers on one host: ninefold, its peers and the floor, in the same run.
//!
//! `cargo xtask bench` builds what this needs and starts it. It judges nothing by a time: its exit status says whether
//! figures could be had.
#![forbid(unsafe_code)]

mod bare;
mod bars;
mod connection;
mod figures;
mod histogram;
mod load;
mod measured;
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
use std::path;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use clap::Parser;
use tempfile::TempDir;

use crate::bare::Bare;
use crate::measured::Measured;
use crate::run::Settings;
use crate::server::Peer;
use crate::server::Programs;

/// The tree, in the directory of a run.
const TREE: &str = "tree";
/// Entries of the wide directory.
const ENTRIES: u64 = 100_000;
/// And where only the harness is tested.
const QUICK_ENTRIES: u64 = 1000;
const QUICK_TIME: Duration = Duration::from_millis(5);

/// Benchmarks of 9P servers.
#[derive(Parser)]
#[command(name = "ninefold-bench")]
enum Task {
    /// Measure servers side by side
    Run(Options),
    /// Be the null responder, or the bare server of a row
    #[command(hide = true)]
    Null {
        socket: PathBuf,
        entries: u64,
        #[arg(long, requires = "tree")]
        row: Option<String>,
        #[arg(long, requires = "row")]
        tree: Option<PathBuf>,
    },
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
    /// The directory of peer-p9 and unpfs
    #[arg(long, value_name = "DIR", default_value = "target/bench/peers/bin")]
    peer_programs: PathBuf,
    /// The servers, in the order of their turns
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "ninefold,null,bare,diod,p9,unpfs"
    )]
    peers: Vec<Peer>,
    /// Only rows whose name holds this, or one of several that are parted by |
    #[arg(long, value_name = "PATTERN", default_value = "")]
    rows: String,
    /// How many turns each server has with each row
    #[arg(long, value_name = "N", default_value_t = 20)]
    rounds: usize,
    /// How long a turn is
    #[arg(long, value_name = "S", default_value_t = 0.1)]
    seconds: f64,
    /// See whether the harness works: one round of a few milliseconds, no system calls counted
    #[arg(long)]
    quick: bool,
    /// Where to make the tree; beside the table if it cannot be made there
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    scratch: PathBuf,
    /// Where to put the table and the figures
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    output: PathBuf,
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Run(options) => run(&options),
        Task::Null {
            socket,
            entries,
            row,
            tree,
        } => {
            let bare = row.zip(tree).map(|(row, tree)| bare(&row, tree, entries));
            null::serve(&socket, entries, bare.transpose()?.as_ref())
        }
    }
}

fn bare(name: &str, tree: PathBuf, entries: u64) -> Result<Bare> {
    let row = row::all().into_iter().find(|row| row.name == name);
    Ok(Bare {
        row: row.with_context(|| format!("no row is named {name}"))?,
        tree,
        entries,
    })
}

fn run(options: &Options) -> Result<()> {
    let all = row::all();
    let patterns = options.rows.split('|');
    let rows = all
        .iter()
        .filter(|row| patterns.clone().any(|part| row.name.contains(part)));
    let rows: Vec<_> = rows.collect();
    ensure!(!rows.is_empty(), "no row is named so");
    check_programs(options)?;
    process::raise_descriptor_limit()?;
    fs::create_dir_all(&options.output)?;
    let wide = rows.iter().any(|row| row.work.is_wide());
    let place = place(options, wide)?;
    let settings = settings(options, place.path())?;
    let mut measured = Vec::new();
    for rows in rows.chunk_by(|row, other| row.is_beside(other)) {
        let told = run::measure(&settings, rows)?;
        print!("{}", table::markdown(&told));
        measured.extend(told);
        write(&options.output, &measured)?;
    }
    println!("{}\n{}", bars::markdown(&measured), counts(&measured));
    Ok(())
}

/// The tables and all figures, as far as the run has come.
fn write(output: &Path, measured: &[Measured]) -> Result<()> {
    let bars = bars::markdown(measured);
    let (summary, whole) = (table::summary(measured), table::markdown(measured));
    let table = format!("{bars}\n{summary}\n{whole}");
    fs::write(output.join("table.md"), table)?;
    let figures = serde_json::to_string_pretty(&table::json(measured))?;
    fs::write(output.join("figures.json"), figures)?;
    Ok(())
}

/// A program that is not there is no trouble of a server.
fn check_programs(options: &Options) -> Result<()> {
    for &peer in &options.peers {
        let program = match peer {
            Peer::Ninefold => options.ninefold.clone(),
            Peer::P9 => options.peer_programs.join("peer-p9"),
            Peer::Unpfs => options.peer_programs.join("unpfs"),
            Peer::Null | Peer::Bare | Peer::Diod => continue,
        };
        let there = program.exists();
        ensure!(
            there,
            "no {}: cargo xtask bench makes it",
            program.display()
        );
    }
    Ok(())
}

/// A directory with the tree, which goes away with it: in memory, so that no disk is measured, or where the table goes.
fn place(options: &Options, wide: bool) -> Result<TempDir> {
    let entries = entries(options);
    let memory = made_in(&options.scratch, entries, wide);
    memory.or_else(|error| {
        println!("no tree in {}: {error:#}", options.scratch.display());
        made_in(&fs::canonicalize(&options.output)?, entries, wide)
    })
}

fn made_in(dir: &Path, entries: u64, wide: bool) -> Result<TempDir> {
    let place = tempfile::Builder::new()
        .prefix("ninefold-bench-")
        .tempdir_in(dir)?;
    let root = place.path().join(TREE);
    fs::create_dir(&root)?;
    tree::make(&root)?;
    if wide {
        tree::widen(&root, entries)?;
    }
    Ok(place)
}

fn entries(options: &Options) -> u64 {
    if options.quick {
        QUICK_ENTRIES
    } else {
        ENTRIES
    }
}

fn settings(options: &Options, place: &Path) -> Result<Settings> {
    let quick = options.quick;
    let time = if quick {
        QUICK_TIME
    } else {
        Duration::try_from_secs_f64(options.seconds)?
    };
    Ok(Settings {
        programs: Programs {
            ninefold: path::absolute(&options.ninefold)?,
            peers: path::absolute(&options.peer_programs)?,
        },
        peers: options.peers.clone(),
        rounds: if quick { 1 } else { options.rounds.max(1) },
        time,
        quick,
        entries: entries(options),
        tree: place.join(TREE),
        beside: place.to_path_buf(),
    })
}

/// A case is a row with a server. What our own programs cannot do has failed; what a peer cannot do is left out.
fn counts(measured: &[Measured]) -> String {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for server in measured.iter().flat_map(|row| &row.servers) {
        match (&server.trouble, server.peer) {
            (None, _) => passed += 1,
            (Some(_), Peer::Ninefold | Peer::Null | Peer::Bare) => failed += 1,
            (Some(_), _) => skipped += 1,
        }
    }
    format!("{passed} passed, {failed} failed, {skipped} skipped")
}
