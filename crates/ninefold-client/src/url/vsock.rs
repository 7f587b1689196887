//! The two forms of a URL whose server is reached over vsock.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{Address, PORT_DEFAULT, Target, UrlError, lossy, percent_decode};

/// The number that stands for any CID or port, and is none. Source: vsock(7).
const ANY: u32 = u32::MAX;

/// Reads `cid[:port][/path]`.
pub(super) fn parse(rest: &[u8]) -> Result<Target, UrlError> {
    let (authority, path) = split_at_byte(rest, b'/');
    let (cid, port) = split_at_byte(authority, b':');
    let cid = number(cid).ok_or_else(|| UrlError::Cid(lossy(authority)))?;
    let port = match port.split_first() {
        Some((_, port)) => vsock_port(port)?,
        None => PORT_DEFAULT.into(),
    };
    Ok(Target {
        address: Address::Vsock { cid, port },
        path: percent_decode(path)?,
    })
}

/// Reads `/path/of/socket:port[/path]`. The first colon ends the socket's path: `%3a` is another.
pub(super) fn parse_hybrid(rest: &[u8]) -> Result<Target, UrlError> {
    let wrong = || UrlError::Hybrid(lossy(rest));
    let (socket, port) = split_at_byte(rest, b':');
    let (_, after) = port.split_first().ok_or_else(wrong)?;
    let (port, path) = split_at_byte(after, b'/');
    let socket = percent_decode(socket)?;
    if socket.first() != Some(&b'/') || socket.len() < 2 {
        return Err(wrong());
    }
    Ok(Target {
        address: Address::Hybrid {
            socket: OsString::from_vec(socket).into(),
            port: vsock_port(port)?,
        },
        path: percent_decode(path)?,
    })
}

fn vsock_port(digits: &[u8]) -> Result<u32, UrlError> {
    match number(digits) {
        Some(port) if port > 0 => Ok(port),
        _ => Err(UrlError::VsockPort(lossy(digits))),
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse().ok().filter(|&number| number != ANY)
}

/// What is before the first such byte, and the rest with it.
fn split_at_byte(text: &[u8], wanted: u8) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| byte == wanted);
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use crate::{Address, Url};

    fn located(text: &str) -> (Address, Vec<u8>) {
        let target = Url::parse(text).and_then(|url| url.locate()).expect(text);
        (target.address, target.path)
    }

    #[test]
    fn vsock_urls() {
        for (text, cid, port, path) in [
            ("vsock://2:5640", 2, 5640, ""),
            ("vsock://2", 2, 564, ""),
            (
                "vsock://4294967294:4294967294/a:1/b%20c",
                u32::MAX - 1,
                u32::MAX - 1,
                "/a:1/b c",
            ),
        ] {
            let want = (Address::Vsock { cid, port }, path.as_bytes().to_vec());
            assert_eq!(located(text), want, "{text}");
        }
    }

    #[test]
    fn hybrid_urls() {
        for (text, socket, path) in [
            ("vsock+unix:///run/vm/v.sock:52", "/run/vm/v.sock", ""),
            ("vsock+unix:///v%3asock:52/a:7/b", "/v:sock", "/a:7/b"),
        ] {
            let address = Address::Hybrid {
                socket: socket.into(),
                port: 52,
            };
            assert_eq!(located(text), (address.clone(), path.as_bytes().to_vec()));
        }
    }

    #[test]
    fn wrong_urls_say_what_came() {
        for (text, want) in [
            (
                "vsock://",
                "expected a CID after vsock:// (2 is the host, 1 this machine), came \"\"",
            ),
            ("vsock://host:1", "this machine), came \"host:1\""),
            ("vsock://4294967295:1", "came \"4294967295:1\""),
            ("vsock://-1:1", "came \"-1:1\""),
            (
                "vsock://2:",
                "expected a port from 1 to 4294967294, came \"\"",
            ),
            (
                "vsock://2:0",
                "expected a port from 1 to 4294967294, came \"0\"",
            ),
            (
                "vsock://2:4294967295/x",
                "to 4294967294, came \"4294967295\"",
            ),
            (
                "vsock+unix:///v.sock",
                "as in vsock+unix:///run/vm/v.sock:5640, came \"/v.sock\"",
            ),
            ("vsock+unix://v.sock:52", "came \"v.sock:52\""),
            (
                "vsock+unix:///v.sock:x/",
                "expected a port from 1 to 4294967294, came \"x\"",
            ),
            (
                "vsock://2:1/%zz",
                "expected two hexadecimal digits after %, came \"zz\"",
            ),
        ] {
            let error = Url::parse(text).expect_err(text).to_string();
            assert!(error.ends_with(want), "{text}: {error}");
        }
    }
}
