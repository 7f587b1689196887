//! The load of a row: what is asked of a server, again and again.
//!
//! Measures how long operations take. What they cost the server is looked up elsewhere.

mod connections;
mod drive;
mod fids;
mod list;
mod slots;
mod slow;

use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use ninefold_wire::IO_HEADER_LEN;

use self::drive::Slot;
use crate::connection::Connection;
use crate::histogram::Histogram;
use crate::row::Row;
use crate::server::Server;
use crate::work::Work;

/// Bytes for which the figures of a bulk row are told.
pub const BULK_UNIT: u32 = 1 << 20;
/// So long a file has to be at rest before a server may keep what it has read of it.
const REST: Duration = Duration::from_millis(2200);
/// Fids of a measure that the harness works.
const QUICK_FIDS: u32 = 2000;

/// What was done.
#[derive(Default)]
pub struct Outcome {
    pub operations: u64,
    pub elapsed: Duration,
    pub times: Histogram,
}

/// How long to go on.
#[derive(Clone, Copy)]
pub enum Until {
    /// No operation begins after this.
    Time(Instant),
    /// So many operations begin.
    Count(u64),
}

impl Until {
    /// Whether no further operation is to begin.
    fn is_over(self, begun: u64, now: Instant) -> bool {
        match self {
            Self::Time(deadline) => now >= deadline,
            Self::Count(count) => begun >= count,
        }
    }
}

/// A row's requests, on connections of their own.
pub trait Load {
    /// Goes on until the end, and on until what was begun is complete.
    fn run(&mut self, until: Until) -> Result<Outcome>;

    /// Whether it can run more than once, so that a run before the one that counts warms things up.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// For how much of what the figures are about one operation counts.
    fn weight(&self) -> f64 {
        1.0
    }

    /// Figures that only this load has, after a run.
    fn extras(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

/// Where a load finds its server.
pub struct Target<'a> {
    pub server: &'a Server,
    pub row: &'a Row,
    /// Entries of the wide directory.
    pub entries: u64,
    /// The whole tree has been made by clients, and holds nothing yet.
    pub is_empty: bool,
    /// Only the harness is tested.
    pub quick: bool,
}

impl Target<'_> {
    fn connect(&self) -> Result<Connection> {
        Connection::open(&self.server.socket, self.row.msize, &self.server.aname)
    }
}

/// Prepares the load of a row.
pub fn prepare(target: &Target<'_>) -> Result<Box<dyn Load>> {
    if target.is_empty {
        slots::populate(&mut target.connect()?)?;
        if target.row.looks_at_metadata() && !target.quick {
            thread::sleep(REST);
        }
    }
    Ok(match target.row.work {
        Work::List { attributes } => {
            Box::new(list::List::new(target.connect()?, attributes, target.row)?)
        }
        Work::Connections { count } => Box::new(connections::Connections::new(target, count)?),
        Work::BesideSlow => Box::new(slow::BesideSlow::new(target)?),
        Work::Fids { count } => {
            let count = if target.quick { QUICK_FIDS } else { count };
            Box::new(fids::Fids::new(target, count)?)
        }
        _ => Box::new(Slots::new(target)?),
    })
}

/// Slots on one connection: what most rows are.
struct Slots {
    connection: Connection,
    slots: Vec<Slot>,
    weight: f64,
}

impl Slots {
    fn new(target: &Target<'_>) -> Result<Self> {
        let mut connection = target.connect()?;
        let work = target.row.work;
        let slots = slots::prepare(&mut connection, target)?;
        // Servers differ in what they carry in one message.
        let weight = if work.is_bulk() {
            f64::from(connection.msize - IO_HEADER_LEN) / f64::from(BULK_UNIT)
        } else {
            1.0
        };
        Ok(Self {
            connection,
            slots,
            weight,
        })
    }
}

impl Load for Slots {
    fn run(&mut self, until: Until) -> Result<Outcome> {
        drive::drive(&mut self.connection, &mut self.slots, until)
    }

    fn weight(&self) -> f64 {
        self.weight
    }
}
