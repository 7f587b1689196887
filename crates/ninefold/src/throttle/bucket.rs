//! The leaky buckets: how long the next transfer has to wait, and what it costs.

use std::time::Duration;

use super::options::{Limit, ThrottleOptions};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Tread.
    Read,
    /// Twrite.
    Write,
}

/// One bucket: every unit is poured in, `avg` a second run out.
#[derive(Debug)]
struct Bucket {
    /// Units a second that run out; 0: no limit.
    avg: f64,
    /// Units a second that run out of the burst level.
    max: f64,
    /// Units that it holds before anybody has to wait.
    size: f64,
    /// Whether the burst level counts.
    has_burst: bool,
    level: f64,
    burst_level: f64,
}

impl Bucket {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a checked limit is at most 10^15, which is exact"
    )]
    fn new(limit: Limit) -> Self {
        let (avg, max) = (limit.avg as f64, limit.max as f64);
        let size = if limit.max > 0 {
            max * limit.length as f64
        } else {
            avg / 10.0
        };
        Self {
            avg,
            max,
            size,
            has_burst: limit.length > 1,
            level: 0.0,
            burst_level: 0.0,
        }
    }

    fn leak(&mut self, seconds: f64) {
        self.level = (self.level - self.avg * seconds).max(0.0);
        if self.has_burst {
            self.burst_level = (self.burst_level - self.max * seconds).max(0.0);
        }
    }

    /// Seconds until the next transfer may begin.
    fn wait(&self) -> f64 {
        let burst_size = self.max / 10.0;
        if self.avg == 0.0 {
            0.0
        } else if self.level > self.size {
            (self.level - self.size) / self.avg
        } else if self.has_burst && self.burst_level > burst_size {
            (self.burst_level - burst_size) / self.max
        } else {
            0.0
        }
    }

    fn pour(&mut self, units: f64) {
        self.level += units;
        if self.has_burst {
            self.burst_level += units;
        }
    }
}

/// The buckets of what is counted in one unit.
#[derive(Debug)]
struct Buckets {
    total: Bucket,
    read: Bucket,
    write: Bucket,
}

impl Buckets {
    fn new([total, read, write]: [Limit; 3]) -> Self {
        Self {
            total: Bucket::new(total),
            read: Bucket::new(read),
            write: Bucket::new(write),
        }
    }

    fn leak(&mut self, seconds: f64) {
        for bucket in [&mut self.total, &mut self.read, &mut self.write] {
            bucket.leak(seconds);
        }
    }

    fn wait(&self, direction: Direction) -> f64 {
        let one = match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        };
        self.total.wait().max(one.wait())
    }

    fn pour(&mut self, direction: Direction, units: f64) {
        self.total.pour(units);
        match direction {
            Direction::Read => self.read.pour(units),
            Direction::Write => self.write.pour(units),
        }
    }
}

/// All buckets of an export. Time is what the caller says, counted from any fixed moment.
#[derive(Debug)]
pub(super) struct Meter {
    bytes: Buckets,
    operations: Buckets,
    /// Bytes that count as one operation; 0: any size is one.
    operation_size: u64,
    /// When the buckets last leaked.
    last: Duration,
}

impl Meter {
    /// `options` have been checked.
    pub(super) fn new(options: &ThrottleOptions, now: Duration) -> Self {
        let [a, b, c, d, e, f] = options.limits();
        Self {
            bytes: Buckets::new([a, b, c]),
            operations: Buckets::new([d, e, f]),
            operation_size: options.iops_size,
            last: now,
        }
    }

    /// How long the next transfer has to wait; none when it may begin.
    pub(super) fn wait(&mut self, direction: Direction, now: Duration) -> Option<Duration> {
        let elapsed = now.saturating_sub(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.bytes.leak(elapsed);
        self.operations.leak(elapsed);
        let seconds = self
            .bytes
            .wait(direction)
            .max(self.operations.wait(direction));
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        (!wait.is_zero()).then_some(wait)
    }

    /// Counts a transfer of `size` bytes that begins now.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a transfer is no longer than a message"
    )]
    pub(super) fn account(&mut self, direction: Direction, size: u64) {
        let operations = if self.operation_size > 0 && size > self.operation_size {
            size as f64 / self.operation_size as f64
        } else {
            1.0
        };
        self.bytes.pour(direction, size as f64);
        self.operations.pour(direction, operations);
    }
}
