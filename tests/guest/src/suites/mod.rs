//! The suites: tables of rows.

mod apps;
mod bigio;
mod coherence;
mod dialects;
mod fids;
mod hostlocks;
mod ids;
mod interop;
mod lifetime;
mod locks;
mod names;
mod readdir;
mod transports;
mod users;
mod xattr;

use crate::row::Row;

type Rows = fn() -> Vec<Row>;

const SUITES: [(&str, Rows); 17] = [
    ("lifetime", lifetime::rows),
    ("locks", locks::rows),
    ("hostlocks", hostlocks::rows),
    ("xattr", xattr::rows),
    ("names", names::rows),
    ("bigio", bigio::rows),
    ("readdir", readdir::rows),
    ("dialects", dialects::rows),
    ("interop", interop::rows),
    ("coherence", coherence::rows),
    ("fids", fids::rows),
    ("ids", ids::translated),
    ("me", ids::me),
    ("users", users::users),
    ("squash", users::squashed),
    ("apps", apps::rows),
    ("transports", transports::rows),
];

/// The names of all suites there are.
pub(crate) fn names() -> Vec<&'static str> {
    SUITES.iter().map(|(name, _)| *name).collect()
}

/// The rows of a suite.
pub(crate) fn rows(suite: &str) -> Option<Vec<Row>> {
    SUITES
        .iter()
        .find(|(name, _)| *name == suite)
        .map(|(_, rows)| rows())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_names_are_unique_and_plain() {
        for suite in names() {
            let rows = rows(suite).unwrap();
            let mut seen = std::collections::HashSet::new();
            for row in rows {
                assert!(
                    row.name.bytes().all(|byte| byte.is_ascii_graphic()),
                    "{suite}: {:?}",
                    row.name
                );
                assert!(
                    seen.insert(row.name.clone()),
                    "{suite}: {} is there twice",
                    row.name
                );
            }
        }
    }
}
