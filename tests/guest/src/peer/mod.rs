//! A peer: another process of this guest, told over pipes what to do. Commands may block in it (that is
//! what locks are for) while the row goes on.

pub(crate) mod serve;

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::io::FdFlags;

use crate::sys::Conflict;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;
use crate::talk;
use crate::talk::Reply;
use crate::talk::number_of;

/// The first argument that makes the program a peer.
pub(crate) const FLAG: &str = "--peer";

/// How long a command that does not block may take in an emulated guest.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running peer; dropping it kills it.
pub(crate) struct Peer {
    child: Child,
    answers: Receiver<String>,
}

/// An open file of the peer, by its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerFd(i32);

impl Peer {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(FLAG)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start a peer process")?;
        let pipe = child.stdout.take().context("pipe from the peer")?;
        let (sender, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, answers })
    }

    /// A peer that inherits an open file, as a forked child does.
    pub(crate) fn inheriting(fd: impl AsFd) -> Result<(Self, PeerFd)> {
        rustix::io::fcntl_setfd(&fd, FdFlags::empty())?;
        let peer = Self::start()?;
        rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        let number = fd.as_fd().as_raw_fd();
        peer.must(&[b"adopt", number.to_string().as_bytes()])?;
        Ok((peer, PeerFd(number)))
    }

    /// A peer that is this user of the guest, in this group and no other.
    pub(crate) fn of_user(uid: u32, gid: u32) -> Result<Self> {
        let peer = Self::start()?;
        let (uid, gid) = (uid.to_string(), gid.to_string());
        peer.must(&[b"become", uid.as_bytes(), gid.as_bytes()])?;
        Ok(peer)
    }

    /// Does in a directory what the words of [`crate::deeds::act`] say.
    pub(crate) fn act(&self, directory: &Path, words: &[&str]) -> Result<Reply> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let place: [&[u8]; 2] = [b"in", directory.as_os_str().as_bytes()];
        self.ask(&[&place[..], &words[..]].concat())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command and does not wait for what comes of it.
    pub(crate) fn begin(&self, words: &[&[u8]]) -> Result<()> {
        let mut line = talk::encode(words);
        line.push('\n');
        let mut pipe = self.child.stdin.as_ref().context("pipe to the peer")?;
        pipe.write_all(line.as_bytes()).context("send to the peer")
    }

    /// What came of the oldest command, if it ends in time.
    pub(crate) fn finish(&self, patience: Duration) -> Result<Option<Reply>> {
        match self.answers.recv_timeout(patience) {
            Ok(line) => talk::decode_reply(&line).map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the peer process died"),
        }
    }

    /// One command and its reply.
    pub(crate) fn ask(&self, words: &[&[u8]]) -> Result<Reply> {
        self.begin(words)?;
        self.answer(PATIENCE)
    }

    /// The reply to a command begun before.
    pub(crate) fn answer(&self, patience: Duration) -> Result<Reply> {
        let reply = self.finish(patience)?;
        reply.with_context(|| format!("expected an end within {patience:?}, the peer still waits"))
    }

    fn must(&self, words: &[&[u8]]) -> Result<Vec<u8>> {
        self.ask(words)?
            .with_context(|| format!("peer: {}", String::from_utf8_lossy(&words.join(&b' '))))
    }

    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> Result<PeerFd> {
        let fd = self.must(&[
            b"open",
            path.as_os_str().as_bytes(),
            flags.bits().to_string().as_bytes(),
        ])?;
        Ok(PeerFd(number_of(&fd).context("descriptor")?))
    }

    pub(crate) fn close(&self, fd: PeerFd) -> Result<()> {
        self.must(&[b"close", &fd.word()]).map(drop)
    }

    /// Asks for a lock and does not wait for it.
    pub(crate) fn lock(
        &self,
        fd: PeerFd,
        space: Space,
        kind: Kind,
        range: Range,
    ) -> Result<Result<(), Errno>> {
        Ok(self
            .ask(
                &lock_words(b"lock", fd, space, kind, range)
                    .each_ref()
                    .map(Vec::as_slice),
            )?
            .map(drop))
    }

    /// Starts to wait for a lock; [`Peer::answer`] or [`Peer::finish`] tells the end of it.
    pub(crate) fn begin_lock(
        &self,
        fd: PeerFd,
        space: Space,
        kind: Kind,
        range: Range,
    ) -> Result<()> {
        self.begin(
            &lock_words(b"wait", fd, space, kind, range)
                .each_ref()
                .map(Vec::as_slice),
        )
    }

    /// The first lock that such a lock would meet.
    pub(crate) fn in_the_way(
        &self,
        fd: PeerFd,
        space: Space,
        kind: Kind,
        range: Range,
    ) -> Result<Option<Conflict>> {
        let answer = self.must(
            &lock_words(b"getlk", fd, space, kind, range)
                .each_ref()
                .map(Vec::as_slice),
        )?;
        if answer.is_empty() {
            return Ok(None);
        }
        let words: Vec<&[u8]> = answer.split(|&byte| byte == b' ').collect();
        let [kind, start, length, pid] = words[..] else {
            bail!("expected four words, came {}", words.len());
        };
        Ok(Some(Conflict {
            kind: Kind::parse(kind).context("kind")?,
            start: number_of(start).context("start")?,
            length: number_of(length).context("length")?,
            pid: number_of(pid).context("pid")?,
        }))
    }

    /// SIGKILL, and the end awaited.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().context("kill the peer")?;
        self.child.wait().context("wait for the peer")?;
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl PeerFd {
    pub(crate) fn word(self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
}

fn lock_words(command: &[u8], fd: PeerFd, space: Space, kind: Kind, range: Range) -> [Vec<u8>; 7] {
    let whence: &[u8] = if range.from_end { b"end" } else { b"start" };
    [
        command.to_vec(),
        fd.word(),
        space.word().into(),
        kind.word().into(),
        whence.to_vec(),
        range.start.to_string().into_bytes(),
        range.length.to_string().into_bytes(),
    ]
}
