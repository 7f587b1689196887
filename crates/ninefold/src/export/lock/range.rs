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
    /// All bytes that a file can have.
    pub(super) const WHOLE: Self = Self {
        start: 0,
        end: u64::MAX,
    };

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

/// Sorts ranges and joins those that overlap or touch.
pub(super) fn union(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.touches(range) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// What of `ranges` is in none of `others`; both as [`union`] leaves them.
pub(super) fn minus(ranges: &[Range], others: &[Range]) -> Vec<Range> {
    let mut rest = Vec::new();
    let mut behind = others;
    for range in ranges {
        let mut left = Some(*range);
        while let Some((other, further)) = behind.split_first() {
            let Some(part) = left.filter(|part| other.start <= part.end) else {
                break;
            };
            if other.start > part.start {
                rest.push(Range {
                    start: part.start,
                    end: (other.start - 1).min(part.end),
                });
            }
            if other.end >= part.end {
                // It may reach into the next one too.
                left = None;
                break;
            }
            left = Some(Range {
                start: part.start.max(other.end + 1),
                end: part.end,
            });
            behind = further;
        }
        rest.extend(left);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Bytes that the naive map has; the last one stands for all behind it.
    const BYTES: u64 = 24;

    fn any_range() -> impl Strategy<Value = Range> {
        (0..BYTES, 0..BYTES).prop_map(|(one, other)| {
            let end = one.max(other);
            Range {
                start: one.min(other),
                end: if end == BYTES - 1 { u64::MAX } else { end },
            }
        })
    }

    fn bytes(ranges: &[Range]) -> Vec<bool> {
        (0..BYTES)
            .map(|byte| ranges.iter().any(|r| r.start <= byte && byte <= r.end))
            .collect()
    }

    fn is_sorted_and_apart(ranges: &[Range]) -> bool {
        ranges
            .windows(2)
            .all(|pair| pair[0].end < u64::MAX && pair[0].end < pair[1].start)
    }

    proptest! {
        #[test]
        fn a_union_has_the_bytes_of_all(ranges in vec(any_range(), 0..8)) {
            let joined = union(ranges.clone());
            prop_assert_eq!(bytes(&joined), bytes(&ranges));
            prop_assert!(is_sorted_and_apart(&joined));
        }

        #[test]
        fn a_difference_has_the_bytes_of_one_only(
            ranges in vec(any_range(), 0..8),
            others in vec(any_range(), 0..8),
        ) {
            let (ranges, others) = (union(ranges), union(others));
            let rest = minus(&ranges, &others);
            let expected: Vec<_> = bytes(&ranges)
                .into_iter()
                .zip(bytes(&others))
                .map(|(has, other)| has && !other)
                .collect();
            prop_assert_eq!(bytes(&rest), expected);
            prop_assert!(is_sorted_and_apart(&rest));
            prop_assert!(rest.iter().all(|range| range.start <= range.end));
        }
    }
}
