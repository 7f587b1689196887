//! Very many fids on one connection: what each costs, and whether the last ones cost more than the first.

use std::time::Duration;

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

/// How many walks make a rate.
const SAMPLE: u32 = 10_000;
/// What takes longer grows with the square of the fids.
const LIMIT: Duration = Duration::from_secs(60);
const FIRST_FID: u32 = 100;

/// Walks to files, and keeps the fids.
pub struct Fids {
    connection: Connection,
    slots: Vec<Slot>,
    count: u32,
    pid: u32,
    extras: Vec<(&'static str, f64)>,
}

impl Fids {
    /// Walks that lead to every entry of the wide directory in turn.
    pub fn new(target: &Target<'_>, count: u32) -> Result<Self> {
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
            count,
            pid: target.server.pid(),
            extras: Vec::new(),
        })
    }

    /// Walks so many times, and returns the server's processor time for each, nanoseconds.
    fn walk(&mut self, count: u32, outcome: &mut Outcome) -> Result<f64> {
        let before = process::cpu_nanos(self.pid)?;
        let part = drive::drive(
            &mut self.connection,
            &mut self.slots,
            Until::Count(count.into()),
        )?;
        outcome.operations += part.operations;
        outcome.elapsed += part.elapsed;
        outcome.times.add(&part.times);
        let nanos = process::cpu_nanos(self.pid)? - before;
        Ok(nanos as f64 / part.operations as f64)
    }
}

impl Load for Fids {
    fn run(&mut self, _until: Until) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let sample = SAMPLE.min(self.count / 4);
        let before = process::memory_kib(self.pid)?;
        let first = self.walk(sample, &mut outcome)?;
        let mut left = self.count - 2 * sample;
        while left > 0 {
            let some = left.min(SAMPLE);
            self.walk(some, &mut outcome)?;
            left -= some;
            let (made, elapsed) = (outcome.operations, outcome.elapsed);
            ensure!(
                elapsed < LIMIT,
                "only {made} fids in {} s",
                elapsed.as_secs()
            );
        }
        let last = self.walk(sample, &mut outcome)?;
        let grown = process::memory_kib(self.pid)?.saturating_sub(before);
        let bytes = (grown << 10) as f64 / outcome.operations as f64;
        self.extras = vec![
            (figures::FID_BYTES, bytes),
            (figures::FIRST_WALKS, first),
            (figures::LAST_WALKS, last),
        ];
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
