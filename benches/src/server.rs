//! The servers that are measured: how each is started, what it wants to be attached to, how it ends.

use std::fmt;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use clap::ValueEnum;

use crate::process;
use crate::process::Pin;

/// What unpfs appends to the name of its socket.
const UNPFS_PORT: &str = ":0";
const START_LIMIT: Duration = Duration::from_secs(20);

/// Whom to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Ours
    Ninefold,
    /// The null responder of this program
    Null,
    /// The null responder that makes the floor's system calls as well
    Bare,
    /// Debian's diod
    Diod,
    /// The p9 crate behind a small loop
    P9,
    /// The program unpfs, of the crate rs9p
    Unpfs,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ninefold => "ninefold",
            Self::Null => "null",
            Self::Bare => "bare",
            Self::Diod => "diod",
            Self::P9 => "p9",
            Self::Unpfs => "unpfs",
        })
    }
}

/// Where the programs are.
pub struct Programs {
    pub ninefold: PathBuf,
    /// The directory of `peer-p9` and `unpfs`.
    pub peers: PathBuf,
}

/// How to start one.
pub struct Task<'a> {
    pub peer: Peer,
    /// The name of the row.
    pub row: &'a str,
    /// The directory to share.
    pub export: &'a Path,
    /// A directory for its socket and its log.
    pub beside: &'a Path,
    /// The security model of ours.
    pub model: &'a str,
    /// Entries that the null responder pretends to have.
    pub entries: u64,
    /// On one processor.
    pub pinned: bool,
}

/// A server that listens; dropping it ends it.
pub struct Server {
    child: Child,
    pub socket: PathBuf,
    /// What its clients attach.
    pub aname: String,
}

impl Server {
    /// Starts it and waits until it listens.
    pub fn start(programs: &Programs, task: &Task<'_>) -> Result<Self> {
        let socket = match task.peer {
            Peer::Unpfs => format!("socket{UNPFS_PORT}"),
            _ => "socket".to_owned(),
        };
        let socket = task.beside.join(socket);
        if socket.exists() {
            std::fs::remove_file(&socket)?;
        }
        let log = task.beside.join("log");
        let output = File::create(&log)?;
        // The kernel ends it with us, however we end.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        let words = words(programs, task, &socket)?;
        command.args(&words).stdin(Stdio::null());
        // One that crashes leaves its core where all goes away in the end.
        command.current_dir(task.beside);
        command.stdout(output.try_clone()?).stderr(output);
        let pin = task.pinned.then(Pin::new).transpose()?;
        let child = command.spawn();
        drop(pin);
        let child = child.with_context(|| format!("cannot start {}", task.peer))?;
        let aname = match task.peer {
            Peer::Diod => task.export.display().to_string(),
            _ => String::new(),
        };
        let mut server = Self {
            child,
            socket,
            aname,
        };
        server.wait_until_it_listens().with_context(|| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            format!("{} does not start: {}", task.peer, said.trim_end())
        })?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while UnixStream::connect(&self.socket).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended: {status}");
            }
            ensure!(Instant::now() < deadline, "it does not listen");
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it has used, nanoseconds.
    pub fn cpu_nanos(&self) -> Result<u64> {
        process::cpu_nanos(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited_for = self.child.wait();
    }
}

fn words(programs: &Programs, task: &Task<'_>, socket: &Path) -> Result<Vec<std::ffi::OsString>> {
    let mut words: Vec<std::ffi::OsString> = Vec::new();
    match task.peer {
        Peer::Ninefold => {
            words.extend([programs.ninefold.clone().into(), "serve".into()]);
            words.extend(["--security-model".into(), task.model.into()]);
            words.extend(["--unix".into(), socket.into()]);
        }
        Peer::Null => {
            words.extend([std::env::current_exe()?.into(), "null".into()]);
            words.extend([socket.into(), task.entries.to_string().into()]);
            return Ok(words);
        }
        Peer::Bare => {
            words.extend([std::env::current_exe()?.into(), "null".into()]);
            words.extend([socket.into(), task.entries.to_string().into()]);
            words.extend(["--row".into(), task.row.into(), "--tree".into()]);
        }
        Peer::Diod => {
            let fixed = "diod -f -n -c /dev/null -L stderr -l";
            words.extend(fixed.split(' ').map(Into::into));
            words.extend([socket.into(), "-e".into()]);
        }
        Peer::P9 => {
            words.push(programs.peers.join("peer-p9").into());
            words.extend(["--unix".into(), socket.into()]);
        }
        Peer::Unpfs => {
            words.push(programs.peers.join("unpfs").into());
            let path = socket.display().to_string();
            let path = path.strip_suffix(UNPFS_PORT).unwrap_or(&path);
            words.push(format!("unix!{path}!0").into());
        }
    }
    words.push(task.export.into());
    Ok(words)
}
