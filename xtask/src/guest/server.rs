//! The server under test: ours, or another one that shows whether the machinery or the server is to blame.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use clap::ValueEnum;

use super::transport::Door;
use super::transport::Transport;
use crate::places;
use crate::process::Running;
use crate::process::TICK;
use crate::stop;

/// User and group `nobody` of Debian.
pub const NOBODY: u32 = 65534;
const START_LIMIT: Duration = Duration::from_secs(20);

/// How the server stores ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// As the client says, which needs root
    Passthrough,
    /// As the server's own user can
    None,
    /// In extended attributes
    MappedXattr,
    /// In files of their own
    MappedFile,
}

impl Model {
    /// As on the command lines of server and suites.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::None => "none",
            Self::MappedXattr => "mapped-xattr",
            Self::MappedFile => "mapped-file",
        }
    }

    /// Owners and modes are kept beside the file, not by the host's file system.
    pub fn is_mapped(self) -> bool {
        matches!(self, Self::MappedXattr | Self::MappedFile)
    }
}

/// What to start as the server.
#[derive(Clone, Debug)]
pub enum Choice {
    /// Ours
    Ninefold,
    /// The guest's QEMU itself, which starts nothing
    Qemu,
    /// A command whose words may hold `{port}`, `{dir}` and `{model}`, and the aname it wants
    Other { command: String, aname: String },
}

impl Choice {
    /// `ninefold`, `diod`, `qemu`, or a command.
    pub fn parse(text: &str) -> Self {
        match text {
            "ninefold" => Self::Ninefold,
            "qemu" => Self::Qemu,
            "diod" => Self::Other {
                command: "diod -f -n -c /dev/null -L stderr -l 127.0.0.1:{port} -e {dir}"
                    .to_owned(),
                aname: "{dir}".to_owned(),
            },
            command => Self::Other {
                command: command.to_owned(),
                aname: String::new(),
            },
        }
    }

    /// Packages of the workspace it is built from.
    pub fn packages(&self) -> &'static [&'static str] {
        match self {
            Self::Ninefold => &["ninefold-cli"],
            Self::Qemu | Self::Other { .. } => &[],
        }
    }
}

/// What a server is to share, and as whom.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The directory to share.
    pub export: &'a Path,
    /// A directory for the log, and for a program that an unprivileged server can reach.
    pub beside: &'a Path,
    pub model: Model,
    pub unprivileged: bool,
    /// How many files it may have open, if that is not our own limit.
    pub open_files_max: Option<u32>,
    pub transport: Transport,
    /// What ours is told beyond that.
    pub kind: Kind,
}

/// What a suite wants of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the configuration says and nothing else
    Plain,
    /// Other owners on the host than in the guest
    Translating,
    /// All that the guest has belongs to the server's own user
    MappingToMe,
    /// The host's kernel checks what each user may do
    Enforcing,
    /// The same, and the guest's root is nobody
    Squashing,
}

impl Kind {
    /// The arguments of ours. Only the guest's root and its users 1000 to 1999 are somebody on the host.
    fn arguments(self, server: u32) -> Vec<String> {
        let root = format!("map:0:{server}:1");
        let words: Vec<&str> = match self {
            Self::Plain => vec![],
            Self::Translating => vec![
                "--translate-uid",
                &root,
                "--translate-uid",
                "map:1000:51000:1000",
                "--translate-gid",
                &root,
                "--translate-gid",
                "map:1000:61000:1000",
            ],
            Self::MappingToMe => vec!["--map-guest-to-me=1000:1000"],
            Self::Enforcing => vec!["--enforce", "server"],
            Self::Squashing => vec!["--enforce", "server", "--squash", "root"],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Whether each user of the guest attaches for itself.
    pub fn is_for_users(self) -> bool {
        matches!(self, Self::Enforcing | Self::Squashing)
    }

    /// Tells it from the others of a run.
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A server that listens.
pub struct Server {
    running: Running,
    /// All that it says.
    pub log: PathBuf,
    pub door: Door,
    /// Mount option of the client; empty for none.
    pub aname: String,
}

impl Server {
    /// Starts it and waits until it listens; there is none where QEMU serves.
    pub fn start(choice: &Choice, task: Task<'_>) -> Result<Option<Self>> {
        let name = task.kind.name();
        let door = Door::new(task.transport, &name, task.beside, task.unprivileged)?;
        let fill = |text: &str| {
            let port = door.port().map(|port| port.to_string()).unwrap_or_default();
            let text = text.replace("{port}", &port);
            let text = text.replace("{model}", task.model.name());
            text.replace("{dir}", &task.export.display().to_string())
        };
        let (words, aname) = match choice {
            Choice::Qemu => return Ok(None),
            Choice::Ninefold => (ours(task, &door)?, String::new()),
            Choice::Other { command, aname } => {
                let words = command.split_whitespace().map(|word| fill(word).into());
                (words.collect(), fill(aname))
            }
        };
        let log = task.beside.join(format!("server-{name}.log"));
        let running = Running::start_logged("server", &command(&words, task), &log)?;
        let mut server = Self {
            running,
            log,
            door,
            aname,
        };
        server.wait_until_it_listens().with_context(|| {
            // Its log is about to go with the directory.
            let said = std::fs::read_to_string(&server.log).unwrap_or_default();
            format!("no server: {}", said.trim_end())
        })?;
        Ok(Some(server))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// An error if it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.running.ended()? {
            Some(status) => bail!("the server ended by itself: {status}"),
            None => Ok(()),
        }
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while !self.door.is_open()? {
            self.check()?;
            stop::check()?;
            ensure!(
                Instant::now() < deadline,
                "the server did not listen within {} s",
                START_LIMIT.as_secs()
            );
            thread::sleep(TICK);
        }
        Ok(())
    }
}

fn ours(task: Task<'_>, door: &Door) -> Result<Vec<OsString>> {
    let mut program = places::release("ninefold");
    if task.unprivileged {
        // The checkout may lie where an ordinary user cannot look.
        let copy = task.beside.join("ninefold");
        if !copy.exists() {
            std::fs::copy(&program, &copy)?;
        }
        program = copy;
    }
    let mut words: Vec<OsString> = vec![program.into(), "serve".into()];
    words.extend(door.served());
    words.extend(["--security-model", task.model.name()].map(OsString::from));
    let user = if task.unprivileged { NOBODY } else { 0 };
    words.extend(task.kind.arguments(user).into_iter().map(OsString::from));
    words.push(task.export.into());
    Ok(words)
}

fn command(words: &[OsString], task: Task<'_>) -> Command {
    let mut all = Vec::new();
    if let Some(max) = task.open_files_max {
        all.extend(["prlimit".into(), format!("--nofile={max}:{max}").into()]);
        all.push(OsString::from("--"));
    }
    all.extend_from_slice(words);
    if !task.unprivileged {
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]);
        return command;
    }
    let mut command = as_nobody();
    command.arg("--").args(all);
    command
}

/// The beginning of a command that runs something as an ordinary user.
pub fn as_nobody() -> Command {
    // The kernel forgets the parent-death signal at a change of user, so it is asked for once more behind it.
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    command.args(["--pdeathsig", "KILL"]);
    command
}
