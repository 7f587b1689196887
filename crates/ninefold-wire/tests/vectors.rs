//! Every golden message and every captured one, against the codec: all fields, all bytes.

mod corpus;
mod render;

use std::collections::BTreeSet;

use corpus::{Claim, Line};
use ninefold_wire::{DATA_HEADER_LEN, DecodeError, Dirents, NameError, Reply, Request, Stat};
use serde_json::Value;

/// How a line that must not be served is caught.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caught {
    /// By decoding, with this error.
    Decode(DecodeError),
    /// The frame is one byte too long; with that mended, the directory entries in it are cut.
    Entries,
    /// It decodes; a server refuses it.
    Server,
}

use Caught::{Decode, Entries, Server};
use DecodeError::{Size, TooManyNames, Trailing, Truncated, UnknownType};

const NO_NAME: fn(NameError) -> Caught = |error| Decode(DecodeError::Name(error));

/// Where nfs-ganesha 4.3 sent its errors: as type 107 (Rerror) with the body of an Rlerror.
const GANESHA: &str = "capture-linux61-ganesha-L.jsonl";

/// Its errors, each with the error number in it. The first four are not flagged: error 2 happens
/// to read as a string of two NULs, and the capture shows them as plain Rerrors. In a .L session
/// an Rerror has the .u form, so the errno is missing and they are as malformed as the others.
const GANESHA_ERRORS: [(&str, u32); 9] = [
    ("creat_excl/12 Rerror", 2),
    ("rename_same/80 Rerror", 2),
    ("rename_cross/102 Rerror", 2),
    ("unlink_open/140 Rerror", 2),
    ("rmdir_notempty/58 R107", 39),
    ("uo_ftruncate/158 R107", 61),
    ("getxattr/200 R107", 61),
    ("lock_setlk/212 R107", 22),
    ("lock_setlk/214 R107", 22),
];

fn is_ganesha_error(line: &Line) -> bool {
    line.file == GANESHA && GANESHA_ERRORS.iter().any(|row| row.0 == line.name)
}

/// Every refused and malformed line of `vectors.jsonl`, each by its name.
fn caught() -> Vec<(&'static str, Caught)> {
    let mut all = vec![
        ("Twalk bad name 'a/b'", NO_NAME(NameError::Slash)),
        ("Tlcreate bad name 'a/b'", NO_NAME(NameError::Slash)),
        ("Twalk bad name 'a(NUL)b'", NO_NAME(NameError::Nul)),
        ("Tlcreate bad name 'a(NUL)b'", NO_NAME(NameError::Nul)),
        ("Twalk bad name ''", NO_NAME(NameError::Empty)),
        ("Tlcreate bad name ''", NO_NAME(NameError::Empty)),
        ("Tmkdir '.'", NO_NAME(NameError::Dot)),
        ("Tunlinkat '.'", NO_NAME(NameError::Dot)),
        ("Tmkdir '..'", NO_NAME(NameError::DotDot)),
        ("Tunlinkat '..'", NO_NAME(NameError::DotDot)),
        ("Trenameat new name ..", NO_NAME(NameError::DotDot)),
        ("Tmkdir name of 256 bytes", NO_NAME(NameError::TooLong)),
        ("Twalk to NOFID", Server),
        ("Tattach as NOFID", Server),
        ("Tlock unknown type", Server),
        ("Tlock range overflows", Server),
        ("Tunlinkat unknown flag", Server),
        ("Twrite at the end of the offset space", Server),
        ("Terror (never legal)", Decode(UnknownType(106))),
        ("Tlerror (never legal)", Decode(UnknownType(6))),
        ("Rclunk sent to a server", Decode(UnknownType(121))),
    ];
    all.extend(malformed());
    all
}

fn malformed() -> [(&'static str, Caught); 28] {
    [
        ("size 0", Decode(Size)),
        ("size 4", Decode(Size)),
        ("size 6", Decode(Size)),
        ("size 0xffffffff", Decode(Size)),
        ("size larger than the bytes given", Decode(Size)),
        ("size smaller than the bytes given", Decode(Size)),
        ("header only Tclunk", Decode(Truncated)),
        ("Tclunk of 3 bytes", Decode(Truncated)),
        ("Tclunk trailing byte", Decode(Trailing(1))),
        ("Twalk cut in the name", Decode(Truncated)),
        ("Twalk string length 65535", Decode(Truncated)),
        ("Twalk 17 names", Decode(TooManyNames(17))),
        ("Twalk nwname 65535, no names", Decode(TooManyNames(65535))),
        ("Twalk 2 names announced, 1 given", Decode(Truncated)),
        ("Twrite count larger than the data", Decode(Truncated)),
        ("Twrite count smaller than the data", Decode(Trailing(1))),
        ("Twrite count 0xffffffff", Decode(Truncated)),
        ("Tversion without string", Decode(Truncated)),
        ("Tattach .L without n_uname", Decode(Truncated)),
        ("Tattach 9P2000 with n_uname", Decode(Trailing(4))),
        ("type 0", Decode(UnknownType(0))),
        ("type 28 (a gap)", Decode(UnknownType(28))),
        ("type 128 (vendor extension)", Decode(UnknownType(128))),
        ("type 255", Decode(UnknownType(255))),
        (
            "Tstat body in Twstat: outer size too large",
            Decode(Truncated),
        ),
        ("Twstat inner size too small", Decode(DecodeError::Stat)),
        (
            "Twstat of a .u session in 9P2000 form",
            Decode(DecodeError::Stat),
        ),
        (
            "Rreaddir is fine as a frame, its last entry is cut",
            Entries,
        ),
    ]
}

#[test]
fn every_line_is_proven() {
    let lines = corpus::lines();
    let (ganesha, lines): (Vec<&Line>, Vec<&Line>) =
        lines.iter().partition(|line| is_ganesha_error(line));
    let of = |claim| {
        lines
            .iter()
            .copied()
            .filter(move |line| line.claim == claim)
    };
    of(Claim::Sound).for_each(prove_sound);
    let sound = of(Claim::Sound).count();
    let refused = prove_caught(of(Claim::Refuse));
    let malformed = prove_caught(of(Claim::Malformed));
    ganesha.iter().copied().for_each(prove_ganesha_error);
    let foreign = ganesha.len();
    println!("{sound} sound, {refused} refused, {malformed} malformed, {foreign} of a wrong type");
    assert_eq!((sound, refused, malformed, foreign), (5221, 21, 28, 9));
    assert_eq!(sound + refused + malformed + foreign, corpus::LINES);
}

#[test]
fn every_refusal_of_the_table_has_its_line() {
    let lines = corpus::lines();
    let golden = lines
        .iter()
        .filter(|line| line.file == "vectors.jsonl" && line.claim != Claim::Sound);
    let mut want: Vec<String> = golden.map(|line| line.name.clone()).collect();
    let mut have: Vec<String> = caught().iter().map(|row| row.0.to_owned()).collect();
    want.sort();
    have.sort();
    assert_eq!(have, want);
}

#[test]
fn every_message_type_occurs() {
    let lines = corpus::lines();
    let sound = lines
        .iter()
        .filter(|line| line.claim == Claim::Sound && !is_ganesha_error(line));
    let seen: BTreeSet<u8> = sound.map(|line| line.bytes[4]).collect();
    let known: BTreeSet<u8> = Request::TABLE
        .iter()
        .chain(Reply::TABLE)
        .map(|row| row.0)
        .collect();
    assert_eq!(seen, known);
}

#[test]
fn directory_data_is_proven() {
    let (mut readdirs, mut reads) = (0, 0);
    for line in corpus::lines() {
        if let Some(entries) = line.decoded.get("entries") {
            prove_entries(&line, entries);
            readdirs += 1;
        }
        if let Some(stats) = line.decoded.get("stats") {
            prove_stats(&line, stats);
            reads += 1;
        }
    }
    println!("directory data of {readdirs} Rreaddir, {reads} Rread");
    assert_eq!((readdirs, reads), (24, 4));
}

fn prove_sound(line: &Line) {
    let name = &line.name;
    let decoded = line.decoded["type"].as_str().expect("a type");
    let mut buf = vec![0; line.bytes.len()];
    let (shown, len) = if decoded.starts_with('T') {
        let (tag, message) = Request::decode(&line.bytes, line.dialect)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        (
            render::request(tag, &message),
            message.encode(tag, &mut buf),
        )
    } else {
        let (tag, message) = reply(line);
        (render::reply(tag, &message), message.encode(tag, &mut buf))
    };
    assert_eq!(shown, without_directory(&line.decoded), "{name}");
    assert_eq!(len, Ok(line.bytes.len()), "{name}");
    assert_eq!(buf, line.bytes, "{name}");
}

/// The description of the frame, without what is said of the data inside it.
fn without_directory(decoded: &Value) -> Value {
    let mut frame = decoded.clone();
    let fields = frame.as_object_mut().expect("an object");
    fields.remove("entries");
    fields.remove("stats");
    frame
}

fn prove_caught<'a>(lines: impl Iterator<Item = &'a Line>) -> usize {
    let table = caught();
    let mut proven = 0;
    for line in lines {
        let row = table.iter().find(|row| row.0 == line.name);
        let (name, want) = row.unwrap_or_else(|| panic!("{} is not in the table", line.name));
        let how = if *want == Entries {
            caught_as_reply(line)
        } else {
            caught_as_request(line)
        };
        assert_eq!(how, *want, "{name}");
        proven += 1;
    }
    proven
}

fn caught_as_request(line: &Line) -> Caught {
    // The other half of the table must not take what this one refuses.
    assert!(
        Reply::decode(&line.bytes, line.dialect).is_err() || is_reply(line),
        "{}",
        line.name
    );
    match Request::decode(&line.bytes, line.dialect) {
        Ok(_) => {
            prove_sound(line);
            Server
        }
        Err(error) => Decode(error),
    }
}

fn is_reply(line: &Line) -> bool {
    line.decoded["type"]
        .as_str()
        .is_some_and(|name| name.starts_with('R'))
}

fn caught_as_reply(line: &Line) -> Caught {
    let name = &line.name;
    assert!(
        Request::decode(&line.bytes, line.dialect).is_err(),
        "{name}"
    );
    assert_eq!(
        Reply::decode(&line.bytes, line.dialect),
        Err(Trailing(1)),
        "{name}"
    );
    let mut mended = line.bytes.clone();
    mended[DATA_HEADER_LEN - 4] += 1;
    let Ok((_, Reply::Readdir { data })) = Reply::decode(&mended, line.dialect) else {
        panic!("{name} is no Rreaddir");
    };
    assert_eq!(Dirents::new(data.0).last(), Some(Err(Truncated)), "{name}");
    Entries
}

fn prove_ganesha_error(line: &Line) {
    let row = GANESHA_ERRORS.iter().find(|row| row.0 == line.name);
    let ecode = row.expect("chosen by the table").1;
    assert_eq!(
        Reply::decode(&line.bytes, line.dialect),
        Err(Truncated),
        "{}",
        line.name
    );
    if line.claim == Claim::Malformed {
        assert_eq!(line.decoded["ecode"], ecode, "{}", line.name);
    }
    let mut retyped = line.bytes.clone();
    retyped[4] = 7;
    let reply = Reply::decode(&retyped, line.dialect).map(|(_, reply)| reply);
    assert_eq!(reply, Ok(Reply::Lerror { ecode }), "{}", line.name);
}

fn reply(line: &Line) -> (u16, Reply<'_>) {
    Reply::decode(&line.bytes, line.dialect)
        .unwrap_or_else(|error| panic!("{}: {error:?}", line.name))
}

fn prove_entries(line: &Line, want: &Value) {
    let (_, Reply::Readdir { data }) = reply(line) else {
        panic!("{} is no Rreaddir", line.name);
    };
    assert_eq!(&render::entries(data.0), want, "{}", line.name);
    let mut buf = vec![0; data.0.len()];
    let mut at = 0;
    for entry in Dirents::new(data.0) {
        let entry = entry.expect("rendered above");
        at += entry.encode(&mut buf[at..]).expect("no longer than it was");
    }
    assert_eq!(buf[..at], *data.0, "{}", line.name);
}

fn prove_stats(line: &Line, want: &Value) {
    let (_, Reply::Read { data }) = reply(line) else {
        panic!("{} is no Rread", line.name);
    };
    assert_eq!(&render::stats(data.0, line.dialect), want, "{}", line.name);
    let mut buf = vec![0; data.0.len()];
    let (mut at, mut rest) = (0, data.0);
    while !rest.is_empty() {
        let (stat, after) = Stat::decode_entry(rest, line.dialect).expect("rendered above");
        at += stat
            .encode_entry(&mut buf[at..])
            .expect("no longer than it was");
        rest = after;
    }
    assert_eq!(buf[..at], *data.0, "{}", line.name);
}
