//! Byte ranges of locks.

use rustix::io::Errno;

use crate::sys::Result;

/// Bytes `start..=end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Last byte; `u64::MAX` is "however far the file grows".
    pub end: u64,
}

impl Range {
    /// The range that a message means: length 0 is to the end.
    ///
    /// # Errors
    /// EINVAL when it starts or ends past the largest offset of a file.
    pub fn new(start: u64, length: u64) -> Result<Self> {
        let largest = i64::MAX.unsigned_abs();
        if start > largest {
            return Err(Errno::INVAL);
        }
        let Some(more) = length.checked_sub(1) else {
            return Ok(Self {
                start,
                end: u64::MAX,
            });
        };
        match start.checked_add(more) {
            Some(end) if end < largest => Ok(Self { start, end }),
            Some(end) if end == largest => Ok(Self {
                start,
                end: u64::MAX,
            }),
            _ => Err(Errno::INVAL),
        }
    }

    /// The length as a message says it.
    #[must_use]
    pub fn length(self) -> u64 {
        if self.end == u64::MAX {
            0
        } else {
            self.end - self.start + 1
        }
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    pub(super) fn touches(self, other: Self) -> bool {
        self.start <= other.end.saturating_add(1) && other.start <= self.end.saturating_add(1)
    }
}
