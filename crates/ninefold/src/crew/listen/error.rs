//! Why a socket cannot be listened on.

use std::io;
use std::path::PathBuf;

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else has that path.
    #[error(
        "cannot listen on unix://{0}: expected no file or an abandoned socket, came something that is not a socket"
    )]
    NotASocket(PathBuf),
    /// A server listens there.
    #[error("cannot listen on unix://{0}: another server listens there already")]
    Taken(PathBuf),
    /// The path of a unix socket is too long.
    #[error("cannot listen on unix://{0}: expected a path of at most 107 bytes, came {len}", len = .0.as_os_str().len())]
    PathTooLong(PathBuf),
    /// The address means nothing.
    #[error("cannot listen on tcp://{0}: expected HOST:PORT with a host that has an address: {1}")]
    NoAddress(String, io::Error),
    /// The host refused.
    #[error("cannot listen on {0}: expected {expected}: {1}", expected = expected(.1))]
    Host(String, io::Error),
    /// A descriptor that is no stream socket of a family with addresses that are understood.
    #[error(
        "cannot serve an inherited descriptor: expected a stream socket (unix, tcp or vsock), came {0}"
    )]
    NotAStream(String),
}

/// What would have helped.
fn expected(error: &io::Error) -> &'static str {
    if error.raw_os_error() == Some(libc::EAFNOSUPPORT) {
        return "a kernel that has this kind of socket (for vsock: modprobe vhost_vsock on a host, \
                vmw_vsock_virtio_transport in a guest)";
    }
    match error.kind() {
        io::ErrorKind::AddrInUse => "an address that no other program listens on",
        io::ErrorKind::AddrNotAvailable => "an address of this host",
        io::ErrorKind::PermissionDenied => "a place that this user may listen on",
        io::ErrorKind::NotFound => "a directory that exists",
        _ => "a usable address",
    }
}
