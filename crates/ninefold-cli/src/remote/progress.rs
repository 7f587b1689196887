//! A progress bar for long transfers, for people only.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Transfers shorter than this show nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far a transfer is. Nothing is drawn unless standard error is a terminal.
pub struct Progress {
    started: Instant,
    total: Option<u64>,
    done: u64,
    wanted: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of a transfer of `total` bytes, if that is known; `quiet` draws nothing in any case.
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        let wanted = !quiet && stderr().is_terminal();
        Self {
            started: Instant::now(),
            total,
            done: 0,
            wanted,
            bar: None,
        }
    }

    /// Notes that `bytes` more are done.
    pub fn advance(&mut self, bytes: usize) {
        self.done = self
            .done
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.wanted && self.started.elapsed() >= PATIENCE {
            let total = self.total;
            self.bar
                .get_or_insert_with(|| bar(total))
                .set_position(self.done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A bar for a transfer that began [`PATIENCE`] ago.
fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total).with_elapsed(PATIENCE),
            "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        None => (
            ProgressBar::new_spinner().with_elapsed(PATIENCE),
            "{spinner} {bytes} {bytes_per_sec}",
        ),
    };
    // A template that indicatif does not take leaves its own default.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
