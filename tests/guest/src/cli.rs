//! The arguments of `ninefold-suite`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::ValueEnum;

use crate::peer;
use crate::runner;
use crate::suites;

/// Run one suite of rows against two mounts of one export.
#[derive(Parser, Debug, Clone)]
#[command(name = "ninefold-suite", version)]
pub(crate) struct Options {
    /// Suite to run; a wrong one gets the list of them
    pub(crate) name: String,
    /// First mount of the export: this client
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    pub(crate) mount: Option<PathBuf>,
    /// Second mount of the same export: the other client
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    pub(crate) second: Option<PathBuf>,
    /// Where ninefold-host-agent listens
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    pub(crate) agent: Option<String>,
    /// Run only rows whose name contains this
    #[arg(long, value_name = "SUBSTRING")]
    pub(crate) only: Option<String>,
    /// Print the names of the rows and stop
    #[arg(long)]
    pub(crate) list: bool,
    /// What the mounts are: 9p has limits of its own, which are skipped
    #[arg(long, value_enum, default_value_t = Fs::Nine)]
    pub(crate) fs: Fs,
    /// The server's ownership model
    #[arg(long, value_enum, default_value_t = Model::Passthrough)]
    pub(crate) model: Model,
    /// The server runs without privileges
    #[arg(long)]
    pub(crate) unprivileged: bool,
    /// The first mount is QEMU's own server too
    #[arg(long)]
    pub(crate) server_is_qemu: bool,
    /// A third mount of the export, whose client caches
    #[arg(long, value_name = "DIR")]
    pub(crate) cached: Option<PathBuf>,
    /// How many files the server may have open, if that is fewer than usual
    #[arg(long, value_name = "FILES")]
    pub(crate) open_files_max: Option<u32>,
    /// Run this one row in this process, in this directory of the export
    #[arg(long, hide = true, num_args = 2, value_names = ["ROW", "DIRECTORY"])]
    pub(crate) run_row: Option<Vec<String>>,
}

impl Options {
    /// The guest's root may do no more than others.
    pub(crate) fn root_is_nobody(&self) -> bool {
        self.name == "squash"
    }
}

/// What kind of file system the mounts are.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fs {
    /// Linux's own 9p client
    #[value(name = "9p")]
    Nine,
    /// A plain local directory, the oracle
    Local,
}

/// How the server stores owners and modes.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    Passthrough,
    None,
    MappedXattr,
    MappedFile,
}

/// The whole program `ninefold-suite`.
pub fn suite_main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == peer::FLAG)
    {
        return peer::serve::run();
    }
    let options = Options::parse();
    let Some(rows) = suites::rows(&options.name) else {
        eprintln!(
            "expected one of {}, came {:?}",
            suites::names().join(", "),
            options.name
        );
        return ExitCode::from(2);
    };
    if options.list {
        rows.iter().for_each(|row| println!("{}", row.name));
        return ExitCode::SUCCESS;
    }
    match &options.run_row {
        Some(row) => runner::run_here(&options, &rows, &row[0], &row[1]),
        None => runner::run_all(&options, &rows),
    }
}
