//! `cargo xtask guest`: Linux's own 9p client, in a guest, against our server on the host.
//!
//! Everything comes from Debian packages and is kept below `target/guest`. Nothing is installed in the guest at run
//! time, no mount is made on the host, and neither process nor directory stays behind.

mod cache;
mod cpio;
mod image;
mod kernel;
mod packages;
mod pjdfstest;
mod private;
mod qemu;
mod server;
mod session;
mod suites;
mod tools;
mod vmlinux;

use anyhow::Result;
use clap::Args;
use clap::ValueEnum;

pub use self::kernel::Series;
pub use self::server::Choice;
pub use self::server::Model;
pub use self::session::Configuration;
use self::session::Parts;
use self::suites::Programs;
pub use self::suites::Suite;
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

    /// `ninefold`, `diod`, or a command line with {port}, {dir} and {model} in it
    #[arg(long, default_value = "ninefold", value_parser = |text: &str| Ok::<_, std::convert::Infallible>(Choice::parse(text)))]
    server: Choice,
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
    let suites = if options.suites.is_empty() {
        Suite::value_variants()
    } else {
        &options.suites
    };
    let mut totals = Totals::default();
    for &series in options.kernel.series() {
        let configuration = Configuration {
            series,
            model: options.security_model,
            unprivileged: options.unprivileged,
            server: options.server.clone(),
            keep: options.keep,
        };
        totals += run_one(&configuration, suites)?;
    }
    Ok(totals)
}

/// Runs `suites` in one configuration, making first whatever is missing.
pub fn run_one(configuration: &Configuration, suites: &[Suite]) -> Result<Totals> {
    packages::ensure_installed(&HOST_PACKAGES)?;
    let parts = Parts {
        root: image::ready()?,
        programs: Programs::ready(suites, configuration.server.packages())?,
    };
    session::run(configuration, &parts, suites)
}
