//! The count every step ends with: `N passed, N failed, N skipped`.

use std::fmt;
use std::ops::AddAssign;

/// How many cases passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Cases that ran and held.
    pub passed: u64,
    /// Cases that ran and did not hold, and whatever kept cases from running.
    pub failed: u64,
    /// Cases that did not run, and cases whose failure is expected.
    pub skipped: u64,
}

impl Totals {
    /// One case that passed.
    pub const PASS: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    /// One case that did not run.
    pub const SKIP: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };
    /// One case that failed.
    pub const FAIL: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };

    /// One case.
    pub fn of(passed: bool) -> Self {
        if passed { Self::PASS } else { Self::FAIL }
    }

    /// Nothing failed, and something ran.
    pub fn is_success(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Reads the line that `Display` writes.
    pub fn parse(line: &str) -> Option<Self> {
        let mut numbers = [0; 3];
        let mut parts = line.trim().split(", ");
        for (number, word) in numbers.iter_mut().zip(["passed", "failed", "skipped"]) {
            let (count, found) = parts.next()?.split_once(' ')?;
            *number = count.parse().ok().filter(|_| found == word)?;
        }
        let [passed, failed, skipped] = numbers;
        parts.next().is_none().then_some(Self {
            passed,
            failed,
            skipped,
        })
    }

    /// Reads the line libtest ends each binary with.
    pub fn parse_libtest(line: &str) -> Option<Self> {
        let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut totals = Self::default();
        for part in counts.split("; ") {
            let (count, word) = part.split_once(' ')?;
            match word {
                "passed" => totals.passed = count.parse().ok()?,
                "failed" => totals.failed = count.parse().ok()?,
                "ignored" => totals.skipped = count.parse().ok()?,
                _ => {}
            }
        }
        Some(totals)
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let totals = Totals {
            passed: 376,
            failed: 0,
            skipped: 12,
        };
        assert_eq!(Totals::parse(&totals.to_string()), Some(totals));
    }

    #[test]
    fn refuses_other_lines() {
        for line in [
            "",
            "3 passed",
            "3 passed, 1 failed",
            "3 passed, 1 failed, 0 ignored",
            "1 passed, 0 failed, 0 skipped, 4",
        ] {
            assert_eq!(Totals::parse(line), None, "{line}");
        }
    }

    #[test]
    fn reads_libtest() {
        let line = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(
            Totals::parse_libtest(line),
            Some(Totals {
                passed: 5,
                failed: 2,
                skipped: 1
            })
        );
    }

    #[test]
    fn nothing_run_is_no_success() {
        assert!(!Totals::default().is_success());
        assert!(
            !Totals {
                passed: 9,
                failed: 1,
                skipped: 0
            }
            .is_success()
        );
        assert!(Totals::PASS.is_success());
    }
}
