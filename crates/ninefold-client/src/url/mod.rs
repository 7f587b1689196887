//! Where a server is, as text: `unix:///path/to/socket/in/export`, `tcp://host:port/in/export`,
//! `vsock://cid:port/in/export`, `vsock+unix:///path/to/socket:port/in/export`.
//!
//! Parsing looks at nothing but the text. Where in a unix URL the socket ends and the path in the
//! export begins is known only to the disk: [`Url::locate`] looks there. Nothing here connects.

mod vsock;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The port of 9P over TCP, as registered with IANA; vsock has the numbers of TCP.
const PORT_DEFAULT: u16 = 564;

/// Why a text is not the URL of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// None of the schemes.
    #[error(
        "expected unix:///path, tcp://host:port/path, vsock://cid:port/path or vsock+unix:///socket:port/path, came {0:?}"
    )]
    Scheme(String),
    /// `unix://` without an absolute path after it.
    #[error("expected an absolute path after unix://, came {0:?}")]
    Relative(String),
    /// `vsock://` without the number of a machine after it.
    #[error("expected a CID after vsock:// (2 is the host, 1 this machine), came {0:?}")]
    Cid(String),
    /// A port of vsock that is none.
    #[error("expected a port from 1 to 4294967294, came {0:?}")]
    VsockPort(String),
    /// `vsock+unix://` without an absolute path and a port after it.
    #[error(
        "expected the absolute path of a VMM's vsock socket and a port after vsock+unix://, as in vsock+unix:///run/vm/v.sock:5640, came {0:?}"
    )]
    Hybrid(String),
    /// No host between `tcp://` and the port or path.
    #[error("expected a host after tcp://, came {0:?}")]
    Host(String),
    /// The port is not a number of 16 bits.
    #[error("expected a port from 1 to 65535, came {0:?}")]
    Port(String),
    /// A `%` that two hexadecimal digits do not follow.
    #[error("expected two hexadecimal digits after %, came {0:?}")]
    Percent(String),
    /// No part of the path is a socket.
    #[error("expected a unix socket at {0:?} or above it, there is none (is the server running?)")]
    NoSocket(PathBuf),
}

/// A URL that is sound as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// The socket's path, and perhaps a path in the export behind it.
    Unix(Vec<u8>),
    /// An address that is complete as text.
    Whole(Target),
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of the file system.
    Unix(PathBuf),
    /// A host (name or number, IPv6 without brackets) and port.
    Tcp {
        /// Name or number.
        host: String,
        /// Port.
        port: u16,
    },
    /// A machine and a port of vsock.
    Vsock {
        /// The machine: 2 is the host, 1 this one.
        cid: u32,
        /// Port.
        port: u32,
    },
    /// A port in the guest of Firecracker or Cloud Hypervisor, from its host.
    Hybrid {
        /// The VMM's own vsock socket.
        socket: PathBuf,
        /// Port in the guest.
        port: u32,
    },
}

/// A server and a path in what it exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub address: Address,
    /// The path below the root of the export, empty for the root. Bytes, not UTF-8.
    pub path: Vec<u8>,
}

impl Url {
    /// Reads a URL. `%xx` stands for a byte everywhere but in the scheme and the port.
    ///
    /// # Errors
    /// [`UrlError`], all but `NoSocket`.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, UrlError> {
        let bytes = text.as_ref();
        let text = String::from_utf8_lossy(bytes).into_owned();
        let place = if let Some(rest) = bytes.strip_prefix(b"unix://") {
            parse_unix(rest)?
        } else if let Some(rest) = bytes.strip_prefix(b"tcp://") {
            Place::Whole(parse_tcp(rest)?)
        } else if let Some(rest) = bytes.strip_prefix(b"vsock://") {
            Place::Whole(vsock::parse(rest)?)
        } else if let Some(rest) = bytes.strip_prefix(b"vsock+unix://") {
            Place::Whole(vsock::parse_hybrid(rest)?)
        } else {
            return Err(UrlError::Scheme(text));
        };
        Ok(Self { text, place })
    }

    /// Separates the server from the path in its export. For `unix://` the longest beginning that
    /// is a socket on this machine's disk is the server.
    ///
    /// # Errors
    /// [`UrlError::NoSocket`].
    pub fn locate(&self) -> Result<Target, UrlError> {
        match &self.place {
            Place::Unix(path) => locate_socket(path),
            Place::Whole(target) => Ok(target.clone()),
        }
    }
}

impl fmt::Display for Url {
    /// The text as given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
            Self::Hybrid { socket, port } => {
                write!(f, "vsock+unix://{}:{port}", socket.display())
            }
        }
    }
}

fn parse_unix(rest: &[u8]) -> Result<Place, UrlError> {
    let path = percent_decode(rest)?;
    if path.first() != Some(&b'/') || path.len() < 2 {
        return Err(UrlError::Relative(lossy(&path)));
    }
    Ok(Place::Unix(path))
}

fn parse_tcp(rest: &[u8]) -> Result<Target, UrlError> {
    let slash = rest
        .iter()
        .position(|&byte| byte == b'/')
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let (host, port) = split_port(authority)?;
    let host = String::from_utf8(percent_decode(host)?).unwrap_or_default();
    if host.is_empty() {
        return Err(UrlError::Host(lossy(authority)));
    }
    Ok(Target {
        address: Address::Tcp { host, port },
        path: percent_decode(path)?,
    })
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(authority: &[u8]) -> Result<(&[u8], u16), UrlError> {
    let (host, port) = match authority.strip_prefix(b"[") {
        Some(inner) => {
            let end = inner.iter().position(|&byte| byte == b']');
            let end = end.ok_or_else(|| UrlError::Host(lossy(authority)))?;
            (&inner[..end], &inner[end + 1..])
        }
        None => {
            let end = authority
                .iter()
                .position(|&byte| byte == b':')
                .unwrap_or(authority.len());
            authority.split_at(end)
        }
    };
    if host.is_empty() {
        return Err(UrlError::Host(lossy(authority)));
    }
    Ok((host, parse_port(port)?))
}

/// Reads `:port`, or nothing.
fn parse_port(text: &[u8]) -> Result<u16, UrlError> {
    if text.is_empty() {
        return Ok(PORT_DEFAULT);
    }
    let digits = text
        .strip_prefix(b":")
        .and_then(|digits| std::str::from_utf8(digits).ok());
    match digits.map(str::parse) {
        Some(Ok(port)) if port != 0 => Ok(port),
        _ => Err(UrlError::Port(lossy(text))),
    }
}

fn locate_socket(path: &[u8]) -> Result<Target, UrlError> {
    let ends = (2..=path.len())
        .rev()
        .filter(|&end| end == path.len() || path[end] == b'/');
    for end in ends {
        let (socket, rest) = path.split_at(end);
        if is_socket(socket) {
            let socket = PathBuf::from(OsString::from_vec(socket.to_vec()));
            return Ok(Target {
                address: Address::Unix(socket),
                path: rest.to_vec(),
            });
        }
    }
    Err(UrlError::NoSocket(OsString::from_vec(path.to_vec()).into()))
}

fn is_socket(path: &[u8]) -> bool {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    path.metadata()
        .is_ok_and(|found| found.file_type().is_socket())
}

fn percent_decode(text: &[u8]) -> Result<Vec<u8>, UrlError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (pair, after) = after.split_at(after.len().min(2));
            decoded.push(hex_byte(pair).ok_or_else(|| UrlError::Percent(lossy(pair)))?);
            rest = after;
        } else {
            decoded.push(byte);
        }
    }
    Ok(decoded)
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    let &[high, low] = pair else { return None };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(high)? << 4 | digit(low)?)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Address, Url, UrlError};
    use std::os::unix::net::UnixListener;

    fn tcp(text: &str) -> (String, u16, Vec<u8>) {
        let target = Url::parse(text).and_then(|url| url.locate()).expect(text);
        match target.address {
            Address::Tcp { host, port } => (host, port, target.path),
            other => panic!("{text} became {other}"),
        }
    }

    #[test]
    fn tcp_urls() {
        assert_eq!(
            tcp("tcp://host:9/a/b"),
            ("host".into(), 9, b"/a/b".to_vec())
        );
        assert_eq!(tcp("tcp://host"), ("host".into(), 564, vec![]));
        assert_eq!(
            tcp("tcp://host/x%20y%ff"),
            ("host".into(), 564, b"/x y\xff".to_vec())
        );
        assert_eq!(
            tcp("tcp://[::1]:564/x"),
            ("::1".into(), 564, b"/x".to_vec())
        );
        assert_eq!(tcp("tcp://[fe80::1]"), ("fe80::1".into(), 564, vec![]));
    }

    #[test]
    fn wrong_urls_say_what_came() {
        let cases = [
            (
                "http://x/",
                "expected unix:///path, tcp://host:port/path, vsock://cid:port/path or vsock+unix:///socket:port/path, came \"http://x/\"",
            ),
            (
                "",
                "expected unix:///path, tcp://host:port/path, vsock://cid:port/path or vsock+unix:///socket:port/path, came \"\"",
            ),
            (
                "unix://relative/path",
                "expected an absolute path after unix://, came \"relative/path\"",
            ),
            (
                "unix:///",
                "expected an absolute path after unix://, came \"/\"",
            ),
            ("tcp://:564/", "expected a host after tcp://, came \":564\""),
            ("tcp://[::1/", "expected a host after tcp://, came \"[::1\""),
            ("tcp://h:0/", "expected a port from 1 to 65535, came \":0\""),
            (
                "tcp://h:65536/",
                "expected a port from 1 to 65535, came \":65536\"",
            ),
            ("tcp://::1/", "expected a host after tcp://, came \"::1\""),
            (
                "tcp://h/%4",
                "expected two hexadecimal digits after %, came \"4\"",
            ),
            (
                "unix:///a%zz",
                "expected two hexadecimal digits after %, came \"zz\"",
            ),
        ];
        for (text, want) in cases {
            let error = Url::parse(text).expect_err(text);
            assert_eq!(error.to_string(), want);
        }
    }

    #[test]
    fn the_longest_socket_wins() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let socket = dir.path().join("a b");
        let _listener = UnixListener::bind(&socket).expect("a socket");
        let base = dir.path().display();
        for (text, path) in [
            (format!("unix://{base}/a%20b"), ""),
            (format!("unix://{base}/a%20b/x/y"), "/x/y"),
            (format!("unix://{base}/a%20b/"), "/"),
        ] {
            let target = Url::parse(&text).and_then(|url| url.locate()).expect(&text);
            assert_eq!(target.address, Address::Unix(socket.clone()));
            assert_eq!(target.path, path.as_bytes());
        }
        let lost = Url::parse(format!("unix://{base}/c/x")).and_then(|url| url.locate());
        assert!(matches!(lost, Err(UrlError::NoSocket(_))), "{lost:?}");
    }
}
