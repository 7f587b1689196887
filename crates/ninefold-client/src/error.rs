//! What can go wrong, each saying what was expected and what came.
//!
//! Not the server's view: an error number of the server is carried, never interpreted, except that
//! `io::Error` gets it as its own.

use ninefold_wire::{DecodeError, NameError, Reply, Request};
use std::io;

use crate::UrlError;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Largest error number that Linux hands to programs; beyond it a number means nothing.
const ERRNO_MAX: u32 = 4095;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not the address of a server.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The server cannot be reached.
    #[error("expected a server at {address}, no connection came about")]
    Connect {
        /// The address that was tried.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The connection failed.
    #[error("expected to {doing}, the connection failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The time set for the connection ran out.
    #[error("expected to {doing} within the timeout, nothing moved")]
    Timeout {
        /// What was being done.
        doing: &'static str,
    },
    /// The server closed the connection.
    #[error("expected a reply, the server closed the connection")]
    Closed,
    /// The server answered with an error number.
    #[error("{} ({request} refused with error {errno})", describe(*errno))]
    Server {
        /// Linux's number (asm-generic).
        errno: i32,
        /// The message that was refused, such as `Twalk`.
        request: String,
    },
    /// The server broke the protocol.
    #[error("expected {expected}, the server sent {came}")]
    Protocol {
        /// What the protocol demands.
        expected: String,
        /// What the server sent.
        came: String,
    },
    /// An earlier failure left the connection in an unknown state.
    #[error("expected a sound connection, it failed in an earlier request")]
    Broken,
    /// The request does not fit into the msize agreed.
    #[error("expected a request of at most {msize} bytes (msize), {request} is longer")]
    TooLarge {
        /// The limit, bytes.
        msize: u32,
        /// The message.
        request: String,
    },
    /// A path holds something that cannot be a name.
    #[error("expected a file name, {:?} {}", String::from_utf8_lossy(.name), fault(*.why))]
    Name {
        /// The component of the path.
        name: Vec<u8>,
        /// The rule that it breaks.
        why: NameError,
    },
    /// A path that cannot name an entry to be made, moved or removed.
    #[error("expected a path that ends in a name, {:?} does not", String::from_utf8_lossy(.path))]
    Nameless {
        /// The path.
        path: Vec<u8>,
    },
    /// Symbolic links lead to more symbolic links than anyone would make on purpose.
    #[error("expected at most {limit} symbolic links in {:?}, there are more", String::from_utf8_lossy(.path))]
    TooManyLinks {
        /// The path.
        path: Vec<u8>,
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// The server's error number, if it is the server that refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Server { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether the replies on this connection can no longer be matched to requests.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Io { .. } | Self::Timeout { .. } | Self::Closed | Self::Protocol { .. }
        )
    }

    pub(crate) fn io(doing: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout { doing },
            // A server that closes while we write; the two sides of a race should read the same.
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Io { doing, source },
        }
    }

    pub(crate) fn protocol(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self::Protocol {
            expected: expected.into(),
            came: came.into(),
        }
    }

    pub(crate) fn refused(request: &Request<'_>, ecode: u32) -> Self {
        match i32::try_from(ecode) {
            Ok(errno) if (1..=ERRNO_MAX).contains(&ecode) => Self::Server {
                errno,
                request: request_name(request),
            },
            _ => Self::protocol("an error number from 1 to 4095", ecode.to_string()),
        }
    }

    pub(crate) fn too_large(msize: u32, request: &Request<'_>) -> Self {
        Self::TooLarge {
            msize,
            request: request_name(request),
        }
    }

    pub(crate) fn mismatch(request: &Request<'_>, reply: &Reply<'_>) -> Self {
        let expected = format!("a reply to {}", request_name(request));
        Self::protocol(expected, reply_name(reply))
    }

    pub(crate) fn undecodable(frame: &[u8], why: DecodeError) -> Self {
        let number = frame.get(4).copied().unwrap_or_default();
        let came = format!("{} bytes of type {number} ({why:?})", frame.len());
        Self::protocol("a 9P reply", came)
    }
}

/// The name of a request as the manuals write it: `Twalk`.
pub(crate) fn request_name(request: &Request<'_>) -> String {
    name_in(Request::TABLE, 'T', request.number())
}

/// The name of a reply as the manuals write it: `Rwalk`.
pub(crate) fn reply_name(reply: &Reply<'_>) -> String {
    name_in(Reply::TABLE, 'R', reply.number())
}

fn name_in(table: &[(u8, &str)], letter: char, number: u8) -> String {
    table
        .iter()
        .find(|(listed, _)| *listed == number)
        .map_or_else(
            || format!("type {number}"),
            |(_, name)| format!("{letter}{}", name.to_ascii_lowercase()),
        )
}

/// The system's words for an error number, without the number itself.
fn describe(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let end = text.rfind(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

fn fault(why: NameError) -> &'static str {
    match why {
        NameError::Empty => "is empty",
        NameError::Slash => "holds a slash",
        NameError::Nul => "holds a NUL",
        NameError::TooLong => "is longer than 255 bytes",
        NameError::Dot | NameError::DotDot => "cannot be made, moved or removed",
    }
}

impl From<Error> for io::Error {
    /// An error of the server becomes the system's error of the same number.
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Server { errno, .. } => return Self::from_raw_os_error(*errno),
            Error::Connect { source, .. } | Error::Io { source, .. } => source.kind(),
            Error::Timeout { .. } => io::ErrorKind::TimedOut,
            Error::Closed | Error::Broken => io::ErrorKind::ConnectionAborted,
            Error::Protocol { .. } => io::ErrorKind::InvalidData,
            Error::Url(_)
            | Error::TooLarge { .. }
            | Error::Name { .. }
            | Error::Nameless { .. }
            | Error::TooManyLinks { .. } => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use ninefold_wire::Request;
    use std::io;

    #[test]
    fn a_refusal_reads_well_and_converts() {
        let error = Error::refused(&Request::Clunk { fid: 1 }, 2);
        assert_eq!(
            error.to_string(),
            "No such file or directory (Tclunk refused with error 2)"
        );
        assert_eq!(io::Error::from(error).raw_os_error(), Some(2));
    }

    #[test]
    fn nonsense_numbers_are_not_refusals() {
        for ecode in [0, 4096, u32::MAX] {
            let error = Error::refused(&Request::Clunk { fid: 1 }, ecode);
            assert!(matches!(error, Error::Protocol { .. }), "{error}");
        }
    }
}
