//! What is compared: two servers and QEMU's own, on one directory of the host in which each has a directory of its own.

use std::fs;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use tempfile::TempDir;

use super::super::fsdev;
use super::super::private;
use super::super::server::Choice;
use super::super::server::Kind;
use super::super::server::Model;
use super::super::server::Server;
use super::super::server::Task;
use super::super::session;
use super::super::suites;
use super::super::transport::Mount;
use super::super::transport::Transport;
use crate::process::Running;

/// The shares, in the order in which they are measured: names of processes and directories.
pub const SHARES: [&str; 3] = [VHOST, QEMU, TCP];
/// ninefold over vhost-user
pub const VHOST: &str = "vhost";
/// QEMU's own server
pub const QEMU: &str = "qemu";
/// ninefold over tcp
pub const TCP: &str = "tcp";

/// As the works of `ninefold-guest-bench` expect them.
const FILE_PAGES: u64 = 8192;
const PAGE: usize = 4096;
const TREE: [u32; 2] = [100, 100];

/// All that stands ready for the guest.
pub struct Stage {
    servers: [Server; 2],
    agent: (Running, u16),
    dir: TempDir,
}

impl Stage {
    /// Makes the directory in `base` and starts the servers.
    pub fn set(base: &Path) -> Result<Self> {
        let dir = private::directory(base, "ninefold-guest-bench")?;
        let export = dir.path().join("export");
        for share in SHARES {
            fill(&export.join(share)).with_context(|| format!("cannot fill {}", base.display()))?;
        }
        fs::create_dir(processes(dir.path()))?;
        let start = |name, transport| start(dir.path(), name, transport);
        let servers = [
            start(VHOST, Transport::VhostUser)?,
            start(TCP, Transport::Tcp)?,
        ];
        let mut agent = suites::agent(&export, false);
        agent.arg("--processes").arg(processes(dir.path()));
        let stage = Self {
            servers,
            agent: session::start_agent(&agent)?,
            dir,
        };
        for (name, server) in [VHOST, TCP].into_iter().zip(&stage.servers) {
            stage.note(name, server.id())?;
        }
        Ok(stage)
    }

    /// Tells the agent of a process.
    pub fn note(&self, name: &str, process: u32) -> Result<()> {
        fs::write(processes(self.dir()).join(name), process.to_string())?;
        Ok(())
    }

    /// The line of the guest's plan.
    pub fn plan(&self, arguments: &str) -> String {
        let limit = super::LIMIT.as_secs();
        let port = self.agent.1;
        let mut line =
            format!("bench {limit} - - - ninefold-guest-bench --agent 10.0.2.2:{port} {arguments}");
        for (share, mount) in SHARES.into_iter().zip(self.mounts()) {
            line.push_str(&format!(
                " --share {share},{},{}",
                mount.source, mount.options
            ));
        }
        line.push('\n');
        line
    }

    /// The same options for all, with the longest messages that all of them can have.
    fn mounts(&self) -> [Mount; 3] {
        let [vhost, tcp] = &self.servers;
        let (vhost, mut tcp) = (vhost.door.mount(), tcp.door.mount());
        tcp.options = tcp.options.replace("msize=1048576", "msize=512000");
        let mut mounts = [vhost, Mount::virtio(fsdev::PEER.to_owned()), tcp];
        for mount in &mut mounts {
            mount.options.push_str(",access=client");
        }
        mounts
    }

    /// QEMU's arguments. Threads with names can be told from each other.
    pub fn devices(&self) -> Vec<String> {
        let named = ["-name", "guest,debug-threads=on"].map(str::to_owned);
        let export = self.dir().join("export");
        let own = fsdev::arguments(&export, Model::Passthrough, &[fsdev::PEER]);
        let ours = self.servers[0].door.offered();
        [&named[..], &Transport::VhostUser.machine(), &ours, &own].concat()
    }

    /// An error if a server has ended.
    pub fn check(&mut self) -> Result<()> {
        self.servers.iter_mut().try_for_each(Server::check)
    }

    /// A private directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn processes(dir: &Path) -> PathBuf {
    dir.join("processes")
}

fn start(dir: &Path, name: &str, transport: Transport) -> Result<Server> {
    let beside = dir.join(name);
    fs::create_dir(&beside)?;
    let task = Task {
        export: &dir.join("export"),
        beside: &beside,
        model: Model::Passthrough,
        unprivileged: false,
        open_files_max: None,
        transport,
        kind: Kind::Plain,
    };
    let server = Server::start(&Choice::Ninefold, task)?;
    server.context("ninefold is a process")
}

/// The tree that the works know: `data`, whose pages begin with their offset, and `tree`, with empty files.
fn fill(share: &Path) -> Result<()> {
    fs::create_dir_all(share)?;
    let mut data = BufWriter::new(File::create(share.join("data"))?);
    for number in 0..FILE_PAGES {
        let mut page = [0x5A; PAGE];
        page[..8].copy_from_slice(&(number * PAGE as u64).to_le_bytes());
        data.write_all(&page)?;
    }
    data.flush()?;
    let [directories, files] = TREE;
    for directory in 0..directories {
        let directory = share.join(format!("tree/d{directory}"));
        fs::create_dir_all(&directory)?;
        (0..files)
            .try_for_each(|file| File::create(directory.join(format!("f{file}"))).map(drop))?;
    }
    Ok(())
}
