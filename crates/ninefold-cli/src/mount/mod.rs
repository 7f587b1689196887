//! `ninefold mount`: connects, looks at what the server has, and hands the connection to the
//! kernel's 9p client (`trans=fd`). That is how a guest mounts over vsock, for which the kernel has
//! no transport of its own.

mod fstab;
mod options;

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ninefold_client::{Address, Client, Connection, Options, Target, Url, UrlError};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::args::MountArgs;
use crate::remote::{OutputError, message};
use options::MountOptions;

/// How long to wait for the server's first answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest message that Linux's client takes over a socket, bytes.
const MSIZE: u32 = 1 << 20;
/// What a guest's kernel asks about each object of a share that has ACLs.
const ACL: &str = "system.posix_acl_access";

/// Mounts, or prints the line for fstab.
pub fn mount(args: &MountArgs) -> anyhow::Result<()> {
    let options = MountOptions::parse(&args.options)?;
    let dir = directory(&args.dir)?;
    let target = whole_folder(args)?;
    let share = Share::open(&target, &options);
    if args.fstab {
        return print_entry(args, &target, &dir, options, share);
    }
    let share = share.with_context(|| format!("mounting {}", args.url))?;
    let options = options.complete(share.msize, share.has_acls);
    if args.fake {
        return Ok(());
    }
    hand_over(&args.url, &share.socket, &dir, &options)
        .with_context(|| format!("mounting {} on {}", args.url, dir.display()))
}

/// Prints the line for fstab. It may be wanted before the server is there: then the server's part in
/// it is what servers have when nothing else was asked of them.
fn print_entry(
    args: &MountArgs,
    target: &Target,
    dir: &Path,
    options: MountOptions,
    share: anyhow::Result<Share>,
) -> anyhow::Result<()> {
    let (msize, has_acls) = match share {
        Ok(share) => (share.msize, share.has_acls),
        Err(error) => {
            let why = message(&format!("{error:#}"));
            // Where it cannot be written, nobody is told.
            let _ = writeln!(
                io::stderr(),
                "ninefold: msize={MSIZE} and posixacl are a guess, the server could not be asked: {why}"
            );
            (MSIZE, true)
        }
    };
    let options = options.complete(msize, has_acls);
    let entry = fstab::entry(&args.url, &target.address, dir, &options);
    let written = io::stdout().write_all(&entry);
    Ok(written.map_err(OutputError::from)?)
}

/// Where the server is, or, for fstab, will be.
fn whole_folder(args: &MountArgs) -> anyhow::Result<Target> {
    let target = match args.url.locate() {
        Err(UrlError::NoSocket(path)) if args.fstab => Target {
            address: Address::Unix(path),
            path: Vec::new(),
        },
        located => located?,
    };
    let inside = String::from_utf8_lossy(&target.path).into_owned();
    anyhow::ensure!(
        inside.trim_matches('/').is_empty(),
        "expected the URL of a server, came one with a path in its folder, {inside:?}: a mount is \
         of the whole folder"
    );
    Ok(target)
}

/// Where to mount, as others see it.
fn directory(dir: &Path) -> anyhow::Result<PathBuf> {
    let real = dir
        .canonicalize()
        .with_context(|| format!("expected a directory to mount on, came {}", dir.display()))?;
    anyhow::ensure!(
        real.is_dir(),
        "expected a directory to mount on, came {}",
        dir.display()
    );
    Ok(real)
}

/// A share, with the connection over which it was looked at.
struct Share {
    socket: OwnedFd,
    msize: u32,
    has_acls: bool,
}

impl Share {
    fn open(target: &Target, options: &MountOptions) -> anyhow::Result<Self> {
        let connection = Connection::connect(&target.address, Some(PATIENCE))?;
        let socket = connection.as_fd().try_clone_to_owned()?;
        let client = Client::over(connection, &client_options(options))
            .context("expected a 9P server to answer (is it ninefold that listens there?)")?;
        Ok(Self {
            socket,
            msize: client.msize(),
            has_acls: has_acls(&client),
        })
    }
}

/// Looks with the eyes of the mount to come.
fn client_options(options: &MountOptions) -> Options {
    let wanted = options.value("msize").and_then(|text| text.parse().ok());
    Options {
        msize: wanted.unwrap_or(MSIZE),
        aname: options.value("aname").unwrap_or_default().into(),
        uname: options.value("uname").unwrap_or_default().into(),
        timeout: Some(PATIENCE),
        ..Options::default()
    }
}

/// A share without ACLs says so; one with them has one, or none here.
fn has_acls(client: &Client) -> bool {
    match client.root().xattr(ACL) {
        Ok(_) => true,
        Err(error) => error.errno() == Some(Errno::NODATA.raw_os_error()),
    }
}

/// Lets the kernel go on with the connection. Its own Tversion begins a new session.
fn hand_over(
    url: &Url,
    socket: &OwnedFd,
    dir: &Path,
    options: &MountOptions,
) -> anyhow::Result<()> {
    for which in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(socket, which, None)?;
    }
    let number = socket.as_raw_fd();
    let data = format!("trans=fd,rfdno={number},wfdno={number},{}", options.data());
    let data = CString::new(data).context("expected options without a NUL")?;
    let source = url.to_string();
    rustix::mount::mount(
        source.as_bytes(),
        dir.as_os_str().as_bytes(),
        "9p",
        options.flags(),
        data.as_c_str(),
    )
    .map_err(|errno| anyhow::Error::new(errno).context(hint(errno)))
}

/// What would have helped.
fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM | Errno::ACCESS => {
            "expected the right to mount (run it as root, with CAP_SYS_ADMIN)"
        }
        Errno::NODEV => {
            "expected a kernel with a 9p client (modprobe 9p; CONFIG_9P_FS), this one has none"
        }
        // That is also what the client says when it has no transport by that name.
        Errno::INVAL | Errno::PROTONOSUPPORT => {
            "expected a kernel with 9p over descriptors (modprobe 9pnet_fd) that knows the options; \
             dmesg says which of them it does not"
        }
        Errno::BUSY => "expected a directory that is not the same mount already",
        Errno::IO | Errno::CONNRESET | Errno::PIPE => {
            "expected a server that goes on with the connection, it ended"
        }
        _ => "the kernel did not mount",
    }
}
