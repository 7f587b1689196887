//! `cargo xtask bench`: builds the servers and the benchmark, and starts it.
//!
//! What is measured and how is in `benches/`; nothing here looks at a time.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::guest::ensure_installed;
use crate::places;
use crate::process;
use crate::totals::Totals;

/// A full run of all rows ends within this, and so does a build.
const LIMIT: Duration = Duration::from_secs(4 * 3600);
/// The version of unpfs to measure.
const UNPFS: &str = "0.13.0";
/// What each row can be measured with without building anything else.
const QUICK_PEERS: &str = "ninefold,null,bare,diod";

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub struct Options {
    /// The servers, in the order of their turns: ninefold, null, bare, diod, p9, unpfs
    #[arg(
        long,
        value_name = "LIST",
        default_value = "ninefold,null,bare,diod,p9,unpfs"
    )]
    peers: String,
    /// Only rows whose name holds this, or one of several that are parted by |
    #[arg(long, value_name = "PATTERN", default_value = "")]
    rows: String,
    /// How many turns each server has with each row
    #[arg(long, value_name = "N", default_value = "20")]
    rounds: String,
    /// How long a turn is
    #[arg(long, value_name = "S", default_value = "0.1")]
    seconds: String,
    /// Only see whether the harness works: one round, a few milliseconds for each row
    #[arg(long)]
    quick: bool,
}

/// Measures the servers side by side. A case is a row with a server; it fails if it has no figures.
pub fn run(options: &Options) -> Result<Totals> {
    let mut arguments: Vec<_> = [
        "--peers",
        &options.peers,
        "--rows",
        &options.rows,
        "--rounds",
        &options.rounds,
        "--seconds",
        &options.seconds,
    ]
    .map(str::to_owned)
    .to_vec();
    if options.quick {
        arguments.push("--quick".to_owned());
    }
    start(&options.peers, &arguments)
}

/// The short form: whether every row can be measured at all.
pub fn quick() -> Result<Totals> {
    let arguments = ["--peers", QUICK_PEERS, "--quick"].map(str::to_owned);
    start(QUICK_PEERS, &arguments)
}

fn start(peers: &str, arguments: &[String]) -> Result<Totals> {
    install(peers)?;
    build(peers)?;
    let mut bench = Command::new(places::release("ninefold-bench"));
    bench.arg("run").arg("--ninefold");
    bench.arg(places::release("ninefold"));
    bench.arg("--peer-programs").arg(peers_root().join("bin"));
    bench.arg("--output").arg(output());
    bench.args(arguments);
    let mut totals = Totals::default();
    let status = process::run_lines("ninefold-bench", &bench, LIMIT, |line| match Totals::parse(
        line,
    ) {
        Some(counted) => totals += counted,
        None => println!("{line}"),
    })?;
    if !status.success() {
        totals += Totals::FAIL;
    }
    Ok(totals)
}

fn install(peers: &str) -> Result<()> {
    if names(peers, "diod") {
        ensure_installed(&["diod"])?;
    }
    // It counts system calls; without it that column stays empty.
    if let Err(error) = ensure_installed(&["linux-perf"]) {
        println!("system calls will not be counted: {error:#}");
    }
    Ok(())
}

fn build(peers: &str) -> Result<()> {
    let mut ours = places::cargo();
    ours.args(["build", "--release", "--quiet", "--package", "ninefold-cli"]);
    ours.args(["--package", "ninefold-bench"]);
    process::run("cargo build", &ours, LIMIT)?;
    if names(peers, "p9") {
        install_crate("peer-p9", &["--path", "benches/peers"])?;
    }
    if names(peers, "unpfs") {
        install_crate("unpfs", &["unpfs", "--version", UNPFS])?;
    }
    Ok(())
}

/// The peers have workspaces of their own, with dependencies that ours has not.
fn install_crate(name: &str, what: &[&str]) -> Result<()> {
    let mut install = places::cargo();
    install.args(["install", "--locked", "--quiet", "--root"]);
    install.arg(peers_root()).arg("--target-dir");
    install.arg(output().join(format!("{name}-build")));
    process::run("cargo install", install.args(what), LIMIT)
}

fn names(peers: &str, peer: &str) -> bool {
    peers.split(',').any(|name| name == peer)
}

fn output() -> PathBuf {
    places::target().join("bench")
}

fn peers_root() -> PathBuf {
    output().join("peers")
}
