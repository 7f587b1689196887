//! Sockets that another program has opened: the shell, systemd, inetd, a VMM.

use std::io;
use std::os::fd::OwnedFd;

use socket2::{Domain, Socket, Type};

use super::{ListenError, Listener, Place};
use crate::crew::ConnectionOptions;

/// What an inherited descriptor is good for.
pub enum Inherited {
    /// Clients connect to it.
    Listener(Listener),
    /// It is a connection to one client, for [`Crew::adopt`](crate::Crew::adopt).
    Connection(OwnedFd),
}

impl Inherited {
    /// Finds out what a descriptor is.
    ///
    /// # Errors
    /// [`ListenError::NotAStream`] for what is no stream socket, or one that neither listens nor is
    /// connected.
    pub fn new(fd: OwnedFd) -> Result<Self, ListenError> {
        let socket = Socket::from(fd);
        let kind = socket.r#type().map_err(|error| not_a_socket(&error))?;
        if kind != Type::STREAM {
            return Err(ListenError::NotAStream("a socket for datagrams".to_owned()));
        }
        if socket.is_listener().map_err(|error| not_a_socket(&error))? {
            return Self::listener(socket);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(Self::Connection(socket.into())),
            Err(error) => Err(ListenError::NotAStream(format!(
                "a socket that neither listens nor is connected ({error})"
            ))),
        }
    }

    fn listener(socket: Socket) -> Result<Self, ListenError> {
        let place = place(&socket)?;
        match socket.set_nonblocking(true) {
            Ok(()) => Ok(Self::Listener(Listener {
                socket,
                place,
                options: ConnectionOptions::default(),
            })),
            Err(error) => Err(ListenError::Host(place.url(), error)),
        }
    }
}

/// Where a socket of another program's listens.
fn place(socket: &Socket) -> Result<Place, ListenError> {
    let address = socket.local_addr().map_err(|error| not_a_socket(&error))?;
    let unknown = || ListenError::NotAStream(format!("one of family {}", address.family()));
    if Domain::from(i32::from(address.family())) == Domain::UNIX {
        return Ok(Place::Unix {
            path: address.as_pathname().map(Into::into),
            file: None,
            hybrid_port: None,
        });
    }
    if let Some(address) = address.as_socket() {
        return Ok(Place::Tcp(address));
    }
    let (cid, port) = address.as_vsock_address().ok_or_else(unknown)?;
    Ok(Place::Vsock { cid, port })
}

fn not_a_socket(error: &io::Error) -> ListenError {
    ListenError::NotAStream(match error.raw_os_error() {
        Some(libc::ENOTSOCK) => "something that is not a socket".to_owned(),
        _ => error.to_string(),
    })
}
