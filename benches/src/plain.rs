//! The floor's other half: what a row's operations need of the kernel, called in a loop without any protocol.
//!
//! The calls are the fewest that can give the answers: directories on the way are held open, as a server may.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::StatxFlags;
use rustix::io;
use rustix::time::ClockId;

use crate::process::Pin;
use crate::tree;
use crate::work::Work;

type Once = Box<dyn FnMut() -> io::Result<()>>;

/// Processor time of one operation of `work` (of one MiB if it is bulk), nanoseconds; `count` is the length of a read or write.
pub fn measure(work: Work, root: &Path, count: u32, time: Duration) -> Result<f64> {
    let mut once = prepare(work, root, count)?;
    let _pin = Pin::new()?;
    let deadline = Instant::now() + time;
    for _ in 0..16 {
        once()?;
    }
    let before = thread_nanos();
    let mut done = 0u64;
    while Instant::now() < deadline {
        for _ in 0..16 {
            once()?;
        }
        done += 16;
    }
    let nanos = (thread_nanos() - before) as f64;
    if work.is_bulk() {
        let bytes = (done * u64::from(count)) as f64;
        return Ok(nanos / (bytes / f64::from(1 << 20)));
    }
    Ok(nanos / done.max(1) as f64)
}

fn thread_nanos() -> i64 {
    let now = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn prepare(work: Work, root: &Path, count: u32) -> Result<Once> {
    let dir = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok(match work {
        Work::Getattr => {
            let file = path_of(&dir, tree::SMALL)?;
            Box::new(move || stat(&file, ""))
        }
        Work::Walk { names } => walk(dir, names)?,
        Work::OpenRead => open_read(dir),
        Work::CreateWrite => create_write(dir),
        Work::ReadOnwards => read(dir, count, tree::BIG_LEN, false)?,
        Work::ReadAnywhere => read(dir, count, tree::BIG_LEN, true)?,
        Work::WriteOnwards => write(dir, count)?,
    })
}

fn stat(dir: &OwnedFd, name: &str) -> io::Result<()> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS).map(drop)
}

fn open(dir: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let mode = if flags.contains(OFlags::CREATE) {
        Mode::from_raw_mode(0o644)
    } else {
        Mode::empty()
    };
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(dir, name, flags, mode, resolve)
}

fn path_of(dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    open(dir, name, OFlags::PATH)
}

/// One statx for the qid of each name, in directories that are held; the last one is opened, looked at and closed.
fn walk(dir: OwnedFd, names: usize) -> Result<Once> {
    let path = tree::deep(names);
    let mut held = vec![dir];
    for (level, name) in path.iter().enumerate().take(names - 1) {
        held.push(path_of(&held[level], name)?);
    }
    Ok(Box::new(move || {
        for (dir, name) in held.iter().zip(&path) {
            stat(dir, name)?;
        }
        let end = path_of(&held[path.len() - 1], &path[path.len() - 1])?;
        stat(&end, "")
    }))
}

/// A statx for the qid, an open, a read, a close.
fn open_read(dir: OwnedFd) -> Once {
    let mut buffer = vec![0; tree::SMALL_LEN as usize];
    Box::new(move || {
        let file = open(&dir, tree::SMALL, OFlags::RDONLY)?;
        stat(&file, "")?;
        io::pread(&file, &mut buffer, 0).map(drop)
    })
}

/// A create, a statx for the qid, a write, a close, an unlink.
fn create_write(dir: OwnedFd) -> Once {
    let data = vec![b'w'; tree::SMALL_LEN as usize];
    Box::new(move || {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let file = open(&dir, "plain", flags)?;
        stat(&file, "")?;
        io::pwrite(&file, &data, 0)?;
        drop(file);
        rustix::fs::unlinkat(&dir, "plain", AtFlags::empty())
    })
}

fn read(dir: OwnedFd, count: u32, end: u64, anywhere: bool) -> Result<Once> {
    let file = open(&dir, tree::BIG, OFlags::RDONLY)?;
    let mut buffer = vec![0; count as usize];
    let (mut offset, mut seed) = (0, 1u64);
    Ok(Box::new(move || {
        io::pread(&file, &mut buffer, offset)?;
        if anywhere {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            offset = (seed >> 33) % (end / u64::from(count)) * u64::from(count);
        } else {
            offset = onwards(offset, count, end);
        }
        Ok(())
    }))
}

fn write(dir: OwnedFd, count: u32) -> Result<Once> {
    let file = open(&dir, tree::BIG, OFlags::WRONLY)?;
    let data = vec![b'w'; count as usize];
    let mut offset = 0;
    Ok(Box::new(move || {
        io::pwrite(&file, &data, offset)?;
        offset = onwards(offset, count, tree::BIG_LEN);
        Ok(())
    }))
}

fn onwards(offset: u64, count: u32, end: u64) -> u64 {
    let next = offset + u64::from(count);
    if next + u64::from(count) > end {
        0
    } else {
        next
    }
}
