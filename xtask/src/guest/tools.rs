//! The programs a run needs: our own, built now, and public ones, installed once.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::cache;
use crate::places;
use crate::process;

const LIMIT: Duration = Duration::from_secs(1800);

/// A program from the package registry, pinned: a newer one may have other cases.
pub struct Published {
    name: &'static str,
    version: &'static str,
}

/// The POSIX file system test suite.
pub const PJDFSTEST: Published = Published {
    name: "pjdfstest",
    version: "0.2.2",
};
/// The file system exerciser.
pub const FSX: Published = Published {
    name: "fsx",
    version: "0.3.2",
};

/// The checker of licences and sources.
pub const CARGO_DENY: Published = Published {
    name: "cargo-deny",
    version: "0.20.2",
};

impl Published {
    /// Finds or builds the program.
    pub fn ready(&self) -> Result<PathBuf> {
        let &Self { name, version } = self;
        let dir = cache::kept(name, &version, |dir| {
            let mut install = places::cargo();
            install.args([
                "install",
                name,
                "--version",
                &format!("={version}"),
                "--locked",
                "--quiet",
                "--no-track",
            ]);
            // What their authors want for programs that are used every day takes minutes here.
            install
                .arg("--root")
                .arg(dir)
                .env("CARGO_TARGET_DIR", dir.join("build"))
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
            process::run(&format!("cargo install {name}"), &install, LIMIT)?;
            Ok(std::fs::remove_dir_all(dir.join("build"))?)
        })?;
        Ok(dir.join("bin").join(name))
    }
}

/// Builds packages of the workspace in release mode.
pub fn build(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let mut build = places::cargo();
    build.args(["build", "--release", "--quiet"]);
    for package in packages {
        build.args(["--package", package]);
    }
    process::run("cargo build", &build, LIMIT)
}
