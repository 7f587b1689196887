//! One run: each row with each server in turn, round after round, and the floor among them.

use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;

use crate::connection::Connection;
use crate::drive;
use crate::drive::Until;
use crate::figures;
use crate::figures::Figures;
use crate::plain;
use crate::process;
use crate::process::Pin;
use crate::row::Row;
use crate::server::Peer;
use crate::server::Programs;
use crate::server::Server;
use crate::server::Task;
use crate::syscalls;
use crate::work::Work;

/// What a run is about.
pub struct Settings {
    pub programs: Programs,
    pub peers: Vec<Peer>,
    pub rounds: usize,
    /// Of each row, with each server, in each round.
    pub time: Duration,
    /// A short pass that counts system calls follows.
    pub count_calls: bool,
    /// The tree that is served.
    pub tree: PathBuf,
    /// A directory for sockets and logs.
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
    /// Why there are no figures, or no calls.
    pub trouble: Option<String>,
}

impl Measured {
    /// The medians of a server, if it went through every round.
    pub fn of(&self, peer: Peer) -> Option<Figures> {
        let server = self.servers.iter().find(|server| server.peer == peer)?;
        Figures::median(&server.runs)
    }

    /// The plain system calls and the null responder together, nanoseconds.
    pub fn floor(&self) -> Option<f64> {
        Some(figures::median(self.plain.clone())? + self.of(Peer::Null)?.cpu)
    }
}

/// Measures a row.
pub fn measure(settings: &Settings, row: &Row) -> Result<Measured> {
    let fresh = |&peer| ByServer {
        peer,
        runs: Vec::new(),
        calls: None,
        trouble: None,
    };
    let mut servers: Vec<_> = settings.peers.iter().map(fresh).collect();
    let mut plain = Vec::new();
    for round in 0..settings.rounds {
        for server in &mut servers {
            // What failed once is not tried again: its row has no figures.
            if server.trouble.is_none() {
                let told = once(settings, row, server, round == 0);
                if let Err(error) = told.with_context(|| format!("{}, {}", row.name, server.peer)) {
                    server.runs.clear();
                    server.trouble = Some(format!("{error:#}"));
                }
            }
        }
        let count = row.msize - ninefold_wire::IO_HEADER_LEN;
        let count = if row.work.is_bulk() { count } else { 4096 };
        plain.push(plain::measure(
            row.work,
            &settings.tree,
            count,
            settings.time,
        )?);
    }
    Ok(Measured {
        row: row.clone(),
        servers,
        plain,
    })
}

fn once(settings: &Settings, row: &Row, by: &mut ByServer, first: bool) -> Result<()> {
    let task = Task {
        peer: by.peer,
        export: &settings.tree,
        beside: &settings.beside,
        model: "passthrough",
        entries: 0,
        pinned: row.is_pinned(),
    };
    let server = Server::start(&settings.programs, &task)?;
    let _pin = row.is_pinned().then(Pin::new).transpose()?;
    let mut connection = Connection::open(&server.socket, row.msize, &server.aname)?;
    let mut slots = row.work.slots(&mut connection, row.depth)?;
    let warm = Until::Time(Instant::now() + settings.time / 5);
    drive::drive(&mut connection, &mut slots, warm)?;
    let before = server.cpu_nanos()?;
    let until = Until::Time(Instant::now() + settings.time);
    let outcome = drive::drive(&mut connection, &mut slots, until)?;
    let cpu = server.cpu_nanos()? - before;
    // A bulk row is told for each MiB: servers differ in what they carry in one message.
    let scale = scale(row.work, &connection);
    let done = outcome.operations as f64 * scale;
    let quantile = |per_mille| {
        outcome
            .times
            .quantile(per_mille)
            .map_or(0.0, |nanos| nanos as f64)
    };
    by.runs.push(Figures {
        rate: done / outcome.elapsed.as_secs_f64(),
        p50: quantile(500),
        p99: quantile(990),
        p999: quantile(999),
        cpu: cpu as f64 / done,
        memory_peak: process::memory_peak_kib(server.pid())? as f64,
        descriptors: process::descriptors(server.pid())? as f64,
    });
    if first && settings.count_calls {
        let pass = syscalls::count(server.pid(), &settings.beside, || {
            let done = drive::drive(&mut connection, &mut slots, Until::Count(CALLS_PASS))?;
            Ok(done.operations)
        });
        by.calls = Some(pass? / scale);
    }
    Ok(())
}

/// Operations of the pass that counts system calls.
const CALLS_PASS: u64 = 2000;

fn scale(work: Work, connection: &Connection) -> f64 {
    if work.is_bulk() {
        f64::from(connection.msize - ninefold_wire::IO_HEADER_LEN) / f64::from(1 << 20)
    } else {
        1.0
    }
}

/// The processor time of `peer` in terms of the floor.
pub fn above_floor(measured: &Measured, peer: Peer) -> Option<f64> {
    figures::ratio(measured.of(peer)?.cpu, measured.floor()?)
}
