//! The three dialects and what a version string asks for.

use core::cmp::Ordering;

/// A dialect of the protocol, agreed by Tversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Plan 9's own, with error texts and without numeric users.
    Legacy,
    /// 9P2000.u, the Unix extension.
    Unix,
    /// 9P2000.L, Linux's.
    Linux,
}

impl Dialect {
    /// The dialect that serves a client asking for `version`, or none: `9P2000.L` and anything
    /// after a further dot is .L, `9P2000.u...` is .u, `9P2000` and unknown suffixes are the base,
    /// and so is every later `9Pnnnn`.
    ///
    /// Source: version(5), which cuts the string at the first dot; hugelgupf/p9 asks for
    /// `9P2000.L.Google.7` and is content with `9P2000.L`.
    #[must_use]
    pub fn of_version(version: &[u8]) -> Option<Self> {
        let dot = version
            .iter()
            .position(|&byte| byte == b'.')
            .unwrap_or(version.len());
        let (base, suffix) = version.split_at(dot);
        let number: [u8; 4] = base.strip_prefix(b"9P")?.try_into().ok()?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        match (number.cmp(b"2000"), suffix) {
            (Ordering::Less, _) => None,
            (Ordering::Equal, b".L" | [b'.', b'L', b'.', ..]) => Some(Self::Linux),
            (Ordering::Equal, [b'.', b'u', ..]) => Some(Self::Unix),
            (Ordering::Equal | Ordering::Greater, _) => Some(Self::Legacy),
        }
    }

    /// The string of an Rversion that agrees to this dialect.
    #[must_use]
    pub fn version(self) -> &'static [u8] {
        match self {
            Self::Legacy => b"9P2000",
            Self::Unix => b"9P2000.u",
            Self::Linux => b"9P2000.L",
        }
    }

    /// Whether messages carry the fields that 9P2000.u added (numeric users, extensions).
    #[must_use]
    pub fn has_unix_fields(self) -> bool {
        self != Self::Legacy
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect;

    #[test]
    fn versions_by_the_book() {
        let cases: [(&[u8], Option<Dialect>); 15] = [
            (b"9P2000.L", Some(Dialect::Linux)),
            (b"9P2000.L.Google.7", Some(Dialect::Linux)),
            (b"9P2000.u", Some(Dialect::Unix)),
            (b"9P2000", Some(Dialect::Legacy)),
            (b"9P2000.x", Some(Dialect::Legacy)),
            (b"9P2000.Lx", Some(Dialect::Legacy)),
            (b"9P1999", None),
            (b"9P2001", Some(Dialect::Legacy)),
            (b"9P2010.L", Some(Dialect::Legacy)),
            (b"9P20000", None),
            (b"9P2000L", None),
            (b"9P20x0", None),
            (b"9P", None),
            (b"9p2000.L", None),
            (b"", None),
        ];
        for (version, want) in cases {
            assert_eq!(Dialect::of_version(version), want);
        }
    }
}
