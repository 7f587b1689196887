//! `ninefold serve`: opens the folder and the ways in, says how to mount, and waits for the end.

mod announce;
mod flags;
mod handed;
mod stdio;
mod systemd;
mod vhost;
mod ways;

pub use flags::WayFlags;

use std::io::{self, Write};
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::Context;
use ninefold::{Crew, CrewOptions, Export, SessionOptions};
use rustix::fs::Mode;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::{LogLevel, ServeArgs, wrong_usage};
use handed::Handed;
use ways::Ways;

/// Serves until told to stop, or until nobody is left who could ask.
pub fn run(args: &ServeArgs) -> anyhow::Result<()> {
    // First of all: what is opened later could have the number of what is missing.
    let handed = Handed::take(&args.ways)?;
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
    let tag = vhost::tag(args, &share);
    let mut ways = Ways::open(args, &share, handed)?;
    let text = announce::text(&ways, args, &share);
    let crew = Arc::new(start_crew(args)?);
    let once = args.ways.once || ways.are_final();
    let listeners = std::mem::take(&mut ways.devices);
    let devices = vhost::start(listeners, &tag, &crew, &export)?;
    let stdio = ways.serve(&crew, &export)?;
    if once {
        let signals = signals.handle();
        crew.on_deserted(move || signals.close());
    }
    announce(&text, stdio.is_some())?;
    let told = wait(&crew, &mut signals);
    systemd::stopping();
    drop((devices, crew));
    match stdio {
        // Nobody waits for replies when the server was told to stop.
        Some(stdio) if told.is_none() => stdio.finish(),
        _ => {}
    }
    Ok(())
}

fn start_crew(args: &ServeArgs) -> anyhow::Result<Crew> {
    Crew::start(CrewOptions {
        threads: args.threads.into(),
        session: SessionOptions {
            msize_max: args.msize_max,
        },
        interrupt: true,
    })
    .context("cannot start the server's threads")
}

/// Waits for the signal to stop, which it gives, or until the signals are closed.
fn wait(crew: &Crew, signals: &mut Signals) -> Option<i32> {
    systemd::ready();
    let (running, end) = mpsc::channel();
    thread::scope(|scope| {
        if let Some(heartbeat) = systemd::heartbeat() {
            scope.spawn(move || systemd::stay_alive(crew, heartbeat, &end));
        }
        let signal = signals.forever().next();
        drop(running);
        tracing::info!(signal, "stopping");
        signal
    })
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

/// All at once: who has read how to mount may go. Where standard output is a client, it goes to
/// standard error.
fn announce(text: &str, taken: bool) -> anyhow::Result<()> {
    if taken {
        return io::stderr()
            .write_all(text.as_bytes())
            .context("cannot write to standard error");
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
