//! Debian packages: what the host lacks is installed, what only the guest needs is unpacked into our own cache.
//!
//! Mirrors come from the host's own apt configuration; none is named here. Kernels and busybox are never installed on
//! the host: they come through a private apt tree that shares nothing with the host but its keys and its proxy settings.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use crate::process;
use crate::process::Running;
use crate::stop;

/// The release the guest is made of.
pub const RELEASE: &str = "bookworm";
/// Downloads and installations end within this.
const LIMIT: Duration = Duration::from_secs(900);
/// Looking things up ends within this.
const LOOK: Duration = Duration::from_secs(60);
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Installs those of `packages` that the host lacks.
pub fn ensure_installed(packages: &[&str]) -> Result<()> {
    let missing: Vec<_> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    update_host()?;
    let mut install = host_apt();
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&missing);
    // A package manager killed half-way leaves the host to be repaired by hand.
    let status = Running::start("apt-get install", &install)?.wait_through(LIMIT)?;
    ensure!(status.success(), "apt-get install failed: {status}");
    stop::check()
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status}", package]);
    query
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

fn update_host() -> Result<()> {
    process::run("apt-get update", host_apt().arg("update"), LIMIT)
}

fn host_apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .env("NEEDRESTART_MODE", "l");
    apt.args([
        "-qq",
        "-o",
        "DPkg::Lock::Timeout=300",
        "-o",
        "Dpkg::Use-Pty=0",
        "-o",
        "Acquire::Retries=3",
    ]);
    apt
}

/// The line of a sources.list that names `suite` on the mirror from which the host has its own packages.
pub fn source_line(suite: &str) -> Result<String> {
    let mirror = match mirror()? {
        Some(mirror) => mirror,
        None => {
            update_host()?;
            mirror()?.with_context(|| {
                format!("expected {RELEASE} among the host's apt sources, found it in none")
            })?
        }
    };
    let keys = if Path::new(KEYRING).exists() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    Ok(format!("deb {keys}{mirror} {suite} main\n"))
}

fn mirror() -> Result<Option<String>> {
    let mut targets = Command::new("apt-get");
    targets.args([
        "indextargets",
        "--format",
        "$(CODENAME) $(SUITE) $(REPO_URI)",
        "Created-By: Packages",
    ]);
    let targets = process::output("apt-get indextargets", &targets, LOOK)?;
    Ok(mirror_in(&targets))
}

fn mirror_in(targets: &str) -> Option<String> {
    let rows = targets
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    rows.into_iter()
        .find(|row| row.len() == 3 && row[..2].contains(&RELEASE))
        .map(|row| row[2].to_owned())
}

/// The host's proxy settings as apt configuration lines, for tools that read no apt configuration of the host.
pub fn proxy_settings() -> Result<Vec<String>> {
    let dump = process::output(
        "apt-config dump",
        Command::new("apt-config").args(["dump", "Acquire"]),
        LOOK,
    )?;
    Ok(dump
        .lines()
        .filter(|line| line.contains("::Proxy"))
        .map(str::to_owned)
        .collect())
}

/// An apt of our own, for a few suites.
pub struct PrivateApt {
    dir: PathBuf,
}

impl PrivateApt {
    /// Sets it up in `dir` and downloads the package lists of `suites`.
    pub fn set_up(dir: &Path, suites: &[&str]) -> Result<Self> {
        for sub in ["lists/partial", "cache/archives/partial", "parts", "debs"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        let sources = suites.iter().map(|suite| source_line(suite));
        let sources = sources.collect::<Result<String>>()?;
        fs::write(dir.join("sources.list"), sources)?;
        fs::write(dir.join("status"), "")?;
        let apt = Self {
            dir: dir.to_path_buf(),
        };
        process::run(
            "apt-get update",
            apt.command("apt-get").args(["-qq", "update"]),
            LIMIT,
        )?;
        Ok(apt)
    }

    /// The first dependency of `package` whose name begins with `prefix`.
    pub fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let mut depends = self.command("apt-cache");
        depends.args(["depends", package]);
        let depends = process::output("apt-cache depends", &depends, LOOK)?;
        let mut names = depends
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        match names.find(|name| name.starts_with(prefix)) {
            Some(name) => Ok(name.to_owned()),
            None => bail!("expected {package} to depend on {prefix}..., found: {depends}"),
        }
    }

    /// Downloads `package` and unpacks it into `into`.
    pub fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let debs = self.dir.join("debs");
        let mut download = self.command("apt-get");
        download
            .args(["-qq", "download", package])
            .current_dir(&debs);
        process::run("apt-get download", &download, LIMIT)?;
        let deb = one_file_in(&debs)?;
        unpack_file(&deb, into)?;
        fs::remove_file(&deb).context("cannot remove the unpacked package")
    }

    /// Downloads `package` of `suite` with all that it cannot do without, down to the C library, and unpacks that into
    /// `into`. Nothing is set up: no package's scripts run.
    pub fn unpack_whole(&self, package: &str, suite: &str, into: &Path) -> Result<()> {
        let mut download = self.command("apt-get");
        download.args(["-qq", "install", "--download-only", "--yes"]);
        download.args(["--no-install-recommends", "--target-release", suite]);
        process::run("apt-get install", download.arg(package), LIMIT)?;
        let files = fs::read_dir(self.dir.join("cache/archives"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()?;
        files
            .iter()
            .filter(|file| file.extension().is_some_and(|end| end == "deb"))
            .try_for_each(|deb| unpack_file(deb, into))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (option, place) in [
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::Etc::sourceparts", "parts"),
            ("Dir::Etc::preferences", "no-preferences"),
            ("Dir::Etc::preferencesparts", "parts"),
            ("Dir::State::lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ] {
            command
                .arg("-o")
                .arg(format!("{option}={}", self.dir.join(place).display()));
        }
        // The unprivileged user of apt may not be able to reach our directory.
        command.args([
            "-o",
            "APT::Sandbox::User=root",
            "-o",
            "Acquire::Retries=3",
            "-o",
            "Acquire::Languages=none",
        ]);
        command
    }
}

fn unpack_file(deb: &Path, into: &Path) -> Result<()> {
    let mut unpack = Command::new("dpkg");
    process::run("dpkg", unpack.arg("-x").arg(deb).arg(into), LIMIT)
}

fn one_file_in(dir: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    ensure!(
        files.len() == 1,
        "expected one package in {}, found {}",
        dir.display(),
        files.len()
    );
    Ok(files[0].clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_mirror_of_the_release_itself() {
        let targets = "stable stable http://one.example/\nbookworm-updates oldstable-updates http://two.example/\n\
                       bookworm oldstable http://three.example/\n";
        assert_eq!(mirror_in(targets).as_deref(), Some("http://three.example/"));
    }

    #[test]
    fn no_release_no_mirror() {
        assert_eq!(mirror_in("trixie stable http://one.example/\n"), None);
    }
}
