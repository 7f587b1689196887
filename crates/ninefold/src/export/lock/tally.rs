//! How many locks each session has, over all files.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use crate::locked;
use crate::sys::Result;

/// Most locks and waiting requests of one session; ENOLCK beyond.
pub(super) const PER_SESSION_MAX: usize = 16384;

/// Locks by session; who has none is not listed.
#[derive(Default)]
pub(super) struct Tally(Mutex<HashMap<u64, usize>>);

/// One lock of a session, counted from when this is made until it is dropped.
pub(super) struct Counted {
    tally: Arc<Tally>,
    session: u64,
}

impl Tally {
    /// Counts one more.
    ///
    /// # Errors
    /// ENOLCK when the session has too many.
    pub(super) fn count(self: &Arc<Self>, session: u64) -> Result<Counted> {
        if self.is_full(session) {
            return Err(Errno::NOLCK);
        }
        Ok(self.add(session))
    }

    /// Whether the session may have no more.
    pub(super) fn is_full(&self, session: u64) -> bool {
        self.of(session) >= PER_SESSION_MAX
    }

    /// How many the session has.
    pub(super) fn of(&self, session: u64) -> usize {
        locked(&self.0).get(&session).copied().unwrap_or(0)
    }

    fn add(self: &Arc<Self>, session: u64) -> Counted {
        *locked(&self.0).entry(session).or_default() += 1;
        Counted {
            tally: Arc::clone(self),
            session,
        }
    }
}

/// A lock that is split is two.
impl Clone for Counted {
    fn clone(&self) -> Self {
        self.tally.add(self.session)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = locked(&self.tally.0);
        if let Some(count) = counts.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.session);
            }
        }
    }
}
