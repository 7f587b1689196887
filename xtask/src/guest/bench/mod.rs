//! `cargo xtask guest-bench`: ninefold over vhost-user, QEMU's own virtio-9p and ninefold over tcp, side by side in one guest.
//!
//! It starts what is compared and reads what `ninefold-guest-bench` says in the guest; the works are there. Times decide
//! nothing: only work that cannot be done is an error.

mod report;
mod sample;
mod stage;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use clap::Args;

use self::sample::Samples;
use self::stage::Stage;
use super::HOST_PACKAGES;
use super::emulator::Emulator;
use super::image;
use super::kernel::Kernel;
use super::kernel::Series;
use super::packages;
use super::qemu::Event;
use super::qemu::Guest;
use super::session;
use super::suites::Programs;
use crate::places;
use crate::totals::Totals;

const LIMIT: Duration = Duration::from_secs(1800);

/// Options of `cargo xtask guest-bench`.
#[derive(Args)]
pub struct Options {
    /// The guest's kernel
    #[arg(long, value_enum, default_value = "6.12")]
    kernel: Series,

    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Only work whose name contains this
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,

    /// Where the shared directory is made
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    base: PathBuf,
}

impl Options {
    /// Those of the program in the guest.
    fn arguments(&self) -> String {
        let repeats = match self.kernel {
            Series::V6_1 => 4,
            // Uncached, its messages over virtio are of one page, whatever their maximum.
            Series::V6_12 => 1,
        };
        let mut arguments = format!("--rounds {} --repeats {repeats}", self.rounds);
        if let Some(only) = &self.only {
            arguments.push_str(&format!(" --only {only}"));
        }
        arguments
    }
}

/// Measures, prints the table and keeps it with the figures in `target/bench`.
pub fn run(options: &Options) -> Result<Totals> {
    packages::ensure_installed(&HOST_PACKAGES)?;
    let programs = Programs::bench()?;
    let root = image::ready()?;
    let kernel = Kernel::ready(options.kernel)?;
    let emulator = Emulator::with_vhost_user()?;
    let mut stage = Stage::set(&options.base)?;
    let payload = programs.pack(&stage.plan(&options.arguments()))?;
    let dir = stage.dir().to_owned();
    let guest = Guest::boot(&emulator, &kernel, &root, &payload, &dir, &stage.devices())?;
    stage.note("qemu", guest.id())?;
    let release = session::wait_for_boot("bench", &guest)?;
    let samples = watch(&guest)?;
    stage.check()?;
    samples.ensure_whole(options.rounds)?;
    keep(&samples, &machine(&release, &emulator, options.rounds)?)?;
    Ok(Totals {
        passed: samples.works().len() as u64,
        ..Totals::default()
    })
}

/// What was measured on, in one line.
fn machine(release: &str, emulator: &Emulator, rounds: u32) -> Result<String> {
    let processors = thread::available_parallelism()?;
    let emulator = emulator.version()?;
    Ok(format!(
        "Linux {release} as the guest, {emulator} without KVM, {processors} processors on the host, {rounds} rounds"
    ))
}

/// Reads what the guest has to say.
fn watch(guest: &Guest) -> Result<Samples> {
    let deadline = Instant::now() + LIMIT;
    let mut samples = Samples::default();
    loop {
        match guest.next(deadline)? {
            Some(Event::Line(line)) => {
                println!("[bench] {line}");
                samples.take(&line)?;
            }
            Some(Event::End(_, status)) => {
                ensure!(status == 0, "the work ended with status {status}");
                return Ok(samples);
            }
            Some(Event::Begin(_) | Event::Ready(_)) => {}
            Some(Event::Gone) => bail!("the guest died"),
            None => bail!("the guest was not done within {} s", LIMIT.as_secs()),
        }
    }
}

fn keep(samples: &Samples, machine: &str) -> Result<()> {
    let dir = places::target().join("bench");
    fs::create_dir_all(&dir)?;
    let table = report::markdown(samples, machine)?;
    println!("{table}");
    for (name, text) in [
        ("guest.md", table),
        ("guest.json", report::json(samples, machine)),
    ] {
        let place = dir.join(name);
        fs::write(&place, text).with_context(|| place.display().to_string())?;
        println!("kept {}", place.display());
    }
    Ok(())
}
