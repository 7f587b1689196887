//! Byte ranges: what is locked is exactly what was asked for.

use anyhow::Result;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::expect::fails;
use crate::row::Row;
use crate::suites::locks::stage::Between;
use crate::suites::locks::stage::Owner;
use crate::suites::locks::stage::Stage;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;

type Case = fn(&Owner, &Owner, Space) -> Result<()>;

const CASES: [(&str, Case); 16] = [
    ("neighbours", neighbours),
    ("overlap-of-one-byte", overlap),
    ("unlock-middle-splits", unlock_middle),
    ("unlock-start-and-end", unlock_edges),
    ("adjacent-merge", merge),
    ("overlapping-merge", overlapping_merge),
    ("write-inside-read", write_inside_read),
    ("read-inside-write", read_inside_write),
    ("to-end-of-any-file", to_end),
    ("to-end-from-middle", to_end_from_middle),
    ("relative-to-end", relative_to_end),
    ("negative-length", negative_length),
    ("last-byte-there-is", last_byte),
    ("far-beyond-file", far_beyond),
    ("unlock-more-than-locked", unlock_more),
    ("same-range-again", same_again),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    // Between processes of one client Linux settles them before the server hears of it.
    for space in [Space::Posix, Space::Ofd] {
        for (name, case) in CASES {
            let name = format!("range/{}/{name}", space.word());
            rows.push(Row::new(name, move |ctx| play(ctx, space, case)));
        }
    }
    rows.push(Row::new("range/thousand-apart", thousand_apart).within(120));
    rows.push(Row::new("range/thousand-adjacent", thousand_adjacent).within(120));
    rows.push(Row::new("range/overflow-refused", overflow));
    rows
}

fn play(ctx: &Ctx, space: Space, case: Case) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    case(&one, &other, space)?;
    one.unlocks(space, Range::WHOLE)?;
    other.could("all of it in the end", space, Kind::Write, Range::WHOLE)
}

/// `other` finds exactly these bytes locked against writing, out of those probed.
fn probe(other: &Owner, space: Space, locked: &[i64], free: &[i64]) -> Result<()> {
    for &byte in locked {
        other.denied("a locked byte", space, Kind::Write, Range::new(byte, 1))?;
    }
    for &byte in free {
        other.could("a free byte", space, Kind::Write, Range::new(byte, 1))?;
    }
    Ok(())
}

fn write(owner: &Owner, space: Space, start: i64, length: i64) -> Result<()> {
    owner.gets("lock", space, Kind::Write, Range::new(start, length))
}

fn neighbours(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 100, 50)?;
    write(other, space, 50, 50)?;
    write(other, space, 150, 50)?;
    other.unlocks(space, Range::WHOLE)?;
    probe(other, space, &[100, 149], &[99, 150])
}

fn overlap(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 100, 50)?;
    for (start, length) in [(51, 50), (149, 50), (0, 0), (120, 5), (100, 50), (0, 1000)] {
        other.denied(
            "an overlapping range",
            space,
            Kind::Read,
            Range::new(start, length),
        )?;
    }
    Ok(())
}

fn unlock_middle(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 0, 100)?;
    one.unlocks(space, Range::new(40, 20))?;
    probe(other, space, &[0, 39, 60, 99], &[40, 59, 100])?;
    write(other, space, 40, 20)?;
    one.denied("the middle back", space, Kind::Write, Range::new(0, 100))?;
    other.unlocks(space, Range::WHOLE)
}

fn unlock_edges(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 0, 100)?;
    one.unlocks(space, Range::new(0, 10))?;
    one.unlocks(space, Range::new(90, 10))?;
    probe(other, space, &[10, 89], &[0, 9, 90, 99])
}

fn merge(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 0, 50)?;
    write(one, space, 50, 50)?;
    probe(other, space, &[0, 49, 50, 99], &[100])?;
    one.unlocks(space, Range::new(25, 50))?;
    probe(other, space, &[24, 75], &[25, 49, 50, 74])
}

fn overlapping_merge(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 0, 60)?;
    write(one, space, 40, 60)?;
    one.unlocks(space, Range::new(0, 60))?;
    probe(other, space, &[60, 99], &[0, 39, 40, 59])
}

fn write_inside_read(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    one.gets("read all", space, Kind::Read, Range::new(0, 100))?;
    write(one, space, 40, 20)?;
    for (start, length) in [(0, 40), (60, 40)] {
        other.could(
            "read beside it",
            space,
            Kind::Read,
            Range::new(start, length),
        )?;
    }
    other.denied("read the middle", space, Kind::Read, Range::new(59, 1))?;
    probe(other, space, &[0, 39, 40, 60, 99], &[100])
}

fn read_inside_write(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 0, 100)?;
    one.gets(
        "downgrade the middle",
        space,
        Kind::Read,
        Range::new(40, 20),
    )?;
    other.could("read the middle", space, Kind::Read, Range::new(40, 20))?;
    for byte in [39, 60] {
        other.denied("read beside it", space, Kind::Read, Range::new(byte, 1))?;
    }
    probe(other, space, &[0, 40, 59, 99], &[100])
}

fn to_end(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 0, 0)?;
    probe(other, space, &[0, 999, 1000, 1 << 40, i64::MAX - 1], &[])
}

fn to_end_from_middle(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 500, 0)?;
    probe(other, space, &[500, 5_000, 1 << 50], &[0, 499])?;
    one.unlocks(space, Range::new(600, 100))?;
    probe(other, space, &[599, 700, 1 << 50], &[600, 699])
}

/// The file has 1000 bytes.
fn relative_to_end(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    one.gets(
        "the last ten",
        space,
        Kind::Write,
        Range::before_end(10, 10),
    )?;
    probe(other, space, &[990, 999], &[989, 1000])?;
    one.gets(
        "all after the end",
        space,
        Kind::Write,
        Range::before_end(0, 0),
    )?;
    probe(other, space, &[990, 1000, 1 << 40], &[989])
}

fn negative_length(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 100, -50)?;
    probe(other, space, &[50, 99], &[49, 100])
}

fn last_byte(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, i64::MAX - 1, 1)?;
    probe(other, space, &[i64::MAX - 1], &[0, i64::MAX - 2])
}

fn far_beyond(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    let far = (1 << 32) + 7;
    write(one, space, far, 10)?;
    // The same offset cut to 32 bits is free.
    probe(other, space, &[far, far + 9], &[7, far - 1, far + 10])
}

fn unlock_more(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    write(one, space, 100, 10)?;
    write(other, space, 200, 10)?;
    one.unlocks(space, Range::new(0, 1000))?;
    other.unlocks(space, Range::new(100, 10))?;
    one.denied(
        "what the other still holds",
        space,
        Kind::Write,
        Range::new(205, 1),
    )?;
    one.could("what was released", space, Kind::Write, Range::new(100, 10))?;
    other.unlocks(space, Range::WHOLE)
}

fn same_again(one: &Owner, other: &Owner, space: Space) -> Result<()> {
    for _ in 0..3 {
        write(one, space, 0, 100)?;
    }
    one.unlocks(space, Range::new(0, 100))?;
    probe(other, space, &[], &[0, 99])
}

fn thousand_apart(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    for number in 0..1000 {
        write(&one, Space::Posix, number * 2, 1)?;
    }
    probe(
        &other,
        Space::Posix,
        &[0, 2, 998, 1000, 1998],
        &[1, 3, 999, 1001, 1999],
    )?;
    one.unlocks(Space::Posix, Range::WHOLE)?;
    other.could("all of it", Space::Posix, Kind::Write, Range::WHOLE)
}

fn thousand_adjacent(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    for number in (0..1000).rev() {
        write(&one, Space::Posix, number, 1)?;
    }
    probe(&other, Space::Posix, &[0, 500, 999], &[1000])?;
    one.unlocks(Space::Posix, Range::new(1, 998))?;
    probe(&other, Space::Posix, &[0, 999], &[1, 500, 998])
}

fn overflow(ctx: &Ctx) -> Result<()> {
    let Stage { one, other } = Stage::set(ctx, Between::Clients)?;
    let lock = |range| one.lock(Space::Posix, Kind::Write, range);
    fails(
        "beyond the largest offset",
        lock(Range::new(i64::MAX, 2))?,
        &[Errno::OVERFLOW],
    )?;
    fails(
        "before the first byte",
        lock(Range::new(-1, 1))?,
        &[Errno::INVAL],
    )?;
    fails(
        "length before the first byte",
        lock(Range::new(10, -11))?,
        &[Errno::INVAL],
    )?;
    other.could("all of it", Space::Posix, Kind::Write, Range::WHOLE)
}
