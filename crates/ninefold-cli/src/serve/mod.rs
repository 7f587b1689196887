//! `ninefold serve`: opens the folder and the sockets, says how to mount, and waits for the end.

mod announce;
mod ways;

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;
use ninefold::{Crew, CrewOptions, Export, SessionOptions};
use rustix::fs::Mode;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::{LogLevel, ServeArgs, wrong_usage};
use ways::Ways;

/// Serves until told to stop.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let share = args.share().unwrap_or_else(|error| wrong_usage(error));
    let mut options = share
        .export_options()
        .unwrap_or_else(|error| wrong_usage(error));
    start_log(args.log);
    // Before the first thread: the mode that a client asks for is the mode that it gets. Modes that
    // the user gives for the host are cut by the umask, as in QEMU.
    let umask = rustix::process::umask(Mode::empty()).as_raw_mode();
    options.fmode &= !umask;
    options.dmode &= !umask;
    ninefold::raise_descriptor_limit();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("cannot wait for signals")?;
    let export = Arc::new(Export::open(&share.path, &options)?);
    let ways = Ways::open(args, &share)?;
    let text = announce::text(&ways, args, &share);
    let crew = Crew::start(CrewOptions {
        threads: args.threads.into(),
        session: SessionOptions {
            msize_max: args.msize_max,
        },
        interrupt: true,
    })
    .context("cannot start the server's threads")?;
    ways.serve(&crew, &export)?;
    announce(&text)?;
    if let Some(signal) = signals.forever().next() {
        tracing::info!(signal, "stopping");
    }
    drop(crew);
    Ok(())
}

fn start_log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .init();
}

/// All at once: who has read how to mount may go.
fn announce(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
