//! One run: the servers of a row all at once, each with its load, and a short turn for each of them in every round.
//!
//! A server that has not its turn sleeps. The turns of a round lie so close together that what else the machine does
//! falls on all of them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use tempfile::TempDir;

use crate::figures::Figures;
use crate::load;
use crate::load::Load;
use crate::load::Target;
use crate::load::Until;
use crate::measured::ByServer;
use crate::measured::Measured;
use crate::plain::Plain;
use crate::process;
use crate::process::Pin;
use crate::row::Row;
use crate::server::Peer;
use crate::server::Programs;
use crate::server::Server;
use crate::server::Task;
use crate::syscalls;

/// Operations of the pass that counts system calls.
const CALLS_PASS: u64 = 2000;
/// After so many rounds fresh servers take the place of those that run: starts of one program differ by some
/// hundredths.
const ROUNDS_EACH: usize = 4;
/// A turn is disturbed when the host of this machine has taken more from all its processors, hundredths of a second.
const STOLEN_MAX: u64 = 1;
/// How often it is made, at most, until it is not.
const ATTEMPTS: usize = 3;

/// What a run is about.
pub struct Settings {
    pub programs: Programs,
    pub peers: Vec<Peer>,
    pub rounds: usize,
    /// A turn.
    pub time: Duration,
    /// Only the harness is tested: as little of everything as there can be.
    pub quick: bool,
    /// Entries of the wide directory.
    pub entries: u64,
    /// The tree that is served.
    pub tree: PathBuf,
    /// A directory for sockets, logs and further trees.
    pub beside: PathBuf,
}

/// Measures rows that are compared with each other, in the same rounds.
pub fn measure(settings: &Settings, rows: &[&Row]) -> Result<Vec<Measured>> {
    let mut contests = Vec::new();
    for row in rows {
        contests.push(Contest::new(settings, row)?);
    }
    let rounds_max = rows.iter().map(|row| row.rounds_max).min();
    let rounds = settings.rounds.min(rounds_max.unwrap_or(0));
    for round in 0..rounds {
        for contest in &mut contests {
            if round % ROUNDS_EACH == 0 {
                contest.end_servers();
            }
            contest.round(settings, round)?;
        }
    }
    for contest in &mut contests {
        contest.count_calls();
    }
    Ok(contests.into_iter().map(|contest| contest.told).collect())
}

/// A row under way.
struct Contest {
    told: Measured,
    /// Of each server, as long as it runs.
    running: Vec<Option<Running>>,
    plain: Option<Plain>,
}

impl Contest {
    fn new(settings: &Settings, row: &Row) -> Result<Self> {
        let count = row.msize - ninefold_wire::IO_HEADER_LEN;
        let plain = Plain::new(row.work, &settings.tree, settings.entries, count);
        let told = Measured::new(row, &settings.peers);
        Ok(Self {
            running: told.servers.iter().map(|_| None).collect(),
            told,
            plain: plain.with_context(|| format!("the plain calls of {}", row.name))?,
        })
    }

    /// Has the next round start each server anew.
    fn end_servers(&mut self) {
        self.running.fill_with(|| None);
    }

    /// Each round begins with another server, for the place in it matters: who comes after the plain calls, which leave
    /// all but one of the processors idle, was up to a tenth slower.
    fn round(&mut self, settings: &Settings, round: usize) -> Result<()> {
        let count = self.told.servers.len();
        for at in (round..round + count).map(|turn| turn % count) {
            let (by, running) = (&mut self.told.servers[at], &mut self.running[at]);
            // What failed once is not tried again: its row has no figures.
            if by.trouble.is_some() {
                continue;
            }
            if let Err(error) = turn(settings, &self.told.row, by, running) {
                by.runs.clear();
                by.trouble = Some(format!("{error:#}"));
                *running = None;
            }
        }
        if let Some(plain) = &mut self.plain {
            self.told.plain.extend(plain.run(settings.time)?);
        }
        Ok(())
    }

    /// Counting is not free, so it is done when all has been measured.
    fn count_calls(&mut self) {
        for (by, running) in self.told.servers.iter_mut().zip(&mut self.running) {
            // What runs still can run once more.
            let Some(running) = running.as_mut().filter(|running| !running.quick) else {
                continue;
            };
            match running.calls(&self.told.row) {
                Ok(calls) => by.calls = Some(calls),
                Err(error) => by.calls_trouble = Some(format!("{error:#}")),
            }
        }
    }
}

/// One server's turn: it is started if it does not run yet, and ends if its load can run but once.
fn turn(
    settings: &Settings,
    row: &Row,
    by: &mut ByServer,
    running: &mut Option<Running>,
) -> Result<()> {
    let _pin = row.is_pinned().then(Pin::new).transpose()?;
    let mut now = match running.take() {
        Some(running) => running,
        None => Running::start(settings, row, by.peer)?,
    };
    by.runs.push(now.sample(settings.time)?);
    if now.load.is_repeatable() {
        *running = Some(now);
    }
    Ok(())
}

/// A server and the load on it.
struct Running {
    load: Box<dyn Load>,
    server: Server,
    /// Its socket, its log and its tree if that is its own; goes last.
    beside: TempDir,
    quick: bool,
}

impl Running {
    fn start(settings: &Settings, row: &Row, peer: Peer) -> Result<Self> {
        let beside = tempfile::tempdir_in(&settings.beside)?;
        let export = match row.model {
            None => settings.tree.clone(),
            Some(_) => beside.path().join("own"),
        };
        if row.model.is_some() {
            fs::create_dir(&export)?;
        }
        let task = Task {
            peer,
            row: &row.name,
            export: &export,
            beside: beside.path(),
            model: row.model.unwrap_or("passthrough"),
            entries: settings.entries,
            pinned: row.is_pinned(),
        };
        let server = Server::start(&settings.programs, &task)?;
        let load = load::prepare(&Target {
            server: &server,
            row,
            entries: settings.entries,
            is_empty: row.model.is_some(),
            quick: settings.quick,
        })?;
        Ok(Self {
            load,
            server,
            beside,
            quick: settings.quick,
        })
    }

    /// Figures of a turn that the host of this machine has not disturbed, if that can be had.
    fn sample(&mut self, time: Duration) -> Result<Figures> {
        for _ in 1..ATTEMPTS {
            let before = process::stolen()?;
            let figures = self.sample_once(time)?;
            let stolen = process::stolen()?.saturating_sub(before);
            if stolen <= STOLEN_MAX || !self.load.is_repeatable() {
                return Ok(figures);
            }
        }
        self.sample_once(time)
    }

    fn sample_once(&mut self, time: Duration) -> Result<Figures> {
        let load = &mut self.load;
        if load.is_repeatable() {
            // The caches are another server's.
            load.run(Until::Time(Instant::now() + time / 5))?;
        }
        let before = self.server.cpu_nanos()?;
        let outcome = load.run(Until::Time(Instant::now() + time))?;
        let cpu = self.server.cpu_nanos()? - before;
        let done = outcome.operations as f64 * load.weight();
        let quantile = |per_mille| {
            let nanos = outcome.times.quantile(per_mille);
            nanos.map_or(0.0, |nanos| nanos as f64)
        };
        let pid = self.server.pid();
        Ok(Figures {
            rate: done / outcome.elapsed.as_secs_f64(),
            p50: quantile(500),
            p99: quantile(990),
            p999: quantile(999),
            cpu: cpu as f64 / done,
            memory_peak: process::memory_peak_kib(pid)? as f64,
            descriptors: process::descriptors(pid)? as f64,
            extras: load.extras().into_iter().collect(),
        })
    }

    /// System calls for each operation.
    fn calls(&mut self, row: &Row) -> Result<f64> {
        let _pin = row.is_pinned().then(Pin::new).transpose()?;
        let load = &mut self.load;
        let pass = || Ok(load.run(Until::Count(CALLS_PASS))?.operations);
        let calls = syscalls::count(self.server.pid(), self.beside.path(), pass)?;
        Ok(calls / self.load.weight())
    }
}
