//! The floor's other half: what a row's operations need of the kernel, called in a loop without any protocol.
//!
//! The calls are the fewest that can give the answers: directories on the way are held open, as a server may.

mod names;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RawDir;
use rustix::fs::ResolveFlags;
use rustix::fs::StatxFlags;
use rustix::fs::XattrFlags;
use rustix::io;
use rustix::time::ClockId;

use crate::figures;
use crate::load::BULK_UNIT;
use crate::process::Pin;
use crate::tree;
use crate::work::Work;

/// Operations between two looks at the clock.
const BATCH: u64 = 8;
/// What a server's getdents64 may fill, bytes.
const LIST_BUFFER: usize = 128 << 10;

/// Calls what one operation needs; returns how many operations that was.
type Once = Box<dyn FnMut() -> io::Result<u64>>;

/// The calls of a row.
pub struct Plain {
    once: Once,
    /// For how much of what the figures are about one operation counts.
    weight: f64,
}

impl Plain {
    /// The calls of `work`; `count` is the length of a read or write. None where there is nothing to compare with.
    pub fn new(work: Work, root: &Path, entries: u64, count: u32) -> Result<Option<Self>> {
        let weight = if work.is_bulk() {
            f64::from(count) / f64::from(BULK_UNIT)
        } else {
            1.0
        };
        let once = prepare(work, root, entries, count)?;
        Ok(once.map(|once| Self { once, weight }))
    }

    /// Makes the calls of one operation, or of several; returns of how many.
    pub fn once(&mut self) -> io::Result<u64> {
        (self.once)()
    }

    /// Processor time of one operation (of one MiB if the row is bulk), nanoseconds.
    pub fn run(&mut self, time: Duration) -> Result<Option<f64>> {
        let _pin = Pin::new()?;
        let deadline = Instant::now() + time;
        (self.once)()?;
        let before = thread_nanos();
        let mut done = 0u64;
        while done == 0 || Instant::now() < deadline {
            let goal = done + BATCH;
            while done < goal {
                done += (self.once)()?;
            }
        }
        let nanos = (thread_nanos() - before) as f64;
        Ok(figures::ratio(nanos, done as f64 * self.weight))
    }
}

fn thread_nanos() -> i64 {
    let now = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn prepare(work: Work, root: &Path, entries: u64, count: u32) -> Result<Option<Once>> {
    let dir = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Some(match work {
        Work::Getattr | Work::Connections { .. } | Work::BesideSlow => {
            let file = path_of(&dir, tree::SMALL)?;
            Box::new(move || stat(&file, "").map(|()| 1))
        }
        Work::Walk { names } => walk(dir, names)?,
        Work::Among { wide: true } => among(path_of(&dir, tree::WIDE)?, entries),
        Work::Among { wide: false } => among(path_of(&dir, tree::NARROW)?, entries / tree::WIDER),
        Work::OpenRead => open_read(dir),
        Work::CreateWrite => names::create_write(dir),
        Work::Rename => names::rename(dir)?,
        Work::MakeDir => names::make_dir(dir),
        Work::SymbolicLink => names::symbolic_link(dir),
        Work::XattrSet => xattr_set(&dir)?,
        Work::XattrGet => xattr_get(&dir)?,
        Work::List { attributes } => list(dir, attributes),
        Work::ReadOnwards => read(&dir, count, false)?,
        Work::ReadAnywhere => read(&dir, tree::SMALL_LEN, true)?,
        Work::WriteOnwards => write(&dir, count)?,
        Work::Fids { .. } => return Ok(None),
    }))
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
        stat(&end, "").map(|()| 1)
    }))
}

/// The same with one name, another one each time.
fn among(dir: OwnedFd, entries: u64) -> Once {
    let mut entry = 0;
    Box::new(move || {
        // Far from the last one, and coprime to the number of entries.
        entry = (entry + 7919) % entries;
        let name = tree::entry_name(entry);
        stat(&dir, &name)?;
        let end = path_of(&dir, &name)?;
        stat(&end, "").map(|()| 1)
    })
}

/// A statx for the qid, an open, a read, a close.
fn open_read(dir: OwnedFd) -> Once {
    let mut buffer = vec![0; tree::SMALL_LEN as usize];
    Box::new(move || {
        let file = open(&dir, tree::SMALL, OFlags::RDONLY)?;
        stat(&file, "")?;
        io::pread(&file, &mut buffer, 0).map(|_| 1)
    })
}

fn xattr_set(dir: &OwnedFd) -> Result<Once> {
    let file = open(dir, tree::SMALL, OFlags::RDONLY)?;
    Ok(Box::new(move || {
        let flags = XattrFlags::empty();
        rustix::fs::fsetxattr(&file, tree::XATTR, tree::XATTR_VALUE, flags).map(|()| 1)
    }))
}

fn xattr_get(dir: &OwnedFd) -> Result<Once> {
    let file = open(dir, tree::SMALL, OFlags::RDONLY)?;
    let mut value = vec![0; tree::XATTR_VALUE.len()];
    Ok(Box::new(move || {
        rustix::fs::fgetxattr(&file, tree::XATTR, &mut value[..]).map(|_| 1)
    }))
}

/// A part of a listing, as much as comes at once, and a statx of each entry where its attributes are wanted; behind the
/// last entry the listing begins again.
fn list(dir: OwnedFd, attributes: bool) -> Once {
    let mut buffer = Vec::with_capacity(LIST_BUFFER);
    let mut under_way = None;
    Box::new(move || {
        let wide = match under_way.take() {
            Some(wide) => wide,
            None => open(&dir, tree::WIDE, OFlags::RDONLY | OFlags::DIRECTORY)?,
        };
        let mut listing = RawDir::new(&wide, buffer.spare_capacity_mut());
        let mut entries = 0;
        while let Some(entry) = listing.next() {
            let entry = entry?;
            entries += 1;
            if attributes {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::statx(&wide, entry.file_name(), flags, StatxFlags::BASIC_STATS)?;
            }
            if listing.is_buffer_empty() {
                under_way = Some(wide);
                break;
            }
        }
        Ok(entries)
    })
}

fn read(dir: &OwnedFd, count: u32, anywhere: bool) -> Result<Once> {
    let file = open(dir, tree::BIG, OFlags::RDONLY)?;
    let mut buffer = vec![0; count as usize];
    let (mut offset, mut seed) = (0, 1u64);
    Ok(Box::new(move || {
        io::pread(&file, &mut buffer, offset)?;
        if anywhere {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            offset = (seed >> 33) % (tree::BIG_LEN / u64::from(count)) * u64::from(count);
        } else {
            offset = onwards(offset, count);
        }
        Ok(1)
    }))
}

fn write(dir: &OwnedFd, count: u32) -> Result<Once> {
    let file = open(dir, tree::BIG, OFlags::WRONLY)?;
    let data = vec![b'w'; count as usize];
    let mut offset = 0;
    Ok(Box::new(move || {
        io::pwrite(&file, &data, offset)?;
        offset = onwards(offset, count);
        Ok(1)
    }))
}

fn onwards(offset: u64, count: u32) -> u64 {
    let next = offset + u64::from(count);
    if next + u64::from(count) > tree::BIG_LEN {
        0
    } else {
        next
    }
}
