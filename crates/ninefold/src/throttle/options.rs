//! The nineteen numbers, QEMU's names for them, and which of them go together.

/// The largest rate and the largest burst.
const VALUE_MAX: u64 = 1_000_000_000_000_000;

/// How fast the files of an export may be read and written: QEMU's `throttling.*`.
///
/// A rate of 0 is no limit, which is the default of all. A rate `max` allows bursts of that many
/// units a second for `max_length` seconds; without one, a burst is a tenth of a second's worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleOptions {
    /// Bytes a second, read and written.
    pub bps_total: u64,
    /// Bytes a second in a burst, read and written.
    pub bps_total_max: u64,
    /// Seconds that such a burst lasts; 1 unless given.
    pub bps_total_max_length: u64,
    /// Bytes a second read.
    pub bps_read: u64,
    /// Bytes a second read in a burst.
    pub bps_read_max: u64,
    /// Seconds that such a burst lasts; 1 unless given.
    pub bps_read_max_length: u64,
    /// Bytes a second written.
    pub bps_write: u64,
    /// Bytes a second written in a burst.
    pub bps_write_max: u64,
    /// Seconds that such a burst lasts; 1 unless given.
    pub bps_write_max_length: u64,
    /// Reads and writes a second.
    pub iops_total: u64,
    /// Reads and writes a second in a burst.
    pub iops_total_max: u64,
    /// Seconds that such a burst lasts; 1 unless given.
    pub iops_total_max_length: u64,
    /// Reads a second.
    pub iops_read: u64,
    /// Reads a second in a burst.
    pub iops_read_max: u64,
    /// Seconds that such a burst lasts; 1 unless given.
    pub iops_read_max_length: u64,
    /// Writes a second.
    pub iops_write: u64,
    /// Writes a second in a burst.
    pub iops_write_max: u64,
    /// Seconds that such a burst lasts; 1 unless given.
    pub iops_write_max_length: u64,
    /// Bytes that count as one operation when more are moved at once; 0: any size is one.
    pub iops_size: u64,
}

/// Why such numbers cannot be used. The texts are QEMU's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThrottleError {
    /// A total beside a rate of one direction.
    #[error("bps/iops/max total values and read/write values cannot be used at the same time")]
    TotalAndDirection,
    /// A size of operations, and no limit to their number.
    #[error("iops size requires an iops value to be set")]
    SizeWithoutIops,
    /// A rate or burst beyond 10^15.
    #[error("bps/iops/max values must be within [0, {VALUE_MAX}]")]
    Value,
    /// A burst of no time.
    #[error("the burst length cannot be 0")]
    LengthZero,
    /// A length and no burst.
    #[error("burst length set without burst rate")]
    LengthWithoutBurst,
    /// More than 10^15 units in a burst.
    #[error("burst length too high for this burst rate")]
    Length,
    /// A burst and no rate.
    #[error("bps_max/iops_max require corresponding bps/iops values")]
    BurstWithoutRate,
    /// A burst slower than the rate.
    #[error("bps_max/iops_max cannot be lower than bps/iops")]
    BurstBelowRate,
}

/// A name that is none of [`ThrottleOptions::NAMES`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of the throttling options, such as bps-total or iops-read-max, came {0:?}")]
pub struct UnknownThrottleOption(pub String);

/// One limit: a rate, and what is allowed beyond it for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Units a second; 0: none.
    pub(super) avg: u64,
    /// Units a second in a burst; 0: no bursts.
    pub(super) max: u64,
    /// Seconds.
    pub(super) length: u64,
}

impl Default for ThrottleOptions {
    fn default() -> Self {
        Self {
            bps_total: 0,
            bps_total_max: 0,
            bps_total_max_length: 1,
            bps_read: 0,
            bps_read_max: 0,
            bps_read_max_length: 1,
            bps_write: 0,
            bps_write_max: 0,
            bps_write_max_length: 1,
            iops_total: 0,
            iops_total_max: 0,
            iops_total_max_length: 1,
            iops_read: 0,
            iops_read_max: 0,
            iops_read_max_length: 1,
            iops_write: 0,
            iops_write_max: 0,
            iops_write_max_length: 1,
            iops_size: 0,
        }
    }
}

impl ThrottleOptions {
    /// QEMU's names, without the `throttling.` before them.
    pub const NAMES: [&'static str; 19] = [
        "bps-total",
        "bps-total-max",
        "bps-total-max-length",
        "bps-read",
        "bps-read-max",
        "bps-read-max-length",
        "bps-write",
        "bps-write-max",
        "bps-write-max-length",
        "iops-total",
        "iops-total-max",
        "iops-total-max-length",
        "iops-read",
        "iops-read-max",
        "iops-read-max-length",
        "iops-write",
        "iops-write-max",
        "iops-write-max-length",
        "iops-size",
    ];

    /// The numbers in the order of their names.
    fn fields(&mut self) -> [&mut u64; Self::NAMES.len()] {
        [
            &mut self.bps_total,
            &mut self.bps_total_max,
            &mut self.bps_total_max_length,
            &mut self.bps_read,
            &mut self.bps_read_max,
            &mut self.bps_read_max_length,
            &mut self.bps_write,
            &mut self.bps_write_max,
            &mut self.bps_write_max_length,
            &mut self.iops_total,
            &mut self.iops_total_max,
            &mut self.iops_total_max_length,
            &mut self.iops_read,
            &mut self.iops_read_max,
            &mut self.iops_read_max_length,
            &mut self.iops_write,
            &mut self.iops_write_max,
            &mut self.iops_write_max_length,
            &mut self.iops_size,
        ]
    }

    /// Sets the number that QEMU calls `name`, which is one of [`Self::NAMES`].
    ///
    /// # Errors
    /// [`UnknownThrottleOption`] when it is not; then nothing has changed.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), UnknownThrottleOption> {
        let mut fields = Self::NAMES.iter().zip(self.fields());
        match fields.find(|(known, _)| **known == name) {
            Some((_, field)) => {
                *field = value;
                Ok(())
            }
            None => Err(UnknownThrottleOption(name.to_owned())),
        }
    }

    /// Whether anything is limited.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limits().iter().any(|limit| limit.avg > 0)
    }

    /// The limits in QEMU's order: bytes and then operations, each in total, read, written.
    pub(super) fn limits(&self) -> [Limit; 6] {
        let limit = |avg, max, length| Limit { avg, max, length };
        [
            limit(
                self.bps_total,
                self.bps_total_max,
                self.bps_total_max_length,
            ),
            limit(self.bps_read, self.bps_read_max, self.bps_read_max_length),
            limit(
                self.bps_write,
                self.bps_write_max,
                self.bps_write_max_length,
            ),
            limit(
                self.iops_total,
                self.iops_total_max,
                self.iops_total_max_length,
            ),
            limit(
                self.iops_read,
                self.iops_read_max,
                self.iops_read_max_length,
            ),
            limit(
                self.iops_write,
                self.iops_write_max,
                self.iops_write_max_length,
            ),
        ]
    }

    /// Checks that the numbers go together, in QEMU's order.
    ///
    /// # Errors
    /// [`ThrottleError`], of the first that do not.
    pub fn check(&self) -> Result<(), ThrottleError> {
        let limits = self.limits();
        for [total, read, write] in [[0, 1, 2], [3, 4, 5]].map(|kind| kind.map(|at| limits[at])) {
            let rates = total.avg > 0 && (read.avg > 0 || write.avg > 0);
            let bursts = total.max > 0 && (read.max > 0 || write.max > 0);
            if rates || bursts {
                return Err(ThrottleError::TotalAndDirection);
            }
        }
        if self.iops_size > 0 && limits[3..].iter().all(|limit| limit.avg == 0) {
            return Err(ThrottleError::SizeWithoutIops);
        }
        limits.iter().try_for_each(|limit| limit.check())
    }
}

impl Limit {
    fn check(self) -> Result<(), ThrottleError> {
        if self.avg > VALUE_MAX || self.max > VALUE_MAX {
            Err(ThrottleError::Value)
        } else if self.length == 0 {
            Err(ThrottleError::LengthZero)
        } else if self.length > 1 && self.max == 0 {
            Err(ThrottleError::LengthWithoutBurst)
        } else if self.max > 0 && self.length > VALUE_MAX / self.max {
            Err(ThrottleError::Length)
        } else if self.max > 0 && self.avg == 0 {
            Err(ThrottleError::BurstWithoutRate)
        } else if self.max > 0 && self.max < self.avg {
            Err(ThrottleError::BurstBelowRate)
        } else {
            Ok(())
        }
    }
}
