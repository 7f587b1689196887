//! The receive buffer: bytes as they arrive, frames as they are complete.
//!
//! It only cuts; what is in a frame it does not know. Several frames that came in one receive are
//! handed out without another, and a receive that ran into a timeout can be resumed.

use ninefold_wire::{HEADER_LEN, Header};
use std::io::{self, Read};

use crate::{Error, Result};

/// Bytes received and not yet handed out: `buf[start..end]`.
pub(crate) struct Inbox {
    buf: Vec<u8>,
    start: usize,
    end: usize,
    /// The longest frame that may come; never more than the buffer holds.
    limit: usize,
}

impl Inbox {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.max(HEADER_LEN);
        Self {
            buf: vec![0; limit],
            start: 0,
            end: 0,
            limit,
        }
    }

    /// From now on takes frames of up to `limit` bytes.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(HEADER_LEN);
        if self.buf.len() < self.limit {
            self.buf.resize(self.limit, 0);
        }
    }

    /// The next whole frame, received from `from` if need be.
    pub(crate) fn next(&mut self, from: &mut impl Read) -> Result<&[u8]> {
        let len = loop {
            match self.announced()? {
                Some(len) if self.end - self.start >= len => break len,
                announced => self.receive(announced.unwrap_or(HEADER_LEN), from)?,
            }
        };
        let frame = self.start..self.start + len;
        self.start = frame.end;
        Ok(&self.buf[frame])
    }

    /// The length that the next frame announces, once its header is here.
    fn announced(&self) -> Result<Option<usize>> {
        let Some(header) = Header::peek(&self.buf[self.start..self.end]) else {
            return Ok(None);
        };
        match usize::try_from(header.size) {
            Ok(size) if (HEADER_LEN..=self.limit).contains(&size) => Ok(Some(size)),
            _ => Err(Error::protocol(
                format!("a frame of {HEADER_LEN} to {} bytes", self.limit),
                format!("the size field {}", header.size),
            )),
        }
    }

    /// Receives once, after making room for `wanted` bytes.
    fn receive(&mut self, wanted: usize, from: &mut impl Read) -> Result<()> {
        if self.buf.len() - self.start < wanted || self.start == self.end {
            self.buf.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        match from.read(&mut self.buf[self.end..]) {
            Ok(0) => Err(Error::Closed),
            Ok(count) => {
                self.end += count;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(Error::io("receive a reply", error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Inbox;
    use crate::Error;
    use std::io::Read;

    /// Gives out at most `step` bytes at a time.
    struct Drip<'a> {
        rest: &'a [u8],
        step: usize,
    }

    impl Read for Drip<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let len = self.step.min(buf.len()).min(self.rest.len());
            let (head, rest) = self.rest.split_at(len);
            buf[..len].copy_from_slice(head);
            self.rest = rest;
            Ok(len)
        }
    }

    fn frame(len: u8) -> Vec<u8> {
        (0..len)
            .map(|at| {
                if at == 0 {
                    len
                } else if at < 4 {
                    0
                } else {
                    at
                }
            })
            .collect()
    }

    #[test]
    fn frames_survive_any_fragmentation() {
        let lengths = [7, 20, 9, 7, 19, 20, 8];
        let stream: Vec<u8> = lengths.iter().flat_map(|&len| frame(len)).collect();
        for step in 1..=stream.len() {
            let mut from = Drip {
                rest: &stream,
                step,
            };
            let mut inbox = Inbox::new(20);
            for len in lengths {
                assert_eq!(inbox.next(&mut from).expect("a frame"), frame(len));
            }
            assert!(matches!(inbox.next(&mut from), Err(Error::Closed)));
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for size in [0u32, 6, 21, u32::MAX] {
            let mut bytes = size.to_le_bytes().to_vec();
            bytes.extend([1, 0, 0]);
            let mut from = Drip {
                rest: &bytes,
                step: 100,
            };
            let error = Inbox::new(20).next(&mut from).expect_err("a wrong size");
            assert!(error.to_string().contains(&size.to_string()), "{error}");
        }
    }

    #[test]
    fn the_limit_can_grow_and_shrink() {
        let bytes = [frame(20), frame(30), frame(20)].concat();
        let mut from = Drip {
            rest: &bytes,
            step: 100,
        };
        let mut inbox = Inbox::new(20);
        inbox.next(&mut from).expect("a frame of the first limit");
        inbox.set_limit(30);
        inbox.next(&mut from).expect("a frame of the second limit");
        inbox.set_limit(19);
        assert!(inbox.next(&mut from).is_err());
    }
}
