//! The file of a unix socket: made private, removed with its socket.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::ListenError;

/// The file of a unix socket, removed with it, unless another has taken its place.
pub(super) struct SocketFile {
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

impl SocketFile {
    /// Lets every user connect, for the server to choose among them.
    pub(super) fn open_to_all(&self) -> Result<(), ListenError> {
        set_mode(&self.path, 0o666).map_err(|error| host(&self.path, error))
    }
}

/// A socket bound to `path`, with mode 0600.
pub(super) fn bind(path: &Path) -> Result<(Socket, SocketFile), ListenError> {
    let host = |error| host(path, error);
    let address = SockAddr::unix(path).map_err(|_| ListenError::PathTooLong(path.to_owned()))?;
    remove_abandoned(path, &address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(host)?;
    // The mode of the socket is that of the file which bind makes: never open to others.
    let private = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::fchmod(&socket, private).map_err(|errno| host(errno.into()))?;
    socket.bind(&address).map_err(host)?;
    set_mode(path, 0o600).map_err(host)?;
    let inode = fs::symlink_metadata(path).map_err(host)?.ino();
    let file = SocketFile {
        path: path.to_owned(),
        inode,
    };
    Ok((socket, file))
}

fn host(path: &Path, error: io::Error) -> ListenError {
    ListenError::Host(format!("unix://{}", path.display()), error)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Makes way for a new socket, if what is at `path` is one that nobody listens on.
fn remove_abandoned(path: &Path, address: &SockAddr) -> Result<(), ListenError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    let host = |error| host(path, error);
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
