//! Errors on the wire: an Rlerror with the number, or an Rerror with a text as well.

use ninefold_wire::{Dialect, Reply};
use rustix::io::Errno;

/// Bytes that any error reply fits into.
pub(crate) const FAILURE_MAX: usize = 7 + 2 + TEXT_MAX + 4;

/// Longest text: Linux sets aside 128 bytes for it, two of which are its length.
const TEXT_MAX: usize = 126;

/// Writes the reply that says `errno`; returns its length. It fits every buffer that a client of
/// the dialect may set aside.
pub(super) fn encode(errno: Errno, dialect: Dialect, tag: u16, reply: &mut [u8]) -> usize {
    let number = u32::try_from(errno.raw_os_error()).unwrap_or(5);
    let text = text(errno);
    let failure = match dialect {
        Dialect::Linux => Reply::Lerror { ecode: number },
        Dialect::Unix => Reply::Error {
            ename: text.as_bytes(),
            errno: Some(number),
        },
        Dialect::Legacy => Reply::Error {
            ename: text.as_bytes(),
            errno: None,
        },
    };
    failure.encode(tag, reply).unwrap_or(0)
}

/// glibc's words, whatever the C library: Linux's client knows the errors of 9P2000 by them
/// (`net/9p/error.c`), and only by them.
fn text(errno: Errno) -> &'static str {
    let found = TEXTS.iter().find(|(known, _)| *known == errno);
    found.map_or("Input/output error", |(_, text)| text)
}

const TEXTS: &[(Errno, &str)] = &[
    (Errno::PERM, "Operation not permitted"),
    (Errno::NOENT, "No such file or directory"),
    (Errno::INTR, "Interrupted system call"),
    (Errno::IO, "Input/output error"),
    (Errno::NXIO, "No such device or address"),
    (Errno::TOOBIG, "Argument list too long"),
    (Errno::BADF, "Bad file descriptor"),
    (Errno::AGAIN, "Resource temporarily unavailable"),
    (Errno::NOMEM, "Cannot allocate memory"),
    (Errno::ACCESS, "Permission denied"),
    (Errno::FAULT, "Bad address"),
    (Errno::NOTBLK, "Block device required"),
    (Errno::BUSY, "Device or resource busy"),
    (Errno::EXIST, "File exists"),
    (Errno::XDEV, "Invalid cross-device link"),
    (Errno::NODEV, "No such device"),
    (Errno::NOTDIR, "Not a directory"),
    (Errno::ISDIR, "Is a directory"),
    (Errno::INVAL, "Invalid argument"),
    (Errno::NFILE, "Too many open files in system"),
    (Errno::MFILE, "Too many open files"),
    (Errno::NOTTY, "Inappropriate ioctl for device"),
    (Errno::TXTBSY, "Text file busy"),
    (Errno::FBIG, "File too large"),
    (Errno::NOSPC, "No space left on device"),
    (Errno::SPIPE, "Illegal seek"),
    (Errno::ROFS, "Read-only file system"),
    (Errno::MLINK, "Too many links"),
    (Errno::PIPE, "Broken pipe"),
    (Errno::RANGE, "Numerical result out of range"),
    (Errno::DEADLK, "Resource deadlock avoided"),
    (Errno::NAMETOOLONG, "File name too long"),
    (Errno::NOLCK, "No locks available"),
    (Errno::NOSYS, "Function not implemented"),
    (Errno::NOTEMPTY, "Directory not empty"),
    (Errno::LOOP, "Too many levels of symbolic links"),
    (Errno::NODATA, "No data available"),
    (Errno::REMOTE, "Object is remote"),
    (Errno::NOLINK, "Link has been severed"),
    (Errno::PROTO, "Protocol error"),
    (Errno::OVERFLOW, "Value too large for defined data type"),
    (Errno::MSGSIZE, "Message too long"),
    (Errno::OPNOTSUPP, "Operation not supported"),
    (Errno::TIMEDOUT, "Connection timed out"),
    (Errno::HOSTDOWN, "Host is down"),
    (Errno::STALE, "Stale file handle"),
    (Errno::REMOTEIO, "Remote I/O error"),
    (Errno::DQUOT, "Disk quota exceeded"),
    (Errno::NOKEY, "Required key not available"),
    (Errno::KEYEXPIRED, "Key has expired"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_short_and_each_means_one_error() {
        for (at, (errno, text)) in TEXTS.iter().enumerate() {
            assert!(text.len() <= TEXT_MAX, "{text}");
            for (other, same) in &TEXTS[..at] {
                assert!(other != errno && same != text, "{text}");
            }
        }
    }

    #[test]
    fn texts_are_those_of_glibc() {
        if !cfg!(target_env = "gnu") {
            return;
        }
        for (errno, text) in TEXTS {
            let host = std::io::Error::from(*errno).to_string();
            assert!(host.starts_with(text), "expected {text}, came {host}");
        }
    }

    #[test]
    fn every_error_fits() {
        let mut reply = [0; FAILURE_MAX];
        for dialect in [Dialect::Legacy, Dialect::Unix, Dialect::Linux] {
            for (errno, _) in TEXTS {
                assert!(encode(*errno, dialect, 0, &mut reply) > 0);
            }
        }
    }
}
