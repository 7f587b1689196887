//! How often the kernel has taken the processor from a thread, and why.

use std::mem::MaybeUninit;

/// What the kernel has counted of one thread. Source: getrusage(2), `RUSAGE_THREAD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    waits: i64,
    preemptions: i64,
}

/// What a thread has done with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It had the processor all along.
    Working,
    /// It waited for something.
    Waiting,
    /// It waited for nothing, but others had the processor.
    Preempted,
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

    /// What the thread has done since then, up to these.
    #[must_use]
    pub fn spent(self, until: Self) -> Spent {
        if until.waits != self.waits {
            Spent::Waiting
        } else if until.preemptions != self.preemptions {
            Spent::Preempted
        } else {
            Spent::Working
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Spent, Switches};
    use std::time::Duration;

    #[test]
    fn waiting_is_told_from_working() {
        let before = Switches::of_this_thread();
        std::thread::sleep(Duration::from_millis(2));
        let after = Switches::of_this_thread();
        assert!(after.waits > before.waits);
        assert_eq!(before.spent(after), Spent::Waiting);
        let preempted = Switches {
            preemptions: after.preemptions + 1,
            ..after
        };
        assert_eq!(after.spent(preempted), Spent::Preempted);
        assert_eq!(after.spent(after), Spent::Working);
    }
}
