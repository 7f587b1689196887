//! How often the kernel has taken the processor from a thread, and why.

use std::mem::MaybeUninit;

/// What the kernel has counted of one thread. Source: getrusage(2), `RUSAGE_THREAD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    waits: i64,
    preemptions: i64,
}

impl Switches {
    /// Those of this thread until now.
    #[must_use]
    pub fn of_this_thread() -> Self {
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the call writes a whole structure, a plain one of numbers, of which all zeroes are
        // one, too; with these arguments it cannot fail.
        let usage = unsafe {
            libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
            usage.assume_init()
        };
        Self {
            waits: usage.ru_nvcsw,
            preemptions: usage.ru_nivcsw,
        }
    }

    /// Whether since then, up to these, others had the processor although the thread waited for
    /// nothing.
    #[must_use]
    pub fn only_preempted(self, until: Self) -> bool {
        until.waits == self.waits && until.preemptions != self.preemptions
    }
}

#[cfg(test)]
mod tests {
    use super::Switches;
    use std::time::Duration;

    #[test]
    fn waiting_is_told_from_working() {
        let before = Switches::of_this_thread();
        std::thread::sleep(Duration::from_millis(2));
        let after = Switches::of_this_thread();
        assert!(after.waits > before.waits);
        assert!(!before.only_preempted(after));
        let preempted = Switches {
            preemptions: after.preemptions + 1,
            ..after
        };
        assert!(after.only_preempted(preempted));
        assert!(!after.only_preempted(after));
    }
}
