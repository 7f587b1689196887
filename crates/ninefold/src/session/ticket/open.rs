//! The requests under way, found by their tags.
//!
//! Each request is put here once and taken out once, so that this is part of what the shortest one
//! costs. Tags are small numbers that say where to look: nothing is hashed, and a client that chooses
//! them with care gains nothing.

use super::Entry;

/// Tags of one page of the index.
const PAGE: usize = 256;

/// Where the entries of some tags are: their places, plus one.
type Page = Box<[u32; PAGE]>;

/// Requests by tag.
#[derive(Default)]
pub(super) struct Open {
    /// By the upper byte of the tag; made when first needed, because most clients use few tags.
    pages: Vec<Option<Page>>,
    entries: Vec<Option<Entry>>,
    /// Places without an entry.
    free: Vec<u32>,
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Open {
    fn place(&self, tag: u16) -> Option<usize> {
        let [low, high] = tag.to_le_bytes();
        let page = self.pages.get(usize::from(high))?.as_ref()?;
        index(page[usize::from(low)]).checked_sub(1)
    }

    /// Puts the place of a tag's entry, plus one, into the index.
    fn point(&mut self, tag: u16, place: u32) {
        let [low, high] = tag.to_le_bytes();
        let high = usize::from(high);
        if self.pages.len() <= high {
            self.pages.resize_with(high + 1, || None);
        }
        let page = self.pages[high].get_or_insert_with(|| Box::new([0; PAGE]));
        page[usize::from(low)] = place;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.entries.len()
    }

    pub(super) fn contains(&self, tag: u16) -> bool {
        self.place(tag).is_some()
    }

    pub(super) fn get(&self, tag: u16) -> Option<&Entry> {
        self.entries[self.place(tag)?].as_ref()
    }

    pub(super) fn get_mut(&mut self, tag: u16) -> Option<&mut Entry> {
        let place = self.place(tag)?;
        self.entries[place].as_mut()
    }

    /// Adds a request, whose tag no other has.
    pub(super) fn insert(&mut self, entry: Entry) {
        let tag = entry.tag;
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[index(place)] = Some(entry);
                place
            }
            None => {
                self.entries.push(Some(entry));
                // There are no more than tags.
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.point(tag, place + 1);
    }

    pub(super) fn remove(&mut self, tag: u16) -> Option<Entry> {
        let place = self.place(tag)?;
        self.vacate(tag, place);
        self.entries[place].take()
    }

    fn vacate(&mut self, tag: u16, place: usize) {
        self.point(tag, 0);
        self.free.push(u32::try_from(place).unwrap_or(u32::MAX));
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut().flatten()
    }

    /// Removes the requests that are not to stay.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&mut Entry) -> bool) {
        for place in 0..self.entries.len() {
            let entry = &mut self.entries[place];
            if let Some(gone) = entry.take_if(|entry| !stays(entry)) {
                self.vacate(gone.tag, place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::State;
    use super::*;

    fn entry(tag: u16, seq: u64) -> Entry {
        Entry {
            tag,
            seq,
            number: 0,
            fids: [0; 2],
            state: State::Running,
            flushes: Vec::new(),
            silent: false,
            resumed: false,
        }
    }

    fn tags() -> impl Strategy<Value = u16> {
        prop_oneof![0..4_u16, 254..258_u16, Just(u16::MAX)]
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in vec((0..8_u8, tags()), 0..200)) {
            let (mut open, mut model) = (Open::default(), HashMap::new());
            for (seq, (what, tag)) in (0..).zip(steps) {
                match what {
                    0..4 if !open.contains(tag) => {
                        open.insert(entry(tag, seq));
                        model.insert(tag, seq);
                    }
                    7 => {
                        open.retain(|entry| entry.tag % 2 == tag % 2);
                        model.retain(|known, _| known % 2 == tag % 2);
                    }
                    _ => {
                        let removed = open.remove(tag).map(|entry| entry.seq);
                        prop_assert_eq!(removed, model.remove(&tag));
                    }
                }
                let seq = open.get(tag).map(|entry| entry.seq);
                prop_assert_eq!(seq, model.get(&tag).copied());
                prop_assert_eq!(open.is_empty(), model.is_empty());
                let seen: HashMap<_, _> = open.values().map(|it| (it.tag, it.seq)).collect();
                prop_assert_eq!(&seen, &model);
            }
        }
    }
}
