//! What lies on the host's disk below a directory, as text that can be compared: no times and no inode numbers, only
//! what a server decides.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::agent::place::Place;
use crate::files::names_of;
use crate::talk::Reply;
use crate::talk::escape;

/// A deeper tree was not made by a suite that wants it described.
const DEPTH_MAX: usize = 16;

/// A line for each name below `place`: mode, owner, links, device number, content, attributes.
pub(super) fn tree(place: &Place) -> Reply {
    let mut lines = Vec::new();
    below(place, "", 0, &mut lines)?;
    lines.sort();
    Ok(lines.concat().into_bytes())
}

fn below(place: &Place, above: &str, depth: usize, lines: &mut Vec<String>) -> Result<(), Errno> {
    if depth > DEPTH_MAX {
        return Err(Errno::LOOP);
    }
    let directory = place.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
    for name in names(&directory)? {
        let path = format!("{above}{}", escape(&name));
        let place = Place {
            directory: directory.try_clone().map_err(|_| Errno::MFILE)?,
            name,
        };
        let (line, kind) = line(&place)?;
        lines.push(format!("{path} {line}\n"));
        if kind == FileType::Directory {
            below(&place, &format!("{path}/"), depth + 1, lines)?;
        }
    }
    Ok(())
}

fn names(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        names.push(entry?.file_name().to_bytes().to_vec());
    }
    names.retain(|name| name != b"." && name != b"..");
    Ok(names)
}

fn line(place: &Place) -> Result<(String, FileType), Errno> {
    let (at, name) = (&place.directory, &place.name[..]);
    let stat = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mut line = format!("{:o} {}:{}", stat.st_mode, stat.st_uid, stat.st_gid);
    match kind {
        FileType::RegularFile => {
            let content = super::acts::read(place)?;
            let _ = write!(line, " links={} {}", stat.st_nlink, escape(&content));
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(at, name, vec![])?;
            let _ = write!(line, " -> {}", escape(target.to_bytes()));
        }
        FileType::CharacterDevice | FileType::BlockDevice => {
            let _ = write!(line, " device={:x}", stat.st_rdev);
        }
        _ => {}
    }
    let mut buffer = vec![0; 65536];
    let length = rustix::fs::llistxattr(place.path(), &mut buffer[..])?;
    for name in names_of(&buffer[..length]) {
        let value = super::acts::getxattr(place, &name)?;
        let _ = write!(line, " {}={}", escape(&name), escape(&value));
    }
    Ok((line, kind))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::agent::place::Root;

    fn describe(directory: &std::path::Path) -> String {
        let root = Root::open(directory).unwrap();
        let text = tree(&root.place(b".").unwrap()).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn every_change_shows() {
        let directory =
            std::env::temp_dir().join(format!("ninefold-describe-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("sub")).unwrap();
        let file = directory.join("sub/a b");
        std::fs::write(&file, "content").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let before = describe(&directory);
        assert!(before.contains("\nsub/a%20b 100640 "), "{before}");
        assert!(before.ends_with(" links=1 content\n"), "{before}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let changed = describe(&directory);
        assert_ne!(changed, before);
        std::fs::write(&file, "CONTENT").unwrap();
        assert_ne!(describe(&directory), changed);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
