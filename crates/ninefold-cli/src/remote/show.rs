//! Numbers and names of the server's making as text for people.
//!
//! All are taken to be hostile: a name may hold what a terminal obeys, a time any 64 bits.

use std::fmt::Write;

/// Bytes as text that moves no cursor and deceives no eye: control characters, those that change
/// the direction of writing, invisible ones and what is not UTF-8 stand as `\xNN`, the backslash
/// as `\\`.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c => put_char(&mut text, c),
            }
        }
        put_bytes(&mut text, chunk.invalid());
    }
    text
}

/// A message of ours, in which something of the server's making may stand, made as harmless.
pub fn message(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    words.chars().for_each(|c| put_char(&mut text, c));
    text
}

fn put_char(text: &mut String, c: char) {
    if c.is_control() || is_formatting(c) {
        put_bytes(text, c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        text.push(c);
    }
}

fn put_bytes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Characters that are not seen themselves but change what is: Unicode's joiners and marks of
/// direction, separators of lines and paragraphs, the byte order mark, tags.
fn is_formatting(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// A mode as `ls -l` shows it.
pub fn mode_text(mode: u32) -> String {
    let mut text = String::from(type_letter(mode));
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (false, false) => '-',
            (true, false) => 'x',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

fn type_letter(mode: u32) -> char {
    match mode >> 12 & 0o17 {
        0o01 => 'p',
        0o02 => 'c',
        0o04 => 'd',
        0o06 => 'b',
        0o10 => '-',
        0o12 => 'l',
        0o14 => 's',
        _ => '?',
    }
}

/// The file type of a mode in words.
pub fn type_name(mode: u32) -> &'static str {
    match type_letter(mode) {
        'p' => "fifo",
        'c' => "character device",
        'd' => "directory",
        'b' => "block device",
        '-' => "regular file",
        'l' => "symbolic link",
        's' => "socket",
        _ => "unknown",
    }
}

/// Seconds of the epoch, as the wire has them, as date and time in UTC.
pub fn utc(seconds: u64) -> String {
    // Two's complement: times before 1970 are legal.
    let seconds = i64::from_ne_bytes(seconds.to_ne_bytes());
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a day counted from 1970-01-01. Source: Howard Hinnant, "chrono-compatible
/// low-level date algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months counted from March, so that the leap day comes last.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{mode_text, shown, utc};

    #[test]
    fn names_cannot_talk_to_the_terminal() {
        let cases: [(&[u8], &str); 7] = [
            (b"plain name", "plain name"),
            ("\u{e4}\u{1f980}".as_bytes(), "\u{e4}\u{1f980}"),
            (b"\x1b[2J\x07\r\n\x7f", "\\x1b[2J\\x07\\x0d\\x0a\\x7f"),
            ("\u{9b}1m".as_bytes(), "\\xc2\\x9b1m"),
            (b"bad \xff\xfe utf", "bad \\xff\\xfe utf"),
            ("a\u{202e}b".as_bytes(), "a\\xe2\\x80\\xaeb"),
            (b"back\\slash", "back\\\\slash"),
        ];
        for (bytes, want) in cases {
            assert_eq!(shown(bytes), want);
        }
    }

    #[test]
    fn modes() {
        assert_eq!(mode_text(0o100_644), "-rw-r--r--");
        assert_eq!(mode_text(0o041_777), "drwxrwxrwt");
        assert_eq!(mode_text(0o106_710), "-rws--s---");
        assert_eq!(mode_text(0o104_000), "---S------");
        assert_eq!(mode_text(u32::MAX), "?rwsrwsrwt");
    }

    #[test]
    fn times() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(utc(4_102_444_800), "2100-01-01 00:00:00");
        assert_eq!(utc(0u64.wrapping_sub(1)), "1969-12-31 23:59:59");
        assert_eq!(utc(1 << 63), "-292277022657-01-27 08:29:52");
        assert!(utc((1 << 63) - 1).starts_with("292277026596-12-04"));
    }
}
