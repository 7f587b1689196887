//! A process on the host that holds a lock. A process of its own, because POSIX locks belong to a process
//! and go with its first close of the file.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Signal;

use crate::agent::place::Place;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;
use crate::talk;

/// A running holder; dropping it releases the lock.
pub(super) struct Holder(Child);

impl Holder {
    /// Starts a process that has the lock when this returns, or says why it could not be had.
    pub(super) fn start(lock: &[&[u8]], place: &Place) -> Result<Self, Errno> {
        let file = File::from(place.open(OFlags::RDWR)?);
        let spawned = std::env::current_exe().and_then(|program| {
            Command::new(program)
                .arg("--holder")
                .args(
                    lock.iter()
                        .map(|word| String::from_utf8_lossy(word).into_owned()),
                )
                .stdin(file)
                .stdout(Stdio::piped())
                .spawn()
        });
        let mut holder =
            Self(spawned.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?);
        let mut answer = String::new();
        let mut pipe = BufReader::new(holder.0.stdout.take().ok_or(Errno::PIPE)?);
        pipe.read_line(&mut answer).map_err(|_| Errno::PIPE)?;
        talk::decode_reply(&answer).map_err(|_| Errno::INVAL)??;
        Ok(holder)
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The holder's whole life.
pub(super) fn run(words: &[String]) -> ExitCode {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let reply = lock(words).map(|()| vec![]);
    println!("{}", talk::encode_reply(&reply));
    let _ = std::io::stdout().flush();
    if reply.is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        std::thread::park();
    }
}

fn lock(words: &[String]) -> Result<(), Errno> {
    let [space, kind, start, length] = words else {
        return Err(Errno::INVAL);
    };
    let space = Space::parse(space.as_bytes()).ok_or(Errno::INVAL)?;
    let kind = Kind::parse(kind.as_bytes()).ok_or(Errno::INVAL)?;
    let number = |text: &str| text.parse().map_err(|_| Errno::INVAL);
    let range = Range::new(number(start)?, number(length)?);
    crate::sys::lock(std::io::stdin(), space, kind, range, false)
}
