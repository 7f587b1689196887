//! A shared folder with something outside it, and what the host knows about its files.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ninefold::{Budget, Export, ExportOptions, SecurityModel};
use ninefold_wire::Dialect;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{geteuid, umask};
use tempfile::TempDir;

use crate::client::Client;

/// A folder `export`, served, and beside it whatever a test puts there.
pub struct Share {
    top: TempDir,
    export: Arc<Export>,
}

/// The security model of the tests that do not choose one: most of what a client sees must not
/// depend on it. `cargo xtask test` runs them for the mapped models too.
pub fn model() -> SecurityModel {
    match std::env::var("NINEFOLD_MODEL").as_deref() {
        Err(_) | Ok("none") => SecurityModel::None,
        Ok("mapped-xattr") => SecurityModel::MappedXattr,
        Ok("mapped-file") => SecurityModel::MappedFile,
        Ok(other) => {
            panic!("NINEFOLD_MODEL: expected none, mapped-xattr or mapped-file, came {other}")
        }
    }
}

/// With so few descriptors that nearly every request has to have some given back, if the run is
/// for that.
fn few_descriptors() -> Option<Arc<Budget>> {
    let few = std::env::var_os("NINEFOLD_FEW_DESCRIPTORS").is_some();
    few.then(|| Budget::new(0))
}

impl Share {
    /// An empty folder, of the model that the run is for.
    pub fn new() -> Self {
        Self::with(model(), false, |_| {})
    }

    /// A folder that is filled before it is served.
    pub fn with(security_model: SecurityModel, readonly: bool, fill: impl Fn(&Path)) -> Self {
        let options = ExportOptions {
            readonly,
            ..ExportOptions::new(security_model)
        };
        Self::with_options(&options, fill)
    }

    /// The same with any options.
    pub fn with_options(options: &ExportOptions, fill: impl Fn(&Path)) -> Self {
        let options = ExportOptions {
            descriptors: options.descriptors.clone().or_else(few_descriptors),
            ..options.clone()
        };
        // As the program does at its start: the mode of a new file is the client's.
        umask(Mode::empty());
        let top = tempfile::tempdir().expect("a temporary directory");
        let root = top.path().join("export");
        fs::create_dir(&root).expect("the folder to share");
        fill(&root);
        let export = Arc::new(Export::open(&root, &options).expect("an export"));
        Self { top, export }
    }

    /// The tree as the server has it.
    pub fn export(&self) -> &Arc<Export> {
        &self.export
    }

    /// A client that has not said anything yet.
    pub fn stranger(&self) -> Client {
        Client::new(&self.export)
    }

    /// A client whose fid 0 is the root.
    pub fn client(&self) -> Client {
        self.speaker(Dialect::Linux)
    }

    /// A client of some dialect whose fid 0 is the root.
    pub fn speaker(&self, dialect: Dialect) -> Client {
        let mut client = self.stranger();
        client
            .version(1 << 20, dialect.version())
            .expect("a version");
        client.attach(0).expect("a root");
        client
    }

    /// The host's path of a name in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().join("export").join(name)
    }

    /// The host's path of a name beside the folder.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("a file");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the content")
    }

    pub fn mkdir(&self, name: &str) {
        fs::create_dir_all(self.path(name)).expect("a directory");
    }

    pub fn symlink(&self, target: &str, name: &str) {
        symlink(target, self.path(name)).expect("a symbolic link");
    }

    /// The host's attributes; of a symbolic link, its own.
    pub fn stat(&self, name: &str) -> fs::Metadata {
        self.path(name).symlink_metadata().expect("attributes")
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Permission bits with the set-id and sticky ones, on the host.
    pub fn mode(&self, name: &str) -> u32 {
        self.stat(name).mode() & 0o7777
    }

    /// The same as a client sees it, whatever the host has.
    pub fn shown_mode(&self, name: &str) -> u32 {
        let mut client = self.client();
        client.find(1, name);
        client.getattr(1, 0x7ff).expect("attributes").mode & 0o7777
    }
}

/// One object of each kind: `file`, `dir` with `dir/inner`, `link`, `fifo`, `sock`, and for root `dev`.
pub fn one_of_each(root: &Path) {
    fs::write(root.join("file"), "content").expect("a file");
    fs::create_dir(root.join("dir")).expect("a directory");
    fs::write(root.join("dir/inner"), "inner").expect("a file");
    symlink("file", root.join("link")).expect("a symbolic link");
    let mode = Mode::from_raw_mode(0o644);
    for (name, kind) in [("fifo", FileType::Fifo), ("sock", FileType::Socket)] {
        mknodat(CWD, root.join(name), kind, mode, 0).expect("a special file");
    }
    if is_root() {
        let null = rustix::fs::makedev(1, 3);
        mknodat(CWD, root.join("dev"), FileType::CharacterDevice, mode, null).expect("a device");
    }
}

/// Whether this process may make devices and give files away.
pub fn is_root() -> bool {
    geteuid().is_root()
}
