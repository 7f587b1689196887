//! A connection: requests out, replies in, in whatever order the caller wants.
//!
//! It knows tags but no fids, and it checks of a reply only that it is one. Tests use it to
//! pipeline requests and to send what no decent client would.

use ninefold_wire::{Dialect, HEADER_LEN, NOTAG, Reply, Request};
use socket2::Socket;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::connect::connect;
use crate::error::reply_name;
use crate::inbox::Inbox;
use crate::{Address, Error, Result};

/// The longest frame before a version is agreed, bytes; servers take no more either.
const MSIZE_INITIAL: u32 = 8192;

/// The tag of requests made by [`Connection::call`].
const CALL_TAG: u16 = 0;

/// A connection to a server.
pub struct Connection {
    socket: Socket,
    inbox: Inbox,
    outgoing: Vec<u8>,
    msize: u32,
    dialect: Dialect,
}

impl Connection {
    /// Connects; `timeout` bounds the connecting alone, for each address that a host name has.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub fn connect(address: &Address, timeout: Option<Duration>) -> Result<Self> {
        connect(address, timeout)
            .map(Self::over)
            .map_err(|source| connect_error(address, source))
    }

    fn over(socket: Socket) -> Self {
        Self {
            socket,
            inbox: Inbox::new(as_len(MSIZE_INITIAL)),
            outgoing: vec![0; as_len(MSIZE_INITIAL)],
            msize: MSIZE_INITIAL,
            dialect: Dialect::Linux,
        }
    }

    /// A second handle on the same connection, with a receive buffer of its own: one may send
    /// while the other receives in another thread. Of two that both receive, each gets fragments.
    ///
    /// # Errors
    /// [`Error::Io`] when the descriptor cannot be duplicated.
    pub fn try_clone(&self) -> Result<Self> {
        let socket = self
            .socket
            .try_clone()
            .map_err(|source| Error::io("share the connection", source))?;
        let mut clone = Self::over(socket);
        clone.set_msize(self.msize);
        clone.dialect = self.dialect;
        Ok(clone)
    }

    /// From now on a single send or receive that moves nothing for this long fails.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses, as it does for a duration of zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.socket
            .set_read_timeout(timeout)
            .and_then(|()| self.socket.set_write_timeout(timeout))
            .map_err(|source| Error::io("set a timeout", source))
    }

    /// Tells the server that nothing more will be sent; replies can still be received.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Closed`].
    pub fn close_sending(&self) -> Result<()> {
        self.socket
            .shutdown(Shutdown::Write)
            .map_err(|source| Error::io("close", source))
    }

    /// The longest frame that may be sent or received, bytes.
    #[must_use]
    pub fn msize(&self) -> u32 {
        self.msize
    }

    /// Sets the longest frame; [`Connection::version`] does it by agreement.
    pub fn set_msize(&mut self, msize: u32) {
        self.msize = msize;
        self.inbox.set_limit(as_len(msize));
        self.outgoing.resize(as_len(msize), 0);
    }

    /// Sets the dialect in which replies are read; [`Connection::version`] does it by agreement.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or the connection failed.
    pub fn send(&mut self, tag: u16, request: &Request<'_>) -> Result<()> {
        let len = request
            .encode(tag, &mut self.outgoing)
            .map_err(|_| Error::too_large(self.msize, request))?;
        send_all(&mut self.socket, &self.outgoing[..len])
    }

    /// Sends bytes as they are: half a frame, several, or none at all.
    ///
    /// # Errors
    /// The connection failed.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        send_all(&mut self.socket, bytes)
    }

    /// Receives the next reply and its tag. After [`Error::Timeout`] it can be called again.
    ///
    /// # Errors
    /// [`Error::Protocol`] for anything that is not a reply; or the connection failed.
    pub fn recv(&mut self) -> Result<(u16, Reply<'_>)> {
        let dialect = self.dialect;
        let frame = self.recv_raw()?;
        Reply::decode(frame, dialect).map_err(|why| Error::undecodable(frame, why))
    }

    /// Receives the next frame, whatever it holds.
    ///
    /// # Errors
    /// [`Error::Protocol`] for a size field out of range; or the connection failed.
    pub fn recv_raw(&mut self) -> Result<&[u8]> {
        self.inbox.next(&mut self.socket)
    }

    /// Sends a request and receives its reply. No other request may be under way.
    ///
    /// # Errors
    /// [`Error::Server`] when the server refuses, [`Error::Protocol`] when the reply is not one to
    /// this request; or the connection failed.
    pub fn call(&mut self, request: &Request<'_>) -> Result<Reply<'_>> {
        let tag = if matches!(request, Request::Version { .. }) {
            NOTAG
        } else {
            CALL_TAG
        };
        self.send(tag, request)?;
        let (came, reply) = self.recv()?;
        if came != tag {
            let came = format!("{} with tag {came}", reply_name(&reply));
            return Err(Error::protocol(format!("a reply with tag {tag}"), came));
        }
        answer(request, reply)
    }

    /// Begins a session: agrees on msize and dialect, both of which hold from then on.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the server does not speak the dialect or wants a larger msize; and
    /// as [`Connection::call`].
    pub fn version(&mut self, msize: u32, dialect: Dialect) -> Result<u32> {
        let request = Request::Version {
            msize,
            version: dialect.version(),
        };
        let agreed = match self.call(&request)? {
            Reply::Version {
                msize: agreed,
                version,
            } => {
                check_version(dialect, version)?;
                agreed
            }
            other => return Err(Error::mismatch(&request, &other)),
        };
        if agreed > msize || as_len(agreed) < HEADER_LEN {
            return Err(Error::protocol(
                format!("an msize of at most {msize}"),
                agreed.to_string(),
            ));
        }
        self.set_msize(agreed);
        self.dialect = dialect;
        Ok(agreed)
    }
}

/// The socket, for who wants to hand the connection on. What has been received is gone from it.
impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<UnixStream> for Connection {
    fn from(stream: UnixStream) -> Self {
        Self::over(stream.into())
    }
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        Self::over(stream.into())
    }
}

fn connect_error(address: &impl Display, source: io::Error) -> Error {
    Error::Connect {
        address: address.to_string(),
        source,
    }
}

fn send_all(socket: &mut Socket, bytes: &[u8]) -> Result<()> {
    socket
        .write_all(bytes)
        .map_err(|source| Error::io("send a request", source))
}

/// Separates refusals and replies to something else from the reply to `request`.
fn answer<'r>(request: &Request<'_>, reply: Reply<'r>) -> Result<Reply<'r>> {
    match reply {
        Reply::Lerror { ecode }
        | Reply::Error {
            errno: Some(ecode), ..
        } => Err(Error::refused(request, ecode)),
        _ if reply.number() == request.number() + 1 => Ok(reply),
        _ => Err(Error::mismatch(request, &reply)),
    }
}

fn check_version(dialect: Dialect, came: &[u8]) -> Result<()> {
    if came == dialect.version() {
        return Ok(());
    }
    let expected = format!(
        "the version {:?}",
        String::from_utf8_lossy(dialect.version())
    );
    Err(Error::protocol(
        expected,
        format!("{:?}", String::from_utf8_lossy(came)),
    ))
}

/// A count of the protocol as a length; every supported platform has at least 32 bits.
pub(crate) fn as_len(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
