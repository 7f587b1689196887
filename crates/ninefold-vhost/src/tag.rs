//! The mount tag, and the configuration space that shows it to the guest.

use std::fmt;

/// Bytes of the configuration space: zeros after the tag.
pub(crate) const CONFIG_LEN: usize = 64;
/// QEMU's longest tag; some guests have no room for more.
const TAG_MAX: usize = 31;

/// By what name a guest mounts a device: `share` unless another is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(Vec<u8>);

/// Why something is no mount tag.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a mount tag of 1 to {TAG_MAX} bytes without NUL, came {0:?}")]
pub struct TagError(String);

impl Default for Tag {
    fn default() -> Self {
        Self(b"share".to_vec())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl Tag {
    /// A tag of 1 to 31 bytes.
    ///
    /// # Errors
    /// [`TagError`].
    pub fn new(tag: &[u8]) -> Result<Self, TagError> {
        if (1..=TAG_MAX).contains(&tag.len()) && !tag.contains(&0) {
            Ok(Self(tag.to_owned()))
        } else {
            Err(TagError(String::from_utf8_lossy(tag).into_owned()))
        }
    }

    /// The bytes that mean something: the length as a little-endian u16, and the tag.
    pub(crate) fn config(&self) -> Vec<u8> {
        let len = u16::try_from(self.0.len()).unwrap_or(0);
        [&len.to_le_bytes()[..], &self.0].concat()
    }

    /// Any part of the configuration space; after its end there are zeros, too.
    pub(crate) fn read(&self, offset: u32, len: u32) -> Vec<u8> {
        let config = self.config();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let len = usize::try_from(len).unwrap_or(0);
        let known = config.into_iter().chain(std::iter::repeat(0));
        known.skip(start.min(CONFIG_LEN)).take(len).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_short() {
        assert!(Tag::new(b"").is_err());
        assert!(Tag::new(b"a\0").is_err());
        assert!(Tag::new(&[b'a'; 32]).is_err());
        assert!(Tag::new(&[b'a'; 31]).is_ok());
    }

    #[test]
    fn any_part_of_the_configuration_can_be_read() {
        let tag = Tag::new(b"share").expect("a tag");
        assert_eq!(tag.read(0, 8), b"\x05\0share\0");
        assert_eq!(tag.read(0, 2), b"\x05\0");
        assert_eq!(tag.read(3, 2), b"ha");
        assert_eq!(tag.read(0, 64).len(), 64);
        assert_eq!(tag.read(60, 200), vec![0; 200]);
        assert_eq!(tag.read(u32::MAX, 1), [0]);
    }
}
