//! A server of the guest's own and a mount of it, for the length of a row.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use crate::expect::holds;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;

/// How long a server may take to end by itself.
const ENDING: Duration = Duration::from_secs(20);

/// A directory to serve, one to mount at and one for sockets, none of them on a share.
pub(super) struct Place {
    base: PathBuf,
}

impl Place {
    pub(super) fn new() -> Result<Self> {
        let base = std::env::temp_dir().join(format!("transport-{}", std::process::id()));
        let place = Self { base };
        for dir in [place.base.clone(), place.tree(), place.point()] {
            fs::create_dir(&dir).with_context(|| format!("mkdir {}", dir.display()))?;
        }
        Ok(place)
    }

    /// What is served.
    pub(super) fn tree(&self) -> PathBuf {
        self.base.join("tree")
    }

    /// Where it is mounted.
    pub(super) fn point(&self) -> PathBuf {
        self.base.join("mnt")
    }

    /// A name for a socket or a file.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// Starts `ninefold serve` with `arguments` and waits until it says that it is ready.
    pub(super) fn serve(&self, arguments: &[&str]) -> Result<Server> {
        self.serve_with(arguments, Stdio::null())
    }

    /// The same with something on its standard input.
    pub(super) fn serve_with(&self, arguments: &[&str], input: impl Into<Stdio>) -> Result<Server> {
        let mut command = self.command();
        command.args(arguments).arg(self.tree());
        Server::start(command.stdin(input).stdout(Stdio::piped()))
    }

    /// A temporary file system of an older kernel has no extended attributes, so it is this model.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("ninefold");
        command.args(["serve", "--security-model", "passthrough"]);
        command
    }

    /// `ninefold mount`.
    pub(super) fn mount(&self, url: &str) -> Result<()> {
        run(Command::new("ninefold")
            .args(["mount", url])
            .arg(self.point()))
    }

    /// mount(8) with both ways through its standard input.
    pub(super) fn mount_with(&self, connection: impl Into<Stdio>) -> Result<()> {
        let mut mount = Command::new("mount");
        let options = "trans=fd,rfdno=0,wfdno=0,version=9p2000.L,access=client";
        mount.args(["-t", "9p", "-o", options, "none"]);
        run(mount.arg(self.point()).stdin(connection))
    }

    pub(super) fn unmount(&self) -> Result<()> {
        run(Command::new("umount").arg(self.point()))
    }

    /// What is done to the mount is done to the tree, and the other way round.
    pub(super) fn is_the_tree(&self) -> Result<()> {
        let (tree, point) = (self.tree(), self.point());
        holds("it is a mount", is_mounted_9p(&point)?)?;
        let content = files::pattern(9, 300_001);
        fs::write(point.join("there"), &content).context("write through the mount")?;
        let came = fs::read(tree.join("there")).context("read in the tree")?;
        same_bytes("what was written through the mount", &came, &content)?;
        fs::write(tree.join("here"), &content).context("write in the tree")?;
        let came = fs::read(point.join("here")).context("read through the mount")?;
        same_bytes("what was written in the tree", &came, &content)?;
        fs::rename(point.join("there"), point.join("here")).context("rename")?;
        let names = fs::read_dir(&point)?.map(|entry| entry.map(|entry| entry.file_name()));
        let names: Vec<_> = names.collect::<Result<_, _>>().context("readdir")?;
        same("names in the mount", names, vec!["here".into()])
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.point()).output();
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// A running server; dropping it ends it.
pub(super) struct Server {
    child: Child,
    /// Where it can be reached, as it says itself.
    pub(super) url: Option<String>,
    /// It may say more.
    _output: Option<BufReader<ChildStdout>>,
}

impl Server {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.spawn().context("start ninefold serve")?;
        let mut output = child.stdout.take().map(BufReader::new);
        let mut line = String::new();
        if let Some(output) = &mut output {
            output.read_line(&mut line).context("ninefold serve")?;
        }
        let url = line.trim_end().strip_prefix("listening on ");
        Ok(Self {
            child,
            url: url.map(str::to_owned),
            _output: output,
        })
    }

    /// The address, of a server that listens.
    pub(super) fn url(&self) -> Result<&str> {
        self.url.as_deref().context("expected `listening on URL`")
    }

    pub(super) fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until it ends by itself.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < ENDING {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("expected an end of the server, came none")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that is to succeed.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let out = command.output().context("start a command")?;
    ensure!(
        out.status.success(),
        "{command:?}: {} {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

/// A line of mountinfo: ID PARENT DEVICE ROOT POINT OPTIONS.. - TYPE SOURCE OPTIONS.
fn is_mounted_9p(point: &Path) -> Result<bool> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().any(|line| {
        let words: Vec<_> = line.split(' ').collect();
        words.get(4).is_some_and(|at| Path::new(at) == point) && line.contains(" - 9p ")
    }))
}
