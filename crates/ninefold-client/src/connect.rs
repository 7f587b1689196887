//! How to get to a server: a connected socket for each kind of address. No 9P here.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::Address;

/// The longest answer of a VMM, bytes: `OK`, a space, ten digits and a line feed, and some more.
const ANSWER_MAX: usize = 32;

/// Connects; `timeout` bounds the connecting, for each address that a host name has.
pub fn connect(address: &Address, timeout: Option<Duration>) -> io::Result<Socket> {
    match address {
        Address::Unix(path) => connect_unix(path, timeout),
        Address::Tcp { host, port } => connect_tcp(host, *port, timeout),
        Address::Vsock { cid, port } => connect_vsock(*cid, *port, timeout),
        Address::Hybrid { socket, port } => connect_hybrid(socket, *port, timeout),
    }
}

fn connect_unix(path: &Path, timeout: Option<Duration>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // On Linux the send timeout also bounds a connect that waits for room in the backlog.
    socket.set_write_timeout(timeout)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_write_timeout(None)?;
    Ok(socket)
}

fn connect_tcp(host: &str, port: u16, timeout: Option<Duration>) -> io::Result<Socket> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        match connect_tcp_to(address, timeout) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn connect_tcp_to(address: SocketAddr, timeout: Option<Duration>) -> io::Result<Socket> {
    let stream = match timeout {
        Some(timeout) => TcpStream::connect_timeout(&address, timeout)?,
        None => TcpStream::connect(address)?,
    };
    // Every request waits for its reply: holding small packets back only adds delay.
    stream.set_nodelay(true)?;
    Ok(stream.into())
}

fn connect_vsock(cid: u32, port: u32, timeout: Option<Duration>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
    let address = SockAddr::vsock(cid, port);
    match timeout {
        Some(timeout) => socket.connect_timeout(&address, timeout)?,
        None => socket.connect(&address)?,
    }
    Ok(socket)
}

/// Has a VMM connect to its guest. Source: Firecracker's docs/vsock.md, "Host-Initiated
/// Connections": `CONNECT PORT` and a line feed; `OK PORT` and a line feed, with the port of this
/// side, or the end of the connection.
fn connect_hybrid(path: &Path, port: u32, timeout: Option<Duration>) -> io::Result<Socket> {
    let mut socket = connect_unix(path, timeout)?;
    socket.set_read_timeout(timeout)?;
    socket.write_all(format!("CONNECT {port}\n").as_bytes())?;
    let answer = read_line(&mut socket)?;
    socket.set_read_timeout(None)?;
    if answer.starts_with(b"OK ") {
        return Ok(socket);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Err(io::Error::other(format!(
        "expected OK from the VMM, came {answer:?}"
    )))
}

/// Byte by byte: what follows the line is 9P.
fn read_line(socket: &mut Socket) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < ANSWER_MAX {
        if socket.read(&mut byte)? == 0 {
            let why = "the VMM closed the connection: nobody listens on that port of its guest";
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, why));
        }
        if byte == *b"\n" {
            break;
        }
        line.extend(byte);
    }
    Ok(line)
}
