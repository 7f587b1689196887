//! A served folder for a test, and the program to look into it.
//!
//! It only starts and stops things; what has to hold stands in the tests.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use tempfile::TempDir;

/// The program, with no arguments yet and nothing to read.
pub fn ninefold() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ninefold"));
    command.stdin(Stdio::null()).env_remove("NINEFOLD_LOG");
    command
}

/// Runs the program to its end.
pub fn run<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Output {
    ninefold().args(args).output().expect("the program starts")
}

/// What the program wrote to standard error.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output of a run that has to succeed in silence.
pub fn success(output: Output) -> Vec<u8> {
    assert!(
        output.status.success(),
        "{:?}: {}",
        output.status,
        complaint(&output)
    );
    assert_eq!(complaint(&output), "");
    output.stdout
}

/// Standard error of a run that has to fail, and to say so in one line.
pub fn failure(output: &Output) -> String {
    let said = complaint(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.starts_with("ninefold: ") && said.lines().count() == 1,
        "{said}"
    );
    said
}

/// A folder that is served until the test ends.
pub struct Served {
    server: Child,
    /// The server keeps writing to it; closed, it would fail.
    _announcements: BufReader<ChildStdout>,
    dir: TempDir,
    /// What `listening on` named.
    pub url: String,
}

impl Served {
    /// On a unix socket; modes are the host's own, for tests to look at.
    pub fn start() -> Self {
        Self::start_with(&["--unix", "socket", "--security-model", "none"])
    }

    /// With these arguments; relative paths in them are in a directory of the test's own.
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_by(ninefold(), args)
    }

    /// Where it may have no more than so many files open, as a shell's `ulimit -n` has it.
    pub fn start_with_files(max: u32, args: &[&str]) -> Self {
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--nofile={max}:{max}"))
            .arg(env!("CARGO_BIN_EXE_ninefold"))
            .stdin(Stdio::null());
        Self::start_by(command, args)
    }

    /// The same without any of root's capabilities: it may open what the mode of a file lets its owner
    /// open.
    pub fn start_weak_with_files(max: u32, args: &[&str]) -> Self {
        let mut command = Command::new("setpriv");
        if rustix::process::geteuid().is_root() {
            command.arg("--bounding-set=-all");
        }
        command
            .arg("prlimit")
            .arg(format!("--nofile={max}:{max}"))
            .arg(env!("CARGO_BIN_EXE_ninefold"))
            .stdin(Stdio::null());
        Self::start_by(command, args)
    }

    /// One more server of the same folder.
    pub fn again(&self) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let args = ["--unix", "socket", "--security-model", "none"];
        Self::start_in(ninefold(), dir, &args, &self.host(""))
    }

    /// By a command that becomes the server.
    pub fn start_by(command: Command, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let export = dir.path().join("export");
        std::fs::create_dir(&export).expect("a directory");
        Self::start_in(command, dir, args, &export)
    }

    fn start_in(mut command: Command, dir: TempDir, args: &[&str], export: &Path) -> Self {
        let mut server = command
            .current_dir(dir.path())
            .arg("serve")
            .args(args)
            .arg(export)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = server.stdout.take().expect("a pipe was asked for");
        let mut announcements = BufReader::new(stdout);
        let url = announced(&mut announcements);
        Self {
            server,
            _announcements: announcements,
            dir,
            url,
        }
    }

    /// A path in the served folder, on this side of the server.
    pub fn host(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join("export").join(path.as_ref())
    }

    /// The URL of a path in the served folder.
    pub fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    /// Runs a client command whose last argument is a path in the served folder.
    pub fn run(&self, args: &[&str], path: &str) -> Output {
        let url = self.at(path);
        run(args.iter().copied().chain([&url[..]]))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A server that ended by itself has failed the test already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn announced(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line of text");
    let url = line.trim_end().strip_prefix("listening on ");
    url.unwrap_or_else(|| panic!("expected the server to listen, it said {line:?}"))
        .to_owned()
}
