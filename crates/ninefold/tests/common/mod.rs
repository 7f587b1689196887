//! A server in a process of its own, which tests can look at from outside.

#![allow(
    dead_code,
    reason = "each program that includes this module uses its part"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ninefold_client::wire::{Dialect, NOFID, Reply, Request, Step, Steps};
use ninefold_client::{Address, Connection, Error, Result};
use tempfile::TempDir;

/// Turns a hang into a failure; nothing is decided by it.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The msize of most connections.
pub const MSIZE: u32 = 64 * 1024;

/// The largest msize that the server agrees to.
pub const MSIZE_MAX: u32 = 1 << 20;

/// `serve` of the examples, running.
pub struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    top: Arc<TempDir>,
    threads: usize,
    fds: usize,
}

/// The built example, beside the test's own program.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE");
    let program = target.join("examples/serve");
    assert!(
        program.exists(),
        "expected {}, which `cargo test` builds unless --test is given: run `cargo build --example serve`",
        program.display()
    );
    program
}

impl Server {
    pub fn new() -> Self {
        Self::with(&[], "0", |_| {})
    }

    /// Runs it behind the words of `wrap` on a folder that is filled before.
    pub fn with(wrap: &[&str], threads: &str, fill: impl FnOnce(&Path)) -> Self {
        Self::with_options(wrap, &[threads], fill)
    }

    /// The same with a security model.
    pub fn of(wrap: &[&str], threads: &str, model: &str, fill: impl FnOnce(&Path)) -> Self {
        let model = format!("security_model={model}");
        Self::with_options(wrap, &[threads, &model], fill)
    }

    /// The same with the number of threads and what else is to be set.
    pub fn with_options(wrap: &[&str], options: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let top = tempfile::tempdir().expect("a temporary directory");
        let dir = top.path().join("export");
        fs::create_dir(&dir).expect("the folder to share");
        fill(&dir);
        let program = program();
        let program = program.to_str().expect("a path of text");
        let mut words = wrap.iter().copied().chain([program]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).arg(&dir).arg(top.path().join("socket"));
        let mut child = command
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let stdin = child.stdin.take();
        let mut server = Self {
            child,
            stdin,
            top: Arc::new(top),
            threads: 0,
            fds: 0,
        };
        assert_eq!(line, "ready\n", "{}", server.complaints());
        (server.threads, server.fds) = (server.count("task"), server.open_targets().len());
        server
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it and returns what it had to say.
    fn complaints(&mut self) -> String {
        self.child.kill().expect("to kill the server");
        let mut text = String::new();
        let mut stderr = self.child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut text).expect("a text");
        text
    }

    fn count(&self, what: &str) -> usize {
        let dir = format!("/proc/{}/{what}", self.child.id());
        fs::read_dir(dir).expect("a process").count()
    }

    /// What its descriptors lead to, but for pipes: each thread keeps one that has read much.
    fn open_targets(&self) -> Vec<PathBuf> {
        let fds = format!("/proc/{}/fd", self.child.id());
        let fds = fs::read_dir(fds).expect("a process");
        let targets = fds.filter_map(|fd| fs::read_link(fd.expect("an entry").path()).ok());
        let is_pipe = |target: &PathBuf| target.as_os_str().as_bytes().starts_with(b"pipe:");
        targets.filter(|target| !is_pipe(target)).collect()
    }

    /// Open descriptors beyond those it started with.
    pub fn extra_fds(&self) -> usize {
        self.open_targets().len().saturating_sub(self.fds)
    }

    /// The same without one that names `dir`: a directory stays open for a while after a walk.
    pub fn extra_fds_beside(&self, dir: &str) -> usize {
        let targets = self.open_targets();
        let kept = usize::from(targets.contains(&self.path(dir)));
        targets.len().saturating_sub(self.fds + kept)
    }

    /// Waits until all descriptors of all clients are closed.
    pub fn wait_until_idle(&self) {
        let begun = Instant::now();
        while self.extra_fds() > 0 {
            assert!(begun.elapsed() < LIMIT, "{} left", self.extra_fds());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Resident memory, bytes.
    pub fn memory(&self) -> usize {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        let kib: Option<usize> = kib.and_then(|kib| kib.parse().ok());
        kib.expect("a number") * 1024
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().join("export").join(name)
    }

    /// A path beside the folder.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// What it serves and listens at, which is removed when nobody keeps it.
    pub fn top(&self) -> Arc<TempDir> {
        Arc::clone(&self.top)
    }

    /// A connection that has said nothing yet.
    pub fn connect(&self) -> Connection {
        let address = Address::Unix(self.top.path().join("socket"));
        let connection = Connection::connect(&address, Some(LIMIT)).expect("a connection");
        connection.set_timeout(Some(LIMIT)).expect("a timeout");
        connection
    }

    /// A connection whose fid 0 is the root.
    pub fn session(&self) -> Connection {
        self.session_of(MSIZE)
    }

    /// The same with an msize.
    pub fn session_of(&self, msize: u32) -> Connection {
        let mut connection = self.connect();
        connection
            .version(msize, Dialect::Linux)
            .expect("a version");
        connection.call(&attach()).expect("a root");
        connection
    }

    /// Checks that no thread of the server has died and that it says nothing.
    pub fn check(&self) {
        assert_eq!(self.count("task"), self.threads, "all threads live");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.check();
        }
        // The end of its input is the end of the server.
        drop(self.stdin.take());
        let mut text = String::new();
        let mut stderr = self.child.stderr.take();
        if let Some(stderr) = &mut stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        let status = self.child.wait();
        if thread::panicking() {
            eprintln!("the server: {status:?} {text}");
        } else {
            assert_eq!(text, "", "the server has nothing to complain of");
            assert!(status.is_ok_and(|status| status.success()));
        }
    }
}

pub fn attach() -> Request<'static> {
    Request::Attach {
        fid: 0,
        afid: NOFID,
        uname: b"",
        aname: b"",
        n_uname: Some(0),
    }
}

pub fn getattr(fid: u32) -> Request<'static> {
    Request::Getattr {
        fid,
        request_mask: 0x7ff,
    }
}

/// Walks from fid to newfid; returns how many names were found.
pub fn walk(connection: &mut Connection, fid: u32, newfid: u32, names: &[&str]) -> Result<usize> {
    match connection.call(&walk_request(fid, newfid, names))? {
        Reply::Walk { qids } => Ok(qids.as_slice().len()),
        other => panic!("another reply: {other:?}"),
    }
}

/// The request for a walk. Its steps are kept for good: a request borrows them.
pub fn walk_request<'a>(fid: u32, newfid: u32, names: &[&'a str]) -> Request<'a> {
    let steps: Vec<_> = names
        .iter()
        .map(|name| Step::new(name.as_bytes()).expect("a step"))
        .collect();
    let steps = Steps::of(steps.leak()).expect("at most 16 steps");
    Request::Walk { fid, newfid, steps }
}

/// Walks to `names` from the root and opens what is there.
pub fn open(connection: &mut Connection, fid: u32, names: &[&str], flags: u32) -> Result<()> {
    assert_eq!(walk(connection, 0, fid, names)?, names.len());
    connection.call(&Request::Lopen { fid, flags }).map(drop)
}

/// Makes a request that may be refused; anything else is a failure of the test.
pub fn attempt(connection: &mut Connection, request: &Request<'_>) -> Option<i32> {
    match connection.call(request) {
        Ok(_) => None,
        Err(Error::Server { errno, .. }) => Some(errno),
        Err(error) => panic!("{request:?}: {error}"),
    }
}

/// Bytes of requests, one behind the other.
#[derive(Default)]
pub struct Batch(pub Vec<u8>);

impl Batch {
    pub fn add(&mut self, tag: u16, request: &Request<'_>) {
        let mut frame = [0; 4096];
        let len = request.encode(tag, &mut frame).expect("a short request");
        self.0.extend_from_slice(&frame[..len]);
    }
}

/// A sequence that looks random and is always the same (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % end
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}
