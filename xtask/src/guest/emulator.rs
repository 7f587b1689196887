//! Which QEMU runs a guest: the host's own, or a newer one that is unpacked and not installed.
//!
//! QEMU has a vhost-user device for any backend since 10.2, and Debian 12 an older QEMU. The newer one comes from the
//! backports to a later release, with that release's libraries down to the C library and the loader, and runs with
//! nothing else.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use super::cache;
use super::packages::PrivateApt;
use crate::process;

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
/// Where the newer one is from.
const SUITE: &str = "trixie-backports";
/// Where its libraries are from.
const BASE: &str = "trixie";
/// The libraries of an amd64 package, with the loader among them.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "ld-linux-x86-64.so.2";
/// Firmware and what loads a bare kernel.
const DATA: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];
/// The device that the newer one is for.
const DEVICE: &str = "vhost-user-test-device-pci";
const LIMIT: Duration = Duration::from_secs(60);

/// A QEMU that is ready to run.
pub enum Emulator {
    /// The host's.
    Installed,
    /// The tree it is unpacked in.
    Unpacked(PathBuf),
}

impl Emulator {
    /// Finds or unpacks the one that takes vhost-user devices of any kind.
    pub fn with_vhost_user() -> Result<Self> {
        let recipe = ("1", SUITE, BASE, PACKAGE, DEVICE);
        cache::kept("qemu", &recipe, make).map(Self::Unpacked)
    }

    /// What it calls itself.
    pub fn version(&self) -> Result<String> {
        version(self.command())
    }

    /// The beginning of its command line.
    pub fn command(&self) -> Command {
        match self {
            Self::Installed => Command::new(PROGRAM),
            Self::Unpacked(tree) => unpacked(tree),
        }
    }
}

fn version(mut command: Command) -> Result<String> {
    let said = process::output(PROGRAM, command.arg("--version"), LIMIT)?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

fn make(tree: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(tree)?;
    let apt = PrivateApt::set_up(work.path(), &[BASE, SUITE])?;
    apt.unpack_whole(PACKAGE, SUITE, tree)?;
    println!("{}", version(unpacked(tree))?);
    let mut help = unpacked(tree);
    let help = help.args(["-device", &format!("{DEVICE},help")]);
    process::output(PROGRAM, help, LIMIT)
        .with_context(|| format!("expected {SUITE}'s {PACKAGE} to have a {DEVICE}"))?;
    Ok(())
}

fn unpacked(tree: &Path) -> Command {
    let libraries = tree.join(LIBRARIES);
    let mut command = Command::new(libraries.join(LOADER));
    command.arg("--library-path").arg(&libraries);
    command.arg(tree.join("usr/bin").join(PROGRAM));
    for data in DATA {
        command.arg("-L").arg(tree.join(data));
    }
    // Else it finds the installed one's modules, and those of another build end it.
    command.env("QEMU_MODULE_DIR", libraries.join("qemu"));
    command
}
