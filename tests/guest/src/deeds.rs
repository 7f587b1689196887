//! What anybody may do in a directory and see there: the same words for a process of the guest on either
//! mount and, through the agent, for the host.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::files;
use crate::race;
use crate::talk::Reply;
use crate::talk::number_of;

/// What `look` says of a name that nothing has.
pub(crate) const NOTHING: &[u8] = b"nothing";
/// A time of modification later than this was not set by a row.
const RECENT: i64 = 1_600_000_000;

/// Does what the words say in `dir`.
pub(crate) fn act(dir: impl AsFd, words: &[&[u8]]) -> Reply {
    let dir = dir.as_fd();
    match *words {
        [b"race", ref words @ ..] => race::act(dir, words),
        [b"look", field, name] => look(dir, field, name),
        [b"list", name] => list(dir, name),
        [b"getxattr", name, attribute] => xattr(dir, name, attribute),
        _ => change(dir, words).map(|()| vec![]),
    }
}

fn change(dir: impl AsFd + Copy, words: &[&[u8]]) -> Result<(), Errno> {
    match *words {
        [b"write", name, data] => write(dir, name, OFlags::CREATE | OFlags::TRUNC, None, data),
        [b"append", name, data] => write(dir, name, OFlags::APPEND, None, data),
        [b"pwrite", name, at, data] => write(dir, name, OFlags::empty(), Some(number(at)?), data),
        [b"truncate", name, size] => {
            rustix::fs::ftruncate(open(dir, name, OFlags::WRONLY)?, number(size)?)
        }
        [b"rename", from, to] => rustix::fs::renameat(dir, from, dir, to),
        [b"link", from, to] => rustix::fs::linkat(dir, from, dir, to, AtFlags::empty()),
        [b"symlink", target, name] => rustix::fs::symlinkat(target, dir, name),
        [b"unlink", name] => rustix::fs::unlinkat(dir, name, AtFlags::empty()),
        [b"mkdir", name] => rustix::fs::mkdirat(dir, name, files::mode(0o755)),
        [b"rmdir", name] => rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR),
        [b"chmod", name, mode] => {
            let mode = std::str::from_utf8(mode).ok();
            let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok());
            let mode = files::mode(mode.ok_or(Errno::INVAL)?);
            rustix::fs::chmodat(dir, name, mode, AtFlags::empty())
        }
        [b"chown", name, uid, gid] => {
            let owner = Some(Uid::from_raw(number(uid)?));
            let group = Some(Gid::from_raw(number(gid)?));
            rustix::fs::chownat(dir, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)
        }
        [b"utime", name, seconds] => {
            let time = Timespec {
                tv_sec: number(seconds)?,
                tv_nsec: 0,
            };
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        }
        [b"setxattr", name, attribute, value] => {
            rustix::fs::lsetxattr(path(dir, name), attribute, value, XattrFlags::empty())
        }
        [b"removexattr", name, attribute] => rustix::fs::lremovexattr(path(dir, name), attribute),
        _ => Err(Errno::NOSYS),
    }
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Result<T, Errno> {
    number_of(word).ok_or(Errno::INVAL)
}

/// A path for the calls that take no directory descriptor.
fn path(dir: impl AsFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Never follows a symbolic link: it may have been put there by a client.
pub(crate) fn open(dir: impl AsFd, name: &[u8], flags: OFlags) -> Result<File, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    rustix::fs::openat(dir, name, flags, files::mode(0o644)).map(File::from)
}

fn write(
    dir: impl AsFd,
    name: &[u8],
    flags: OFlags,
    at: Option<u64>,
    data: &[u8],
) -> Result<(), Errno> {
    use std::io::Write;
    let mut file = open(dir, name, OFlags::WRONLY | flags)?;
    let written = match at {
        Some(at) => file.write_all_at(data, at),
        None => file.write_all(data),
    };
    written.map_err(|error| errno(&error))
}

/// All that is in a file.
pub(crate) fn read(dir: impl AsFd, name: &[u8]) -> Reply {
    let mut content = Vec::new();
    let came = open(dir, name, OFlags::RDONLY)?.read_to_end(&mut content);
    came.map(|_| content).map_err(|error| errno(&error))
}

fn look(dir: impl AsFd + Copy, field: &[u8], name: &[u8]) -> Reply {
    let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(NOTHING.to_vec()),
        stat => stat?,
    };
    match field {
        b"content" => read(dir, name),
        b"target" => Ok(rustix::fs::readlinkat(dir, name, vec![])?.into_bytes()),
        field => said(&stat, field).map(String::into_bytes),
    }
}

/// A field of a file's attributes, in words.
pub(crate) fn said(stat: &Stat, field: &[u8]) -> Result<String, Errno> {
    Ok(match field {
        b"kind" => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => "file".to_owned(),
            FileType::Directory => "directory".to_owned(),
            other => format!("{other:?}"),
        },
        b"size" => stat.st_size.to_string(),
        b"mode" => format!("{:o}", stat.st_mode & 0o7777),
        b"owner" => format!("{}:{}", stat.st_uid, stat.st_gid),
        b"links" => stat.st_nlink.to_string(),
        b"mtime" if stat.st_mtime > RECENT => "recent".to_owned(),
        b"mtime" => stat.st_mtime.to_string(),
        _ => return Err(Errno::NOSYS),
    })
}

fn list(dir: impl AsFd, name: &[u8]) -> Reply {
    let names = files::list_fd(open(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)?)?;
    Ok(names.join(&b' '))
}

fn xattr(dir: impl AsFd, name: &[u8], attribute: &[u8]) -> Reply {
    let mut value = vec![0; 65536];
    match rustix::fs::lgetxattr(path(dir, name), attribute, &mut value[..]) {
        Err(Errno::NODATA) => Ok(NOTHING.to_vec()),
        Err(errno) => Err(errno),
        Ok(length) => {
            value.truncate(length);
            Ok(value)
        }
    }
}
