//! `cargo xtask test`: every check and every test of the workspace, in steps that do not hide each other's failures.
//!
//! Each step streams its output and ends in a count; the sum of the counts is the last line of the run.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::bench;
use crate::failures;
use crate::guest;
use crate::guest::Choice;
use crate::guest::Configuration;
use crate::guest::Job;
use crate::guest::Model;
use crate::guest::Series;
use crate::guest::Suite;
use crate::guest::Transport;
use crate::places;
use crate::process;
use crate::stop;
use crate::totals::Totals;

const LIMIT: Duration = Duration::from_secs(1800);
/// Frames broken by the longer run of the codec's mutation test; some twenty seconds in release mode.
const MUTATIONS: &str = "40000000";

/// Options of `cargo xtask test`.
#[derive(Args)]
pub struct Options {
    /// Leave out the guests, which take most of the time
    #[arg(long)]
    quick: bool,
}

type Step = (&'static str, fn() -> Result<Totals>);

const CHECKS: [Step; 7] = [
    ("format", format),
    ("clippy", clippy),
    ("licences", licences),
    ("tests", tests),
    ("models", models),
    ("mutations", mutations),
    ("bench", bench::quick),
];

/// Runs all steps and adds up what they counted.
pub fn run(options: &Options) -> Totals {
    let guests: &[Step] = if options.quick {
        &[]
    } else {
        &[("guests", guests)]
    };
    let mut summary = Vec::new();
    let mut totals = Totals::default();
    for &(name, step) in CHECKS.iter().chain(guests) {
        if stop::asked() {
            totals += Totals::FAIL;
            break;
        }
        println!("==== {name}");
        let started = Instant::now();
        let counted = step().unwrap_or_else(|error| {
            failures::fail(&format!("{name}: {error:#}"));
            Totals::FAIL
        });
        totals += counted;
        summary.push(format!(
            "{name:24} {counted} ({} s)",
            started.elapsed().as_secs()
        ));
    }
    failures::print_again();
    println!("==== summary\n{}", summary.join("\n"));
    totals
}

fn format() -> Result<Totals> {
    cargo_check(&["fmt", "--all", "--check"])
}

fn clippy() -> Result<Totals> {
    cargo_check(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])
}

/// What is linked, and from where: deny.toml. Advisories are left out, for they need the network.
fn licences() -> Result<Totals> {
    let mut deny = Command::new(guest::cargo_deny()?);
    deny.args(["check", "bans", "licenses", "sources"])
        .current_dir(places::root());
    let status = process::run_lines("cargo-deny", &deny, LIMIT, |line| println!("{line}"))?;
    Ok(Totals::of(status.success()))
}

/// A command that either holds or does not: one case.
fn cargo_check(arguments: &[&str]) -> Result<Totals> {
    let mut command = places::cargo();
    let status = process::run_lines(arguments[0], command.args(arguments), LIMIT, |line| {
        println!("{line}");
    })?;
    Ok(Totals::of(status.success()))
}

fn tests() -> Result<Totals> {
    cargo_test(places::cargo().args(["test", "--workspace", "--no-fail-fast"]))
}

/// The conversations once more with each model that keeps attributes in its own way: what a client
/// sees must not depend on it, nor on how many descriptors there are.
fn models() -> Result<Totals> {
    let mut totals = Totals::default();
    for model in ["mapped-xattr", "mapped-file"] {
        println!("security model {model}");
        let mut command = places::cargo();
        command.args(["test", "--package", "ninefold", "--test", "conversations"]);
        totals += cargo_test(command.env("NINEFOLD_MODEL", model))?;
    }
    println!("few descriptors");
    let mut command = places::cargo();
    command.args(["test", "--package", "ninefold", "--test", "conversations"]);
    totals += cargo_test(command.env("NINEFOLD_FEW_DESCRIPTORS", "1"))?;
    Ok(totals)
}

/// The short fuzz run that needs neither nightly nor a corpus, longer than the tests themselves do it.
fn mutations() -> Result<Totals> {
    if !Path::new(&places::root().join("crates/ninefold-wire/tests/mutations.rs")).exists() {
        return Ok(Totals::SKIP);
    }
    let mut command = places::cargo();
    command.args([
        "test",
        "--release",
        "--package",
        "ninefold-wire",
        "--test",
        "mutations",
    ]);
    cargo_test(command.env("NINEFOLD_MUTATIONS", MUTATIONS))
}

fn cargo_test(command: &Command) -> Result<Totals> {
    let mut totals = Totals::default();
    let status = process::run_lines("cargo test", command, LIMIT, |line| {
        failures::print(line);
        totals += Totals::parse_libtest(line).unwrap_or_default();
    })?;
    if !status.success() && totals.failed == 0 {
        // It did not even build, or a test took its process down.
        totals += Totals::FAIL;
    }
    Ok(totals)
}

/// Two guests at a time.
const LANES: usize = 2;

/// Whatever depends on the client's kernel runs on both, once over TCP and once over virtio; whatever depends on
/// the security model with all of them; QEMU's server beside those that have formats of their own; programs at
/// work where a server has all rights, and with the default model where it has none.
fn guests() -> Result<Totals> {
    let (jobs, skipped) = possible(jobs());
    let mut totals = guest::run_jobs(&jobs, LANES)?;
    totals += skipped;
    Ok(totals)
}

/// Two lanes are done soonest when the longest jobs come first.
fn jobs() -> Vec<Job> {
    use Model::{MappedFile, MappedXattr, None, Passthrough};
    use Series::{V6_1, V6_12};
    use Suite::{
        Apps, Bigio, Coherence, Dialects, Fids, Fsx, Hostlocks, Ids, Interop, Lifetime, Locks, Me,
        Names, Pjdfstest, Readdir, Reboots, Squash, Transports, Users, Xattr,
    };
    // Linux 6.12 never ends a read of a file that another client has made shorter (netfs asks again and
    // again for what is behind the end): bigio, which does that, is for 6.1.
    let files = vec![Lifetime, Locks, Xattr, Names, Readdir, Fsx, Pjdfstest];
    let host = vec![
        Hostlocks, Coherence, Users, Squash, Ids, Me, Dialects, Transports,
    ];
    let kept = [Pjdfstest, Xattr, Hostlocks, Ids, Me, Fsx];
    vec![
        by_root(V6_1, Passthrough, [&files[..], &host].concat()),
        over_virtio(by_root(V6_12, Passthrough, files)),
        by_nobody(
            V6_1,
            MappedXattr,
            vec![Apps, Pjdfstest, Xattr, Ids, Me, Fsx],
        ),
        over_virtio(by_root(V6_12, Passthrough, vec![Apps, Reboots])),
        over_virtio(by_nobody(
            V6_12,
            MappedFile,
            [&[Lifetime], &kept[..]].concat(),
        )),
        by_root(V6_1, MappedFile, vec![Interop]),
        by_root(V6_1, MappedXattr, vec![Interop]),
        by_root(V6_1, None, [&kept[..], &[Users, Squash]].concat()),
        by_root(V6_12, Passthrough, host),
        by_root(V6_1, Passthrough, vec![Bigio]),
        with_few_files(by_root(V6_1, Passthrough, vec![Fids])),
    ]
}

/// Has guests reach the server over TCP where no QEMU is to be had that is new enough: the host's mirror may not
/// have a newer release. Counts as skipped what is not tried then.
fn possible(mut jobs: Vec<Job>) -> (Vec<Job>, Totals) {
    let mut skipped = Totals::default();
    let Err(error) = Transport::VhostUser.emulator() else {
        return (jobs, skipped);
    };
    for (configuration, _) in &mut jobs {
        if configuration.transport == Transport::VhostUser {
            let name = configuration.name();
            println!("[{name}] skipped over virtio, runs over TCP: {error:#}");
            configuration.transport = Transport::Tcp;
            skipped += Totals::SKIP;
        }
    }
    (jobs, skipped)
}

/// With virtio devices of the server's own.
fn over_virtio((configuration, suites): Job) -> Job {
    let configuration = Configuration {
        transport: Transport::VhostUser,
        ..configuration
    };
    (configuration, suites)
}

/// With a server that may have 256 files open, a shell's idea of few.
fn with_few_files((configuration, suites): Job) -> Job {
    let configuration = Configuration {
        open_files_max: Some(256),
        ..configuration
    };
    (configuration, suites)
}

/// With a server that may do everything on the host.
fn by_root(series: Series, model: Model, suites: Vec<Suite>) -> Job {
    job(series, model, false, suites)
}

/// With a server that may do what any user may.
fn by_nobody(series: Series, model: Model, suites: Vec<Suite>) -> Job {
    job(series, model, true, suites)
}

fn job(series: Series, model: Model, unprivileged: bool, suites: Vec<Suite>) -> Job {
    let configuration = Configuration {
        series,
        model,
        unprivileged,
        server: Choice::Ninefold,
        transport: Transport::Tcp,
        open_files_max: None,
        keep: false,
    };
    (configuration, suites)
}
