//! What failed, said once more at the end: a run prints tens of thousands of lines, and who reads a record sees the last.

use std::sync::Mutex;
use std::sync::PoisonError;

/// More would not be read.
const MOST: usize = 200;
/// Lines after a panic's first one that belong to it: what was expected and what came.
const AFTER_PANIC: usize = 4;

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    lines: Vec::new(),
    following: 0,
});

/// Prints a line of a test's output, and keeps it if it tells of a failure.
pub fn print(line: &str) {
    println!("{line}");
    kept(|kept| kept.look_at(line));
}

/// Prints and keeps the line of a failure.
pub fn fail(line: &str) {
    println!("{line}");
    kept(|kept| kept.keep(line));
}

/// Prints what was kept.
pub fn print_again() {
    kept(|kept| {
        if !kept.lines.is_empty() {
            println!("==== failures\n{}", kept.lines.join("\n"));
        }
    });
}

fn kept(act: impl FnOnce(&mut Kept)) {
    act(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner));
}

#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    following: usize,
}

impl Kept {
    fn look_at(&mut self, line: &str) {
        if line.contains("panicked at ") {
            self.following = AFTER_PANIC;
        } else if self.following > 0 {
            self.following -= 1;
        } else if !["not ok ", "... FAILED", ": FAILED"]
            .iter()
            .any(|sign| line.contains(sign))
        {
            return;
        }
        self.keep(line);
    }

    fn keep(&mut self, line: &str) {
        if self.lines.len() < MOST {
            self.lines.push(line.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_failures_and_what_explains_them() {
        let mut kept = Kept::default();
        let told = [
            "test names::long ... FAILED",
            "thread 'names::long' panicked at tests/names.rs:3:5:",
            "assertion `left == right` failed",
            "  left: 1",
            " right: 2",
            "note: run with `RUST_BACKTRACE=1`",
            "[6.1 none fids] not ok many/files - expected 1, found 2",
        ];
        for line in [
            &["test names::short ... ok"],
            &told[..],
            &["7 passed, 0 failed"],
        ]
        .concat()
        {
            kept.look_at(line);
        }
        assert_eq!(kept.lines, told);
    }
}
