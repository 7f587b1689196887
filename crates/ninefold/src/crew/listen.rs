//! Sockets that clients connect to.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

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
}

/// What would have helped.
fn expected(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "an address that no other program listens on",
        io::ErrorKind::AddrNotAvailable => "an address of this host",
        io::ErrorKind::PermissionDenied => "a place that this user may listen on",
        io::ErrorKind::NotFound => "a directory that exists",
        _ => "a usable address",
    }
}

/// A listening socket.
pub struct Listener {
    socket: Socket,
    place: Listening,
}

enum Listening {
    Unix(SocketFile),
    Tcp(SocketAddr),
}

/// The file of a unix socket, removed with it, unless another has taken its place.
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours {
            // Nobody is harmed by a file that stays: the next start takes it for abandoned.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// A unix socket at `path` that only this user may connect to (mode 0600). A socket file that
    /// nobody listens on is replaced.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn unix(path: &Path) -> Result<Self, ListenError> {
        let host = |error| ListenError::Host(format!("unix://{}", path.display()), error);
        let address =
            SockAddr::unix(path).map_err(|_| ListenError::PathTooLong(path.to_owned()))?;
        remove_abandoned(path, &address)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(host)?;
        // The mode of the socket is that of the file which bind makes: never open to others.
        let private = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::fchmod(&socket, private).map_err(|errno| host(errno.into()))?;
        socket.bind(&address).map_err(host)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(host)?;
        let inode = fs::symlink_metadata(path).map_err(host)?.ino();
        let place = Listening::Unix(SocketFile {
            path: path.to_owned(),
            inode,
        });
        Self::begin(socket, place).map_err(host)
    }

    /// A TCP socket at exactly this address, `HOST:PORT`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn tcp(address: &str) -> Result<Self, ListenError> {
        let unknown = |error| ListenError::NoAddress(address.to_owned(), error);
        let mut found = address.to_socket_addrs().map_err(unknown)?;
        let first = found
            .next()
            .ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))?;
        let host = |error| ListenError::Host(format!("tcp://{address}"), error);
        let socket = Socket::new(Domain::for_address(first), Type::STREAM, None).map_err(host)?;
        socket.set_reuse_address(true).map_err(host)?;
        socket.bind(&first.into()).map_err(host)?;
        let bound = socket
            .local_addr()
            .map_err(host)?
            .as_socket()
            .unwrap_or(first);
        Self::begin(socket, Listening::Tcp(bound)).map_err(host)
    }

    fn begin(socket: Socket, place: Listening) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket, place })
    }

    /// Where it listens: `unix:///path` or `tcp://host:port`.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.place {
            Listening::Unix(file) => format!("unix://{}", file.path.display()),
            Listening::Tcp(address) => format!("tcp://{address}"),
        }
    }

    /// The address, of a TCP socket.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self.place {
            Listening::Unix(_) => None,
            Listening::Tcp(address) => Some(address),
        }
    }

    /// The path, of a unix socket.
    #[must_use]
    pub fn unix_path(&self) -> Option<&Path> {
        match &self.place {
            Listening::Unix(file) => Some(&file.path),
            Listening::Tcp(_) => None,
        }
    }

    /// The descriptor, which is readable when somebody has come.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next connection, made ready for use.
    ///
    /// # Errors
    /// EAGAIN when there is none, else the errno of accept4(2).
    pub fn accept(&self) -> Result<OwnedFd, Errno> {
        let socket = accept_with(&self.socket, SocketFlags::CLOEXEC)?;
        if matches!(self.place, Listening::Tcp(_)) {
            rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        }
        Ok(socket)
    }
}

/// Makes way for a new socket, if what is at `path` is one that nobody listens on.
fn remove_abandoned(path: &Path, address: &SockAddr) -> Result<(), ListenError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    let host = |error| ListenError::Host(format!("unix://{}", path.display()), error);
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(host)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(host)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(host(error)),
        _ => Err(ListenError::Taken(path.to_owned())),
    }
}
