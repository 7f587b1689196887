//! The ways in to the folder: the sockets that were asked for or handed over, else one of this
//! user's own.
//!
//! A new kind of way is one line in [`Ways::open`], and what its users have to know one in
//! [`announce`](super::announce).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use ninefold::{ConnectionOptions, Crew, Export, Inherited, Listener};

use super::handed::Handed;
use super::stdio::Stdio;
use crate::args::{ServeArgs, wrong_usage};
use crate::share::ShareOptions;

/// Where clients come in.
#[derive(Default)]
pub struct Ways {
    pub listeners: Vec<Listener>,
    /// Where VMMs come in for a virtio device.
    pub devices: Vec<Listener>,
    /// Clients that are there from the beginning.
    pub connections: Vec<OwnedFd>,
    /// The one on standard input and output.
    pub stdio: Option<Stdio>,
    options: ConnectionOptions,
}

impl Ways {
    /// Opens what the arguments ask for, and takes what was handed over.
    pub fn open(args: &ServeArgs, share: &ShareOptions, handed: Handed) -> anyhow::Result<Self> {
        let flags = &args.ways;
        let mut ways = Self {
            options: flags.connection_options(),
            ..Self::default()
        };
        for path in &flags.unix {
            ways.listen(Listener::unix(&absolute(path)?)?)?;
        }
        for address in &flags.tcp {
            ways.listen(Listener::tcp(&address.to_string())?)?;
        }
        for place in &flags.vsock {
            ways.listen(Listener::vsock(place.cid, place.port)?)?;
        }
        for place in &flags.vsock_uds {
            ways.listen(Listener::hybrid_vsock(&absolute(&place.path)?, place.port)?)?;
        }
        for path in &flags.vhost_user {
            let listener = Listener::unix(&absolute(path)?)?;
            let listener = listener.with_options(ways.options.clone())?;
            ways.devices.push(listener);
        }
        for (name, fd) in handed.descriptors {
            ways.inherit(fd)
                .with_context(|| format!("cannot use {name}"))?;
        }
        if handed.stdio {
            ways.stdio = Some(Stdio::open()?);
        }
        if ways.is_none() {
            ways.listen(Listener::unix(&default_socket(&share.path)?)?)?;
        }
        ways.check_lists();
        Ok(ways)
    }

    fn listen(&mut self, listener: Listener) -> anyhow::Result<()> {
        let listener = listener.with_options(self.options.clone())?;
        self.listeners.push(listener);
        Ok(())
    }

    fn inherit(&mut self, fd: OwnedFd) -> anyhow::Result<()> {
        match Inherited::new(fd)? {
            Inherited::Listener(listener) => self.listen(listener)?,
            Inherited::Connection(socket) => self.connections.push(socket),
        }
        Ok(())
    }

    /// Nobody can come in.
    fn is_none(&self) -> bool {
        self.are_final() && self.connections.is_empty() && self.stdio.is_none()
    }

    /// Nobody can come in who is not here.
    pub fn are_final(&self) -> bool {
        self.listeners.is_empty() && self.devices.is_empty()
    }

    /// A list of names that is never looked at is a mistake that lets everybody in.
    fn check_lists(&self) {
        let connected = !self.connections.is_empty() || self.stdio.is_some();
        if self.options.uids.is_some()
            && !connected
            && self.devices.is_empty()
            && !self.listeners.iter().any(Listener::is_unix)
        {
            wrong_usage(
                "--allow-uid is for unix sockets: expected --unix or one that is inherited",
            );
        }
        let vsock = |listener: &Listener| listener.vsock_address().is_some();
        if self.options.cids.is_some() && !connected && !self.listeners.iter().any(vsock) {
            wrong_usage(
                "--vsock-allow is for vsock sockets: expected --vsock or one that is inherited",
            );
        }
    }

    /// Lets clients in. Gives back what has to be seen to its end.
    pub fn serve(self, crew: &Crew, export: &Arc<Export>) -> anyhow::Result<Option<Stdio>> {
        for listener in self.listeners {
            let url = listener.url();
            crew.listen(listener, export)
                .with_context(|| format!("cannot listen on {url}"))?;
        }
        for socket in self.connections {
            adopt(crew, export, &self.options, socket)?;
        }
        let Some(mut stdio) = self.stdio else {
            return Ok(None);
        };
        if let Some(socket) = stdio.take_connection() {
            adopt(crew, export, &self.options, socket)?;
        }
        Ok(Some(stdio))
    }
}

fn adopt(
    crew: &Crew,
    export: &Arc<Export>,
    options: &ConnectionOptions,
    socket: OwnedFd,
) -> anyhow::Result<()> {
    options
        .admit(&socket)
        .context("refused an inherited connection")?;
    crew.adopt(socket, export)
        .context("cannot serve an inherited connection")
}

/// The path is printed for others to use, whose working directory is another.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot use the path {}", path.display()))
}

/// `RUNTIME/ninefold/NAME.sock`, by the name of the folder.
fn default_socket(dir: &Path) -> anyhow::Result<PathBuf> {
    let real = fs::canonicalize(dir).with_context(|| format!("cannot find {}", dir.display()))?;
    let mut name = real.file_name().unwrap_or("root".as_ref()).to_owned();
    name.push(".sock");
    let folder = runtime_dir();
    make_private(&folder).with_context(|| {
        format!(
            "cannot use {} (choose a place with --unix)",
            folder.display()
        )
    })?;
    Ok(folder.join(name))
}

/// A directory for this user's sockets.
fn runtime_dir() -> PathBuf {
    let user = rustix::process::geteuid();
    let given = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let runtime = match given {
        Some(dir) => dir.into(),
        None if user.is_root() => PathBuf::from("/run"),
        None => PathBuf::from(format!("/run/user/{}", user.as_raw())),
    };
    if runtime.is_dir() {
        runtime.join("ninefold")
    } else {
        // No login session: a directory in /tmp, which must be checked to be ours.
        std::env::temp_dir().join(format!("ninefold-{}", user.as_raw()))
    }
}

/// Makes a directory that is nobody else's, or makes sure that it is one.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return Ok(made?),
    }
    let found = fs::symlink_metadata(folder)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        ours && found.mode() & 0o022 == 0,
        "expected a directory of this user's that nobody else may write to"
    );
    Ok(())
}
