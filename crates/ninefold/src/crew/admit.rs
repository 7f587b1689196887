//! Whom to let in, and how to treat the connection: what is decided before the first byte of 9P.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, SockRef, TcpKeepalive};

use crate::sys;

/// How long a TCP client may be silent before the kernel asks whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(300);
/// Questions without an answer after which it is not.
const KEEPALIVE_PROBES: u32 = 10;

/// Who may connect, and how connections are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// The only users of this host whose programs may connect to unix sockets, as the kernel tells
    /// their effective uid when they connect (`SO_PEERCRED`). Absent: all whom the file lets.
    pub uids: Option<Vec<u32>>,
    /// The only machines that may connect to vsock sockets, by CID. Absent: all.
    pub cids: Option<Vec<u32>>,
    /// How long a TCP client may be silent before it is asked, 1 to 32,767 seconds. One that does
    /// not answer for as long again is gone, and what it held is given up. Absent: it is never asked.
    pub keepalive: Option<Duration>,
}

impl Default for ConnectionOptions {
    /// Everybody; TCP clients are asked after 5 minutes.
    fn default() -> Self {
        Self {
            uids: None,
            cids: None,
            keepalive: Some(KEEPALIVE),
        }
    }
}

/// Why a connection is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// Another user's.
    #[error("expected {}, came uid {came}", list("uid", expected))]
    User {
        /// Who may connect.
        expected: Vec<u32>,
        /// Who did.
        came: u32,
    },
    /// Another machine's.
    #[error("expected {}, came CID {came}", list("CID", expected))]
    Machine {
        /// Which may connect.
        expected: Vec<u32>,
        /// Which did.
        came: u32,
    },
    /// The host refused.
    #[error("cannot set up the connection: {0}")]
    Host(#[from] Errno),
}

impl ConnectionOptions {
    /// Checks who is at the other end of a connected stream socket, and sets it up. The crew does
    /// so for connections of its listeners; who [adopts](crate::Crew::adopt) one does it before.
    ///
    /// # Errors
    /// [`AdmitError`]: the connection is to be closed.
    pub fn admit(&self, socket: impl AsFd) -> Result<(), AdmitError> {
        let socket = socket.as_fd();
        match SockRef::from(&socket)
            .domain()
            .map_err(|error| errno(&error))?
        {
            Domain::UNIX => self.check_user(socket),
            Domain::VSOCK => self.check_machine(socket),
            Domain::IPV4 | Domain::IPV6 => self.set_up_tcp(socket),
            _ => Ok(()),
        }
    }

    fn check_user(&self, socket: BorrowedFd<'_>) -> Result<(), AdmitError> {
        let Some(expected) = &self.uids else {
            return Ok(());
        };
        let came = sys::peer_uid(socket)?;
        if expected.contains(&came) {
            return Ok(());
        }
        Err(AdmitError::User {
            expected: expected.clone(),
            came,
        })
    }

    fn check_machine(&self, socket: BorrowedFd<'_>) -> Result<(), AdmitError> {
        let Some(expected) = &self.cids else {
            return Ok(());
        };
        let peer = SockRef::from(&socket)
            .peer_addr()
            .map_err(|error| errno(&error))?;
        let (came, _) = peer.as_vsock_address().ok_or(Errno::AFNOSUPPORT)?;
        if expected.contains(&came) {
            return Ok(());
        }
        Err(AdmitError::Machine {
            expected: expected.clone(),
            came,
        })
    }

    fn set_up_tcp(&self, socket: BorrowedFd<'_>) -> Result<(), AdmitError> {
        let socket = SockRef::from(&socket);
        socket
            .set_tcp_nodelay(true)
            .map_err(|error| errno(&error))?;
        let Some(silence) = self.keepalive else {
            return Ok(());
        };
        let interval = (silence / KEEPALIVE_PROBES).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new()
            .with_time(silence)
            .with_interval(interval)
            .with_retries(KEEPALIVE_PROBES);
        Ok(socket
            .set_tcp_keepalive(&keepalive)
            .map_err(|error| errno(&error))?)
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::IO, Errno::from_raw_os_error)
}

/// `uid 5 or 7`.
fn list(what: &str, numbers: &[u32]) -> impl fmt::Display {
    let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
    match &numbers[..] {
        [] => format!("no {what}"),
        numbers => format!("{what} {}", numbers.join(" or ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{AdmitError, ConnectionOptions};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use rustix::net::sockopt;

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn users_are_told_apart() {
        let (end, _other) = UnixStream::pair().expect("two sockets");
        let only = |uids: &[u32]| ConnectionOptions {
            uids: Some(uids.to_vec()),
            ..ConnectionOptions::default()
        };
        assert_eq!(ConnectionOptions::default().admit(&end), Ok(()));
        assert_eq!(only(&[own_uid()]).admit(&end), Ok(()));
        let others = [own_uid() + 1, own_uid() + 2];
        let refused = only(&others).admit(&end).expect_err("another user");
        assert_eq!(
            refused.to_string(),
            format!(
                "expected uid {} or {}, came uid {}",
                others[0],
                others[1],
                own_uid()
            )
        );
        let nobody = only(&[]).admit(&end).expect_err("nobody may");
        assert!(matches!(nobody, AdmitError::User { .. }));
    }

    #[test]
    fn tcp_clients_are_asked_and_not_held_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let _client = TcpStream::connect(address).expect("a listener");
        let (end, _) = listener.accept().expect("a client");
        let silent = ConnectionOptions {
            keepalive: None,
            ..ConnectionOptions::default()
        };
        assert_eq!(silent.admit(&end), Ok(()));
        assert_eq!(sockopt::tcp_nodelay(&end), Ok(true));
        assert_eq!(sockopt::socket_keepalive(&end), Ok(false));
        assert_eq!(ConnectionOptions::default().admit(&end), Ok(()));
        assert_eq!(sockopt::socket_keepalive(&end), Ok(true));
        assert_eq!(sockopt::tcp_keepidle(&end), Ok(Duration::from_secs(300)));
        assert_eq!(sockopt::tcp_keepintvl(&end), Ok(Duration::from_secs(30)));
        assert_eq!(sockopt::tcp_keepcnt(&end), Ok(10));
    }
}
