//! What becomes of one kind of ids, users or groups, from the guest to the host and back.

use std::fmt;

use super::IdRule;
use super::parse::Kind;

/// A range of ids and what becomes of it.
struct Entry {
    first: u32,
    last: u32,
    /// What the first one becomes.
    to: u32,
    /// The rule that says so.
    rule: IdRule,
}

impl Entry {
    /// What a rule says of the ids on its left.
    fn of(rule: IdRule) -> Self {
        Self {
            first: rule.from,
            last: rule.from + (rule.count - 1),
            to: rule.to,
            rule,
        }
    }

    /// What a rule for both ways says of the ids on its right.
    fn back(rule: IdRule) -> Self {
        Self {
            first: rule.to,
            last: rule.to + (rule.count - 1),
            to: rule.from,
            rule,
        }
    }

    fn translate(&self, id: u32) -> Option<u32> {
        match self.rule.kind {
            Kind::ForbidGuest => None,
            kind if kind.squashes() => Some(self.to),
            _ => Some(self.to + (id - self.first)),
        }
    }
}

/// One direction.
#[derive(Default)]
struct Table {
    /// In their order; none overlaps another.
    entries: Vec<Entry>,
    /// Whether some rule says what ids become, not only what they may not be: all ids that no rule
    /// names are then refused. Without one they stay what they are.
    maps: bool,
}

impl Table {
    /// Adds a range, or says whose range is in the way.
    fn add(&mut self, new: Entry) -> Result<(), IdRule> {
        let at = self.entries.partition_point(|entry| entry.last < new.first);
        match self.entries.get(at) {
            Some(entry) if entry.first <= new.last => return Err(entry.rule),
            _ => {}
        }
        self.maps |= new.rule.kind != Kind::ForbidGuest;
        self.entries.insert(at, new);
        Ok(())
    }

    fn translate(&self, id: u32) -> Option<u32> {
        let at = self.entries.partition_point(|entry| entry.last < id);
        match self.entries.get(at) {
            Some(entry) if entry.first <= id => entry.translate(id),
            _ => (!self.maps).then_some(id),
        }
    }
}

/// Two rules for one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    /// The rule given later, and the one before.
    pub(super) rules: (IdRule, IdRule),
    pub(super) side: Side,
}

/// Whose ids a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Guest,
    Host,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "guest",
            Self::Host => "host",
        })
    }
}

/// Both directions. One says nothing of the other: a squash cannot be undone.
#[derive(Default)]
pub(super) struct IdMap {
    to_host: Table,
    to_guest: Table,
}

impl IdMap {
    /// The map that these rules make.
    pub(super) fn new(rules: &[IdRule]) -> Result<Self, Overlap> {
        let mut map = Self::default();
        for rule in rules {
            map.add(*rule)?;
        }
        Ok(map)
    }

    fn add(&mut self, rule: IdRule) -> Result<(), Overlap> {
        let against = |side| {
            move |earlier| Overlap {
                rules: (rule, earlier),
                side,
            }
        };
        let (guests, hosts) = (against(Side::Guest), against(Side::Host));
        match rule.kind {
            Kind::Guest | Kind::SquashGuest | Kind::ForbidGuest => {
                self.to_host.add(Entry::of(rule)).map_err(guests)
            }
            Kind::Host | Kind::SquashHost => self.to_guest.add(Entry::of(rule)).map_err(hosts),
            Kind::Map => {
                self.to_host.add(Entry::of(rule)).map_err(guests)?;
                self.to_guest.add(Entry::back(rule)).map_err(hosts)
            }
        }
    }

    /// The host's id for one of the guest's.
    pub(super) fn host(&self, guest: u32) -> Option<u32> {
        self.to_host.translate(guest)
    }

    /// The guest's id for one of the host's.
    pub(super) fn guest(&self, host: u32) -> Option<u32> {
        self.to_guest.translate(host)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(texts: &[&str]) -> Vec<IdRule> {
        let rule = |text: &&str| text.parse().expect("a rule");
        texts.iter().map(rule).collect()
    }

    fn map(texts: &[&str]) -> IdMap {
        IdMap::new(&rules(texts)).expect("no overlap")
    }

    #[test]
    fn each_kind_of_rule() {
        let both = map(&["map:0:100000:1000"]);
        assert_eq!(
            (both.host(0), both.host(999)),
            (Some(100_000), Some(100_999))
        );
        assert_eq!(
            (both.guest(100_000), both.guest(100_999)),
            (Some(0), Some(999))
        );
        assert_eq!((both.host(1000), both.guest(0)), (None, None));
        assert_eq!((both.guest(99_999), both.guest(101_000)), (None, None));

        let apart = map(&["guest:5:50:2", "host:7:70:2"]);
        assert_eq!(
            [5, 6, 7].map(|id| apart.host(id)),
            [Some(50), Some(51), None]
        );
        assert_eq!(
            [7, 8, 9].map(|id| apart.guest(id)),
            [Some(70), Some(71), None]
        );

        let squashed = map(&["squash-guest:0:1000:4294967295", "squash-host:5:0:2"]);
        assert_eq!(squashed.host(u32::MAX - 1), Some(1000));
        assert_eq!(
            [4, 5, 6, 7].map(|id| squashed.guest(id)),
            [None, Some(0), Some(0), None]
        );
    }

    #[test]
    fn a_way_without_rules_changes_nothing() {
        let one_way = map(&["squash-guest:0:1000:4294967295"]);
        assert_eq!(one_way.guest(77), Some(77));
        let none = map(&[]);
        assert_eq!((none.host(7), none.guest(8)), (Some(7), Some(8)));
    }

    #[test]
    fn to_forbid_some_is_to_allow_the_others() {
        let forbidden = map(&["forbid-guest:0:1", "forbid-guest:10:2"]);
        assert_eq!([0, 10, 11].map(|id| forbidden.host(id)), [None; 3]);
        assert_eq!(
            [1, 9, 12].map(|id| forbidden.host(id)),
            [Some(1), Some(9), Some(12)]
        );
        let with_map = map(&["forbid-guest:0:1", "guest:1:1:9"]);
        assert_eq!(
            [0, 1, 9, 10].map(|id| with_map.host(id)),
            [None, Some(1), Some(9), None]
        );
    }

    #[test]
    fn overlaps_name_both_rules() {
        for (texts, side) in [
            (["guest:0:9:10", "squash-guest:9:0:1"], Side::Guest),
            (["forbid-guest:5:1", "map:0:100:10"], Side::Guest),
            (["map:0:100:10", "map:50:109:10"], Side::Host),
            (["host:100:0:1", "map:0:99:2"], Side::Host),
            (["map:0:99:2", "squash-host:0:5:100"], Side::Host),
        ] {
            let found = IdMap::new(&rules(&texts)).err().expect("an overlap");
            let (later, earlier) = found.rules;
            assert_eq!([earlier, later].map(|rule| rule.to_string()), texts);
            assert_eq!(found.side, side);
        }
        map(&["guest:0:9:10", "guest:10:9:10", "host:0:0:10"]);
    }

    proptest! {
        /// What the table says is what the rules say, one after the other.
        #[test]
        fn tables_do_as_their_rules(
            parts in prop::collection::vec((0..6_usize, 0..60_u32, 0..60_u32, 1..12_u32), 0..8),
            id in 0..80_u32,
        ) {
            let names = ["map", "guest", "host", "squash-guest", "squash-host", "forbid-guest"];
            let texts: Vec<_> = parts.iter().map(|(name, from, to, count)| match names[*name] {
                "forbid-guest" => format!("forbid-guest:{from}:{count}"),
                name => format!("{name}:{from}:{to}:{count}"),
            }).collect();
            let rules: Vec<IdRule> = texts.iter().map(|text| text.parse().expect("a rule")).collect();
            let within = |first: u32, count: u32| (first..first + count).contains(&id);
            let of_guest = parts.iter().filter(|(name, ..)| [0, 1, 3, 5].contains(name));
            let hits: Vec<_> = of_guest.clone().filter(|(_, from, _, count)| within(*from, *count)).collect();
            if let Ok(map) = IdMap::new(&rules) {
                prop_assert!(hits.len() <= 1, "{texts:?}");
                let want = match hits.first() {
                    Some((5, ..)) => None,
                    Some((3, _, to, _)) => Some(*to),
                    Some((_, from, to, _)) => Some(to + (id - from)),
                    None if of_guest.clone().any(|(name, ..)| *name != 5) => None,
                    None => Some(id),
                };
                prop_assert_eq!(map.host(id), want, "{:?}", texts);
            }
        }

        /// A map one to one leads back to where it came from.
        #[test]
        fn maps_lead_back(guest in 0..1_000_000_u32, host: u32, count in 1..100_000_u32, into: u32) {
            let host = host.min(u32::MAX - 1 - count);
            let map = map(&[&format!("map:{guest}:{host}:{count}")]);
            let id = guest + into % count;
            let there = map.host(id).expect("it is in the map");
            prop_assert_eq!(map.guest(there), Some(id));
        }
    }
}
