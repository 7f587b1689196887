//! The text of a metadata file, byte for byte as QEMU writes it and as tolerant as QEMU reads it.

use std::fmt::Write as _;

use super::super::attributes::Attributes;

/// QEMU reads lines into 100 bytes, the last of which is a NUL.
const PIECE_MAX: usize = 99;

const WORDS: [&str; 4] = ["virtfs.uid", "virtfs.gid", "virtfs.mode", "virtfs.rdev"];

/// What a metadata file says. Whatever is not understood says nothing; the last one of a kind wins.
pub(super) fn parse(mut text: &[u8]) -> Attributes {
    let mut values = [None; 4];
    while !text.is_empty() {
        // Of a longer line each piece counts as one.
        let piece = &text[..text.len().min(PIECE_MAX)];
        let rest = match value_of(piece) {
            Some((which, said)) => {
                let (number, rest) = number(said);
                values[which] = Some(number);
                rest
            }
            None => piece,
        };
        let end = rest.iter().position(|byte| *byte == b'\n');
        let left = end.map_or(0, |at| rest.len() - at - 1);
        text = &text[piece.len() - left..];
    }
    // A word of -1 means that nothing is known.
    let [uid, gid, mode, rdev] = values.map(|value| value.filter(|number| *number != u32::MAX));
    Attributes {
        uid,
        gid,
        mode,
        rdev: rdev.map(u64::from),
    }
}

/// Which of [`WORDS`] a line begins with, and where its number stands: behind the word and one byte that nobody
/// looks at, but that a NUL or the line's end ends it.
fn value_of(line: &[u8]) -> Option<(usize, &[u8])> {
    let word = line.strip_prefix(b"virtfs.")?;
    let (which, behind) = match word {
        [b'u', b'i', b'd', behind @ ..] => (0, behind),
        [b'g', b'i', b'd', behind @ ..] => (1, behind),
        [b'm', b'o', b'd', b'e', behind @ ..] => (2, behind),
        [b'r', b'd', b'e', b'v', behind @ ..] => (3, behind),
        _ => return None,
    };
    match behind {
        [] | [0 | b'\n', ..] => Some((which, behind)),
        [_, said @ ..] => Some((which, said)),
    }
}

/// C's atoi(3) within a line, on a machine whose long has 64 bits, and the low 32 bits of it; and what stands
/// behind the number. A NUL is no digit, and ends it.
fn number(text: &[u8]) -> (u32, &[u8]) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\x0b'..=b'\r');
    let mut left = text.iter();
    while left.as_slice().first().is_some_and(is_blank) {
        left.next();
    }
    let negative = left.as_slice().first() == Some(&b'-');
    if let [b'-' | b'+', ..] = left.as_slice() {
        left.next();
    }
    let mut value: i64 = 0;
    while let [digit @ b'0'..=b'9', ..] = left.as_slice() {
        let digit = i64::from(digit - b'0');
        let signed = if negative { -digit } else { digit };
        value = value.saturating_mul(10).saturating_add(signed);
        left.next();
    }
    let [a, b, c, d, ..] = value.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), left.as_slice())
}

/// The text for what is known: decimal, as signed numbers of 32 bits.
pub(super) fn print(attributes: Attributes) -> String {
    let rdev = attributes.rdev.and_then(|rdev| u32::try_from(rdev).ok());
    let values = [attributes.uid, attributes.gid, attributes.mode, rdev];
    let mut text = String::new();
    for (word, value) in WORDS.iter().zip(values) {
        if let Some(value) = value {
            let signed = i32::from_le_bytes(value.to_le_bytes());
            // Writing to a string does not fail.
            let _ = writeln!(text, "{word}={signed}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn of(uid: Option<u32>, gid: Option<u32>, mode: Option<u32>, rdev: Option<u64>) -> Attributes {
        Attributes {
            uid,
            gid,
            mode,
            rdev,
        }
    }

    #[test]
    fn what_qemu_writes() {
        for (attributes, text) in [
            (
                of(Some(1000), Some(1001), Some(33188), Some(1281)),
                "virtfs.uid=1000\nvirtfs.gid=1001\nvirtfs.mode=33188\nvirtfs.rdev=1281\n",
            ),
            (of(None, None, Some(0o040_755), None), "virtfs.mode=16877\n"),
            (of(None, None, Some(0o120_777), None), "virtfs.mode=41471\n"),
            (
                of(None, None, Some(0o010_644), Some(0)),
                "virtfs.mode=4516\nvirtfs.rdev=0\n",
            ),
            (
                of(Some(4_294_967_294), Some(1 << 31), None, None),
                "virtfs.uid=-2\nvirtfs.gid=-2147483648\n",
            ),
        ] {
            assert_eq!(print(attributes), text);
            assert_eq!(parse(text.as_bytes()), attributes);
        }
    }

    #[test]
    fn what_qemu_reads() {
        let uid = |value| of(Some(value), None, None, None);
        let nothing = Attributes::default();
        let long = [b"x".repeat(PIECE_MAX), b"virtfs.uid=5".to_vec()].concat();
        let cut = [b"x".repeat(PIECE_MAX - 5), b"virtfs.uid=5".to_vec()].concat();
        for (text, expected) in [
            (&b"virtfs.uidX7"[..], uid(7)),
            (b"virtfs.uid= \t-1x", nothing),
            (b"virtfs.uid=+12abc\n", uid(12)),
            (b"virtfs.uid=0100644", uid(100_644)),
            (b"virtfs.uid=99999999999", uid(1_215_752_191)),
            (b"virtfs.uid=99999999999999999999999", nothing),
            (b"virtfs.uid=-99999999999999999999999", uid(0)),
            (b"virtfs.uid=1\nvirtfs.uid=2\n", uid(2)),
            (b"virtfs.uid=3\r\n", uid(3)),
            (b"virtfs.uid=4\x005\n", uid(4)),
            (b"virtfs.uid\n", uid(0)),
            (b"virtfs.uid", uid(0)),
            (b" virtfs.uid=1\n", nothing),
            (b"# comment\n\nvirtfs.uid=9", uid(9)),
            (b"", nothing),
            (b"virtfs.rdev=4294967297", of(None, None, None, Some(1))),
            (&long, uid(5)),
            (&cut, nothing),
        ] {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(parse(text), expected, "{shown:?}");
        }
    }

    /// Bytes that look like metadata, more or less.
    fn likely_text() -> impl Strategy<Value = Vec<u8>> {
        const WORDS: [&[u8]; 8] = [
            b"virtfs.uid=",
            b"virtfs.gid",
            b"virtfs.mode=",
            b"virtfs.rdev= -",
            b"\n",
            b"\0",
            b"4294967295",
            b"-9223372036854775808999",
        ];
        let word = select(&WORDS[..]).prop_map(<[u8]>::to_vec);
        let piece = prop_oneof![word, vec(any::<u8>(), 0..120)];
        vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    /// As QEMU does it: each line, up to a NUL, is compared with each word.
    fn line_by_line(text: &[u8]) -> Attributes {
        let mut values = [None; 4];
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        for piece in lines.flat_map(|line| line.chunks(PIECE_MAX)) {
            let line = piece.split(|byte| *byte == 0).next().unwrap_or_default();
            for (word, value) in WORDS.iter().zip(&mut values) {
                if line.starts_with(word.as_bytes()) {
                    let (said, _) = number(line.get(word.len() + 1..).unwrap_or_default());
                    *value = Some(said).filter(|said| *said != u32::MAX);
                }
            }
        }
        let [uid, gid, mode, rdev] = values;
        of(uid, gid, mode, rdev.map(u64::from))
    }

    proptest! {
        #[test]
        fn it_is_read_as_qemu_reads_it(text in likely_text()) {
            prop_assert_eq!(parse(&text), line_by_line(&text));
        }

        #[test]
        fn what_was_read_is_written_and_read_the_same(text in likely_text()) {
            let read = parse(&text);
            prop_assert_eq!(parse(print(read).as_bytes()), read);
        }

        #[test]
        fn what_is_written_is_read(numbers in any::<[u32; 4]>(), has in any::<[bool; 4]>()) {
            let [uid, gid, mode, rdev] = std::array::from_fn(|at| {
                let known = has[at] && numbers[at] != u32::MAX;
                known.then_some(numbers[at])
            });
            let attributes = of(uid, gid, mode, rdev.map(u64::from));
            prop_assert_eq!(parse(print(attributes).as_bytes()), attributes);
        }
    }
}
