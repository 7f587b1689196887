//! Where things lie: the workspace, what cargo builds, what the guests keep.

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The workspace root. Cargo names our own directory at run time, so a moved checkout still works.
pub fn root() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map(Path::to_path_buf).unwrap_or(own)
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A program that `cargo build --release` makes.
pub fn release(program: &str) -> PathBuf {
    target().join("release").join(program)
}

/// What the guests keep between runs, and their private directories while they run.
pub fn guest() -> PathBuf {
    target().join("guest")
}

/// The recipe of the guest image.
pub fn recipe() -> PathBuf {
    root().join("tests/guest/image")
}

/// The cargo that runs us, started in the workspace root.
pub fn cargo() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root());
    command
}
