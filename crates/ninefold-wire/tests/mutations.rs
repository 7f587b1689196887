//! A short fuzzing run without a fuzzer: golden frames, broken in a repeatable way.
//!
//! Needs nothing but a stable compiler. `NINEFOLD_MUTATIONS` sets the number of frames,
//! `NINEFOLD_SEED` the seed; a failure prints the seed and the bytes.

mod corpus;
mod oracle;

use std::env;
use std::fmt::Write;
use std::thread;

use ninefold_wire::Dialect;

const MUTATIONS: u64 = 100_000;
const SEED: u64 = 0x9f01_d000;
/// Longer frames are mostly data, which teaches nothing about structure.
const FRAME_MAX: usize = 512;
/// Numbers that lengths and counts go wrong at.
const EDGES: [u64; 10] = [
    0,
    1,
    2,
    16,
    17,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// Marsaglia's xorshift64: enough variety, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`; 0 when there is none.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("usize fits");
        usize::try_from(self.next() % end.max(1)).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Some stretch of `0..len`, mostly short.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let span = if self.next() % 4 == 0 { len } else { 9 };
        start..(start + self.below(span)).min(len)
    }
}

/// One frame and the dialect it came in.
struct Seed {
    frame: Vec<u8>,
    dialect: Dialect,
}

/// Prints what was examined when the examination panics.
struct Witness<'a> {
    frame: &'a [u8],
    dialect: Dialect,
    seed: u64,
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut hex = String::new();
            for byte in self.frame {
                write!(hex, "{byte:02x}").expect("a String takes everything");
            }
            eprintln!("seed {:#x}, {:?}: {hex}", self.seed, self.dialect);
        }
    }
}

#[test]
fn broken_frames_break_nothing() {
    let seeds = seeds();
    let rounds = setting("NINEFOLD_MUTATIONS", MUTATIONS);
    let seed = setting("NINEFOLD_SEED", SEED).max(1);
    let mut random = Random(seed);
    let mut messages = 0;
    for _ in 0..rounds {
        let (frame, dialect) = broken(&seeds, &mut random);
        let witness = Witness {
            frame: &frame,
            dialect,
            seed,
        };
        messages += u64::from(oracle::examine(witness.frame, dialect));
    }
    println!("{rounds} frames, {messages} of them still messages");
    // A run in which all are refused, or none, has tested one half only.
    if rounds >= MUTATIONS {
        assert!(
            (rounds / 10..rounds / 10 * 9).contains(&messages),
            "{messages} messages"
        );
    }
}

fn seeds() -> Vec<Seed> {
    let mut lines = corpus::lines();
    lines.retain(|line| line.bytes.len() <= FRAME_MAX);
    let key = |line: &corpus::Line| (line.bytes.clone(), line.dialect.version());
    lines.sort_by_key(key);
    lines.dedup_by_key(|line| key(line));
    lines
        .into_iter()
        .map(|line| Seed {
            frame: line.bytes,
            dialect: line.dialect,
        })
        .collect()
}

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number"))
    })
}

fn broken(seeds: &[Seed], random: &mut Random) -> (Vec<u8>, Dialect) {
    let Seed { frame, dialect } = random.pick(seeds);
    let mut frame = frame.clone();
    for _ in 0..=random.below(4) {
        mutate(&mut frame, &random.pick(seeds).frame, random);
    }
    // A wrong size field hides all other faults.
    if random.next() % 8 != 0 {
        oracle::set_size(&mut frame);
    }
    let dialect = if random.next() % 8 == 0 {
        *random.pick(&oracle::DIALECTS)
    } else {
        *dialect
    };
    (frame, dialect)
}

fn mutate(frame: &mut Vec<u8>, donor: &[u8], random: &mut Random) {
    let range = random.range(frame.len());
    match random.below(7) {
        0 => flip(frame, random),
        1 => frame.insert(range.start, random.byte()),
        2 => drop(frame.drain(range)),
        3 => drop(frame.splice(range, donor[random.range(donor.len())].iter().copied())),
        4 => frame.extend_from_within(range),
        5 => overwrite(&mut frame[range.start..], random),
        _ => step(frame, random),
    }
}

fn flip(frame: &mut [u8], random: &mut Random) {
    let at = random.below(frame.len());
    let bit = 1 << random.below(8);
    if let Some(byte) = frame.get_mut(at) {
        *byte ^= bit;
    }
}

/// Puts an edge value of 1, 2, 4 or 8 bytes at the start of `bytes`.
fn overwrite(bytes: &mut [u8], random: &mut Random) {
    let value = random.pick(&EDGES).to_le_bytes();
    let width = 1 << random.below(4);
    bytes
        .iter_mut()
        .zip(&value[..width])
        .for_each(|(byte, &edge)| *byte = edge);
}

/// Makes one byte one more or one less, as an off-by-one in a length would be.
fn step(frame: &mut [u8], random: &mut Random) {
    let at = random.below(frame.len());
    let by = *random.pick(&[1, 0xff]);
    if let Some(byte) = frame.get_mut(at) {
        *byte = byte.wrapping_add(by);
    }
}
