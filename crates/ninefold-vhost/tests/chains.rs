//! Random chains of descriptors, most of them wrong.

mod oracle;

use std::collections::HashSet;
use std::mem::discriminant;

use oracle::{HEAD_LEN, START, examine, memory};

const ROUNDS: u32 = 1000;
/// A table of so many descriptors, and so many bytes of further ones.
const TABLE: u16 = 32;
const CONTENT: usize = 0x2000;

/// Numbers that look random, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// An address that is often good, and else near an edge.
    fn address(&mut self) -> u64 {
        match self.below(16) {
            0 => self.next(),
            1 => [0xfff, 0x8fff, 0xafff, 0xb000, 0x2_0fff]
                [usize::try_from(self.below(5)).unwrap_or(0)],
            2..8 => START + 16 * self.below(0x180),
            _ => START + self.below(0x9f00),
        }
    }

    fn descriptor(&mut self) -> [u8; 16] {
        let address = self.address();
        let indirect = self.below(6) == 0;
        let len = match self.below(16) {
            0 => self.next(),
            1 => 0,
            _ if indirect => 16 * self.below(70),
            _ => self.below(0x90),
        };
        let flags = self.below(4) | if indirect { 4 } else { 0 };
        // An indirect one is mostly the last, as it has to be.
        let flags = if indirect && self.below(8) > 0 {
            4
        } else {
            flags
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&address.to_le_bytes());
        bytes[8..12].copy_from_slice(&len.to_le_bytes()[..4]);
        bytes[12..14].copy_from_slice(&flags.to_le_bytes()[..2]);
        bytes[14..].copy_from_slice(&self.below(34).to_le_bytes()[..2]);
        bytes
    }
}

#[test]
fn no_chain_leads_out_of_the_guests_memory() {
    let memory = memory();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut good, mut errors) = (0, HashSet::new());
    for _ in 0..ROUNDS {
        let mut input = Vec::with_capacity(HEAD_LEN + CONTENT);
        let table = if numbers.below(32) == 0 {
            numbers.address()
        } else {
            START
        };
        input.extend(table.to_le_bytes());
        input.extend(TABLE.to_le_bytes());
        input.extend(&numbers.below(33).to_le_bytes()[..2]);
        while input.len() < HEAD_LEN + CONTENT {
            input.extend(numbers.descriptor());
        }
        match examine(&memory, &input).expect("enough bytes") {
            Ok(_) => good += 1,
            Err(error) => {
                errors.insert(discriminant(&error));
            }
        }
    }
    // The generator reaches what it is to reach.
    assert!(good > ROUNDS / 20, "{good} good chains");
    assert!(errors.len() >= 6, "{} kinds of errors", errors.len());
}
