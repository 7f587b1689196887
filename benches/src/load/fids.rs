//! Very many fids on one connection: what each costs, and whether the last ones cost more than the first.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::ensure;

use super::Load;
use super::Outcome;
use super::Target;
use super::Until;
use super::drive;
use super::drive::Slot;
use super::drive::Vary;
use super::slots;
use super::slots::SHARED;
use crate::connection::Connection;
use crate::figures;
use crate::process;
use crate::tree;

/// How many walks make a rate, at most.
const SAMPLE: u32 = 10_000;
/// How many such rates are taken while there are few fids, and while there are very many. Their median is told, for each
/// is taken in a tenth of a second, and something else may run just then.
const SAMPLES: usize = 10;
/// What takes longer grows with the square of the fids.
const LIMIT: Duration = Duration::from_secs(60);
const FIRST_FID: u32 = 100;
/// What is left of a connection is cleared away when the server has done nothing for so long.
const QUIET: Duration = Duration::from_millis(10);

/// Walks to files, and keeps the fids.
pub struct Fids {
    session: Session,
    count: u32,
    /// How many walks make a rate.
    sample: u32,
    pid: u32,
    /// The server's memory before there were any, KiB.
    memory: u64,
    extras: Vec<(&'static str, f64)>,
}

/// A connection without fids yet.
struct Session {
    connection: Connection,
    slots: Vec<Slot>,
}

impl Session {
    /// Walks that lead to every entry of the wide directory in turn.
    fn new(target: &Target<'_>) -> Result<Self> {
        let mut connection = target.connect()?;
        connection.walk(SHARED, &[tree::WIDE])?;
        let depth = target.row.depth;
        let slots = (0..depth).map(|tag| {
            let fid = FIRST_FID + u32::from(tag);
            let vary = Vary::NewFid {
                entries: target.entries,
                stride: depth.into(),
            };
            let first = tree::entry_name(u64::from(fid) % target.entries);
            Ok(Slot::new(tag)
                .step(&slots::walk_entry(fid, &first)?, vary)?
                .end())
        });
        Ok(Self {
            slots: slots.collect::<Result<_>>()?,
            connection,
        })
    }

    /// Walks so many times, and returns the processor time of the server, `pid`, for each, nanoseconds.
    fn walk(&mut self, pid: u32, count: u32, outcome: &mut Outcome) -> Result<f64> {
        let before = process::cpu_nanos(pid)?;
        let until = Until::Count(count.into());
        let part = drive::drive(&mut self.connection, &mut self.slots, until)?;
        outcome.operations += part.operations;
        outcome.elapsed += part.elapsed;
        outcome.times.add(&part.times);
        let nanos = process::cpu_nanos(pid)? - before;
        Ok(nanos as f64 / part.operations as f64)
    }
}

impl Fids {
    /// For `count` fids on one connection. The rates while there are few are taken here, on connections of their own:
    /// they are no part of what the row is about.
    pub fn new(target: &Target<'_>, count: u32) -> Result<Self> {
        let pid = target.server.pid();
        let mut fids = Self {
            session: Session::new(target)?,
            count,
            sample: SAMPLE.min(count / 4),
            pid,
            memory: process::memory_kib(pid)?,
            extras: Vec::new(),
        };
        let rates = (0..SAMPLES).map(|_| {
            let mut session = Session::new(target)?;
            let rate = session.walk(pid, fids.sample, &mut Outcome::default());
            drop(session);
            fids.settle()?;
            rate
        });
        let first = figures::median(rates.collect::<Result<_>>()?);
        fids.extras
            .extend(first.map(|first| (figures::FIRST_WALKS, first)));
        Ok(fids)
    }

    /// Waits until the server has cleared away what a connection left.
    fn settle(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let before = process::cpu_nanos(self.pid)?;
            thread::sleep(QUIET);
            if process::cpu_nanos(self.pid)? == before {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the server does not come to rest"
            );
        }
    }
}

impl Load for Fids {
    fn run(&mut self, _until: Until) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut rates = Vec::new();
        while outcome.operations < self.count.into() {
            rates.push(self.session.walk(self.pid, self.sample, &mut outcome)?);
            let (made, elapsed) = (outcome.operations, outcome.elapsed);
            ensure!(
                elapsed < LIMIT,
                "only {made} fids in {} s",
                elapsed.as_secs()
            );
        }
        let last = figures::median(rates.split_off(rates.len().saturating_sub(SAMPLES)));
        self.extras
            .extend(last.map(|last| (figures::LAST_WALKS, last)));
        let grown = process::memory_kib(self.pid)?.saturating_sub(self.memory);
        let bytes = (grown << 10) as f64 / outcome.operations as f64;
        self.extras.push((figures::FID_BYTES, bytes));
        Ok(outcome)
    }

    /// The fids are there for good.
    fn is_repeatable(&self) -> bool {
        false
    }

    fn extras(&self) -> Vec<(&'static str, f64)> {
        self.extras.clone()
    }
}
