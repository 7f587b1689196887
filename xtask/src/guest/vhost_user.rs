//! The server's own virtio devices: a vhost-user socket for each, and what QEMU and the guest are told of them.
//!
//! QEMU's 9p devices, which are another server, are in `fsdev`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Result;

use super::fsdev::SHARES;
use super::qemu::MEMORY;
use super::server::NOBODY;

/// Stands for the name of the directory to mount at; `share.sh` fills it in.
pub const NAME: &str = "%";
/// What QEMU calls the guest's memory.
const SHARED: &str = "shared";

/// The devices of one server, one for each of [`SHARES`]: Linux mounts a device once at a time.
pub struct Devices {
    /// Holds the sockets, each named as its share.
    dir: PathBuf,
    /// What the server is called. A guest may have those of several.
    server: String,
}

impl Devices {
    /// Makes the directory of the sockets below `beside`, but no socket.
    pub fn new(server: &str, beside: &Path, unprivileged: bool) -> Result<Self> {
        let dir = beside.join(format!("{server}-sockets"));
        fs::create_dir(&dir)?;
        if unprivileged {
            chown(&dir, Some(NOBODY), Some(NOBODY))?;
        }
        let server = server.to_owned();
        Ok(Self { dir, server })
    }

    /// The server's arguments.
    pub fn served(&self) -> Vec<OsString> {
        let one = |share| {
            let (socket, tag) = (self.dir.join(share), self.tag(share));
            [
                "--vhost-user".into(),
                socket.into(),
                "--tag".into(),
                tag.into(),
            ]
        };
        SHARES.into_iter().flat_map(one).collect()
    }

    /// Whether all sockets are there. A connection would be taken for a guest.
    pub fn are_there(&self) -> bool {
        SHARES.iter().all(|share| {
            fs::symlink_metadata(self.dir.join(share))
                .is_ok_and(|found| found.file_type().is_socket())
        })
    }

    /// What the client mounts, with [`NAME`] in it.
    pub fn source(&self) -> String {
        self.tag(NAME)
    }

    /// QEMU's arguments.
    pub fn offered(&self) -> Vec<String> {
        let one = |share| {
            // A comma ends an option, and two are one.
            let socket = self.dir.join(share).display().to_string();
            let (id, socket) = (self.tag(share), socket.replace(',', ",,"));
            [
                "-chardev".to_owned(),
                format!("socket,id={id},path={socket}"),
                "-device".to_owned(),
                format!(
                    "vhost-user-test-device-pci,chardev={id},virtio-id=9,num_vqs=1,vq_size=128,config_size=64,romfile="
                ),
            ]
        };
        SHARES.into_iter().flat_map(one).collect()
    }

    fn tag(&self, share: &str) -> String {
        format!("{}-{share}", self.server)
    }
}

/// QEMU's arguments for memory that a server can see. Without `share` the guest would start, and hang in mount.
pub fn memory() -> Vec<String> {
    vec![
        "-object".to_owned(),
        format!("memory-backend-memfd,id={SHARED},size={MEMORY}M,share=on"),
        "-machine".to_owned(),
        format!("memory-backend={SHARED}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_qemu_are_told_of_the_same_devices() {
        let beside = tempfile::tempdir().unwrap();
        let devices = Devices::new("plain", beside.path(), false).unwrap();
        let sockets = beside.path().join("plain-sockets");
        let (served, offered) = (devices.served(), devices.offered());
        assert_eq!(served.len(), offered.len());
        for (served, offered) in served.chunks(4).zip(offered.chunks(4)) {
            let (socket, tag) = (served[1].to_str().unwrap(), served[3].to_str().unwrap());
            assert_eq!(offered[1], format!("socket,id={tag},path={socket}"));
            assert!(offered[3].contains(&format!("chardev={tag},")));
        }
        assert_eq!(served[1], sockets.join("a").as_os_str());
        assert_eq!(served[3], "plain-a");
        assert_eq!(devices.source(), "plain-%");
    }

    #[test]
    fn a_server_that_lacks_a_socket_is_not_there() {
        let beside = tempfile::tempdir().unwrap();
        let devices = Devices::new("plain", beside.path(), false).unwrap();
        let socket = |share| devices.dir.join(share);
        let mut listening = Vec::new();
        for share in SHARES {
            assert!(!devices.are_there());
            listening.push(std::os::unix::net::UnixListener::bind(socket(share)).unwrap());
        }
        assert!(devices.are_there());
        fs::remove_file(socket("b")).unwrap();
        fs::write(socket("b"), "").unwrap();
        assert!(!devices.are_there());
    }
}
