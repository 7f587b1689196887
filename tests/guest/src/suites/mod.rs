//! The suites: tables of rows.

mod lifetime;

use crate::row::Row;

/// All suites there are.
pub(crate) const NAMES: [&str; 1] = ["lifetime"];

/// The rows of a suite.
pub(crate) fn rows(suite: &str) -> Option<Vec<Row>> {
    match suite {
        "lifetime" => Some(lifetime::rows()),
        _ => None,
    }
}
