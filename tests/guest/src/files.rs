//! Making, reading and comparing files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Opens with mode 0644 for what gets created.
pub(crate) fn open(path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path.as_ref(), flags | OFlags::CLOEXEC, mode(0o644))
}

/// Short for the wrapper type.
pub(crate) fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

/// Permission bits of the named thing itself, with the set-id and sticky ones.
pub(crate) fn stat_mode(path: &Path) -> Result<u32> {
    let stat = rustix::fs::lstat(path).with_context(|| format!("stat {}", path.display()))?;
    Ok(stat.st_mode & 0o7777)
}

/// A path to reopen an open file by.
pub(crate) fn by_fd(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// `directory/name`, name being any bytes.
pub(crate) fn join(directory: &Path, name: impl AsRef<[u8]>) -> PathBuf {
    directory.join(OsStr::from_bytes(name.as_ref()))
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

/// The checksum of zip and ethernet.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// The whole file by `pread`, whatever the descriptor's position.
pub(crate) fn read_fd(fd: impl AsFd) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut piece = vec![0; 128 * 1024];
    loop {
        let came = rustix::io::pread(&fd, &mut piece[..], content.len() as u64).context("pread")?;
        if came == 0 {
            return Ok(content);
        }
        content.extend_from_slice(&piece[..came]);
    }
}

/// All of it at one place.
pub(crate) fn write_at(fd: impl AsFd, mut data: &[u8], mut at: u64) -> Result<()> {
    while !data.is_empty() {
        let went = rustix::io::pwrite(&fd, data, at).context("pwrite")?;
        data = &data[went..];
        at += went as u64;
    }
    Ok(())
}

/// Exactly so many bytes from one place.
pub(crate) fn read_at(fd: impl AsFd, length: usize, at: u64) -> Result<Vec<u8>> {
    let mut content = vec![0; length];
    let mut have = 0;
    while have < length {
        let came =
            rustix::io::pread(&fd, &mut content[have..], at + have as u64).context("pread")?;
        anyhow::ensure!(
            came > 0,
            "pread at {at}: expected {length} bytes, came {have}"
        );
        have += came;
    }
    Ok(content)
}

/// An attribute of an open file.
pub(crate) fn fd_xattr(fd: impl AsFd, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 65536];
    let length = rustix::fs::fgetxattr(fd, name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}

/// An attribute of the named thing itself.
pub(crate) fn xattr(path: &Path, name: impl AsRef<[u8]>) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 65536];
    let length = rustix::fs::lgetxattr(path, name.as_ref(), &mut value[..])?;
    value.truncate(length);
    Ok(value)
}

/// Sets an attribute of the named thing itself.
pub(crate) fn set_xattr(path: &Path, name: impl AsRef<[u8]>, value: &[u8]) -> Result<(), Errno> {
    rustix::fs::lsetxattr(path, name.as_ref(), value, rustix::fs::XattrFlags::empty())
}

/// The names of a `listxattr` buffer, sorted, without what the guest's kernel adds by itself.
pub(crate) fn names_of(buffer: &[u8]) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = buffer
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty() && !name.starts_with(b"security.selinux"))
        .map(<[u8]>::to_vec)
        .collect();
    names.sort();
    names
}

/// The names of the attributes of the named thing itself, sorted.
pub(crate) fn xattr_names(path: &Path) -> Result<Vec<Vec<u8>>, Errno> {
    let mut buffer = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut buffer[..])?;
    Ok(names_of(&buffer[..length]))
}

/// The names of the attributes of an open file, sorted.
pub(crate) fn fd_xattr_names(fd: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut buffer = vec![0; 65536];
    let length = rustix::fs::flistxattr(fd, &mut buffer[..])?;
    Ok(names_of(&buffer[..length]))
}

/// All that must not change of a file that nobody meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    content: Vec<u8>,
    ino: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u64,
    mtime: i64,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Snapshot {
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let stat = rustix::fs::lstat(path).with_context(|| format!("stat {}", path.display()))?;
        let mut xattrs = BTreeMap::new();
        for name in xattr_names(path).context("listxattr")? {
            let value = xattr(path, &name).context("getxattr")?;
            xattrs.insert(name, value);
        }
        Ok(Self {
            content: std::fs::read(path).with_context(|| format!("read {}", path.display()))?,
            ino: stat.st_ino,
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            nlink: stat.st_nlink,
            mtime: stat.st_mtime,
            xattrs,
        })
    }
}

/// Names in a directory, sorted, without `.` and `..`.
pub(crate) fn list(path: &Path) -> Result<Vec<Vec<u8>>> {
    let entries = std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.context("readdir")?.file_name().as_bytes().to_vec());
    }
    names.sort();
    Ok(names)
}

/// Names in an open directory, sorted, without `.` and `..`.
pub(crate) fn list_fd(fd: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    let mut directory = rustix::fs::Dir::new(rustix::io::dup(fd)?)?;
    directory.rewind();
    for entry in directory {
        names.push(entry?.file_name().to_bytes().to_vec());
    }
    names.retain(|name| name != b"." && name != b"..");
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn patterns_differ() {
        assert_eq!(pattern(1, 20), pattern(1, 30)[..20]);
        assert_ne!(pattern(1, 20), pattern(2, 20));
    }
}
