//! Where to listen and whom to let in, as flags of `serve`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ninefold::ConnectionOptions;

/// The longest time that the kernel takes for TCP's keepalive, seconds.
const KEEPALIVE_MAX: i64 = 32_767;
/// The number that stands for any port (or any CID).
const VSOCK_ANY: u32 = u32::MAX;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct WayFlags {
    /// Listen on a unix socket, made with mode 0600, or 0666 with --allow-uid (may be repeated)
    #[arg(long, value_name = "PATH")]
    pub unix: Vec<PathBuf>,

    /// Listen on a TCP address; port 0 takes a free one (may be repeated)
    #[arg(long, value_name = "HOST:PORT")]
    pub tcp: Vec<HostPort>,

    /// Listen on a vsock port, which guests reach as CID 2 (may be repeated)
    #[arg(long, value_name = "[CID:]PORT")]
    pub vsock: Vec<VsockPort>,

    /// Listen where Firecracker and Cloud Hypervisor pass on what their guest sends to a vsock
    /// port of the host; PATH is the VMM's own vsock socket (may be repeated)
    #[arg(
        long,
        value_name = "PATH:PORT",
        value_parser = OsStringValueParser::new().try_map(|text| HybridPort::parse(&text))
    )]
    pub vsock_uds: Vec<HybridPort>,

    /// Be a virtio-9p device for the VMM that connects to this socket: QEMU 10.2 or newer, crosvm
    /// and others (may be repeated, a device each)
    #[arg(long, value_name = "PATH", conflicts_with_all = ["once", "stdio"])]
    pub vhost_user: Vec<PathBuf>,

    /// By what name guests mount the device of --vhost-user, 1 to 31 bytes [default: share]
    #[arg(long, value_name = "TAG", requires = "vhost_user")]
    pub tag: Option<OsString>,

    /// Use a descriptor that was open when the server started: a socket that listens, or one that
    /// is connected to a client (may be repeated)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub fd: Vec<i32>,

    /// Serve one client on standard input and output, and end with it
    #[arg(long, conflicts_with_all = ["unix", "tcp", "vsock", "vsock_uds", "fd"])]
    pub stdio: bool,

    /// End when a client has gone and no other is there
    #[arg(long)]
    pub once: bool,

    /// Let only these users connect to unix sockets, by number
    #[arg(long, value_name = "UID[,UID..]", value_delimiter = ',')]
    pub allow_uid: Option<Vec<u32>>,

    /// Let only these machines connect to vsock sockets, by CID
    #[arg(long, value_name = "CID[,CID..]", value_delimiter = ',')]
    pub vsock_allow: Option<Vec<u32>>,

    /// Ask a TCP client that is silent for so long whether it is there, and take it for gone when
    /// it does not answer for as long again; 0 never asks
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u16).range(0..=KEEPALIVE_MAX)
    )]
    pub tcp_keepalive: u16,
}

impl WayFlags {
    /// Whom to let in, and how.
    pub fn connection_options(&self) -> ConnectionOptions {
        let seconds = (self.tcp_keepalive > 0).then_some(self.tcp_keepalive);
        ConnectionOptions {
            uids: self.allow_uid.clone(),
            cids: self.vsock_allow.clone(),
            keepalive: seconds.map(|seconds| Duration::from_secs(seconds.into())),
        }
    }
}

/// A host and a port, as in `localhost:564` or `[::1]:564`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or number, without brackets.
    pub host: String,
    pub port: u16,
}

/// A port of this machine, or of one of its numbers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VsockPort {
    pub cid: Option<u32>,
    pub port: u32,
}

/// A port of the host as a guest of Firecracker or Cloud Hypervisor sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HybridPort {
    /// The VMM's socket.
    pub path: PathBuf,
    pub port: u32,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("expected HOST:PORT, with IPv6 addresses in brackets, came {text:?}");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(wrong());
        }
        let host = bare.unwrap_or(host);
        match port.parse() {
            Ok(port) if !host.is_empty() => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl FromStr for VsockPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (cid, port) = match text.split_once(':') {
            Some((cid, port)) => (Some(cid), port),
            None => (None, text),
        };
        let parsed = match (cid.map(str::parse).transpose(), vsock_port(port)) {
            (Ok(cid), Some(port)) => Some(Self { cid, port }),
            _ => None,
        };
        parsed
            .filter(|it| it.cid != Some(VSOCK_ANY))
            .ok_or_else(|| {
                format!(
                    "expected PORT or CID:PORT, with a port from 1 to 4294967294, came {text:?}"
                )
            })
    }
}

impl HybridPort {
    fn parse(text: &OsStr) -> Result<Self, String> {
        let wrong =
            || format!("expected PATH:PORT, with a port from 1 to 4294967294, came {text:?}");
        let bytes = text.as_bytes();
        let colon = bytes.iter().rposition(|&byte| byte == b':');
        let (path, port) = bytes.split_at(colon.ok_or_else(wrong)?);
        let port = std::str::from_utf8(port.get(1..).unwrap_or_default()).ok();
        match port.and_then(vsock_port) {
            Some(port) if !path.is_empty() => Ok(Self {
                path: OsString::from_vec(path.to_vec()).into(),
                port,
            }),
            _ => Err(wrong()),
        }
    }
}

fn vsock_port(text: &str) -> Option<u32> {
    let port = text.parse().ok()?;
    (1..VSOCK_ANY).contains(&port).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::{HostPort, HybridPort, VsockPort};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    #[test]
    fn hosts_with_ports() {
        for text in ["localhost:564", "0.0.0.0:0", "[::1]:9"] {
            assert_eq!(
                text.parse::<HostPort>().map(|it| it.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "localhost",
            ":564",
            "::1:564",
            "[]:1",
            "[::1]",
            "h:65536",
            "h:x",
        ] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn vsock_ports() {
        let parsed = |text: &str| text.parse().map(|it: VsockPort| (it.cid, it.port));
        assert_eq!(parsed("5640"), Ok((None, 5640)));
        assert_eq!(parsed("1:4294967294"), Ok((Some(1), u32::MAX - 1)));
        for text in [
            "",
            ":",
            "1:",
            ":9",
            "0",
            "4294967295",
            "4294967295:9",
            "-1:9",
            "any:9",
            "1:2:3",
        ] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hybrid_ports() {
        let odd = HybridPort::parse(OsStr::from_bytes(b"/a:1/\xff:52")).expect("a path");
        assert_eq!(odd.path, Path::new(OsStr::from_bytes(b"/a:1/\xff")));
        assert_eq!(odd.port, 52);
        for text in [
            "",
            "/v.sock",
            "/v.sock:",
            ":52",
            "/v.sock:0",
            "/v.sock:x",
            "/v.sock:4294967295",
        ] {
            assert!(HybridPort::parse(OsStr::new(text)).is_err(), "{text}");
        }
    }
}
