//! How long operations took, in buckets whose width grows with the time.
//!
//! Each power of two is cut into 64 buckets, so a quantile is right to 1.6 %. Not a general histogram: it takes
//! nanoseconds, and tells quantiles.

use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUB: u64 = 1 << SUB_BITS;
/// Enough for any `u64`.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) << SUB_BITS;

/// Counts of times.
#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
        }
    }
}

impl Histogram {
    /// Counts one operation of `nanos`.
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// Counts one operation that took so long.
    pub fn record_span(&mut self, span: Duration) {
        self.record(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// The time in nanoseconds within which `per_mille` of a thousand operations were done, none if nothing was
    /// counted. It is the upper end of a bucket.
    pub fn quantile(&self, per_mille: u64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        // The rank of the operation that is asked for, from 1.
        let rank = (u128::from(self.total) * u128::from(per_mille)).div_ceil(1000);
        let mut seen = 0u128;
        let index = self.counts.iter().position(|&count| {
            seen += u128::from(count);
            seen >= rank.max(1)
        });
        index.map(upper_end)
    }
}

fn bucket(nanos: u64) -> usize {
    let exponent = (63 - (nanos | SUB).leading_zeros()) - SUB_BITS;
    let index = (u64::from(exponent) << SUB_BITS) + (nanos >> exponent);
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * SUB {
        return bucket;
    }
    let exponent = (bucket >> SUB_BITS) - 1;
    let lower = (bucket & (SUB - 1) | SUB) << exponent;
    lower + ((1 << exponent) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_own_end() {
        for nanos in [0, 1, 63, 64, 65, 127, 128, 129, 1000, 123_456, u64::MAX] {
            let end = upper_end(bucket(nanos));
            assert!(end >= nanos, "{nanos} {end}");
            assert!(end - nanos <= nanos / 64 + 1, "{nanos} {end}");
            assert_eq!(bucket(end), bucket(nanos), "{nanos}");
        }
    }

    #[test]
    fn buckets_follow_each_other() {
        let ends: Vec<u64> = (0..BUCKETS).map(upper_end).collect();
        assert!(ends.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(ends.last(), Some(&u64::MAX));
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut times = Histogram::default();
        assert_eq!(times.quantile(500), None);
        for nanos in 1..=100 {
            times.record(nanos);
        }
        assert_eq!(times.quantile(500), Some(50));
        assert_eq!(times.quantile(990), Some(99));
        assert_eq!(times.quantile(999), Some(100));
        assert_eq!(times.quantile(0), Some(1));
    }

    #[test]
    fn sums_count_both() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record(10);
        other.record(20);
        other.record(20);
        one.add(&other);
        assert_eq!(one.total, 3);
        assert_eq!(one.quantile(500), Some(20));
    }
}
