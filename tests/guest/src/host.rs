//! What the host does, asked of the agent there.

use std::cell::RefCell;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::io::Errno;

use crate::talk;
use crate::talk::Reply;

/// No act of the agent takes longer, except making or removing very many files.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection to the agent, made at its first use. Paths are relative to the export.
pub(crate) struct Host {
    address: String,
    line: RefCell<Option<BufReader<TcpStream>>>,
}

/// The host's own view of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostStat {
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) nlink: u64,
}

impl Host {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            line: RefCell::new(None),
        }
    }

    /// Another connection to the same agent: what this one does does not wait for the other.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.address)
    }

    /// One command and its reply; the outer error is the connection's.
    pub(crate) fn ask(&self, words: &[&[u8]]) -> Result<Reply> {
        let mut line = self.line.borrow_mut();
        if line.is_none() {
            *line = Some(self.connect()?);
        }
        let stream = line.as_mut().context("connection")?;
        let mut request = talk::encode(words);
        request.push('\n');
        stream
            .get_mut()
            .write_all(request.as_bytes())
            .context("send to the host agent")?;
        let mut answer = String::new();
        stream
            .read_line(&mut answer)
            .context("receive from the host agent")?;
        ensure!(
            answer.ends_with('\n'),
            "expected a reply of the host agent, came the end of the connection"
        );
        talk::decode_reply(&answer)
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)
            .with_context(|| format!("connect to the host agent at {}", self.address))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    /// A command that must succeed.
    fn must(&self, words: &[&[u8]]) -> Result<Vec<u8>> {
        let reply = self.ask(words)?;
        reply.with_context(|| format!("host: {}", String::from_utf8_lossy(&words.join(&b' '))))
    }

    /// What processes have cost; see the agent's `cputime`.
    pub(crate) fn cputimes(&self) -> Result<String> {
        Ok(String::from_utf8(self.must(&[b"cputimes"])?)?)
    }

    pub(crate) fn write(&self, path: &[u8], data: &[u8]) -> Result<()> {
        self.must(&[b"write", path, data]).map(drop)
    }

    pub(crate) fn append(&self, path: &[u8], data: &[u8]) -> Result<()> {
        self.must(&[b"append", path, data]).map(drop)
    }

    pub(crate) fn read(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.must(&[b"read", path])
    }

    /// Checksum of the content, as [`crate::files::crc32`] computes it.
    pub(crate) fn checksum(&self, path: &[u8]) -> Result<u32> {
        let sum = self.must(&[b"checksum", path])?;
        talk::number_of(&sum).context("expected a number as checksum")
    }

    pub(crate) fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        self.must(&[b"rename", from, to]).map(drop)
    }

    pub(crate) fn exchange(&self, one: &[u8], other: &[u8]) -> Result<()> {
        self.must(&[b"exchange", one, other]).map(drop)
    }

    pub(crate) fn unlink(&self, path: &[u8]) -> Result<()> {
        self.must(&[b"unlink", path]).map(drop)
    }

    pub(crate) fn mkdir(&self, path: &[u8]) -> Result<()> {
        self.must(&[b"mkdir", path]).map(drop)
    }

    pub(crate) fn rmdir(&self, path: &[u8]) -> Result<()> {
        self.must(&[b"rmdir", path]).map(drop)
    }

    pub(crate) fn remove_tree(&self, path: &[u8]) -> Result<()> {
        self.must(&[b"rmtree", path]).map(drop)
    }

    /// Makes the empty files `f0`, `f1`, ... in a directory.
    pub(crate) fn make_many(&self, directory: &[u8], count: usize) -> Result<()> {
        self.make_many_long(directory, count, 0)
    }

    /// The same with so many `-` after each name.
    pub(crate) fn make_many_long(
        &self,
        directory: &[u8],
        count: usize,
        padding: usize,
    ) -> Result<()> {
        let (count, padding) = (count.to_string(), padding.to_string());
        self.must(&[b"mkmany", directory, count.as_bytes(), padding.as_bytes()])
            .map(drop)
    }

    pub(crate) fn symlink(&self, target: &[u8], path: &[u8]) -> Result<()> {
        self.must(&[b"symlink", target, path]).map(drop)
    }

    pub(crate) fn chmod(&self, path: &[u8], mode: u32) -> Result<()> {
        self.must(&[b"chmod", path, mode.to_string().as_bytes()])
            .map(drop)
    }

    pub(crate) fn setxattr(&self, path: &[u8], name: &[u8], value: &[u8]) -> Result<()> {
        self.must(&[b"setxattr", path, name, value]).map(drop)
    }

    pub(crate) fn getxattr(&self, path: &[u8], name: &[u8]) -> Result<Reply> {
        self.ask(&[b"getxattr", path, name])
    }

    pub(crate) fn stat(&self, path: &[u8]) -> Result<Result<HostStat, Errno>> {
        Ok(match self.ask(&[b"stat", path])? {
            Ok(text) => Ok(HostStat::parse(&text)?),
            Err(errno) => Err(errno),
        })
    }

    /// All that lies on the disk below a directory, a line for each name; see the agent's `describe`.
    pub(crate) fn describe(&self, path: &[u8]) -> Result<String> {
        Ok(String::from_utf8(self.must(&[b"describe", path])?)?)
    }

    pub(crate) fn mkfifo(&self, path: &[u8]) -> Result<()> {
        self.must(&[b"mkfifo", path]).map(drop)
    }

    /// Takes a lock in a process of its own; the value releases it.
    pub(crate) fn hold(&self, lock: &[&[u8]]) -> Result<Result<Vec<u8>, Errno>> {
        self.ask(&[&[b"hold".as_slice()], lock].concat())
    }

    pub(crate) fn release(&self, holder: &[u8]) -> Result<()> {
        self.must(&[b"release", holder]).map(drop)
    }

    /// Whether the lock could be had right now.
    pub(crate) fn try_lock(&self, lock: &[&[u8]]) -> Result<Reply> {
        self.ask(&[&[b"try".as_slice()], lock].concat())
    }
}

impl HostStat {
    fn parse(text: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(text)?;
        let numbers: Vec<u64> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [ino, size, mode, uid, gid, nlink] = numbers[..] else {
            anyhow::bail!("expected six numbers, came {text:?}");
        };
        let narrow = |number: u64| u32::try_from(number);
        Ok(Self {
            ino,
            size,
            mode: narrow(mode)?,
            uid: narrow(uid)?,
            gid: narrow(gid)?,
            nlink,
        })
    }
}
