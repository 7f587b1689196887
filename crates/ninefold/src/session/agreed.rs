//! What Tversion agreed on, readable from any thread.

use std::sync::atomic::{AtomicU64, Ordering};

use ninefold_wire::Dialect;

/// msize and dialect of a session that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// Longest message of either side, bytes.
    pub(super) msize: u32,
    /// How messages are read and written.
    pub(super) dialect: Dialect,
}

/// The terms in one word, so that nobody sees half of an agreement: msize below, dialect above; 0
/// before a Tversion succeeded.
#[derive(Default)]
pub(super) struct Agreed(AtomicU64);

impl Agreed {
    pub(super) fn get(&self) -> Option<Terms> {
        let word = self.0.load(Ordering::Acquire);
        let dialect = match word >> 32 {
            1 => Dialect::Legacy,
            2 => Dialect::Unix,
            3 => Dialect::Linux,
            _ => return None,
        };
        let msize = u32::try_from(word & u64::from(u32::MAX)).ok()?;
        Some(Terms { msize, dialect })
    }

    pub(super) fn set(&self, terms: Option<Terms>) {
        let word = terms.map_or(0, |terms| {
            let dialect: u64 = match terms.dialect {
                Dialect::Legacy => 1,
                Dialect::Unix => 2,
                Dialect::Linux => 3,
            };
            (dialect << 32) | u64::from(terms.msize)
        });
        self.0.store(word, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_kept_whole() {
        let agreed = Agreed::default();
        assert_eq!(agreed.get(), None);
        for dialect in [Dialect::Legacy, Dialect::Unix, Dialect::Linux] {
            for msize in [4096, u32::MAX] {
                let terms = Some(Terms { msize, dialect });
                agreed.set(terms);
                assert_eq!(agreed.get(), terms);
            }
        }
        agreed.set(None);
        assert_eq!(agreed.get(), None);
    }
}
