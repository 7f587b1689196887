//! One client on standard input and output.
//!
//! A socket that is both, as inetd and many supervisors give it, is served as it is. Pipes (or a
//! socket for each way) have two threads that copy between them and a socket pair.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use ninefold::Inherited;
use rustix::fs::fstat;

/// The connection, and the thread that writes its last replies.
pub struct Stdio {
    connection: Option<OwnedFd>,
    writer: Option<JoinHandle<()>>,
}

impl Stdio {
    /// Makes one connection of standard input and output.
    pub fn open() -> anyhow::Result<Self> {
        let input = rustix::stdio::stdin().try_clone_to_owned();
        let output = rustix::stdio::stdout().try_clone_to_owned();
        let (input, output) = (input.context("no input")?, output.context("no output")?);
        let (input_stat, output_stat) = (fstat(&input)?, fstat(&output)?);
        let same =
            (input_stat.st_dev, input_stat.st_ino) == (output_stat.st_dev, output_stat.st_ino);
        if same && is_socket(input_stat.st_mode) {
            return Self::over_socket(input);
        }
        Self::over_pipes(input, output)
    }

    fn over_socket(socket: OwnedFd) -> anyhow::Result<Self> {
        let Inherited::Connection(socket) = Inherited::new(socket)? else {
            anyhow::bail!(
                "expected a client on standard input, came a socket that listens (--fd 0 takes it)"
            );
        };
        Ok(Self {
            connection: Some(socket),
            writer: None,
        })
    }

    fn over_pipes(input: OwnedFd, output: OwnedFd) -> anyhow::Result<Self> {
        check_pipe(&input, "input")?;
        check_pipe(&output, "output")?;
        let (server, ours) = UnixStream::pair()?;
        let to_server = ours.try_clone()?;
        let named = |name: &str| thread::Builder::new().name(name.into());
        named("stdin").spawn(move || read_all(input, &to_server))?;
        let writer = named("stdout").spawn(move || write_all(&ours, output))?;
        Ok(Self {
            connection: Some(server.into()),
            writer: Some(writer),
        })
    }

    /// What the server is to serve.
    pub fn take_connection(&mut self) -> Option<OwnedFd> {
        self.connection.take()
    }

    /// Waits until the client has all its replies. The connection has ended already.
    pub fn finish(self) {
        if let Some(writer) = self.writer {
            // If it has panicked, it has said so.
            let _ = writer.join();
        }
    }
}

/// What the client sends. It ends with its standard input.
fn read_all(input: OwnedFd, mut to_server: &UnixStream) {
    if let Err(error) = io::copy(&mut File::from(input), &mut to_server) {
        tracing::debug!(%error, "standard input");
    }
    // The server may have closed the connection already.
    let _ = to_server.shutdown(Shutdown::Write);
}

/// What the client gets. Once it takes no more, nobody is there.
fn write_all(mut from_server: &UnixStream, output: OwnedFd) {
    if let Err(error) = io::copy(&mut from_server, &mut File::from(output)) {
        tracing::debug!(%error, "standard output");
    }
    let _ = from_server.shutdown(Shutdown::Both);
}

fn check_pipe(fd: impl AsFd, which: &str) -> anyhow::Result<()> {
    let mode = fstat(fd)?.st_mode;
    let kind = rustix::fs::FileType::from_raw_mode(mode);
    let what = match kind {
        rustix::fs::FileType::Fifo | rustix::fs::FileType::Socket => return Ok(()),
        rustix::fs::FileType::CharacterDevice => "a terminal or another device",
        _ => "a file",
    };
    anyhow::bail!("expected a socket or a pipe as standard {which}, came {what}")
}

fn is_socket(mode: u32) -> bool {
    rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Socket
}
