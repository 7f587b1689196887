//! Whoever makes or changes something, through one of the two servers.

use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::OFlags;
use rustix::fs::Uid;

use crate::ctx::Ctx;
use crate::files;
use crate::peer::Peer;

/// Through which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The server under test
    Ours,
    Qemus,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Ours, Self::Qemus];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Qemus => "qemus",
        }
    }
}

/// One server's view of the directory in which a case is played.
pub(super) struct Hand<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) side: Side,
    /// The directory, below the row's own; empty for that one
    pub(super) base: &'static str,
}

impl Hand<'_> {
    pub(super) fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        let row = match self.side {
            Side::Ours => self.ctx.a(self.base),
            Side::Qemus => self.ctx.b(self.base),
        };
        files::join(&row, name)
    }

    /// The same name as the host agent is told it.
    pub(super) fn on_host(&self, name: &str) -> Vec<u8> {
        let prefix = if self.base.is_empty() { "" } else { "/" };
        self.ctx.h(format!("{}{prefix}{name}", self.base))
    }

    /// A file with this content.
    pub(super) fn put(&self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let fd = rustix::fs::open(self.at(name), flags, files::mode(mode)).context("create")?;
        files::write_at(fd, content, 0)
    }

    /// A file that is there already.
    pub(super) fn write(&self, name: &str, how: OFlags, content: &[u8]) -> Result<()> {
        let fd = files::open(self.at(name), OFlags::WRONLY | how).context("open")?;
        let went = rustix::io::write(&fd, content).context("write")?;
        crate::expect::same("written", went, content.len())
    }

    pub(super) fn truncate(&self, name: &str, size: u64) -> Result<()> {
        let fd = files::open(self.at(name), OFlags::WRONLY).context("open")?;
        rustix::fs::ftruncate(fd, size).context("truncate")
    }

    pub(super) fn mkdir(&self, name: &str, mode: u32) -> Result<()> {
        rustix::fs::mkdir(self.at(name), files::mode(mode)).context("mkdir")
    }

    pub(super) fn symlink(&self, name: &str, target: &[u8]) -> Result<()> {
        rustix::fs::symlink(target, self.at(name)).context("symlink")
    }

    /// A FIFO, socket or device with mode 0640.
    pub(super) fn mknod(&self, name: &str, kind: FileType, numbers: (u32, u32)) -> Result<()> {
        let device = rustix::fs::makedev(numbers.0, numbers.1);
        rustix::fs::mknodat(CWD, self.at(name), kind, files::mode(0o640), device).context("mknod")
    }

    pub(super) fn chmod(&self, name: &str, mode: u32) -> Result<()> {
        rustix::fs::chmod(self.at(name), files::mode(mode)).context("chmod")
    }

    /// Of the named thing itself.
    pub(super) fn chown(&self, name: &str, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        rustix::fs::chownat(CWD, self.at(name), uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .context("chown")
    }

    pub(super) fn owned(&self, name: &str, uid: u32, gid: u32) -> Result<()> {
        self.chown(name, Some(uid), Some(gid))
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<()> {
        rustix::fs::rename(self.at(from), self.at(to)).context("rename")
    }

    /// Of the named thing itself.
    pub(super) fn link(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.at(from), self.at(to));
        rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty()).context("link")
    }

    pub(super) fn unlink(&self, name: &str) -> Result<()> {
        rustix::fs::unlink(self.at(name)).context("unlink")
    }

    pub(super) fn rmdir(&self, name: &str) -> Result<()> {
        rustix::fs::rmdir(self.at(name)).context("rmdir")
    }

    pub(super) fn set_xattr(&self, name: &str, attribute: &str, value: &[u8]) -> Result<()> {
        files::set_xattr(&self.at(name), attribute, value).context("setxattr")
    }

    pub(super) fn remove_xattr(&self, name: &str, attribute: &str) -> Result<()> {
        rustix::fs::lremovexattr(self.at(name), attribute).context("removexattr")
    }

    /// Another user of this client.
    pub(super) fn user(uid: u32, gid: u32) -> Result<Peer> {
        let peer = Peer::start()?;
        let (uid, gid) = (uid.to_string(), gid.to_string());
        peer.ask(&[b"become", uid.as_bytes(), gid.as_bytes()])?
            .context("give up root")?;
        Ok(peer)
    }
}
