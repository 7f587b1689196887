//! What several do at once in one directory, each unaware of the others.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::AtFlags;
use rustix::fs::OFlags;
use rustix::fs::RawDir;
use rustix::io::Errno;

use crate::deeds;
use crate::files;
use crate::talk::Reply;
use crate::talk::number_of;

/// What only one of several can get: a name for what is new, or the removal of what is there.
pub(crate) const PRIZES: [&str; 7] = [
    "create", "mkdir", "symlink", "link", "unlink", "rmdir", "rename",
];
/// No race takes longer, even in an emulated guest.
const PATIENCE: Duration = Duration::from_secs(100);
/// Of memory, in bytes.
const PAGE: usize = 4096;
/// The name whose appearance ends the witnesses.
pub(crate) const STOP: &str = "stop";

/// Does one of these in `dir`.
pub(crate) fn act(dir: impl AsFd + Copy, words: &[&[u8]]) -> Reply {
    match *words {
        [b"claim", prize, count, tag] => claim(dir, prize, number(count)?, tag),
        [b"shuttle", from, to, times] => shuttle(dir, from, to, number(times)?),
        [b"witness", least, most, ref names @ ..] => {
            witness(dir, number(least)?, number(most)?, names)
        }
        [b"replace", name, last] => replace(dir, name, number(last)?),
        [b"follow", name, last] => follow(dir, name, number(last)?),
        [b"append", name, tag, count] => append(dir, name, tag, number(count)?),
        [b"fill", tag, count] => fill(dir, tag, number(count)?),
        [b"links", name, tag, count] => links(dir, name, tag, number(count)?),
        _ => Err(Errno::NOSYS),
    }
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Result<T, Errno> {
    number_of(word).ok_or(Errno::INVAL)
}

/// Tries for each of `count` names: a `1` where it won, a `0` where another one was faster.
fn claim(dir: impl AsFd + Copy, prize: &[u8], count: usize, tag: &[u8]) -> Reply {
    let none = AtFlags::empty();
    (0..count)
        .map(|number| {
            let name = format!("n{number}");
            let tried = match prize {
                b"create" => {
                    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                    deeds::open(dir, name.as_bytes(), flags).map(drop)
                }
                b"mkdir" => rustix::fs::mkdirat(dir, &name, files::mode(0o755)),
                b"symlink" => rustix::fs::symlinkat(tag, dir, &name),
                b"link" => rustix::fs::linkat(dir, tag, dir, &name, none),
                b"unlink" => rustix::fs::unlinkat(dir, &name, none),
                b"rmdir" => rustix::fs::unlinkat(dir, &name, AtFlags::REMOVEDIR),
                b"rename" => {
                    let to = [tag, b"-", name.as_bytes()].concat();
                    rustix::fs::renameat(dir, &name, dir, to)
                }
                _ => Err(Errno::NOSYS),
            };
            match tried {
                Ok(()) => Ok(b'1'),
                Err(Errno::EXIST | Errno::NOENT) => Ok(b'0'),
                Err(errno) => Err(errno),
            }
        })
        .collect()
}

/// Gives one name the other and back, whoever else does so; says how often it was the one that did.
fn shuttle(dir: impl AsFd + Copy, from: &[u8], to: &[u8], times: u32) -> Reply {
    let mut moved = 0;
    for _ in 0..times {
        for (from, to) in [(from, to), (to, from)] {
            match rustix::fs::renameat(dir, from, dir, to) {
                Ok(()) => moved += 1,
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(moved.to_string().into_bytes())
}

/// Looks again and again until [`STOP`] is there; a complaint if ever fewer or more than so many of the
/// names were there at once.
fn witness(dir: impl AsFd, least: usize, most: usize, names: &[&[u8]]) -> Reply {
    let start = Instant::now();
    let mut looks = 0;
    while start.elapsed() < PATIENCE {
        let there = glance(&dir)?;
        let found = names
            .iter()
            .filter(|&&name| there.iter().any(|one| one == name));
        let found = found.count();
        if !(least..=most).contains(&found) {
            return Ok(format!("look {looks}: {found} of the names").into_bytes());
        }
        looks += 1;
        if there.iter().any(|name| name == STOP.as_bytes()) {
            return Ok(vec![]);
        }
    }
    Ok(b"the end never showed".to_vec())
}

/// The names in a small directory by one call: all of one moment, where the kernel has it so.
fn glance(dir: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let dir = deeds::open(dir, b".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(dir, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        names.push(entry?.file_name().to_bytes().to_vec());
        if entries.is_buffer_empty() {
            break;
        }
    }
    Ok(names)
}

/// A content that shows when it is a mix of two, or cut.
pub(crate) fn version(number: u32) -> Vec<u8> {
    let mut content = format!("{number} ").into_bytes();
    let length = 3_000 + usize::try_from(number).unwrap_or_default() * 641 % 9_001;
    content.extend(files::pattern(number.into(), length));
    content
}

/// Which version it is, if it is a whole one.
fn version_of(content: &[u8]) -> Option<u32> {
    let number = content.split(|&byte| byte == b' ').next()?;
    number_of(number).filter(|&number| content == version(number))
}

/// Puts versions 1 to `last` in the place of a file, one after the other.
fn replace(dir: impl AsFd + Copy, name: &[u8], last: u32) -> Reply {
    let new = [name, b".new"].concat();
    for number in 1..=last {
        deeds::act(dir, &[b"write", &new, &version(number)])?;
        rustix::fs::renameat(dir, &new, dir, name)?;
    }
    Ok(vec![])
}

/// Reads a file until it has version `last`; a complaint if it ever was not there or no whole version,
/// or went back to an earlier one.
fn follow(dir: impl AsFd + Copy, name: &[u8], last: u32) -> Reply {
    let start = Instant::now();
    let mut seen = 0;
    while start.elapsed() < PATIENCE {
        let content = match deeds::read(dir, name) {
            Ok(content) => content,
            Err(errno) => return Ok(format!("after version {seen}: {errno}").into_bytes()),
        };
        match version_of(&content) {
            Some(number) if number == last => return Ok(vec![]),
            Some(number) if number >= seen => seen = number,
            came => {
                let length = content.len();
                return Ok(format!("after version {seen}: {came:?}, {length} bytes").into_bytes());
            }
        }
    }
    Ok(format!("version {seen} was the last").into_bytes())
}

/// Appends lines of many lengths, each in one write from one page: over virtio, Linux 6.12 (unlike
/// 6.1) sends what lies in several pages of the caller's memory as a Twrite for each of them, and others
/// append in between.
fn append(dir: impl AsFd, name: &[u8], tag: &[u8], count: u32) -> Reply {
    let file = deeds::open(dir, name, OFlags::WRONLY | OFlags::APPEND)?;
    let mut memory = vec![0; 2 * PAGE];
    let start = memory.as_ptr().align_offset(PAGE);
    for line in lines(tag, count) {
        let page = &mut memory[start..][..line.len()];
        page.copy_from_slice(&line);
        if rustix::io::write(&file, page)? != line.len() {
            return Err(Errno::IO);
        }
    }
    Ok(vec![])
}

/// What [`append`] writes: lines shorter than a page.
pub(crate) fn lines(tag: &[u8], count: u32) -> Vec<Vec<u8>> {
    let seed = u64::from(files::crc32(tag));
    let lengths = files::pattern(seed, usize::try_from(count).unwrap_or_default() * 2);
    let lengths = lengths.chunks_exact(2).zip(0..count);
    lengths
        .map(|(length, number)| {
            let length = usize::from(u16::from_le_bytes([length[0], length[1]])) % 4_000;
            let mut line = [tag, format!(" {number} ").as_bytes()].concat();
            line.resize(line.len() + length, b'=');
            line.push(b'\n');
            line
        })
        .collect()
}

/// Makes files in the directory, whatever it is called by now.
fn fill(dir: impl AsFd + Copy, tag: &[u8], count: u32) -> Reply {
    for number in 0..count {
        let name = [tag, number.to_string().as_bytes()].concat();
        deeds::act(dir, &[b"write", &name, &name])?;
    }
    Ok(vec![])
}

/// Makes links to a file and removes every other one of them.
fn links(dir: impl AsFd + Copy, name: &[u8], tag: &[u8], count: u32) -> Reply {
    for number in 0..count {
        let link = |number: u32| [tag, number.to_string().as_bytes()].concat();
        rustix::fs::linkat(dir, name, dir, link(number), AtFlags::empty())?;
        if number % 2 == 1 {
            rustix::fs::unlinkat(dir, link(number - 1), AtFlags::empty())?;
        }
    }
    Ok(vec![])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_versions_are_versions() {
        let (one, two) = (version(1), version(2));
        assert_eq!(version_of(&one), Some(1));
        assert_eq!(version_of(&one[..one.len() - 1]), None);
        assert_eq!(version_of(&[&one[..1_000], &two[1_000..]].concat()), None);
        assert_eq!(version_of(b""), None);
    }

    #[test]
    fn lines_are_many_and_different() {
        let lines = lines(b"tag", 50);
        assert_eq!(lines.len(), 50);
        assert!(lines.iter().any(|line| line.len() < 1_000));
        assert!(lines.iter().any(|line| line.len() > 3_000));
        assert!(lines.iter().all(|line| line.len() < PAGE));
    }
}
