//! One run: each row with each server in turn, round after round, and the floor among them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;

use crate::figures;
use crate::figures::Figures;
use crate::load;
use crate::load::Load;
use crate::load::Target;
use crate::load::Until;
use crate::plain;
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

/// What a run is about.
pub struct Settings {
    pub programs: Programs,
    pub peers: Vec<Peer>,
    pub rounds: usize,
    /// Of each row, with each server, in each round.
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

/// What a row gave.
pub struct Measured {
    pub row: Row,
    pub servers: Vec<ByServer>,
    /// The plain system calls' processor time, nanoseconds, in each round.
    pub plain: Vec<f64>,
}

/// What a row gave with one server.
pub struct ByServer {
    pub peer: Peer,
    pub runs: Vec<Figures>,
    /// System calls for each operation.
    pub calls: Option<f64>,
    /// Why there are no figures.
    pub trouble: Option<String>,
    /// Why there are no calls.
    pub calls_trouble: Option<String>,
}

impl ByServer {
    /// Without figures yet.
    pub fn new(peer: Peer) -> Self {
        Self {
            peer,
            runs: Vec::new(),
            calls: None,
            trouble: None,
            calls_trouble: None,
        }
    }
}

impl Measured {
    /// What a server gave.
    pub fn server(&self, peer: Peer) -> Option<&ByServer> {
        self.servers.iter().find(|server| server.peer == peer)
    }

    /// The medians of a server, if it went through every round.
    pub fn of(&self, peer: Peer) -> Option<Figures> {
        Figures::median(&self.server(peer)?.runs)
    }

    /// The plain system calls, nanoseconds.
    pub fn plain(&self) -> Option<f64> {
        figures::median(self.plain.clone())
    }

    /// The plain system calls and the null responder together, nanoseconds.
    pub fn floor(&self) -> Option<f64> {
        Some(self.plain()? + self.of(Peer::Null)?.cpu)
    }

    /// The lowest of a figure among those we are compared with.
    pub fn least_of_peers(&self, figure: fn(&Figures) -> f64) -> Option<f64> {
        self.of_peers(figure).min_by(f64::total_cmp)
    }

    /// And the highest.
    pub fn most_of_peers(&self, figure: fn(&Figures) -> f64) -> Option<f64> {
        self.of_peers(figure).max_by(f64::total_cmp)
    }

    fn of_peers(&self, figure: fn(&Figures) -> f64) -> impl Iterator<Item = f64> {
        let peers = self.servers.iter().map(|server| server.peer);
        peers
            .filter(|peer| !matches!(peer, Peer::Ninefold | Peer::Null))
            .filter_map(move |peer| Some(figure(&self.of(peer)?)))
    }

    /// The processor time of `peer` in terms of the floor.
    pub fn above_floor(&self, peer: Peer) -> Option<f64> {
        figures::ratio(self.of(peer)?.cpu, self.floor()?)
    }
}

/// Measures a row.
pub fn measure(settings: &Settings, row: &Row) -> Result<Measured> {
    let peers = settings.peers.iter().filter(|peer| row.is_for(**peer));
    let mut servers: Vec<_> = peers.map(|&peer| ByServer::new(peer)).collect();
    let mut plain = Vec::new();
    for round in 0..settings.rounds.min(row.rounds_max) {
        for server in &mut servers {
            // What failed once is not tried again: its row has no figures.
            if server.trouble.is_none() {
                if let Err(error) = once(settings, row, server, round == 0) {
                    server.runs.clear();
                    server.trouble = Some(format!("{error:#}"));
                }
            }
        }
        let count = row.msize - ninefold_wire::IO_HEADER_LEN;
        let told = plain::measure(
            row.work,
            &settings.tree,
            settings.entries,
            count,
            settings.time,
        );
        plain.extend(told.with_context(|| format!("the plain calls of {}", row.name))?);
    }
    Ok(Measured {
        row: row.clone(),
        servers,
        plain,
    })
}

fn once(settings: &Settings, row: &Row, by: &mut ByServer, first: bool) -> Result<()> {
    let (export, is_empty) = export(settings, row)?;
    let task = Task {
        peer: by.peer,
        export: &export,
        beside: &settings.beside,
        model: row.model.unwrap_or("passthrough"),
        entries: settings.entries,
        pinned: row.is_pinned(),
    };
    let server = Server::start(&settings.programs, &task)?;
    let _pin = row.is_pinned().then(Pin::new).transpose()?;
    let mut load = load::prepare(&Target {
        server: &server,
        row,
        entries: settings.entries,
        is_empty,
        quick: settings.quick,
    })?;
    by.runs.push(sample(&server, &mut *load, settings.time)?);
    if first && !settings.quick && load.is_repeatable() {
        let pass = syscalls::count(server.pid(), &settings.beside, || {
            Ok(load.run(Until::Count(CALLS_PASS))?.operations)
        });
        match pass {
            Ok(calls) => by.calls = Some(calls / load.weight()),
            Err(error) => by.calls_trouble = Some(format!("{error:#}")),
        }
    }
    Ok(())
}

/// What to serve, and whether a client has to fill it first.
fn export(settings: &Settings, row: &Row) -> Result<(PathBuf, bool)> {
    if row.model.is_none() {
        return Ok((settings.tree.clone(), false));
    }
    // Fresh for each server, for what a null responder makes is not there.
    let own = settings.beside.join("own");
    if own.exists() {
        fs::remove_dir_all(&own)?;
    }
    fs::create_dir(&own)?;
    Ok((own, true))
}

fn sample(server: &Server, load: &mut dyn Load, time: Duration) -> Result<Figures> {
    if load.is_repeatable() {
        load.run(Until::Time(Instant::now() + time / 5))?;
    }
    let before = server.cpu_nanos()?;
    let outcome = load.run(Until::Time(Instant::now() + time))?;
    let cpu = server.cpu_nanos()? - before;
    let done = outcome.operations as f64 * load.weight();
    let quantile = |per_mille| {
        let nanos = outcome.times.quantile(per_mille);
        nanos.map_or(0.0, |nanos| nanos as f64)
    };
    Ok(Figures {
        rate: done / outcome.elapsed.as_secs_f64(),
        p50: quantile(500),
        p99: quantile(990),
        p999: quantile(999),
        cpu: cpu as f64 / done,
        memory_peak: process::memory_peak_kib(server.pid())? as f64,
        descriptors: process::descriptors(server.pid())? as f64,
        extras: load.extras().into_iter().collect(),
    })
}
