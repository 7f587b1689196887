//! What runs in the guest: how each suite is called, what it needs and how its output is judged.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use super::cpio::Archive;
use super::pjdfstest;
use super::server;
use super::server::Kind;
use super::server::Model;
use super::tools;
use super::transport::Mount;
use crate::places;
use crate::totals::Totals;

/// A suite of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Fids outlive names: unlink, rename and removal under open files
    Lifetime,
    /// Byte-range and whole-file locks between processes and between mounts
    Locks,
    /// Locks between the guest and programs on the host
    Hostlocks,
    /// Extended attributes and ACLs
    Xattr,
    /// Odd and forbidden names
    Names,
    /// Large and many reads and writes
    Bigio,
    /// Large directories
    Readdir,
    /// The same tree over 9P2000.u and 9P2000
    Dialects,
    /// QEMU's own server on the same directory
    Interop,
    /// Two clients and the host in one tree: what one does the others see, and races between them
    Coherence,
    /// Very many open files, and many with a server that may open few
    Fids,
    /// Owners translated between guest and host
    Ids,
    /// All that the guest has belongs to the server's own user
    Me,
    /// Users of the guest whose rights the host judges
    Users,
    /// The same without rights for the guest's root
    Squash,
    /// git, sqlite, rsync, tar and dpkg at work
    Apps,
    /// Ways to a server beyond those that Linux's client has of its own
    Transports,
    /// Twenty reboots of the guest with one server
    Reboots,
    /// The public POSIX file system test suite
    Pjdfstest,
    /// The public file system exerciser
    Fsx,
}

impl Suite {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lifetime => "lifetime",
            Self::Locks => "locks",
            Self::Hostlocks => "hostlocks",
            Self::Xattr => "xattr",
            Self::Names => "names",
            Self::Bigio => "bigio",
            Self::Readdir => "readdir",
            Self::Dialects => "dialects",
            Self::Interop => "interop",
            Self::Coherence => "coherence",
            Self::Fids => "fids",
            Self::Ids => "ids",
            Self::Me => "me",
            Self::Users => "users",
            Self::Squash => "squash",
            Self::Apps => "apps",
            Self::Transports => "transports",
            Self::Reboots => "reboots",
            Self::Pjdfstest => "pjdfstest",
            Self::Fsx => "fsx",
        }
    }

    /// Whether it is one of our own, which is built here and speaks with the agent.
    pub fn is_own(self) -> bool {
        !matches!(self, Self::Pjdfstest | Self::Fsx | Self::Reboots)
    }

    /// Whether it needs a guest for itself, which it has boot again and again: the plan begins anew with each boot.
    pub fn reboots(self) -> bool {
        self == Self::Reboots
    }

    /// The server it is asked of.
    pub fn server(self) -> Kind {
        match self {
            Self::Ids => Kind::Translating,
            Self::Me => Kind::MappingToMe,
            Self::Users => Kind::Enforcing,
            Self::Squash => Kind::Squashing,
            _ => Kind::Plain,
        }
    }

    /// Seconds after which it is given up, counted from each boot. Emulated processors are ten to twenty times slower than real ones.
    pub fn limit(self) -> u64 {
        match self {
            Self::Fids => 3000,
            Self::Apps | Self::Interop => 1500,
            Self::Lifetime | Self::Pjdfstest => 900,
            _ => 600,
        }
    }

    /// Its line in the guest's plan: name, limit, cache mode, source and options of the mount, command.
    pub fn plan(self, mount: &Mount, scene: &Scene) -> String {
        let (name, limit) = (self.name(), self.limit());
        let command = match self {
            Self::Pjdfstest => "pjdfstest.sh".to_owned(),
            Self::Fsx => "fsx.sh".to_owned(),
            Self::Reboots => "reboots.sh".to_owned(),
            Self::Interop => format!("interop.sh {}", scene.arguments("/mnt/q")),
            Self::Coherence => format!("coherence.sh {}", scene.arguments("/mnt/b")),
            _ => format!("ninefold-suite {name} {}", scene.arguments("/mnt/b")),
        };
        // sqlite maps its journal index for writing, which Linux refuses without a cache.
        let cache = if self == Self::Apps { "mmap" } else { "none" };
        format!("{name} {limit} {cache} {mount} {command}\n")
    }

    /// What its output and exit status amount to.
    pub fn judge(self, output: &[String], exit: i32) -> Result<Totals> {
        let mut totals = match self {
            Self::Pjdfstest => return pjdfstest::judge(output),
            _ => output
                .iter()
                .rev()
                .find_map(|line| Totals::parse(line))
                .unwrap_or_default(),
        };
        // Killed, or ended without a result: at least one failure even if it counted none.
        if (exit != 0 || totals == Totals::default()) && totals.failed == 0 {
            totals += Totals::FAIL;
        }
        Ok(totals)
    }
}

/// What our own suites have to know of the outside.
pub struct Scene {
    /// Of the agent on the host's loopback address.
    pub agent_port: Option<u16>,
    pub model: Model,
    pub unprivileged: bool,
    pub server_is_qemu: bool,
    /// Of the server, if it is fewer than usual.
    pub open_files_max: Option<u32>,
}

impl Scene {
    fn arguments(&self, second: &str) -> String {
        let model = self.model.name();
        let mut arguments = format!("--mount /mnt/a --second {second} --model {model}");
        if let Some(port) = self.agent_port {
            arguments.push_str(&format!(" --agent 10.0.2.2:{port}"));
        }
        if self.unprivileged {
            arguments.push_str(" --unprivileged");
        }
        if self.server_is_qemu {
            arguments.push_str(" --server-is-qemu");
        }
        if let Some(max) = self.open_files_max {
            arguments.push_str(&format!(" --open-files-max {max}"));
        }
        arguments
    }
}

/// The programs and files that `suites` need in the guest, built or installed.
pub struct Programs {
    files: Vec<(&'static str, PathBuf)>,
}

impl Programs {
    /// Builds all that `suites` need, and the packages in `also`.
    pub fn ready(suites: &[Suite], also: &[&str]) -> Result<Self> {
        let mut packages = also.to_vec();
        let mut files = Vec::new();
        if suites.iter().any(|suite| suite.is_own()) {
            packages.push("ninefold-guest-tests");
            files.push(("ninefold-suite", places::release("ninefold-suite")));
        }
        if suites.contains(&Suite::Transports) {
            packages.push("ninefold-cli");
            files.push(("ninefold", places::release("ninefold")));
        }
        tools::build(&packages)?;
        if suites.contains(&Suite::Pjdfstest) {
            files.push(("pjdfstest", tools::PJDFSTEST.ready()?));
        }
        if suites.contains(&Suite::Fsx) {
            files.push(("fsx", tools::FSX.ready()?));
        }
        for name in [
            "fsx.sh",
            "interop.sh",
            "coherence.sh",
            "reboots.sh",
            "fsx-none.toml",
            "fsx-mmap.toml",
            "pjdfstest.sh",
            "pjdfstest.toml",
        ] {
            files.push((name, places::recipe().join(name)));
        }
        Ok(Self::with(files))
    }

    /// Builds what the benchmark needs.
    pub fn bench() -> Result<Self> {
        tools::build(&["ninefold-cli", "ninefold-guest-tests"])?;
        let program = "ninefold-guest-bench";
        Ok(Self::with(vec![(program, places::release(program))]))
    }

    /// Those, and what runs them.
    fn with(mut files: Vec<(&'static str, PathBuf)>) -> Self {
        for name in ["init.sh", "share.sh"] {
            files.push((name, places::recipe().join(name)));
        }
        Self { files }
    }

    /// Packs them and the plan as the guest's payload.
    pub fn pack(&self, plan: &str) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        archive.directory("payload")?;
        for (name, source) in &self.files {
            archive.copy(&format!("payload/{name}"), 0o755, source)?;
        }
        archive.file("payload/plan", 0o644, plan.as_bytes())?;
        archive.finish()
    }
}

/// What the host's hands may do beyond their user: look after what clients left with odd modes and owners.
const POWERS: &str = "+chown,+dac_override,+fowner,+fsetid";

/// The program on the host that does to the export what a suite asks it to do behind the client's back.
///
/// Beside an unprivileged server it is that one's user, so that what it makes is the server's too.
pub fn agent(export: &Path, unprivileged: bool) -> Command {
    let program = places::release("ninefold-host-agent");
    let mut agent = if unprivileged {
        let mut agent = server::as_nobody();
        agent.args(["--inh-caps", POWERS, "--ambient-caps", POWERS, "--"]);
        agent.arg(program);
        agent
    } else {
        Command::new(program)
    };
    agent.arg("--dir").arg(export);
    agent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_last_result_line_counts() {
        let output =
            lines("1 passed, 0 failed, 0 skipped\nmore\n7 passed, 0 failed, 2 skipped\nbye");
        assert_eq!(
            Suite::Locks.judge(&output, 0).unwrap(),
            Totals {
                passed: 7,
                failed: 0,
                skipped: 2
            }
        );
    }

    #[test]
    fn silence_and_bad_ends_are_failures() {
        assert_eq!(Suite::Locks.judge(&[], 0).unwrap(), Totals::FAIL);
        let output = lines("3 passed, 0 failed, 0 skipped");
        assert_eq!(
            Suite::Locks.judge(&output, 137).unwrap(),
            Totals {
                passed: 3,
                failed: 1,
                skipped: 0
            }
        );
    }
}
