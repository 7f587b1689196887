//! Debian's kernels, unpacked: the kernel image and the early userland that finds the root file system with it.
//!
//! Nothing is installed on the host.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::ValueEnum;

use super::cache;
use super::cpio::Archive;
use super::packages::PrivateApt;
use super::packages::RELEASE;
use super::vmlinux;
use crate::places;
use crate::process;

/// What the early userland loads, with all that these depend on. Overlay keeps the root drive unwritten; crc32c is
/// looked up by ext4 by name, so no dependency leads to it.
const MODULES: [&str; 10] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "crc32c_generic",
    "ext4",
    "overlay",
    "9p",
    "9pnet_fd",
    "9pnet_virtio",
    "vsock_loopback",
];
const LIMIT: Duration = Duration::from_secs(120);

/// A kernel series of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Series {
    /// The kernel of Debian 12
    #[value(name = "6.1")]
    V6_1,
    /// The backported one
    #[value(name = "6.12")]
    V6_12,
}

impl Series {
    /// As in the version number.
    pub fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    fn suite(self) -> String {
        match self {
            Self::V6_1 => RELEASE.to_owned(),
            Self::V6_12 => format!("{RELEASE}-backports"),
        }
    }
}

/// A kernel ready to boot.
pub struct Kernel {
    dir: PathBuf,
}

impl Kernel {
    /// Finds or makes the kernel of `series`.
    pub fn ready(series: Series) -> Result<Self> {
        let init = fs::read(places::recipe().join("early-init.sh"))?;
        let recipe = ("2", series.name(), MODULES, &init);
        let name = format!("kernel-{}", series.name());
        let dir = cache::kept(&name, &recipe, |dir| make(series, &init, dir))?;
        Ok(Self { dir })
    }

    /// The bare kernel.
    pub fn image(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }

    /// The early userland, an archive to which others can be appended.
    pub fn initramfs(&self) -> PathBuf {
        self.dir.join("initramfs.cpio")
    }
}

fn make(series: Series, init: &[u8], dir: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(dir)?;
    let tree = work.path().join("tree");
    let apt = PrivateApt::set_up(&work.path().join("apt"), &[&series.suite()])?;
    let package = apt.dependency(
        "linux-image-amd64",
        &format!("linux-image-{}.", series.name()),
    )?;
    apt.unpack(&package, &tree)?;
    let busybox = busybox(series, apt, work.path())?;
    let version = package
        .strip_prefix("linux-image-")
        .context("a kernel package is named after its version")?;
    vmlinux::extract(
        &tree.join(format!("boot/vmlinuz-{version}")),
        &dir.join("vmlinux"),
        work.path(),
    )?;
    let modules = Modules::of(&tree, version)?;
    fs::write(
        dir.join("initramfs.cpio"),
        initramfs(init, &busybox, &modules)?,
    )?;
    println!("kernel {version}");
    Ok(())
}

/// Backports has no busybox of its own: it comes from the release.
fn busybox(series: Series, apt: PrivateApt, work: &Path) -> Result<PathBuf> {
    let apt = match series {
        Series::V6_1 => apt,
        Series::V6_12 => PrivateApt::set_up(&work.join("apt-release"), &[RELEASE])?,
    };
    let tree = work.join("busybox");
    apt.unpack("busybox-static", &tree)?;
    Ok(tree.join("bin/busybox"))
}

fn initramfs(init: &[u8], busybox: &Path, modules: &Modules) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["bin", "modules"] {
        archive.directory(directory)?;
    }
    archive.copy("bin/busybox", 0o755, busybox)?;
    archive.file("init", 0o755, init)?;
    let mut order = String::new();
    for path in modules.in_order(&MODULES)? {
        let name = module_name(&path).to_owned();
        archive.file(&format!("modules/{name}.ko"), 0o644, &modules.read(&path)?)?;
        order.push_str(&name);
        order.push('\n');
    }
    archive.file("modules/order", 0o644, order.as_bytes())?;
    archive.finish()
}

/// The modules of one kernel and what each depends on.
struct Modules {
    dir: PathBuf,
    /// modules.dep: path -> paths it needs, nearest first.
    needs: HashMap<String, Vec<String>>,
    builtin: HashSet<String>,
}

impl Modules {
    fn of(tree: &Path, version: &str) -> Result<Self> {
        // The package leaves modules.dep to its installation.
        process::run(
            "depmod",
            Command::new("depmod").arg("-b").arg(tree).arg(version),
            LIMIT,
        )?;
        let dir = tree.join("lib/modules").join(version);
        let needs = parse_dependencies(&fs::read_to_string(dir.join("modules.dep"))?);
        let builtin = fs::read_to_string(dir.join("modules.builtin"))?;
        let builtin = builtin
            .lines()
            .map(|path| module_name(path).to_owned())
            .collect();
        Ok(Self {
            dir,
            needs,
            builtin,
        })
    }

    /// The paths of `wanted` and of all that they need, each after its needs.
    fn in_order(&self, wanted: &[&str]) -> Result<Vec<String>> {
        let mut order = Vec::new();
        for name in wanted.iter().filter(|name| !self.builtin.contains(**name)) {
            let found = self
                .needs
                .iter()
                .find(|(path, _)| module_name(path) == *name);
            let Some((path, needs)) = found else {
                bail!("the kernel has no module {name}")
            };
            for path in needs.iter().rev().chain([path]) {
                if !order.contains(path) {
                    order.push(path.clone());
                }
            }
        }
        Ok(order)
    }

    /// The module itself, unpacked.
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.dir.join(path);
        if path.ends_with(".xz") {
            vmlinux::unpacked("xz", &file)
        } else {
            Ok(fs::read(file)?)
        }
    }
}

fn parse_dependencies(text: &str) -> HashMap<String, Vec<String>> {
    let rows = text.lines().filter_map(|line| line.split_once(':'));
    rows.map(|(path, needs)| {
        (
            path.to_owned(),
            needs.split_whitespace().map(str::to_owned).collect(),
        )
    })
    .collect()
}

/// `kernel/fs/9p/9p.ko.xz` is called `9p`; a file may say `-` where the module says `_`, ours do not.
fn module_name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Modules {
        let needs = parse_dependencies(
            "fs/ext4.ko: fs/jbd2.ko lib/crc16.ko\nfs/jbd2.ko:\nlib/crc16.ko:\nfs/9p.ko.xz: lib/crc16.ko\n",
        );
        Modules {
            dir: PathBuf::new(),
            needs,
            builtin: HashSet::from(["overlay".to_owned()]),
        }
    }

    #[test]
    fn needs_come_first_and_once() {
        let order = modules().in_order(&["ext4", "overlay", "9p"]).unwrap();
        assert_eq!(
            order,
            ["lib/crc16.ko", "fs/jbd2.ko", "fs/ext4.ko", "fs/9p.ko.xz"]
        );
    }

    #[test]
    fn an_unknown_module_is_an_error() {
        assert!(modules().in_order(&["vboxsf"]).is_err());
    }
}
