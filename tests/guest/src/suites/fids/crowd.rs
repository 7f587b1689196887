//! Many files, made and held open by this process.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Resource;
use rustix::process::Rlimit;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;

/// Beside the files of a row.
const SPARE: usize = 200;
const PER_DIRECTORY: usize = 500;

/// How many files a row holds open: what a server has to allow, and what it has to where it may open no
/// more than 256 itself.
pub(super) fn size(ctx: &Ctx, usual: usize, with_few: usize) -> usize {
    if ctx.open_files_max.is_some() {
        with_few
    } else {
        usual
    }
}

/// Files that are open.
pub(super) struct Crowd {
    pub(super) fds: Vec<OwnedFd>,
}

impl Crowd {
    /// Makes so many files and keeps them open; each contains its own name.
    pub(super) fn make(ctx: &Ctx, count: usize) -> Result<Self> {
        let mut crowd = Self { fds: Vec::new() };
        crowd.join(ctx, count)?;
        Ok(crowd)
    }

    /// Makes so many more.
    pub(super) fn join(&mut self, ctx: &Ctx, count: usize) -> Result<()> {
        let first = self.fds.len();
        allow(first + count)?;
        for number in first..first + count {
            let name = name(number);
            if number % PER_DIRECTORY == 0 {
                ctx.mkdir(Who::This, &directory(number))?;
            }
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
            let fd = files::open(ctx.a(&name), flags);
            let fd = fd.with_context(|| format!("file {number} of {}", first + count))?;
            files::write_at(&fd, name.as_bytes(), 0).with_context(|| name.clone())?;
            self.fds.push(fd);
        }
        Ok(())
    }

    /// Each is read and written again, in an order that is not that of their opening.
    pub(super) fn check(&self) -> Result<()> {
        for number in self.shuffled() {
            let (fd, name) = (&self.fds[number], name(number));
            let what = format!("{name}, one of {}", self.fds.len());
            let came = files::read_at(fd, name.len(), 0).with_context(|| what.clone())?;
            same_bytes(&what, &came, name.as_bytes())?;
            let more = more(number);
            files::write_at(fd, more.as_bytes(), 100).with_context(|| what.clone())?;
        }
        for number in self.shuffled().rev() {
            let (fd, more) = (&self.fds[number], more(number));
            let what = format!("{}, once more", name(number));
            let came = files::read_at(fd, more.len(), 100).with_context(|| what.clone())?;
            same_bytes(&what, &came, more.as_bytes())?;
        }
        Ok(())
    }

    /// What the others find by some of the names.
    pub(super) fn check_names(&self, ctx: &Ctx) -> Result<()> {
        for number in (0..self.fds.len()).step_by(self.fds.len() / 50 + 1) {
            let name = name(number);
            let there = std::fs::read(ctx.b(&name)).with_context(|| name.clone())?;
            same_bytes("by the other client", &there[..name.len()], name.as_bytes())?;
            let on_host = ctx.host.read(&ctx.h(&name))?;
            same_bytes("by the host", &on_host, &there)?;
        }
        Ok(())
    }

    fn shuffled(&self) -> impl DoubleEndedIterator<Item = usize> {
        // A prime that divides none of the sizes: each number comes once.
        let count = self.fds.len();
        (0..count).map(move |number| number * 7_919 % count)
    }
}

fn directory(number: usize) -> String {
    format!("d{}", number / PER_DIRECTORY)
}

/// Where a file is, below the row's directory.
pub(super) fn name(number: usize) -> String {
    format!("{}/f{number}", directory(number))
}

fn more(number: usize) -> String {
    format!("more of {number}")
}

/// Lets this process have so many files open.
pub(super) fn allow(count: usize) -> Result<()> {
    let limit = u64::try_from(count + SPARE)?;
    let now = rustix::process::getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= limit) {
        return Ok(());
    }
    let maximum = now.maximum.map(|maximum| maximum.max(limit));
    let wanted = Rlimit {
        current: Some(limit),
        maximum,
    };
    match rustix::process::setrlimit(Resource::Nofile, wanted) {
        Err(Errno::PERM) => skip("this process may not have so many files open"),
        set => set.context("setrlimit"),
    }
}
