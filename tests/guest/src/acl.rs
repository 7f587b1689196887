//! POSIX access control lists in the binary form of their extended attributes.

/// The attribute of the list that decides access.
pub(crate) const ACCESS: &str = "system.posix_acl_access";
/// The attribute of the list that new entries of a directory inherit.
pub(crate) const DEFAULT: &str = "system.posix_acl_default";

/// Who an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Owner,
    User(u32),
    OwningGroup,
    Group(u32),
    Mask,
    Other,
}

/// One entry: who, and which of rwx.
pub(crate) type Entry = (Tag, u16);

const VERSION: u32 = 2;
const NOBODY: u32 = u32::MAX;

/// The attribute's value; entries must be in the kernel's order (as in [`Tag`]).
pub(crate) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = VERSION.to_le_bytes().to_vec();
    for &(tag, permissions) in entries {
        let (number, id) = match tag {
            Tag::Owner => (0x01_u16, NOBODY),
            Tag::User(id) => (0x02, id),
            Tag::OwningGroup => (0x04, NOBODY),
            Tag::Group(id) => (0x08, id),
            Tag::Mask => (0x10, NOBODY),
            Tag::Other => (0x20, NOBODY),
        };
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&permissions.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_like_the_kernel() {
        let value = encode(&[(Tag::Owner, 6), (Tag::User(12), 4)]);
        let expected = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 12, 0, 0, 0,
        ];
        assert_eq!(value, expected);
    }
}
