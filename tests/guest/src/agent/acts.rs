//! The agent's commands.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::agent::cputime::Processes;
use crate::agent::describe;
use crate::agent::holder::Holder;
use crate::agent::place::Place;
use crate::agent::place::Root;
use crate::deeds;
use crate::files::crc32;
use crate::talk::Reply;
use crate::talk::number_of;

/// One connection's acts, and the locks it holds.
pub(super) struct Acts {
    root: Arc<Root>,
    processes: Processes,
    holders: HashMap<u32, Holder>,
}

impl Acts {
    pub(super) fn new(root: Arc<Root>, processes: Processes) -> Self {
        Self {
            root,
            processes,
            holders: HashMap::new(),
        }
    }

    pub(super) fn act(&mut self, words: &[Vec<u8>]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        match words[..] {
            [b"hold", ref lock @ .., path] => self.hold(lock, path),
            [b"try", ref lock @ .., path] => {
                Holder::start(lock, &self.root.place(path)?).map(|_| vec![])
            }
            [b"in", directory, ref words @ ..] => {
                let directory = self.root.place(directory)?;
                deeds::act(directory.open(OFlags::RDONLY | OFlags::DIRECTORY)?, words)
            }
            [b"cputimes"] => self.processes.cputimes(),
            [b"release", holder] => self.release(holder),
            [b"mkmany", path, count, padding] => make_many(&self.root.place(path)?, count, padding),
            [command, path] => self.one(command, &self.root.place(path)?),
            [command, first, second] => self.two(command, first, second),
            [b"setxattr", path, name, value] => {
                let place = self.root.place(path)?;
                rustix::fs::lsetxattr(place.path(), name, value, XattrFlags::empty())
                    .map(|()| vec![])
            }
            _ => Err(Errno::NOSYS),
        }
    }

    fn hold(&mut self, lock: &[&[u8]], path: &[u8]) -> Reply {
        let holder = Holder::start(lock, &self.root.place(path)?)?;
        let id = holder.id();
        self.holders.insert(id, holder);
        Ok(id.to_string().into_bytes())
    }

    fn release(&mut self, holder: &[u8]) -> Reply {
        let id = number_of(holder).ok_or(Errno::INVAL)?;
        self.holders.remove(&id).map(|_| vec![]).ok_or(Errno::SRCH)
    }

    fn one(&self, command: &[u8], place: &Place) -> Reply {
        let at = &place.directory;
        let name = &place.name[..];
        match command {
            b"read" => read(place),
            b"checksum" => Ok(crc32(&read(place)?).to_string().into_bytes()),
            b"unlink" => rustix::fs::unlinkat(at, name, AtFlags::empty()).map(|()| vec![]),
            b"mkdir" => rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)).map(|()| vec![]),
            b"rmdir" => rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR).map(|()| vec![]),
            b"rmtree" => remove_tree(place),
            b"readlink" => Ok(rustix::fs::readlinkat(at, name, vec![])?.into_bytes()),
            b"stat" => stat(place),
            b"describe" => describe::tree(place),
            b"mkfifo" => {
                rustix::fs::mknodat(at, name, FileType::Fifo, Mode::from_raw_mode(0o644), 0)
                    .map(|()| vec![])
            }
            _ => Err(Errno::NOSYS),
        }
    }

    fn two(&self, command: &[u8], first: &[u8], second: &[u8]) -> Reply {
        match command {
            b"write" => write(&self.root.place(first)?, OFlags::TRUNC, second),
            b"append" => write(&self.root.place(first)?, OFlags::APPEND, second),
            b"rename" => self.rename(first, second, RenameFlags::empty()),
            b"exchange" => self.rename(first, second, RenameFlags::EXCHANGE),
            b"symlink" => {
                let place = self.root.place(second)?;
                rustix::fs::symlinkat(first, &place.directory, &place.name[..]).map(|()| vec![])
            }
            b"chmod" => {
                let mode = Mode::from_raw_mode(number_of(second).ok_or(Errno::INVAL)?);
                rustix::fs::chmod(self.root.place(first)?.path(), mode).map(|()| vec![])
            }
            b"getxattr" => getxattr(&self.root.place(first)?, second),
            _ => Err(Errno::NOSYS),
        }
    }

    fn rename(&self, from: &[u8], to: &[u8], flags: RenameFlags) -> Reply {
        let from = self.root.place(from)?;
        let to = self.root.place(to)?;
        rustix::fs::renameat_with(
            &from.directory,
            &from.name[..],
            &to.directory,
            &to.name[..],
            flags,
        )
        .map(|()| vec![])
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

pub(super) fn read(place: &Place) -> Reply {
    let mut content = Vec::new();
    let mut file = File::from(place.open(OFlags::RDONLY)?);
    file.read_to_end(&mut content)
        .map_err(|error| errno(&error))?;
    Ok(content)
}

fn write(place: &Place, how: OFlags, data: &[u8]) -> Reply {
    let mut file = File::from(place.open(OFlags::WRONLY | OFlags::CREATE | how)?);
    file.write_all(data).map_err(|error| errno(&error))?;
    Ok(vec![])
}

fn stat(place: &Place) -> Reply {
    let stat = rustix::fs::statat(&place.directory, &place.name[..], AtFlags::SYMLINK_NOFOLLOW)?;
    let numbers = [
        stat.st_ino.to_string(),
        stat.st_size.to_string(),
        stat.st_mode.to_string(),
        stat.st_uid.to_string(),
        stat.st_gid.to_string(),
        stat.st_nlink.to_string(),
    ];
    Ok(numbers.join(" ").into_bytes())
}

pub(super) fn getxattr(place: &Place, name: &[u8]) -> Reply {
    let mut value = vec![0; 65536];
    let length = rustix::fs::lgetxattr(place.path(), name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}

fn make_many(place: &Place, count: &[u8], padding: &[u8]) -> Reply {
    let count: usize = number_of(count).ok_or(Errno::INVAL)?;
    let padding = "-".repeat(number_of(padding).ok_or(Errno::INVAL)?);
    let directory = place.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
    for number in 0..count {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let name = format!("f{number}{padding}");
        rustix::fs::openat(&directory, name, flags, Mode::from_raw_mode(0o644))?;
    }
    Ok(vec![])
}

/// Not through `std`: names may lead deeper than a path can.
fn remove_tree(place: &Place) -> Reply {
    let (at, name) = (&place.directory, &place.name[..]);
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other.map(|()| vec![]),
    }
    let directory = place.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
    let names: Vec<Vec<u8>> = rustix::fs::Dir::read_from(&directory)?
        .filter_map(|entry| {
            entry
                .ok()
                .map(|entry| entry.file_name().to_bytes().to_vec())
        })
        .filter(|name| *name != b"." && *name != b"..")
        .collect();
    for name in names {
        let directory = directory.try_clone().map_err(|error| errno(&error))?;
        remove_tree(&Place { directory, name })?;
    }
    rustix::fs::unlinkat(at, std::ffi::OsStr::from_bytes(name), AtFlags::REMOVEDIR).map(|()| vec![])
}
