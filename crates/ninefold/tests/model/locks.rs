//! Byte-range locks, kept byte by byte: who has which, and through which open file.

use std::collections::BTreeMap;

use ninefold::Errno;

use crate::op::Op;
use crate::reference::{Expect, Expected, Reference};
use crate::tree::Id;

/// Bytes that are told apart; the last one stands for all behind.
const BYTES: usize = 24;
const WRITE: u8 = 1;
const UNLOCK: u8 = 2;

/// A client and one of its processes.
pub type Owner = (usize, u32);

#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub kind: u8,
    opening: u64,
}

type Bytes = [BTreeMap<Owner, Held>; BYTES];

#[derive(Default)]
pub struct Locks(BTreeMap<Id, Bytes>);

/// The bytes of a range; length 0 is to the end.
fn bytes(start: u64, length: u64) -> std::ops::Range<usize> {
    let start = usize::try_from(start).map_or(BYTES - 1, |start| start.min(BYTES - 1));
    match usize::try_from(length) {
        Ok(0) | Err(_) => start..BYTES,
        Ok(length) => start..(start + length).min(BYTES),
    }
}

impl Locks {
    /// Whether some other owner has what forbids a lock.
    fn blocks(&self, id: Id, owner: Owner, kind: u8, (start, length): (u64, u64)) -> bool {
        let Some(all) = self.0.get(&id) else {
            return false;
        };
        let others = all[bytes(start, length)].iter().flatten();
        others
            .filter(|(other, _)| **other != owner)
            .any(|(_, held)| held.kind == WRITE || kind == WRITE)
    }

    fn set(&mut self, id: Id, owner: Owner, held: Option<Held>, (start, length): (u64, u64)) {
        for byte in &mut self.0.entry(id).or_default()[bytes(start, length)] {
            match held {
                Some(held) => byte.insert(owner, held),
                None => byte.remove(&owner),
            };
        }
    }

    /// Gives back what was taken through an open file.
    pub fn release(&mut self, id: Id, opening: u64) {
        for byte in self.0.get_mut(&id).into_iter().flatten() {
            byte.retain(|_, held| held.opening != opening);
        }
    }

    /// The answer to a Tgetlock: none, or a range that one other owner has, whole, that is in the
    /// way, and no byte asked about before it is.
    pub fn check_blocker(
        &self,
        id: Id,
        (owner, kind, asked): (Owner, u8, (u64, u64)),
        said: Option<(u8, (u64, u64), u32)>,
    ) -> Result<(), String> {
        let Some((held, range, process)) = said else {
            return match self.blocks(id, owner, kind, asked) {
                true => Err("a lock in the way was not told".to_owned()),
                false => Ok(()),
            };
        };
        let all = self.0.get(&id).ok_or("no locks at all")?;
        let whole = all[bytes(range.0, range.1)].iter().all(|byte| {
            let mut owners = byte.iter();
            owners.any(|(other, lock)| *other != owner && other.1 == process && lock.kind == held)
        });
        let (first, wanted) = (bytes(range.0, range.1), bytes(asked.0, asked.1));
        let meets = first.start < wanted.end && wanted.start < first.end;
        let before = (asked.0, range.0.saturating_sub(asked.0));
        let earlier = before.1 > 0 && self.blocks(id, owner, kind, before);
        if whole && meets && !earlier && (kind == WRITE || held == WRITE) {
            Ok(())
        } else {
            Err(format!("no such lock: {all:?}"))
        }
    }
}

impl Reference {
    pub fn lock(&mut self, client: usize, op: &Op) -> Expect {
        let (Op::Lock {
            fid,
            kind,
            start,
            length,
            process,
        }
        | Op::Getlock {
            fid,
            kind,
            start,
            length,
            process,
        }) = *op
        else {
            unreachable!("{op:?} is no lock");
        };
        let fid = self.any(client, fid)?;
        let id = fid.id;
        let opening = fid.opening().ok_or(Errno::BADF)?;
        let (owner, range) = ((client, process), (start, length));
        if matches!(op, Op::Getlock { .. }) {
            return Ok(Expected::Blocker(id));
        }
        if kind != UNLOCK && self.locks.blocks(id, owner, kind, range) {
            return Ok(Expected::Status(1));
        }
        let held = (kind != UNLOCK).then_some(Held { kind, opening });
        self.locks.set(id, owner, held, range);
        Ok(Expected::Status(0))
    }
}
