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

/// What QEMU calls the guest's memory.
const SHARED: &str = "shared";

/// The devices of one server, one for each of [`SHARES`]: Linux mounts a device once at a time, and takes a free one of
/// those with the tag it is given.
pub struct Devices {
    /// Holds the sockets, each named as a share.
    dir: PathBuf,
    /// What the server is called. A guest may have the devices of several.
    pub tag: String,
}

impl Devices {
    /// Makes the directory of the sockets below `beside`, but no socket.
    pub fn new(server: &str, beside: &Path, unprivileged: bool) -> Result<Self> {
        let dir = beside.join(format!("{server}-sockets"));
        fs::create_dir(&dir)?;
        if unprivileged {
            chown(&dir, Some(NOBODY), Some(NOBODY))?;
        }
        let tag = server.to_owned();
        Ok(Self { dir, tag })
    }

    /// The server's arguments.
    pub fn served(&self) -> Vec<OsString> {
        let sockets = SHARES.map(|share| ["--vhost-user".into(), self.dir.join(share).into()]);
        let tag = ["--tag".into(), OsString::from(&self.tag)];
        sockets.into_iter().flatten().chain(tag).collect()
    }

    /// Whether all sockets are there. A connection would be taken for a guest.
    pub fn are_there(&self) -> bool {
        SHARES.iter().all(|share| {
            fs::symlink_metadata(self.dir.join(share))
                .is_ok_and(|found| found.file_type().is_socket())
        })
    }

    /// QEMU's arguments.
    pub fn offered(&self) -> Vec<String> {
        let one = |share| {
            // A comma ends an option, and two are one.
            let socket = self.dir.join(share).display().to_string();
            let (id, socket) = (format!("{}-{share}", self.tag), socket.replace(',', ",,"));
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
        let (served, offered) = (devices.served(), devices.offered());
        let (sockets, tag) = served.split_at(served.len() - 2);
        assert_eq!(tag, ["--tag", "plain"]);
        assert_eq!(sockets.len(), SHARES.len() * 2);
        assert_eq!(offered.len(), SHARES.len() * 4);
        for (share, (served, offered)) in
            SHARES.iter().zip(sockets.chunks(2).zip(offered.chunks(4)))
        {
            let (id, socket) = (format!("plain-{share}"), served[1].to_str().unwrap());
            assert_eq!(offered[1], format!("socket,id={id},path={socket}"));
            assert!(offered[3].contains(&format!("chardev={id},")));
        }
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
