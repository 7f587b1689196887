//! `ninefold-host-agent`: the host's hands below the export.
//!
//! Listens on loopback, one thread per connection, until it is killed. It touches nothing outside its
//! directory: paths are relative, without `..`, and no symlink is followed on the way. For the benchmark it also tells
//! what servers have cost.

mod acts;
mod cputime;
mod describe;
mod holder;
mod place;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use clap::Parser;

use crate::agent::acts::Acts;
use crate::agent::cputime::Processes;
use crate::agent::place::Root;
use crate::talk;

/// Do to an exported directory what a host does to it, as told over TCP on loopback.
#[derive(Parser)]
#[command(name = "ninefold-host-agent", version)]
struct Options {
    /// The exported directory
    #[arg(long, value_name = "EXPORT", required_unless_present = "holder")]
    dir: Option<PathBuf>,
    /// Tell what the processes cost whose numbers are in the files of this directory
    #[arg(long, value_name = "DIR")]
    processes: Option<PathBuf>,
    /// Lock standard input and wait to be killed
    #[arg(long, hide = true, num_args = 4, value_names = ["SPACE", "KIND", "START", "LENGTH"])]
    holder: Option<Vec<String>>,
}

/// The whole program `ninefold-host-agent`.
pub fn agent_main() -> ExitCode {
    let options = Options::parse();
    if let Some(lock) = &options.holder {
        return holder::run(lock);
    }
    let processes = Processes(options.processes);
    match listen(&options.dir.unwrap_or_default(), &processes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ninefold-host-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn listen(export: &std::path::Path, processes: &Processes) -> Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let root = Root::open(export).with_context(|| format!("open {}", export.display()))?;
    let root = Arc::new(root);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on loopback")?;
    println!("listening {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    for stream in listener.incoming() {
        let acts = Acts::new(Arc::clone(&root), processes.clone());
        let stream = stream.context("accept")?;
        std::thread::spawn(move || converse(&stream, acts));
    }
    Ok(())
}

/// Until the other side ends it; locks held for it end with it.
fn converse(stream: &TcpStream, mut acts: Acts) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 0 {
        let reply = match talk::decode(&line) {
            Ok(words) => acts.act(&words),
            Err(_) => Err(rustix::io::Errno::INVAL),
        };
        let mut answer = talk::encode_reply(&reply);
        answer.push('\n');
        let mut writer = stream;
        writer.write_all(answer.as_bytes()).ok()?;
        line.clear();
    }
    Some(())
}
