//! The ways in to the folder: the sockets that were asked for, else one of this user's own.
//!
//! A new kind of way is one line in [`Ways::open`], and what its users have to know one in
//! [`announce`](super::announce).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use ninefold::{Crew, Export, Listener};

use crate::args::ServeArgs;
use crate::share::ShareOptions;

/// Where clients come in.
#[derive(Default)]
pub struct Ways {
    pub listeners: Vec<Listener>,
}

impl Ways {
    /// Opens what the arguments ask for.
    pub fn open(args: &ServeArgs, share: &ShareOptions) -> anyhow::Result<Self> {
        let mut ways = Self::default();
        for path in &args.unix {
            ways.listeners.push(Listener::unix(&absolute(path)?)?);
        }
        for address in &args.tcp {
            ways.listeners.push(Listener::tcp(&address.to_string())?);
        }
        if ways.is_none() {
            let socket = default_socket(&share.path)?;
            ways.listeners.push(Listener::unix(&socket)?);
        }
        Ok(ways)
    }

    /// Nobody can come in.
    fn is_none(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Lets clients in.
    pub fn serve(self, crew: &Crew, export: &Arc<Export>) -> anyhow::Result<()> {
        for listener in self.listeners {
            let url = listener.url();
            crew.listen(listener, export)
                .with_context(|| format!("cannot listen on {url}"))?;
        }
        Ok(())
    }
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
