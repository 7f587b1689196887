//! The works, and what each does.
//!
//! All of them know the tree that the host has made: `data`, a file each 4096 bytes of which begin with their offset, and
//! `tree`, directories with empty files.

use std::fs;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::files;

const MIB: usize = 1 << 20;
/// The smallest page there is.
const PAGE: usize = 4096;
/// Of `data` and of what is written.
const FILE_BYTES: usize = 32 * MIB;
/// Reads or writes of a random work.
const RANDOM_COUNT: usize = 2000;
/// In `tree`.
const TREE_FILES: usize = 10_000;
const MADE_FILES: usize = 3000;
const IDLE: Duration = Duration::from_secs(2);

type Step = fn(&Path) -> Result<()>;

/// Something to measure, in the directory of a share.
pub(super) struct Work {
    pub(super) name: &'static str,
    /// For a table.
    pub(super) what: &'static str,
    /// Of the mount.
    pub(super) cache: &'static str,
    pub(super) prepare: Step,
    /// What is measured.
    pub(super) run: Step,
    pub(super) clear: Step,
    /// Too short to be measured once where the client has long messages.
    pub(super) repeats: bool,
}

impl Work {
    fn new(name: &'static str, what: &'static str, run: Step) -> Self {
        Self {
            name,
            what,
            cache: "none",
            prepare: nothing,
            run,
            clear: nothing,
            repeats: false,
        }
    }

    fn repeating(self) -> Self {
        let repeats = true;
        Self { repeats, ..self }
    }

    /// Afterwards there is a file to check and to remove.
    fn writing(self) -> Self {
        let clear = remove_written;
        Self { clear, ..self }
    }

    /// Through the page cache of the guest.
    fn cached(self) -> Self {
        let cache = "mmap";
        Self { cache, ..self }
    }
}

/// All works in their order.
pub(super) fn all() -> Vec<Work> {
    vec![
        Work::new("write-1m", "write 32 MiB by 1 MiB", |at| write(at, MIB))
            .writing()
            .repeating(),
        Work::new("read-1m", "read 32 MiB by 1 MiB", |at| read(at, MIB)).repeating(),
        Work::new("write-128k", "write 32 MiB by 128 KiB", |at| {
            write(at, MIB / 8)
        })
        .writing()
        .repeating(),
        Work::new("read-128k", "read 32 MiB by 128 KiB", |at| {
            read(at, MIB / 8)
        })
        .repeating(),
        Work::new(
            "write-4k",
            "write 4 KiB at 2,000 random places",
            write_randomly,
        ),
        Work::new(
            "read-4k",
            "read 4 KiB at 2,000 random places",
            read_randomly,
        ),
        Work::new("find", "find and stat 10,000 files", find),
        Work {
            prepare: |at| Ok(fs::create_dir(at.join("made"))?),
            clear: |at| Ok(fs::remove_dir(at.join("made"))?),
            ..Work::new("create", "create and delete 3,000 files", create)
        },
        Work::new(
            "write-cached",
            "write 32 MiB by 1 MiB and fsync, `cache=mmap`",
            |at| write(at, MIB),
        )
        .writing()
        .cached(),
        Work::new("read-cached", "read 32 MiB by 1 MiB, `cache=mmap`", |at| {
            read(at, MIB)
        })
        .cached(),
        Work::new("idle", "nothing, for 2 s", |_| {
            std::thread::sleep(IDLE);
            Ok(())
        }),
    ]
}

fn nothing(_: &Path) -> Result<()> {
    Ok(())
}

fn write(at: &Path, piece: usize) -> Result<()> {
    let file = File::create(at.join("written"))?;
    let mut buffer = Buffer::new(piece);
    for offset in (0..FILE_BYTES).step_by(piece) {
        file.write_all_at(buffer.marked(offset), offset as u64)?;
    }
    // Without a cache nothing is left to be written, and this is one request.
    Ok(file.sync_all()?)
}

fn remove_written(at: &Path) -> Result<()> {
    let written = at.join("written");
    let length = fs::metadata(&written)?.len();
    ensure!(
        length == FILE_BYTES as u64,
        "expected {FILE_BYTES} bytes, came {length}"
    );
    Ok(fs::remove_file(written)?)
}

fn read(at: &Path, piece: usize) -> Result<()> {
    let file = File::open(at.join("data"))?;
    let mut buffer = Buffer::new(piece);
    for offset in (0..FILE_BYTES).step_by(piece) {
        file.read_exact_at(buffer.bytes(), offset as u64)?;
        buffer.check(offset)?;
    }
    Ok(())
}

fn write_randomly(at: &Path) -> Result<()> {
    let file = File::options().write(true).open(at.join("data"))?;
    let mut buffer = Buffer::new(PAGE);
    for offset in places() {
        file.write_all_at(buffer.marked(offset), offset as u64)?;
    }
    Ok(())
}

fn read_randomly(at: &Path) -> Result<()> {
    let file = File::open(at.join("data"))?;
    let mut buffer = Buffer::new(PAGE);
    for offset in places() {
        file.read_exact_at(buffer.bytes(), offset as u64)?;
        buffer.check(offset)?;
    }
    Ok(())
}

/// The same for each share and round.
fn places() -> impl Iterator<Item = usize> {
    let mut state = 0x9E37_79B9_u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % (FILE_BYTES / PAGE) * PAGE
    })
    .take(RANDOM_COUNT)
}

/// As find(1) does: directories are opened, files are looked at from their directory.
fn find(at: &Path) -> Result<()> {
    let files = look_around(&directory(&at.join("tree"))?)?;
    ensure!(
        files == TREE_FILES,
        "expected {TREE_FILES} files, came {files}"
    );
    Ok(())
}

fn look_around(at: &OwnedFd) -> Result<usize> {
    let mut files = 0;
    for name in files::list_fd(at)? {
        let stat = rustix::fs::statat(at, &name[..], AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            files += look_around(&rustix::fs::openat(
                at,
                &name[..],
                DIRECTORY,
                Mode::empty(),
            )?)?;
        } else {
            files += 1;
        }
    }
    Ok(files)
}

fn create(at: &Path) -> Result<()> {
    let made = directory(&at.join("made"))?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    for number in 0..MADE_FILES {
        rustix::fs::openat(&made, format!("f{number}"), flags, files::mode(0o644))?;
    }
    for number in 0..MADE_FILES {
        rustix::fs::unlinkat(&made, format!("f{number}"), AtFlags::empty())?;
    }
    Ok(())
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

fn directory(path: &Path) -> Result<OwnedFd> {
    Ok(files::open(path, DIRECTORY)?)
}

/// Bytes that begin with a page: Linux's client sends at most what is in one page in each request of some mounts, and
/// a buffer across pages would be cut in two.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    fn new(length: usize) -> Self {
        // Not zeros: those are pages that the kernel has not given yet.
        let bytes = vec![0xA5; length + PAGE];
        let start = bytes.as_ptr().align_offset(PAGE);
        Self {
            bytes,
            start,
            length,
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..self.length]
    }

    /// With the offset at the beginning of each page.
    fn marked(&mut self, offset: usize) -> &[u8] {
        for (page, bytes) in self.bytes().chunks_mut(PAGE).enumerate() {
            let mark = (offset + page * PAGE) as u64;
            bytes[..8].copy_from_slice(&mark.to_le_bytes());
        }
        self.bytes()
    }

    fn check(&mut self, offset: usize) -> Result<()> {
        for (page, bytes) in self.bytes().chunks(PAGE).enumerate() {
            let mark = bytes.first_chunk().context("a page has 8 bytes")?;
            let (mark, wanted) = (u64::from_le_bytes(*mark), (offset + page * PAGE) as u64);
            ensure!(mark == wanted, "expected the mark {wanted}, came {mark}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let at = std::env::temp_dir().join(format!("works-{}", std::process::id()));
        fs::create_dir(&at).unwrap();
        write(&at, MIB).unwrap();
        fs::rename(at.join("written"), at.join("data")).unwrap();
        read(&at, MIB / 8).unwrap();
        write_randomly(&at).unwrap();
        read_randomly(&at).unwrap();
        let file = File::options().write(true).open(at.join("data")).unwrap();
        file.write_all_at(&[1], (3 * PAGE) as u64).unwrap();
        assert!(read(&at, MIB).is_err());
        fs::remove_dir_all(at).unwrap();
    }

    #[test]
    fn a_tree_that_is_not_whole_is_an_error() {
        let at = std::env::temp_dir().join(format!("tree-{}", std::process::id()));
        fs::create_dir_all(at.join("tree/d")).unwrap();
        fs::write(at.join("tree/d/f"), "").unwrap();
        assert!(find(&at).is_err());
        fs::remove_dir_all(at).unwrap();
    }
}
