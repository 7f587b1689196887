//! `peer-p9`: a folder served by the crate `p9` on a unix socket, for the benchmark to compare with.
//!
//! Not a server to rely on: whoever reaches the socket acts as the user who started this.

mod serve;

use p9::{Config, Server};
use rustix::fs::Mode;
use rustix::process::{Resource, getrlimit, setrlimit, umask};
use std::ffi::OsString;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

/// The longest message agreed to, bytes. The crate's own default, 64 KiB and a header, would keep
/// it out of the rows with longer ones; it takes whatever its configuration says.
const MSIZE: u32 = 1 << 20;

const USAGE: &str = "usage: peer-p9 --unix PATH DIR";

/// What was asked for on the command line.
struct Arguments {
    socket: PathBuf,
    dir: PathBuf,
}

impl Arguments {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let given: Vec<OsString> = arguments.collect();
        match given.as_slice() {
            [option, socket, dir] if option == "--unix" => Some(Self {
                socket: socket.into(),
                dir: dir.into(),
            }),
            _ => None,
        }
    }
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args_os().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer-p9: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until accepting fails. Each connection has a server, so its own fids, and a thread.
fn run(arguments: &Arguments) -> io::Result<()> {
    let config = Config {
        // The crate does not follow a link here.
        root: arguments.dir.canonicalize()?.into(),
        msize: MSIZE,
        ..Config::default()
    };
    raise_descriptor_limit()?;
    let listener = UnixListener::bind(&arguments.socket)?;
    // The client has applied its own already; after binding, for the socket is not a client's.
    umask(Mode::empty());
    for stream in listener.incoming() {
        begin(stream?, Server::with_config(config.clone())?)?;
    }
    Ok(())
}

/// The crate holds a descriptor for every fid, and the usual soft limit of 1024 is soon reached.
fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn begin(stream: UnixStream, server: Server) -> io::Result<()> {
    let conversation = move || {
        if let Err(error) = serve::serve(&stream, server, MSIZE) {
            eprintln!("peer-p9: connection ended: {error}");
        }
    };
    thread::Builder::new().spawn(conversation).map(drop)
}
