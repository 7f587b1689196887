//! Sockets that clients connect to.

mod error;
mod inherited;
mod unix;

pub use error::ListenError;
pub use inherited::Inherited;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, SockAddr, Socket, Type};

use super::admit::{AdmitError, ConnectionOptions};
use unix::SocketFile;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A listening socket.
pub struct Listener {
    socket: Socket,
    place: Place,
    options: ConnectionOptions,
}

/// Where it listens.
enum Place {
    Unix {
        /// Absent for a socket of another program's that has none.
        path: Option<PathBuf>,
        /// Absent for a socket of another program's.
        file: Option<SocketFile>,
        /// The port that a guest connects to, where a VMM passes connections on.
        hybrid_port: Option<u32>,
    },
    Tcp(SocketAddr),
    Vsock {
        cid: u32,
        port: u32,
    },
}

impl Listener {
    /// A unix socket at `path` that only this user may connect to (mode 0600). A socket file that
    /// nobody listens on is replaced.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn unix(path: &Path) -> Result<Self, ListenError> {
        Self::begin_unix(path.to_owned(), None)
    }

    /// The place where Firecracker and Cloud Hypervisor pass on what a guest sends over vsock to
    /// `port` of its host: a unix socket beside the one that the VMM was given, `path`, with the
    /// port after it: `path_port`. Only this user may connect, so the VMM has to be this user's.
    /// Source: Firecracker's docs/vsock.md, "Guest-Initiated Connections".
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn hybrid_vsock(path: &Path, port: u32) -> Result<Self, ListenError> {
        let mut path = path.as_os_str().to_owned();
        path.push(format!("_{port}"));
        Self::begin_unix(path.into(), Some(port))
    }

    fn begin_unix(path: PathBuf, hybrid_port: Option<u32>) -> Result<Self, ListenError> {
        let (socket, file) = unix::bind(&path)?;
        let place = Place::Unix {
            path: Some(path),
            file: Some(file),
            hybrid_port,
        };
        Self::begin(socket, place)
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
        Self::begin(socket, Place::Tcp(bound))
    }

    /// A vsock socket at `port`, for whoever may reach this machine as `cid` (the host is 2, this
    /// machine itself 1), or by any of its numbers when none is given.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn vsock(cid: Option<u32>, port: u32) -> Result<Self, ListenError> {
        let cid = cid.unwrap_or(libc::VMADDR_CID_ANY);
        let place = Place::Vsock { cid, port };
        let host = |error| ListenError::Host(place.url(), error);
        let socket = Socket::new(Domain::VSOCK, Type::STREAM, None).map_err(host)?;
        socket.bind(&SockAddr::vsock(cid, port)).map_err(host)?;
        Self::begin(socket, place)
    }

    fn begin(socket: Socket, place: Place) -> Result<Self, ListenError> {
        let begun = socket
            .set_nonblocking(true)
            .and_then(|()| socket.listen(BACKLOG));
        match begun {
            Ok(()) => Ok(Self {
                socket,
                place,
                options: ConnectionOptions::default(),
            }),
            Err(error) => Err(ListenError::Host(place.url(), error)),
        }
    }

    /// Says whom to let in and how. Where users are named, the file of a unix socket that was made
    /// here gets mode 0666, for the server decides then.
    ///
    /// # Errors
    /// [`ListenError::Host`] when the mode cannot be changed.
    pub fn with_options(mut self, options: ConnectionOptions) -> Result<Self, ListenError> {
        if let (Some(file), Some(_)) = (self.place.file(), &options.uids) {
            file.open_to_all()?;
        }
        self.options = options;
        Ok(self)
    }

    /// Where it listens: `unix:///path`, `tcp://host:port` or `vsock://cid:port`.
    #[must_use]
    pub fn url(&self) -> String {
        self.place.url()
    }

    /// The address, of a TCP socket.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Tcp(address) => Some(address),
            _ => None,
        }
    }

    /// The path, of a unix socket.
    #[must_use]
    pub fn unix_path(&self) -> Option<&Path> {
        match &self.place {
            Place::Unix { path, .. } => path.as_deref(),
            _ => None,
        }
    }

    /// CID (`u32::MAX` for any) and port, of a vsock socket.
    #[must_use]
    pub fn vsock_address(&self) -> Option<(u32, u32)> {
        match self.place {
            Place::Vsock { cid, port } => Some((cid, port)),
            _ => None,
        }
    }

    /// The port that guests connect to, of a [`Listener::hybrid_vsock`].
    #[must_use]
    pub fn hybrid_port(&self) -> Option<u32> {
        match self.place {
            Place::Unix { hybrid_port, .. } => hybrid_port,
            _ => None,
        }
    }

    /// Whether it is a unix socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self.place, Place::Unix { .. })
    }

    /// The descriptor, which is readable when somebody has come.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next connection, whoever it is from.
    ///
    /// # Errors
    /// EAGAIN when there is none, else the errno of accept4(2).
    pub fn accept(&self) -> Result<OwnedFd, Errno> {
        accept_with(&self.socket, SocketFlags::CLOEXEC)
    }

    /// Lets a connection in, or says why not.
    ///
    /// # Errors
    /// [`AdmitError`].
    pub fn admit(&self, socket: &OwnedFd) -> Result<(), AdmitError> {
        self.options.admit(socket)
    }
}

impl Place {
    fn url(&self) -> String {
        match self {
            Self::Unix {
                path: Some(path), ..
            } => format!("unix://{}", path.display()),
            Self::Unix { path: None, .. } => "a unix socket without a path".to_owned(),
            Self::Tcp(address) => format!("tcp://{address}"),
            Self::Vsock {
                cid: libc::VMADDR_CID_ANY,
                port,
            } => format!("vsock://any:{port}"),
            Self::Vsock { cid, port } => format!("vsock://{cid}:{port}"),
        }
    }

    fn file(&self) -> Option<&SocketFile> {
        match self {
            Self::Unix { file, .. } => file.as_ref(),
            _ => None,
        }
    }
}
