//! QEMU's option strings: `first,key=value,key`, where `,,` in a value is a comma.
//!
//! Only the form is known here, not which keys there are.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One part of an option string.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// What stands before `=`, or the whole of a part without one.
    pub key: String,
    /// What stands behind `=`, if there is one.
    pub value: Option<OsString>,
}

/// Cuts an option string into its parts. A first part without `=` is the value of `first_key`.
pub fn parts(text: &OsStr, first_key: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let key_end = end_of(rest, b"=,");
        let (key, after_key) = rest.split_at(key_end);
        let (part, after) = if let Some(value) = after_key.strip_prefix(b"=") {
            let (value, after) = value_of(value);
            (part(key, Some(value)), after)
        } else if parts.is_empty() {
            let (value, after) = value_of(rest);
            (part(first_key.as_bytes(), Some(value)), after)
        } else {
            (part(key, None), after_key)
        };
        parts.push(part);
        rest = after.strip_prefix(b",").unwrap_or(after);
    }
    parts
}

fn part(key: &[u8], value: Option<OsString>) -> Part {
    Part {
        key: String::from_utf8_lossy(key).into_owned(),
        value,
    }
}

/// The value that `text` begins with, and what is left: nothing, or a comma and more.
fn value_of(text: &[u8]) -> (OsString, &[u8]) {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let (plain, after) = rest.split_at(end_of(rest, b","));
        value.extend_from_slice(plain);
        let Some(more) = after.strip_prefix(b",,") else {
            return (OsString::from_vec(value), after);
        };
        value.push(b',');
        rest = more;
    }
}

/// Where the first of these bytes is, or the end.
fn end_of(text: &[u8], stops: &[u8]) -> usize {
    let found = text.iter().position(|byte| stops.contains(byte));
    found.unwrap_or(text.len())
}

/// A truth value, as QEMU reads it.
pub fn boolean(text: &OsStr) -> Option<bool> {
    match text.to_str()? {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    }
}

/// Why a text is not a number.
#[derive(Debug, PartialEq, Eq)]
pub enum NumberError {
    /// It is something else, or negative.
    Malformed,
    /// More than 64 bits.
    TooLarge,
}

/// A number in the forms of strtoull(3) with base 0: octal after 0, hexadecimal after 0x.
pub fn number(text: &OsStr) -> Result<u64, NumberError> {
    let text = text.to_str().ok_or(NumberError::Malformed)?;
    let text = text.trim_ascii_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, base) = match hex {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Err(NumberError::Malformed);
    }
    u64::from_str_radix(digits, base).map_err(|_| NumberError::TooLarge)
}

/// Whether QEMU would take this for the name of an object.
pub fn is_identifier(text: &OsStr) -> bool {
    let Some((first, rest)) = text.as_bytes().split_first() else {
        return false;
    };
    first.is_ascii_alphabetic()
        && rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::{NumberError, Part, boolean, is_identifier, number, parts};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn cut(text: &str) -> Vec<(String, Option<String>)> {
        let text_of = |part: Part| {
            let value = part.value.map(|value| value.into_string().expect("UTF-8"));
            (part.key, value)
        };
        parts(OsStr::new(text), "first")
            .into_iter()
            .map(text_of)
            .collect()
    }

    fn with(key: &str, value: &str) -> (String, Option<String>) {
        (key.to_owned(), Some(value.to_owned()))
    }

    #[test]
    fn keys_values_and_doubled_commas() {
        let bare = |key: &str| (key.to_owned(), None);
        assert_eq!(cut(""), []);
        assert_eq!(cut("local"), [with("first", "local")]);
        assert_eq!(cut("a=1"), [with("a", "1")]);
        assert_eq!(
            cut("x,a=1,b,c=,d==2"),
            [
                with("first", "x"),
                with("a", "1"),
                bare("b"),
                with("c", ""),
                with("d", "=2")
            ]
        );
        assert_eq!(
            cut("x,,y,a=1,,2,,,b"),
            [with("first", "x,y"), with("a", "1,2,"), bare("b")]
        );
        assert_eq!(cut("a=,,"), [with("a", ",")]);
        assert_eq!(cut("a=1,"), [with("a", "1")]);
        assert_eq!(cut("a=1,=2"), [with("a", "1"), with("", "2")]);
    }

    #[test]
    fn values_need_not_be_utf8() {
        let cut = parts(OsStr::from_bytes(b"a=\xff,,\xfe"), "first");
        assert_eq!(
            cut[0].value.as_deref(),
            Some(OsStr::from_bytes(b"\xff,\xfe"))
        );
    }

    #[test]
    fn numbers_have_a_base() {
        for (text, value) in [
            ("0", 0),
            ("420", 420),
            ("0644", 0o644),
            ("0x1A4", 0x1a4),
            ("0X1a4", 0x1a4),
            ("+5", 5),
            (" 5", 5),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(number(OsStr::new(text)), Ok(value), "{text}");
        }
        for text in [
            "", " ", "+", "0x", "08", "1k", "5 ", "-1", "+-1", "++1", "0o7", "x",
        ] {
            assert_eq!(
                number(OsStr::new(text)),
                Err(NumberError::Malformed),
                "{text}"
            );
        }
        for text in ["18446744073709551616", "0x10000000000000000"] {
            assert_eq!(
                number(OsStr::new(text)),
                Err(NumberError::TooLarge),
                "{text}"
            );
        }
    }

    #[test]
    fn truth_values_and_identifiers() {
        for text in ["on", "yes", "true", "y"] {
            assert_eq!(boolean(OsStr::new(text)), Some(true), "{text}");
        }
        for text in ["off", "no", "false", "n"] {
            assert_eq!(boolean(OsStr::new(text)), Some(false), "{text}");
        }
        for text in ["", "ON", "1", "0"] {
            assert_eq!(boolean(OsStr::new(text)), None, "{text}");
        }
        for text in ["a", "fs0", "Fs-0._"] {
            assert!(is_identifier(OsStr::new(text)), "{text}");
        }
        for text in ["", "0a", "-a", "a/b", "a b", "ä"] {
            assert!(!is_identifier(OsStr::new(text)), "{text}");
        }
    }
}
