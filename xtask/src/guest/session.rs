//! One configuration from start to end: server, agent, and guests until every suite has had its turn.
//!
//! A guest that dies or hangs costs the suite that ran, not those that follow: they get a fresh guest.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use tempfile::TempDir;

use super::emulator::Emulator;
use super::fsdev;
use super::kernel::Kernel;
use super::kernel::Series;
use super::private;
use super::qemu;
use super::qemu::Event;
use super::qemu::Guest;
use super::server;
use super::server::Choice;
use super::server::Model;
use super::servers;
use super::servers::Servers;
use super::suites;
use super::suites::Programs;
use super::suites::Scene;
use super::suites::Suite;
use super::transport::Transport;
use crate::failures;
use crate::places;
use crate::process::Running;
use crate::totals::Totals;

const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// The guest keeps the limit of a suite itself; we step in when it cannot.
const GRACE: Duration = Duration::from_secs(30);
/// Between two suites, and from the last one to the end.
const PAUSE_LIMIT: Duration = Duration::from_secs(60);

/// Of the server's log, shown when something failed.
const LOG_LINES: usize = 40;

/// What to run against what.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub series: Series,
    pub model: Model,
    pub unprivileged: bool,
    pub server: Choice,
    pub transport: Transport,
    /// How many files the server may have open; as many as we may if nothing is said.
    pub open_files_max: Option<u32>,
    /// Leave the exported directory behind.
    pub keep: bool,
}

impl Configuration {
    /// Kernel, security model and an unusual transport, to tell its output from others'.
    pub fn name(&self) -> String {
        let transport = match self.transport {
            Transport::Tcp => "",
            Transport::VhostUser => " vhost-user",
        };
        format!("{} {}{transport}", self.series.name(), self.model.name())
    }
}

/// What all configurations share.
pub struct Parts {
    pub root: PathBuf,
    pub programs: Programs,
}

/// Runs `suites` in one configuration.
pub fn run(configuration: &Configuration, parts: &Parts, suites: &[Suite]) -> Result<Totals> {
    let kernel = Kernel::ready(configuration.series)?;
    let emulator = configuration.transport.emulator()?;
    let dir = private_directory(configuration)?;
    let export = dir.path().join("export");
    make_export(&export, configuration.unprivileged)?;
    let (suites, refused) = possible(configuration, suites);
    let mut servers = Servers::start(configuration, &export, dir.path(), &suites)?;
    let agent = suites
        .iter()
        .any(|suite| suite.is_own())
        .then(|| start_agent(&suites::agent(&export, configuration.unprivileged)))
        .transpose()?;
    let server_is_qemu = matches!(configuration.server, Choice::Qemu);
    let mut session = Session {
        name: configuration.name(),
        servers: &servers,
        devices: Devices {
            export: &export,
            model: configuration.model,
            all: server_is_qemu,
            others: [configuration.transport.machine(), servers.devices()].concat(),
        },
        emulator,
        scene: Scene {
            agent_port: agent.as_ref().map(|(_, port)| *port),
            model: configuration.model,
            unprivileged: configuration.unprivileged,
            server_is_qemu,
            open_files_max: configuration.open_files_max,
        },
        totals: Totals::default(),
    };
    session.totals += refused;
    let ran = session.run(&kernel, parts, dir.path(), &suites);
    let mut totals = session.totals;
    let alive = servers.check();
    drop(agent);
    let logs = servers.end();
    // What was counted before things went wrong still counts.
    for error in [ran, alive].into_iter().filter_map(Result::err) {
        failures::fail(&format!("[{}] {error:#}", configuration.name()));
        totals += Totals::FAIL;
    }
    if totals.failed > 0 {
        logs.iter().try_for_each(|log| print_end(log))?;
    }
    if configuration.keep {
        println!("kept {}", dir.keep().display());
    }
    Ok(totals)
}

/// Those of `suites` that can be asked, and the count of the others.
fn possible(configuration: &Configuration, suites: &[Suite]) -> (Vec<Suite>, Totals) {
    let mut refused = Totals::default();
    let mut possible = suites.to_vec();
    possible.retain(|&suite| {
        let Some(why) = servers::hindrance(configuration, suite) else {
            return true;
        };
        let (name, suite) = (configuration.name(), suite.name());
        println!("[{name} {suite}] skipped: {why}");
        refused += Totals::SKIP;
        false
    });
    (possible, refused)
}

/// The devices that a guest gets.
struct Devices<'a> {
    export: &'a Path,
    model: Model,
    /// QEMU is the server under test
    all: bool,
    /// QEMU's arguments for those that are not its own 9p devices
    others: Vec<String>,
}

impl Devices<'_> {
    fn arguments(&self, suites: &[Suite]) -> Vec<String> {
        let mut tags = Vec::new();
        if self.all {
            tags.extend(fsdev::SHARES);
        }
        if suites.contains(&Suite::Interop) {
            tags.push(fsdev::PEER);
        }
        let own = fsdev::arguments(self.export, self.model, &tags);
        let mut all = [self.others.as_slice(), &own].concat();
        if suites.iter().any(|suite| suite.reboots()) {
            all.extend(qemu::REBOOTING.map(str::to_owned));
        }
        all
    }
}

struct Session<'a> {
    name: String,
    servers: &'a Servers,
    devices: Devices<'a>,
    emulator: Emulator,
    scene: Scene,
    totals: Totals,
}

impl Session<'_> {
    fn run(&mut self, kernel: &Kernel, parts: &Parts, dir: &Path, suites: &[Suite]) -> Result<()> {
        let mut left = suites.to_vec();
        while !left.is_empty() {
            let mut later = left.split_off(together(&left));
            let line = |suite: &Suite| suite.plan(&self.servers.mount(*suite), &self.scene);
            let plan: String = left.iter().map(line).collect();
            let payload = parts.programs.pack(&plan)?;
            let devices = self.devices.arguments(&left);
            let guest = Guest::boot(&self.emulator, kernel, &parts.root, &payload, dir, &devices)?;
            self.watch(&guest, &mut left)?;
            left.append(&mut later);
        }
        Ok(())
    }

    /// Follows one guest until it has no suite left or is lost.
    fn watch(&mut self, guest: &Guest, left: &mut Vec<Suite>) -> Result<()> {
        wait_for_boot(&self.name, guest)?;
        while let Some(&suite) = left.first() {
            let survived = self.watch_suite(guest, suite)?;
            left.remove(0);
            if !survived {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Counts one suite; says whether the guest is still good for another.
    fn watch_suite(&mut self, guest: &Guest, suite: Suite) -> Result<bool> {
        let name = suite.name();
        let started = Instant::now();
        let mut deadline = started + PAUSE_LIMIT;
        let mut output = Vec::new();
        let (exit, survived) = loop {
            match guest.next(deadline)? {
                Some(Event::Begin(_)) => {
                    deadline = Instant::now() + Duration::from_secs(suite.limit()) + GRACE;
                }
                Some(Event::End(_, exit)) => break (exit, true),
                Some(Event::Line(line)) => {
                    failures::print(&format!("[{} {name}] {line}", self.name));
                    output.push(line);
                }
                Some(Event::Ready(_)) => {}
                Some(Event::Gone) => break (lost(name, "the guest died"), false),
                None => break (lost(name, "the guest hangs"), false),
            }
        };
        let totals = suite.judge(&output, exit)?;
        println!(
            "[{} {name}] {totals} (status {exit}, {:.0} s)",
            self.name,
            started.elapsed().as_secs_f32()
        );
        self.totals += totals;
        Ok(survived)
    }
}

/// Waits until a guest is up, and says its kernel's release.
pub fn wait_for_boot(name: &str, guest: &Guest) -> Result<String> {
    let started = Instant::now();
    loop {
        match guest.next(started + BOOT_LIMIT)? {
            Some(Event::Ready(release)) => {
                println!(
                    "[{name}] Linux {release} is up after {:.1} s",
                    started.elapsed().as_secs_f32()
                );
                return Ok(release);
            }
            Some(Event::Line(line)) => println!("[{name} boot] {line}"),
            Some(Event::Begin(_) | Event::End(..)) => {}
            Some(Event::Gone) => bail!("the guest ended while it booted"),
            None => bail!("the guest was not up within {} s", BOOT_LIMIT.as_secs()),
        }
    }
}

/// How many of the next suites can share a guest.
fn together(suites: &[Suite]) -> usize {
    match suites.iter().position(|suite| suite.reboots()) {
        Some(0) => 1,
        Some(before) => before,
        None => suites.len(),
    }
}

fn lost(suite: &str, what: &str) -> i32 {
    failures::fail(&format!("{what} during {suite}"));
    -1
}

/// Starts the host's agent, which says its port.
pub fn start_agent(agent: &Command) -> Result<(Running, u16)> {
    let (mut running, lines) = Running::start_lines("agent", agent)?;
    let first = lines
        .recv_timeout(Duration::from_secs(10))
        .context("the host agent said nothing")?;
    let port = first
        .strip_prefix("listening ")
        .and_then(|address| address.rsplit_once(':'));
    let port = port.with_context(|| {
        format!("expected `listening ADDRESS` from the host agent, found {first}")
    })?;
    running.print(lines);
    Ok((running, port.1.trim().parse()?))
}

/// The last words of the server: all of them could be many.
fn print_end(log: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let lines: Vec<_> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        println!("[server] {line}");
    }
    Ok(())
}

/// A directory on a real disk, removed when dropped; an ordinary user must be able to reach that of its server.
fn private_directory(configuration: &Configuration) -> Result<TempDir> {
    let guests = places::guest();
    fs::create_dir_all(&guests)?;
    let reachable = guests
        .ancestors()
        .all(|dir| fs::metadata(dir).is_ok_and(|found| found.permissions().mode() & 0o001 != 0));
    let base = if configuration.unprivileged && !reachable {
        PathBuf::from("/var/tmp/ninefold-guest")
    } else {
        guests
    };
    let dir = private::directory(&base, "run")?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

fn make_export(export: &Path, unprivileged: bool) -> Result<()> {
    fs::create_dir(export)?;
    fs::set_permissions(export, fs::Permissions::from_mode(0o755))?;
    if unprivileged {
        chown(export, Some(server::NOBODY), Some(server::NOBODY))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_that_reboots_is_alone() {
        use Suite::{Apps, Locks, Reboots};
        assert_eq!(together(&[Locks, Apps]), 2);
        assert_eq!(together(&[Locks, Apps, Reboots, Locks]), 2);
        assert_eq!(together(&[Reboots, Locks]), 1);
    }
}
