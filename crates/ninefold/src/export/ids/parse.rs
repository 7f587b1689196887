//! One rule of a translation, in virtiofsd's words: `KIND:FROM:TO:COUNT`.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The largest id; the number above it is "none" to the kernel and on the wire.
const ID_MAX: u32 = u32::MAX - 1;

/// What a rule does with its range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Guest and host, one to one and back.
    Map,
    /// Guest to host, one to one.
    Guest,
    /// Host to guest, one to one.
    Host,
    /// Guest to host, all to one.
    SquashGuest,
    /// Host to guest, all to one.
    SquashHost,
    /// Refused to the guest.
    ForbidGuest,
}

const KINDS: [(&str, Kind); 6] = [
    ("map", Kind::Map),
    ("guest", Kind::Guest),
    ("host", Kind::Host),
    ("squash-guest", Kind::SquashGuest),
    ("squash-host", Kind::SquashHost),
    ("forbid-guest", Kind::ForbidGuest),
];

impl Kind {
    fn name(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }

    /// Whether all ids of the range become one.
    pub(super) fn squashes(self) -> bool {
        matches!(self, Self::SquashGuest | Self::SquashHost)
    }
}

/// One rule: what becomes of a range of user or group ids. Read from and shown in virtiofsd's
/// words: `map:GUEST:HOST:COUNT`, `guest:GUEST:HOST:COUNT`, `host:HOST:GUEST:COUNT`,
/// `squash-guest:GUEST:HOST:COUNT`, `squash-host:HOST:GUEST:COUNT` and `forbid-guest:GUEST:COUNT`.
///
/// ```
/// let rule: ninefold::IdRule = "map:1000:100000:65536".parse()?;
/// assert_eq!(rule.to_string(), "map:1000:100000:65536");
/// # Ok::<(), ninefold::IdRuleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRule {
    pub(super) kind: Kind,
    /// The first id of the range.
    pub(super) from: u32,
    /// What it becomes; of no meaning where the range is forbidden.
    pub(super) to: u32,
    /// How many ids, at least one. The last one, and what it becomes, is an id.
    pub(super) count: u32,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdRuleError {
    /// It has another form.
    #[error(
        "expected map:GUEST:HOST:COUNT, guest:GUEST:HOST:COUNT, host:HOST:GUEST:COUNT, squash-guest:GUEST:HOST:COUNT, squash-host:HOST:GUEST:COUNT or forbid-guest:GUEST:COUNT, came {0:?}"
    )]
    Form(String),
    /// One of its parts is no number.
    #[error("expected a number from 0 to 4294967295 in place of {0:?}: {1}")]
    Number(String, ParseIntError),
    /// Nothing is in the range.
    #[error("expected a count of at least 1 in {0:?}")]
    Empty(String),
    /// The range goes on above the largest id.
    #[error("expected ids up to 4294967294 in {0:?}: the third number is a count, not the last id")]
    TooLong(String),
}

impl IdRule {
    /// A rule, if its range and what becomes of it are ids.
    pub(super) fn new(kind: Kind, from: u32, to: u32, count: u32) -> Option<Self> {
        let after_first = count.checked_sub(1)?;
        let spread = if kind.squashes() { 0 } else { after_first };
        let fits = |first: u32, more| first.checked_add(more).is_some_and(|last| last <= ID_MAX);
        let rule = Self {
            kind,
            from,
            to,
            count,
        };
        (fits(from, after_first) && fits(to, spread)).then_some(rule)
    }
}

impl FromStr for IdRule {
    type Err = IdRuleError;

    fn from_str(text: &str) -> Result<Self, IdRuleError> {
        let form = || IdRuleError::Form(text.to_owned());
        let (name, rest) = text.split_once(':').ok_or_else(form)?;
        let (_, kind) = KINDS
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(form)?;
        let parts: Vec<_> = rest.split(':').collect();
        let numbers = match (kind, &parts[..]) {
            (Kind::ForbidGuest, [from, count]) => [number(from)?, 0, number(count)?],
            (Kind::ForbidGuest, _) => return Err(form()),
            (_, [from, to, count]) => [number(from)?, number(to)?, number(count)?],
            _ => return Err(form()),
        };
        let [from, to, count] = numbers;
        if count == 0 {
            return Err(IdRuleError::Empty(text.to_owned()));
        }
        Self::new(*kind, from, to, count).ok_or_else(|| IdRuleError::TooLong(text.to_owned()))
    }
}

fn number(text: &str) -> Result<u32, IdRuleError> {
    let number = text.parse();
    number.map_err(|error| IdRuleError::Number(text.to_owned(), error))
}

impl fmt::Display for IdRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            from,
            to,
            count,
        } = self;
        match kind {
            Kind::ForbidGuest => write!(f, "{}:{from}:{count}", kind.name()),
            _ => write!(f, "{}:{from}:{to}:{count}", kind.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_come_back_as_they_were_said() {
        for text in [
            "map:0:100000:65536",
            "guest:1000:1001:1",
            "host:1001:1000:1",
            "squash-guest:0:1000:4294967295",
            "squash-host:0:1000:4294967295",
            "forbid-guest:0:1",
            "forbid-guest:0:4294967295",
            "map:4294967294:0:1",
            "map:0:0:4294967295",
        ] {
            let rule = text.parse::<IdRule>().map(|rule| rule.to_string());
            assert_eq!(rule.as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, want) in [
            ("", "expected map:GUEST:HOST:COUNT"),
            ("map", "came \"map\""),
            ("map:1:2", "came \"map:1:2\""),
            ("map:1:2:3:4", "expected map"),
            ("Map:1:2:3", "expected map"),
            ("forbid-guest:1:2:3", "forbid-guest:GUEST:COUNT"),
            ("forbid-host:1:2", "expected map"),
            ("map:a:2:3", "in place of \"a\""),
            ("map:-1:2:3", "in place of \"-1\""),
            ("map:1:2:", "in place of \"\""),
            ("map:1: 2:3", "in place of \" 2\""),
            ("map:4294967296:2:3", "in place of \"4294967296\""),
            ("map:1:2:0", "a count of at least 1"),
            ("map:1:0:4294967295", "ids up to 4294967294"),
            ("map:0:1:4294967295", "ids up to 4294967294"),
            ("map:4294967295:0:1", "ids up to 4294967294"),
            ("squash-guest:0:4294967295:1", "ids up to 4294967294"),
            ("forbid-guest:1:4294967295", "not the last id"),
        ] {
            let error = text.parse::<IdRule>().expect_err(text).to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
