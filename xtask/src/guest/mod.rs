//! `cargo xtask guest`: Linux's own 9p client, in a guest, against our server on the host.
//!
//! Everything comes from Debian packages and is kept below `target/guest`. Nothing is installed in the guest at run
//! time, no mount is made on the host, and neither process nor directory stays behind.

pub mod bench;
mod cache;
mod cpio;
mod emulator;
mod fsdev;
mod image;
mod kernel;
mod packages;
mod pjdfstest;
mod private;
mod qemu;
mod server;
mod servers;
mod session;
mod suites;
mod tools;
mod transport;
mod vhost_user;
mod vmlinux;

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use anyhow::Result;
use anyhow::ensure;
use clap::Args;
use clap::ValueEnum;

use self::kernel::Kernel;
pub use self::kernel::Series;
pub use self::packages::ensure_installed;
pub use self::server::Choice;
pub use self::server::Model;
pub use self::session::Configuration;
use self::session::Parts;
use self::suites::Programs;
pub use self::suites::Suite;
pub use self::transport::Transport;
use crate::failures;
use crate::totals::Totals;

/// What the host needs to make and run guests.
const HOST_PACKAGES: [&str; 6] = [
    "qemu-system-x86",
    "mmdebstrap",
    "e2fsprogs",
    "kmod",
    "xz-utils",
    "zstd",
];

/// Options of `cargo xtask guest`.
#[derive(Args)]
pub struct Options {
    /// Suites to run; all of them if none is named
    #[arg(value_enum)]
    suites: Vec<Suite>,

    /// The guest's kernel
    #[arg(long, value_enum, default_value = "6.1")]
    kernel: Kernels,

    /// The server's security model
    #[arg(long, value_enum, default_value = "passthrough")]
    security_model: Model,

    /// Run the server as an ordinary user
    #[arg(long)]
    unprivileged: bool,

    /// Keep the exported directory
    #[arg(long)]
    keep: bool,

    /// Let the server have no more than this many files open
    #[arg(long, value_name = "FILES")]
    nofile: Option<u32>,

    /// `ninefold`, `diod`, `qemu` (the guest's own), or a command line with {port}, {dir} and {model} in it
    #[arg(long, default_value = "ninefold", value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Choice::parse(text)))]
    server: Choice,

    /// How the guest reaches the server
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Transport,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kernels {
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    All,
}

impl Kernels {
    fn series(self) -> &'static [Series] {
        match self {
            Self::V6_1 => &[Series::V6_1],
            Self::V6_12 => &[Series::V6_12],
            Self::All => &[Series::V6_1, Series::V6_12],
        }
    }
}

/// Runs the suites on each kernel asked for.
pub fn run(options: &Options) -> Result<Totals> {
    let suites = chosen(options)?;
    let mut totals = Totals::default();
    for &series in options.kernel.series() {
        let configuration = Configuration {
            series,
            model: options.security_model,
            unprivileged: options.unprivileged,
            server: options.server.clone(),
            transport: options.transport,
            open_files_max: options.nofile,
            keep: options.keep,
        };
        totals += run_one(&configuration, &suites)?;
    }
    Ok(totals)
}

/// The suites asked for, or all that can run so.
fn chosen(options: &Options) -> Result<Vec<Suite>> {
    let interop = options.suites.contains(&Suite::Interop);
    ensure!(
        !(interop && options.unprivileged),
        "expected interop's server to be the user that QEMU is: leave out --unprivileged"
    );
    ensure!(
        options.transport == Transport::Tcp || matches!(options.server, Choice::Ninefold),
        "expected ninefold with --transport vhost-user: the others have their own ways"
    );
    if !options.suites.is_empty() {
        return Ok(options.suites.clone());
    }
    let all = Suite::value_variants().iter().copied();
    Ok(all
        .filter(|suite| !(options.unprivileged && *suite == Suite::Interop))
        .collect())
}

/// Runs `suites` in one configuration, making first whatever is missing.
pub fn run_one(configuration: &Configuration, suites: &[Suite]) -> Result<Totals> {
    let parts = Parts::ready(suites, configuration.server.packages())?;
    session::run(configuration, &parts, suites)
}

/// The checker of licences and sources, which is kept where the guests' tools are.
pub fn cargo_deny() -> Result<PathBuf> {
    tools::CARGO_DENY.ready()
}

/// A configuration, and what runs in it.
pub type Job = (Configuration, Vec<Suite>);

/// Runs jobs, `lanes` of them at a time: a guest keeps one processor busy. They are begun in the
/// order given, so the longest should come first. What is missing is made before the first guest
/// starts.
pub fn run_jobs(jobs: &[Job], lanes: usize) -> Result<Totals> {
    let suites: Vec<Suite> = jobs
        .iter()
        .flat_map(|(_, suites)| suites)
        .copied()
        .collect();
    let packages: Vec<&str> = jobs
        .iter()
        .flat_map(|(configuration, _)| configuration.server.packages())
        .copied()
        .collect();
    let parts = Parts::ready(&suites, &packages)?;
    for (configuration, _) in jobs {
        Kernel::ready(configuration.series)?;
        configuration.transport.emulator()?;
    }
    let next = AtomicUsize::new(0);
    let lane = || {
        let mut totals = Totals::default();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            totals += run_job(job, &parts);
        }
        totals
    };
    let ran = thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().unwrap_or(Totals::FAIL))
            .collect::<Vec<_>>()
    });
    let mut totals = Totals::default();
    for lane in ran {
        totals += lane;
    }
    Ok(totals)
}

fn run_job((configuration, suites): &Job, parts: &Parts) -> Totals {
    session::run(configuration, parts, suites).unwrap_or_else(|error| {
        failures::fail(&format!("[{}] {error:#}", configuration.name()));
        Totals::FAIL
    })
}

impl Parts {
    fn ready(suites: &[Suite], packages: &[&str]) -> Result<Self> {
        ensure_installed(&HOST_PACKAGES)?;
        Ok(Self {
            root: image::ready()?,
            programs: Programs::ready(suites, packages)?,
        })
    }
}
