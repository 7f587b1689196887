//! The peer's own side: a command per line until the row goes away.

use std::collections::HashMap;
use std::io::BufRead;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Signal;

use crate::deeds;
use crate::files;
use crate::sys;
use crate::sys::Kind;
use crate::sys::Range;
use crate::sys::Space;
use crate::talk;
use crate::talk::Reply;
use crate::talk::number_of;

type Fds = HashMap<i32, OwnedFd>;

/// The peer's whole life.
pub(crate) fn run() -> ExitCode {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let mut fds = Fds::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let reply = talk::decode(&line)
            .map_err(|_| Errno::INVAL)
            .and_then(|words| act(&mut fds, &words));
        println!("{}", talk::encode_reply(&reply));
        let _ = std::io::stdout().flush();
    }
    ExitCode::SUCCESS
}

fn act(fds: &mut Fds, words: &[Vec<u8>]) -> Reply {
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    match words[..] {
        [b"open", path, flags] => {
            let fd = files::open(path_of(path), OFlags::from_bits_retain(number(flags)?))?;
            Ok(keep(fds, fd))
        }
        [b"adopt", fd] => Ok(keep(fds, sys::adopt(number(fd)?))),
        [b"close", fd] => fds.remove(&number(fd)?).map(|_| vec![]).ok_or(Errno::BADF),
        [b"lock" | b"wait" | b"getlk", fd, ref lock @ ..] => locks(words[0], held(fds, fd)?, lock),
        [b"pread", fd, length, at] => {
            let mut buffer = vec![0; number(length)?];
            let came = rustix::io::pread(held(fds, fd)?, &mut buffer[..], number(at)?)?;
            Ok(buffer[..came].to_vec())
        }
        [b"pwrite", fd, at, data] => {
            let went = rustix::io::pwrite(held(fds, fd)?, data, number(at)?)?;
            Ok(went.to_string().into_bytes())
        }
        [b"alarm", seconds] => sys::alarm_after(number(seconds)?).map(|()| vec![]),
        [b"in", directory, ref words @ ..] => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            deeds::act(files::open(path_of(directory), flags)?, words)
        }
        [b"become", uid, gid] => sys::become_user(number(uid)?, number(gid)?).map(|()| vec![]),
        [b"unlink", path] => rustix::fs::unlink(path_of(path)).map(|()| vec![]),
        [b"mkdir", path] => rustix::fs::mkdir(path_of(path), files::mode(0o755)).map(|()| vec![]),
        [b"rename", from, to] => rustix::fs::rename(path_of(from), path_of(to)).map(|()| vec![]),
        [b"chmod", path, bits] => {
            rustix::fs::chmod(path_of(path), files::mode(number(bits)?)).map(|()| vec![])
        }
        [b"count", fd, space, times] => count(
            held(fds, fd)?,
            Space::parse(space).ok_or(Errno::INVAL)?,
            number(times)?,
        ),
        [b"append", fd, tag, times] => append(held(fds, fd)?, tag, number(times)?),
        _ => Err(Errno::NOSYS),
    }
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Result<T, Errno> {
    number_of(word).ok_or(Errno::INVAL)
}

fn path_of(word: &[u8]) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(word))
}

fn keep(fds: &mut Fds, fd: OwnedFd) -> Vec<u8> {
    let number = fd.as_raw_fd();
    fds.insert(number, fd);
    number.to_string().into_bytes()
}

fn held<'a>(fds: &'a Fds, fd: &[u8]) -> Result<&'a OwnedFd, Errno> {
    fds.get(&number(fd)?).ok_or(Errno::BADF)
}

fn locks(command: &[u8], fd: &OwnedFd, words: &[&[u8]]) -> Reply {
    let [space, kind, whence, start, length] = words else {
        return Err(Errno::INVAL);
    };
    let space = Space::parse(space).ok_or(Errno::INVAL)?;
    let kind = Kind::parse(kind).ok_or(Errno::INVAL)?;
    let range = Range {
        from_end: *whence == b"end",
        start: number(start)?,
        length: number(length)?,
    };
    if command != b"getlk" {
        return sys::lock(fd, space, kind, range, command == b"wait").map(|()| vec![]);
    }
    Ok(match sys::lock_in_the_way(fd, space, kind, range)? {
        Some(lock) => format!(
            "{} {} {} {}",
            lock.kind.word(),
            lock.start,
            lock.length,
            lock.pid
        )
        .into_bytes(),
        None => vec![],
    })
}

/// Adds one to the number in a file, so many times, each time under a lock on all of it.
fn count(fd: &OwnedFd, space: Space, times: u32) -> Reply {
    for _ in 0..times {
        sys::lock(fd, space, Kind::Write, Range::WHOLE, true)?;
        let mut text = [0; 8];
        let came = rustix::io::pread(fd, &mut text[..], 0)?;
        let value: u32 = number(&text[..came])?;
        rustix::io::pwrite(fd, format!("{:08}", value + 1).as_bytes(), 0)?;
        sys::lock(fd, space, Kind::Unlock, Range::WHOLE, true)?;
    }
    Ok(vec![])
}

/// Appends so many lines, each in one write.
fn append(fd: &OwnedFd, tag: &[u8], times: u32) -> Reply {
    let tag = String::from_utf8_lossy(tag);
    for time in 0..times {
        let line = append_line(&tag, time);
        if rustix::io::write(fd, line.as_bytes())? != line.len() {
            return Err(Errno::IO);
        }
    }
    Ok(vec![])
}

/// The lines have different lengths, so that a torn one shows.
pub(crate) fn append_line(tag: &str, time: u32) -> String {
    let filler = "=".repeat(usize::try_from(time % 61).unwrap_or_default());
    format!("{tag} {time} {filler}.\n")
}
