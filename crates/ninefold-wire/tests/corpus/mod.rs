//! The lines of `testdata/`. Reads them, judges nothing.

use std::fs;
use std::path::Path;

use ninefold_wire::Dialect;
use serde_json::Value;

/// Every file with its number of lines: a lost file or line must not pass for a proven one.
const FILES: [(&str, usize); 8] = [
    ("vectors.jsonl", 241),
    ("capture-linux61-9P2000.jsonl", 315),
    ("capture-linux61-cache-none-L.jsonl", 1738),
    ("capture-linux61-ganesha-L.jsonl", 234),
    ("capture-linux61-u.jsonl", 1535),
    ("capture-linux72-cache-loose-L.jsonl", 132),
    ("capture-linux72-cache-none-L.jsonl", 664),
    ("capture-linux72-flush-L.jsonl", 420),
];

/// Lines of all files together.
#[allow(
    dead_code,
    reason = "each program that includes this module uses its part"
)]
pub const LINES: usize = 5279;

/// What a line claims about its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A message, and the server may serve it.
    Sound,
    /// To be answered with an error.
    Refuse,
    /// No message.
    Malformed,
}

/// One line.
#[derive(Debug)]
#[allow(
    dead_code,
    reason = "each program that includes this module uses its part"
)]
pub struct Line {
    pub file: &'static str,
    pub name: String,
    pub dialect: Dialect,
    pub bytes: Vec<u8>,
    pub claim: Claim,
    pub decoded: Value,
}

/// All lines of all files.
pub fn lines() -> Vec<Line> {
    FILES
        .iter()
        .flat_map(|&(file, count)| read(file, count))
        .collect()
}

fn read(file: &'static str, count: usize) -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let lines: Vec<Line> = text.lines().map(|line| parse(file, line)).collect();
    assert_eq!(lines.len(), count, "lines of {file}");
    lines
}

fn parse(file: &'static str, line: &str) -> Line {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}: {error}"));
    let text = |key: &str| {
        value[key]
            .as_str()
            .unwrap_or_else(|| panic!("{file}: no {key}: {line}"))
    };
    Line {
        file,
        name: text("name").to_owned(),
        dialect: dialect(text("dialect")),
        bytes: unhex(text("hex")),
        claim: claim(&value),
        decoded: value["decoded"].clone(),
    }
}

fn claim(value: &Value) -> Claim {
    match (value.get("refuse"), value.get("malformed")) {
        (None, None) => Claim::Sound,
        (Some(_), None) => Claim::Refuse,
        (None, Some(_)) => Claim::Malformed,
        (Some(_), Some(_)) => panic!("both refused and malformed: {value}"),
    }
}

fn dialect(text: &str) -> Dialect {
    match text {
        "9P2000" => Dialect::Legacy,
        "9P2000.u" => Dialect::Unix,
        "9P2000.L" => Dialect::Linux,
        other => panic!("unknown dialect {other}"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.is_ascii() && text.len() % 2 == 0, "not hex: {text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("two hex digits"))
        .collect()
}
