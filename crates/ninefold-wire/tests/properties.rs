//! What holds for every message there can be, and for bytes that are none.

mod oracle;
mod parts;

use ninefold_wire::{
    DecodeError, Dialect, Dirents, Full, HEADER_LEN, NOFID, Name, Qid, Qids, Reply, Request, Stat,
    Step, Steps, WALK_MAX,
};
use oracle::{DIALECTS, examine, set_size};
use parts::{Parts, parts};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::FileFailurePersistence;

/// No message of [`parts`] is longer.
const FRAME_MAX: usize = 8192;
/// Numbers below belong to .L alone.
const LEGACY_FIRST: u8 = 100;
const FSYNC: u8 = 50;

fn config() -> ProptestConfig {
    let failure_persistence: Option<Box<dyn proptest::test_runner::FailurePersistence>> =
        Some(Box::new(FileFailurePersistence::WithSource("regressions")));
    ProptestConfig {
        failure_persistence,
        ..ProptestConfig::default()
    }
}

/// A frame of every message, with the dialect it belongs to.
fn every_frame(parts: &Parts, mut each: impl FnMut(&mut [u8], usize, Dialect)) {
    let mut buf = [0xa5; FRAME_MAX];
    for dialect in DIALECTS {
        for number in numbers(Request::TABLE, dialect) {
            let len = parts
                .request(number, dialect)
                .encode(parts.tag, &mut buf)
                .expect("it fits");
            each(&mut buf, len, dialect);
        }
        for number in numbers(Reply::TABLE, dialect) {
            let len = parts
                .reply(number, dialect)
                .encode(parts.tag, &mut buf)
                .expect("it fits");
            each(&mut buf, len, dialect);
        }
    }
}

fn numbers(table: &[(u8, &str)], dialect: Dialect) -> impl Iterator<Item = u8> {
    table
        .iter()
        .map(|row| row.0)
        .filter(move |&n| dialect != Dialect::Legacy || n >= LEGACY_FIRST)
}

/// Why `frame` is neither a request nor a reply.
fn refusal(frame: &[u8], dialect: Dialect) -> Option<DecodeError> {
    let is_request = frame.get(4).is_none_or(|number| number % 2 == 0);
    if is_request {
        Request::decode(frame, dialect).err()
    } else {
        Reply::decode(frame, dialect).err()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_message_comes_back(parts in parts()) {
        let mut buf = [0; FRAME_MAX];
        for dialect in DIALECTS {
            for number in numbers(Request::TABLE, dialect) {
                let message = parts.request(number, dialect);
                prop_assert_eq!(message.number(), number);
                let len = message.encode(parts.tag, &mut buf).expect("it fits");
                prop_assert_eq!(Request::decode(&buf[..len], dialect), Ok((parts.tag, message)));
                prop_assert!(examine(&buf[..len], dialect));
            }
            for number in numbers(Reply::TABLE, dialect) {
                let message = parts.reply(number, dialect);
                prop_assert_eq!(message.number(), number);
                let len = message.encode(parts.tag, &mut buf).expect("it fits");
                prop_assert_eq!(Reply::decode(&buf[..len], dialect), Ok((parts.tag, message)));
                prop_assert!(examine(&buf[..len], dialect));
            }
        }
    }

    #[test]
    fn no_smaller_buffer_holds_it(parts in parts()) {
        for dialect in DIALECTS {
            for number in numbers(Request::TABLE, dialect) {
                let message = parts.request(number, dialect);
                check_smaller(|buf| message.encode(parts.tag, buf));
            }
            for number in numbers(Reply::TABLE, dialect) {
                let message = parts.reply(number, dialect);
                check_smaller(|buf| message.encode(parts.tag, buf));
            }
            check_smaller(|buf| parts.stat(dialect).encode_entry(buf));
        }
        check_smaller(|buf| parts.dirent().encode(buf));
    }

    #[test]
    fn every_cut_is_refused(parts in parts(), all in any::<u8>()) {
        every_frame(&parts, |buf, len, dialect| {
            // All cuts of short frames, and of long ones each sixteenth, beginning anywhere.
            let step = if len < 64 { 1 } else { 16 };
            for cut in (usize::from(all) % step..len).step_by(step).chain([len - 1]) {
                check_cut(&buf[..len], cut, dialect);
            }
        });
    }

    #[test]
    fn one_byte_more_is_refused(parts in parts(), more in any::<u8>()) {
        every_frame(&parts, |buf, len, dialect| {
            buf[len] = more;
            let frame = &mut buf[..=len];
            assert_eq!(refusal(frame, dialect), Some(DecodeError::Size));
            set_size(frame);
            let wordless = frame[4] == FSYNC && len == HEADER_LEN + 4;
            let want = if wordless { DecodeError::Truncated } else { DecodeError::Trailing(1) };
            assert_eq!(refusal(frame, dialect), Some(want));
        });
    }

    #[test]
    fn plain_9p2000_has_none_of_the_linux_set(parts in parts()) {
        let mut buf = [0; FRAME_MAX];
        for number in numbers(Request::TABLE, Dialect::Linux).filter(|&n| n < LEGACY_FIRST) {
            let len = parts.request(number, Dialect::Linux).encode(0, &mut buf).expect("it fits");
            let unknown = Some(DecodeError::UnknownType(number));
            prop_assert_eq!(refusal(&buf[..len], Dialect::Legacy), unknown);
        }
    }

    #[test]
    fn random_bytes_are_survived(
        mut bytes in vec(any::<u8>(), 0..300),
        dialect in select(&DIALECTS),
        first in 0..16_u8,
    ) {
        examine(&bytes, dialect);
        set_size(&mut bytes);
        for number in (first..=127).step_by(16) {
            if let Some(field) = bytes.get_mut(4) {
                *field = number;
            }
            examine(&bytes, dialect);
        }
    }

    #[test]
    fn directory_data_comes_back(all in vec(parts(), 0..4), dialect in select(&DIALECTS)) {
        let mut buf = [0; FRAME_MAX];
        let mut end = 0;
        for parts in &all {
            end += parts.dirent().encode(&mut buf[end..]).expect("it fits");
        }
        let entries: Result<Vec<_>, _> = Dirents::new(&buf[..end]).collect();
        prop_assert_eq!(entries, Ok(all.iter().map(Parts::dirent).collect()));

        end = 0;
        for parts in &all {
            end += parts.stat(dialect).encode_entry(&mut buf[end..]).expect("it fits");
        }
        let mut rest = &buf[..end];
        for parts in &all {
            let (stat, after) = Stat::decode_entry(rest, dialect).expect("just written");
            prop_assert_eq!(stat, parts.stat(dialect));
            rest = after;
        }
        prop_assert!(rest.is_empty());
    }
}

fn check_smaller(encode: impl Fn(&mut [u8]) -> Result<usize, Full>) {
    let mut buf = [0; FRAME_MAX];
    let len = encode(&mut buf).expect("it fits");
    assert_eq!(encode(&mut buf[..len]), Ok(len));
    for less in [len - 1, len / 2, HEADER_LEN.min(len - 1), 0] {
        assert_eq!(encode(&mut buf[..less]), Err(Full));
    }
}

/// A frame cut short is refused, whether or not its size field knows of the cut.
fn check_cut(frame: &[u8], cut: usize, dialect: Dialect) {
    let mut short = frame[..cut].to_vec();
    assert_eq!(refusal(&short, dialect), Some(DecodeError::Size));
    set_size(&mut short);
    // Tfsync is a message with and without its last word.
    let wordless = frame[4] == FSYNC && cut == HEADER_LEN + 4;
    let want = match cut {
        ..HEADER_LEN => Some(DecodeError::Size),
        _ if wordless => None,
        _ => Some(DecodeError::Truncated),
    };
    assert_eq!(refusal(&short, dialect), want);
}

#[test]
fn a_string_ends_at_65535_bytes() {
    let mut buf = vec![0; 70_000];
    let text = vec![b'x'; 65_536];
    let longest = Request::Xattrwalk {
        fid: 0,
        newfid: 1,
        name: &text[1..],
    };
    let len = longest.encode(1, &mut buf).expect("it fits");
    assert_eq!(
        Request::decode(&buf[..len], Dialect::Linux),
        Ok((1, longest))
    );
    assert_eq!(
        Reply::Readlink { target: &text }.encode(1, &mut buf),
        Err(Full)
    );
}

#[test]
fn a_stat_ends_where_its_size_fields_do() {
    let mut buf = vec![0; 70_000];
    // A stat of empty strings is 47 bytes behind its size[2].
    let text = vec![b'x'; 65_535 - 47];
    let entry = Stat {
        name: &text,
        ..Stat::default()
    };
    let len = entry.encode_entry(&mut buf).expect("it fits");
    assert_eq!(len, 65_535 + 2);
    let nothing: &[u8] = &[];
    assert_eq!(
        Stat::decode_entry(&buf[..len], Dialect::Legacy),
        Ok((entry, nothing))
    );
    // In a message n[2] counts size[2] too.
    let request = Request::Wstat {
        fid: NOFID,
        stat: entry,
    };
    assert_eq!(request.encode(1, &mut buf), Err(Full));
    let request = Request::Wstat {
        fid: 1,
        stat: Stat {
            name: &text[2..],
            ..entry
        },
    };
    let len = request.encode(1, &mut buf).expect("it fits");
    assert_eq!(
        Request::decode(&buf[..len], Dialect::Legacy),
        Ok((1, request))
    );
}

#[test]
fn inner_sizes_of_a_stat_must_agree() {
    let mut buf = [0; 200];
    let request = Request::Wstat {
        fid: 1,
        stat: Stat::default(),
    };
    let len = request.encode(1, &mut buf).expect("it fits");
    let inner = HEADER_LEN + 4 + 2;
    for (wrong, why) in [
        (46, "short"),
        (48, "long"),
        (0, "none"),
        (0xff, "far too long"),
    ] {
        buf[inner] = wrong;
        let got = Request::decode(&buf[..len], Dialect::Legacy);
        assert_eq!(got, Err(DecodeError::Stat), "{why}");
    }
    buf[inner] = 47;
    assert_eq!(
        Request::decode(&buf[..len], Dialect::Legacy),
        Ok((1, request))
    );
    for outer in [0, 1, 48] {
        buf[inner - 2] = outer;
        let got = Request::decode(&buf[..len], Dialect::Legacy);
        assert_eq!(got, Err(DecodeError::Stat), "outer size {outer}");
    }
}

#[test]
fn a_walk_ends_at_16() {
    let name = Step::Down(Name::new(b"n").expect("lawful"));
    assert!(Steps::of(&[name; WALK_MAX]).is_some());
    assert!(Steps::of(&[name; WALK_MAX + 1]).is_none());
    let mut qids = Qids::default();
    assert!((0..WALK_MAX).all(|_| qids.push(Qid::default())));
    assert!(!qids.push(Qid::default()));
    assert_eq!(qids.as_slice().len(), WALK_MAX);
}
