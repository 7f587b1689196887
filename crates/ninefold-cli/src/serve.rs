//! `ninefold serve`: opens the folder and the sockets, says how to mount, and waits for the end.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use ninefold::{Crew, CrewOptions, Enforce, Export, Listener, SessionOptions};
use rustix::fs::Mode;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::{LogLevel, ServeArgs, wrong_usage};
use crate::share::ShareOptions;

/// The largest msize that Linux's client takes over a socket, bytes.
const LINUX_MSIZE_MAX: u32 = 1 << 20;
/// Where QEMU's user networking shows the host to the guest.
const QEMU_HOST: &str = "10.0.2.2";

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
    let listeners = listeners(args, &share)?;
    let mount_options = mount_options(args, &share);
    let mut text: String = listeners
        .iter()
        .map(|listener| announcement(listener, &mount_options))
        .collect();
    text.extend(share.mount_tag.as_deref().map(tag_note));
    let crew = Crew::start(CrewOptions {
        threads: args.threads.into(),
        session: SessionOptions {
            msize_max: args.msize_max,
        },
    })
    .context("cannot start the server's threads")?;
    for listener in listeners {
        let url = listener.url();
        crew.listen(listener, &export)
            .with_context(|| format!("cannot listen on {url}"))?;
    }
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

/// The sockets asked for, else one of this user's own.
fn listeners(args: &ServeArgs, share: &ShareOptions) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for path in &args.unix {
        listeners.push(Listener::unix(&absolute(path)?)?);
    }
    for address in &args.tcp {
        listeners.push(Listener::tcp(&address.to_string())?);
    }
    if listeners.is_empty() {
        listeners.push(Listener::unix(&default_socket(&share.path)?)?);
    }
    Ok(listeners)
}

/// The path is printed for others to use, whose working directory is another.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot use the path {}", path.display()))
}

/// `RUNTIME/ninefold/NAME.sock`, by the name of the folder.
fn default_socket(dir: &Path) -> anyhow::Result<PathBuf> {
    let real = fs::canonicalize(dir).with_context(|| format!("cannot find {}", dir.display()))?;
    let mut name = real.file_name().unwrap_or("root".as_ref()).to_owned();
    name.push(".sock");
    let folder = runtime_dir();
    make_private(&folder).with_context(|| {
        format!(
            "cannot use {} (choose a place with --unix)",
            folder.display()
        )
    })?;
    Ok(folder.join(name))
}

/// A directory for this user's sockets.
fn runtime_dir() -> PathBuf {
    let user = rustix::process::geteuid();
    let given = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let runtime = match given {
        Some(dir) => dir.into(),
        None if user.is_root() => PathBuf::from("/run"),
        None => PathBuf::from(format!("/run/user/{}", user.as_raw())),
    };
    if runtime.is_dir() {
        runtime.join("ninefold")
    } else {
        // No login session: a directory in /tmp, which must be checked to be ours.
        std::env::temp_dir().join(format!("ninefold-{}", user.as_raw()))
    }
}

/// Makes a directory that is nobody else's, or makes sure that it is one.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return Ok(made?),
    }
    let found = fs::symlink_metadata(folder)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        ours && found.mode() & 0o022 == 0,
        "expected a directory of this user's that nobody else may write to"
    );
    Ok(())
}

/// What a user has to know to mount from this listener.
fn announcement(listener: &Listener, options: &str) -> String {
    let mut text = format!("listening on {}\n", listener.url());
    if let Some(path) = listener.unix_path() {
        let path = path.display();
        text += &format!("  on this host:    mount -t 9p -o trans=unix,{options} {path} /mnt\n");
    }
    if let Some(address) = listener.tcp_address() {
        let port = address.port();
        let options = format!("trans=tcp,port={port},{options}");
        if reaches_qemu_guests(address) {
            text += &format!("  in a QEMU guest: mount -t 9p -o {options} {QEMU_HOST} /mnt\n");
        }
        text += &format!(
            "  on this host:    mount -t 9p -o {options} {} /mnt\n",
            local(address)
        );
    }
    text
}

/// Who gave a tag has guests that mount by it.
fn tag_note(tag: &OsStr) -> String {
    let tag = tag.to_string_lossy();
    format!("  mount_tag {tag}: a socket has none; mount by address, as above\n")
}

/// The options that a Linux guest does best with.
fn mount_options(args: &ServeArgs, share: &ShareOptions) -> String {
    let msize = args.msize_max.min(LINUX_MSIZE_MAX);
    let access = match share.enforce {
        // Each user asks for himself, and the host answers.
        Enforce::Server(_) => "user",
        Enforce::Client if share.security_model.has_acls() => "client,posixacl",
        Enforce::Client => "client",
    };
    let readonly = if share.readonly { ",ro" } else { "" };
    format!("version=9p2000.L,msize={msize},cache=mmap,access={access}{readonly}")
}

fn reaches_qemu_guests(address: SocketAddr) -> bool {
    let ip = address.ip();
    ip.is_ipv4() && (ip.is_loopback() || ip.is_unspecified())
}

fn local(address: SocketAddr) -> IpAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// All at once: who has read how to mount may go.
fn announce(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
