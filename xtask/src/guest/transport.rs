//! What is between the guest's client and our server on the host.

use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;

use anyhow::Result;
use anyhow::bail;
use clap::ValueEnum;

use super::emulator::Emulator;
use super::vhost_user;
use super::vhost_user::Devices;

/// Stands for the name of the directory to mount at; `share.sh` fills it in.
pub const NAME: &str = "%";

/// How the guest reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// The host's loopback address, through QEMU's user network
    Tcp,
    /// Virtio devices that are the server's own
    VhostUser,
}

impl Transport {
    /// A QEMU that can do it.
    pub fn emulator(self) -> Result<Emulator> {
        match self {
            Self::Tcp => Ok(Emulator::Installed),
            Self::VhostUser => Emulator::with_vhost_user(),
        }
    }

    /// QEMU's arguments for any guest that has it.
    pub fn machine(self) -> Vec<String> {
        match self {
            Self::Tcp => vec![],
            Self::VhostUser => vhost_user::memory(),
        }
    }
}

/// Where one server is reached.
pub enum Door {
    /// A port of the loopback address
    Tcp(u16),
    /// Devices of the guest
    VhostUser(Devices),
}

impl Door {
    /// One for the server called `name`, which has to open it. What belongs to it is put into `beside`.
    pub fn new(
        transport: Transport,
        name: &str,
        beside: &Path,
        unprivileged: bool,
    ) -> Result<Self> {
        match transport {
            Transport::Tcp => Ok(Self::Tcp(free_port()?)),
            Transport::VhostUser => Devices::new(name, beside, unprivileged).map(Self::VhostUser),
        }
    }

    /// The arguments that have our server open it.
    pub fn served(&self) -> Vec<OsString> {
        match self {
            Self::Tcp(port) => vec!["--tcp".into(), format!("127.0.0.1:{port}").into()],
            Self::VhostUser(devices) => devices.served(),
        }
    }

    /// Whether the server has opened it.
    pub fn is_open(&self) -> Result<bool> {
        match self {
            Self::Tcp(port) => match TcpStream::connect((Ipv4Addr::LOCALHOST, *port)) {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(false),
                Err(error) => bail!("cannot reach the server: {error}"),
            },
            Self::VhostUser(devices) => Ok(devices.are_there()),
        }
    }

    /// The port, if it is one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(port) => Some(*port),
            Self::VhostUser(_) => None,
        }
    }

    /// QEMU's arguments for it.
    pub fn offered(&self) -> Vec<String> {
        match self {
            Self::Tcp(_) => vec![],
            Self::VhostUser(devices) => devices.offered(),
        }
    }

    /// What the client mounts, and how.
    pub fn mount(&self) -> Mount {
        match self {
            Self::Tcp(port) => Mount {
                source: "10.0.2.2".to_owned(),
                options: format!("trans=tcp,port={port},version=9p2000.L,msize=1048576"),
            },
            Self::VhostUser(devices) => Mount::virtio(devices.tag.clone()),
        }
    }
}

/// What a suite mounts: its part of a line of the plan.
pub struct Mount {
    /// May be [`NAME`].
    pub source: String,
    pub options: String,
}

impl Mount {
    /// A virtio device; Linux has no longer messages there.
    pub fn virtio(source: String) -> Self {
        let options = "trans=virtio,version=9p2000.L,msize=512000".to_owned();
        Self { source, options }
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.source, self.options)
    }
}

/// A port nobody listens on now; the server may lose it to another program in between, and then says so.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
