//! The line protocol between a suite and its helpers: the host agent (over TCP) and the peer processes
//! (over pipes).
//!
//! A request is one line of words separated by single spaces, each percent-encoded; the first is the
//! command. A reply is `ok`, `ok VALUE` or `err ERRNO TEXT`. Words are bytes, not text: file names are
//! whatever Linux allows.

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use rustix::io::Errno;

/// What a command came to, on either side.
pub(crate) type Reply = Result<Vec<u8>, Errno>;

/// One line, without its newline.
pub(crate) fn encode(words: &[&[u8]]) -> String {
    let words: Vec<String> = words.iter().map(|word| escape(word)).collect();
    words.join(" ")
}

/// The words of a line.
pub(crate) fn decode(line: &str) -> Result<Vec<Vec<u8>>> {
    line.trim_end_matches('\n')
        .split(' ')
        .map(unescape)
        .collect()
}

/// A reply as a line, without its newline.
pub(crate) fn encode_reply(reply: &Reply) -> String {
    match reply {
        Ok(value) => format!("ok {}", escape(value)),
        Err(errno) => format!(
            "err {} {}",
            errno.raw_os_error(),
            escape(errno.to_string().as_bytes())
        ),
    }
}

/// A line as a reply. The outer error means that the line was none.
pub(crate) fn decode_reply(line: &str) -> Result<Reply> {
    let words = decode(line)?;
    match words.first().map(Vec::as_slice) {
        Some(b"ok") => Ok(Ok(words.get(1).cloned().unwrap_or_default())),
        Some(b"err") => {
            let number = words
                .get(1)
                .context("expected an error number, came the end of the line")?;
            Ok(Err(Errno::from_raw_os_error(
                number_of(number).context("error number")?,
            )))
        }
        _ => bail!("expected a reply, came {line:?}"),
    }
}

/// A decimal number in a word.
pub(crate) fn number_of<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

pub(crate) fn escape(word: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(word.len());
    for &byte in word {
        if byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn unescape(word: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(word.len());
    let mut bytes = word.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()]
            .map(|digit| char::from(digit.unwrap_or(b'?')).to_digit(16));
        let [Some(high), Some(low)] = digits else {
            bail!("expected %XX, came {word:?}");
        };
        out.push(u8::try_from(high * 16 + low)?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_line() {
        let every: Vec<u8> = (0..=255).collect();
        let words: [&[u8]; 4] = [b"write", b"", &every, b"a b\n%"];
        let line = encode(&words);
        assert!(!line.contains('\n'));
        assert_eq!(decode(&line).unwrap(), words);
    }

    #[test]
    fn replies_survive_the_line() {
        for reply in [Ok(vec![]), Ok(b"a\n b".to_vec()), Err(Errno::NOENT)] {
            assert_eq!(decode_reply(&encode_reply(&reply)).unwrap(), reply);
        }
        assert!(decode_reply("what").is_err());
        assert!(decode("%4").is_err());
    }
}
