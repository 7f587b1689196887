//! What a row has to work with: its private directory, seen by both clients and by the host.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;

use crate::cli::Fs;
use crate::cli::Model;
use crate::cli::Options;
use crate::expect;
use crate::files;
use crate::host::Host;

/// Who does something to the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The client that holds the descriptors
    This,
    /// The client of the second mount
    Other,
    /// A process on the host, behind the server's back
    Host,
}

impl Who {
    pub(crate) const ALL: [Self; 3] = [Self::This, Self::Other, Self::Host];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::This => "this-client",
            Self::Other => "other-client",
            Self::Host => "host",
        }
    }
}

/// One row's surroundings.
pub(crate) struct Ctx {
    /// The row's directory on the first mount
    pub(crate) first: PathBuf,
    /// The same directory on the second mount
    pub(crate) second: PathBuf,
    /// The host agent; use [`Ctx::h`] for its paths
    pub(crate) host: Host,
    /// The first mount itself
    pub(crate) mount: PathBuf,
    /// The row's directory on the mount that caches
    pub(crate) cached: Option<PathBuf>,
    /// How many files the server may have open, if that is fewer than usual
    pub(crate) open_files_max: Option<u32>,
    relative: PathBuf,
    pub(crate) fs: Fs,
    pub(crate) model: Model,
    pub(crate) unprivileged: bool,
    pub(crate) server_is_qemu: bool,
}

impl Ctx {
    /// Makes the row's directory; where the guest's root may not, the host does.
    pub(crate) fn open(options: &Options, directory: &str) -> Result<Self> {
        rustix::process::umask(files::mode(0o022));
        let mount = options.mount.clone().context("--mount")?;
        let first = mount.join(directory);
        let host = Host::new(options.agent.as_deref().context("--agent")?);
        if options.root_is_nobody() {
            host.mkdir(directory.as_bytes())?;
            host.chmod(directory.as_bytes(), 0o1777)?;
        } else {
            std::fs::create_dir(&first).with_context(|| format!("mkdir {}", first.display()))?;
        }
        Ok(Self {
            first,
            second: options.second.as_ref().context("--second")?.join(directory),
            host,
            mount,
            cached: options.cached.as_ref().map(|mount| mount.join(directory)),
            open_files_max: options.open_files_max,
            relative: PathBuf::from(directory),
            fs: options.fs,
            model: options.model,
            unprivileged: options.unprivileged,
            server_is_qemu: options.server_is_qemu,
        })
    }

    /// A name as this client sees it.
    pub(crate) fn a(&self, name: impl AsRef<[u8]>) -> PathBuf {
        files::join(&self.first, name)
    }

    /// The same name as the other client sees it.
    pub(crate) fn b(&self, name: impl AsRef<[u8]>) -> PathBuf {
        files::join(&self.second, name)
    }

    /// The same name as the host agent is told it.
    pub(crate) fn h(&self, name: impl AsRef<[u8]>) -> Vec<u8> {
        use std::os::unix::ffi::OsStrExt;
        files::join(&self.relative, name)
            .as_os_str()
            .as_bytes()
            .to_vec()
    }

    /// The mounts are Linux's 9p client.
    pub(crate) fn is_9p(&self) -> bool {
        self.fs == Fs::Nine
    }

    /// Skips what the Linux 9p client cannot do, with the reason.
    pub(crate) fn not_on_9p(&self, why: &str) -> Result<()> {
        if self.is_9p() {
            expect::skip(why)
        } else {
            Ok(())
        }
    }

    /// chown is remembered. The `none` model without privileges says yes and forgets.
    pub(crate) fn keeps_owners(&self) -> bool {
        !(self.model == Model::None && self.unprivileged)
    }

    /// The server can do no more than the modes and the host let its own user do.
    pub(crate) fn server_is_bound(&self) -> bool {
        self.unprivileged && matches!(self.model, Model::Passthrough | Model::None)
    }

    /// The host sees owner, mode, type and attributes as the guest does.
    pub(crate) fn host_sees_metadata(&self) -> bool {
        matches!(self.model, Model::Passthrough | Model::None)
    }

    /// The server has ACLs.
    pub(crate) fn keeps_acls(&self) -> bool {
        self.model != Model::None
    }

    /// The server has `trusted.*` and `security.*`. As the host keeps them, only root may write them.
    pub(crate) fn keeps_privileged_xattrs(&self) -> bool {
        match self.model {
            Model::Passthrough => !self.unprivileged,
            Model::MappedXattr => true,
            Model::None | Model::MappedFile => false,
        }
    }

    /// What this one moves or replaces takes its mode and owner along. The host knows nothing of files that keep them
    /// under a name.
    pub(crate) fn metadata_follows(&self, who: Who) -> bool {
        !(who == Who::Host && self.model == Model::MappedFile)
    }

    /// A file with this content, made by somebody.
    pub(crate) fn put(&self, who: Who, name: &str, content: &[u8]) -> Result<()> {
        match self.path(who, name) {
            Some(path) => write(&path, content),
            None => self.host.write(&self.h(name), content),
        }
    }

    pub(crate) fn unlink(&self, who: Who, name: &str) -> Result<()> {
        match self.path(who, name) {
            Some(path) => rustix::fs::unlink(&path).with_context(|| said(who, "unlink", name)),
            None => self.host.unlink(&self.h(name)),
        }
    }

    pub(crate) fn rename(&self, who: Who, from: &str, to: &str) -> Result<()> {
        match (self.path(who, from), self.path(who, to)) {
            (Some(from_path), Some(to_path)) => {
                rustix::fs::rename(from_path, to_path).with_context(|| said(who, "rename", from))
            }
            _ => self.host.rename(&self.h(from), &self.h(to)),
        }
    }

    pub(crate) fn mkdir(&self, who: Who, name: &str) -> Result<()> {
        match self.path(who, name) {
            Some(path) => std::fs::create_dir(path).with_context(|| said(who, "mkdir", name)),
            None => self.host.mkdir(&self.h(name)),
        }
    }

    pub(crate) fn rmdir(&self, who: Who, name: &str) -> Result<()> {
        match self.path(who, name) {
            Some(path) => rustix::fs::rmdir(path).with_context(|| said(who, "rmdir", name)),
            None => self.host.rmdir(&self.h(name)),
        }
    }

    /// Where this one finds the name; the host is asked through its agent.
    fn path(&self, who: Who, name: &str) -> Option<PathBuf> {
        match who {
            Who::This => Some(self.a(name)),
            Who::Other => Some(self.b(name)),
            Who::Host => None,
        }
    }
}

fn said(who: Who, act: &str, name: &str) -> String {
    format!("{}: {act} {name}", who.word())
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let fd = files::open(path, flags).with_context(|| format!("create {}", path.display()))?;
    files::write_at(fd, content, 0)
}
