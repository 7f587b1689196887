//! The figures of a row, and the arithmetic over them: medians, ratios, fairness.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

/// Jain's index over connections.
pub const FAIRNESS: &str = "fairness";
/// 99 of 100 requests were answered within this where no slow one was beside them, nanoseconds.
pub const P99_ALONE: &str = "p99_alone_ns";
/// Memory of a fid, bytes.
pub const FID_BYTES: &str = "bytes_per_fid";
/// The server's processor time for a walk while there are few fids, nanoseconds.
pub const FIRST_WALKS: &str = "first_walks_cpu_ns";
/// And while there are very many.
pub const LAST_WALKS: &str = "last_walks_cpu_ns";

/// What one run of a row with one server gave. Times are nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Operations (MiB where the row is bulk) per second.
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// The server's processor time for each.
    pub cpu: f64,
    /// KiB.
    pub memory_peak: f64,
    pub descriptors: f64,
    /// What only some rows have, by the names above.
    pub extras: BTreeMap<&'static str, f64>,
}

impl Figures {
    /// Each figure's own median.
    pub fn median(runs: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        Some(Self {
            rate: of(|run| run.rate)?,
            p50: of(|run| run.p50)?,
            p99: of(|run| run.p99)?,
            p999: of(|run| run.p999)?,
            cpu: of(|run| run.cpu)?,
            // It only grows.
            memory_peak: runs.iter().map(|run| run.memory_peak).fold(0.0, f64::max),
            descriptors: of(|run| run.descriptors)?,
            extras: Self::median_extras(runs),
        })
    }

    fn median_extras(runs: &[Self]) -> BTreeMap<&'static str, f64> {
        let keys = runs.iter().flat_map(|run| run.extras.keys().copied());
        keys.filter_map(|key| {
            let values = runs.iter().filter_map(|run| run.extras.get(key).copied());
            Some((key, median(values.collect())?))
        })
        .collect()
    }

    /// As in the file of figures.
    pub fn json(&self) -> Value {
        json!({
            "per_second": self.rate,
            "p50_ns": self.p50,
            "p99_ns": self.p99,
            "p99.9_ns": self.p999,
            "server_cpu_ns": self.cpu,
            "memory_peak_kib": self.memory_peak,
            "descriptors": self.descriptors,
            "extras": self.extras,
        })
    }
}

/// The middle one, or the mean of the two in the middle; none of none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(values[half - 1], upper))
}

/// `part / whole`, none where that says nothing.
pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0 && part.is_finite()).then(|| part / whole)
}

/// The median of what each of `parts` is in terms of the one of `wholes` that belongs to it; none where they do not
/// belong together one by one.
pub fn median_ratio(parts: &[f64], wholes: &[f64]) -> Option<f64> {
    if parts.len() != wholes.len() {
        return None;
    }
    let pairs = parts.iter().zip(wholes);
    let ratios: Option<_> = pairs.map(|(&part, &whole)| ratio(part, whole)).collect();
    median(ratios?)
}

/// Jain's index of fairness: 1 when all have the same, 1/n when one has all; none of nothing.
pub fn fairness(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    ratio(sum * sum, squares * shares.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 100.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn each_figure_has_its_own_median() {
        let run = |rate, cpu| Figures {
            rate,
            cpu,
            ..Figures::default()
        };
        let middle = Figures::median(&[run(1.0, 30.0), run(2.0, 10.0), run(3.0, 20.0)]).unwrap();
        assert_eq!((middle.rate, middle.cpu), (2.0, 20.0));
        assert!(Figures::median(&[]).is_none());
    }

    #[test]
    fn ratios() {
        assert_eq!(ratio(3.0, 2.0), Some(1.5));
        assert_eq!(ratio(3.0, 0.0), None);
        assert_eq!(ratio(f64::NAN, 1.0), None);
    }

    /// A round in which everything took ten times as long changes nothing.
    #[test]
    fn ratios_are_taken_within_a_round() {
        let (parts, wholes) = ([3.0, 30.0, 3.6], [2.0, 20.0, 2.0]);
        assert_eq!(median_ratio(&parts, &wholes), Some(1.5));
        assert_eq!(median_ratio(&parts[1..], &wholes), None);
        assert_eq!(median_ratio(&[], &[]), None);
        assert_eq!(median_ratio(&[1.0], &[0.0]), None);
    }

    #[test]
    fn fairness_is_jains() {
        assert_eq!(fairness(&[5.0, 5.0, 5.0, 5.0]), Some(1.0));
        assert_eq!(fairness(&[8.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(fairness(&[]), None);
        assert_eq!(fairness(&[0.0]), None);
    }
}
