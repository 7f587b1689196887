//! Small requests beside one that the server cannot answer yet, on the same connection.
//!
//! The slow one is a Tlock that waits for a lock of another client. A server that answers it at once has no such row.

use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use ninefold_wire::LockRange;
use ninefold_wire::LockType;
use ninefold_wire::Reply;
use ninefold_wire::Request;
use ninefold_wire::flags;

use super::Load;
use super::Outcome;
use super::Target;
use super::Until;
use super::drive;
use super::drive::Slot;
use super::slots;
use super::slots::SHARED;
use crate::connection;
use crate::connection::Connection;
use crate::figures;
use crate::histogram::Histogram;
use crate::tree;

/// Of the slow request: no slot's.
const SLOW_TAG: u16 = 5000;
/// The number of an Rlock.
const RLOCK: u8 = 53;
/// How long one spell lasts. Spells alone and beside take turns, so that what else happens on the host falls on both.
const SPELL: Duration = Duration::from_millis(50);

/// Attributes, alone and beside a lock that is waited for.
pub struct BesideSlow {
    holder: Connection,
    connection: Connection,
    slots: Vec<Slot>,
    alone: Histogram,
}

impl BesideSlow {
    /// Two clients with the same file open.
    pub fn new(target: &Target<'_>) -> Result<Self> {
        let mut holder = target.connect()?;
        let mut connection = target.connect()?;
        for client in [&mut holder, &mut connection] {
            client.open_file(SHARED, &[tree::SMALL], flags::open::RDWR)?;
        }
        let slots = slots::prepare(&mut connection, target)?;
        Ok(Self {
            holder,
            connection,
            slots,
            alone: Histogram::default(),
        })
    }

    fn beside(&mut self, spell: Until) -> Result<Outcome> {
        self.holder.call(&lock(LockType::Write, 0, b"holder"))?;
        let mut frame = Vec::new();
        let slow = lock(LockType::Write, flags::lock::BLOCK, b"waiter");
        connection::encode(&mut frame, SLOW_TAG, &slow)?;
        self.connection.stream.write_all(&frame)?;
        let outcome = drive::drive(&mut self.connection, &mut self.slots, spell)
            .context("beside a lock that is to be waited for, and perhaps is not")?;
        self.holder.call(&lock(LockType::Unlock, 0, b"holder"))?;
        self.connection.wait(RLOCK)?;
        let unlock = lock(LockType::Unlock, 0, b"waiter");
        let Reply::Lock { status } = self.connection.call(&unlock)? else {
            anyhow::bail!("expected an Rlock");
        };
        anyhow::ensure!(status == flags::lock::SUCCESS, "the lock stays");
        Ok(outcome)
    }
}

fn lock(kind: LockType, flags: u32, client_id: &[u8]) -> Request<'_> {
    Request::Lock {
        fid: SHARED,
        kind: kind.number(),
        flags,
        range: LockRange {
            start: 0,
            length: 0,
            proc_id: 1,
            client_id,
        },
    }
}

impl Load for BesideSlow {
    /// Its figures are those beside; what the server spends counts both.
    fn run(&mut self, until: Until) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        self.alone = Histogram::default();
        while outcome.operations == 0 || !until.is_over(outcome.operations, Instant::now()) {
            let spell = Until::Time(Instant::now() + SPELL);
            let alone = drive::drive(&mut self.connection, &mut self.slots, spell)?;
            self.alone.add(&alone.times);
            let beside = self.beside(Until::Time(Instant::now() + SPELL))?;
            outcome.times.add(&beside.times);
            outcome.operations += beside.operations + alone.operations;
            outcome.elapsed += beside.elapsed + alone.elapsed;
        }
        Ok(outcome)
    }

    fn extras(&self) -> Vec<(&'static str, f64)> {
        let p99 = self.alone.quantile(990);
        p99.map(|nanos| (figures::P99_ALONE, nanos as f64))
            .into_iter()
            .collect()
    }
}
