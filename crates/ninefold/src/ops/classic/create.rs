//! Tcreate.

use ninefold_wire::flags::dm;
use ninefold_wire::{Dialect, Name, Qid, Reply};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::open::ModeByte;
use super::{PERMISSIONS, permissions};
use crate::export::{Owner, Writer};
use crate::fid::{Fid, State};
use crate::ops::{Answer, Call};
use crate::sys::{Result, Stat};

/// Largest device numbers that Linux has: 12 and 20 bits.
const MAJOR_MAX: u32 = 0xfff;
const MINOR_MAX: u32 = 0xf_ffff;

/// "Not to be backed up", a bit of Plan 9's: harmless to ignore, unlike its neighbours, which
/// promise that nobody else has the file open or that it only grows.
const TEMPORARY: u32 = 0x0400_0000;

/// What a Tcreate makes.
struct New<'a> {
    name: Name<'a>,
    /// Permissions as on the host.
    mode: u32,
    owner: Owner,
    byte: ModeByte,
    extension: &'a [u8],
}

/// Makes an object of any kind. The fid of the directory becomes the new object's, open if that is
/// a file or a directory. A name that exists is refused. Source: create(5), and the .u draft.
pub(in crate::ops) fn create(
    call: &mut Call<'_>,
    (fid, name): (u32, Name<'_>),
    perm: u32,
    mode: u8,
    extension: Option<&[u8]>,
) -> Result<Answer> {
    let dir = call.fids.object(fid)?;
    dir.check_unopened()?;
    if !dir.node.is_dir() {
        return Err(Errno::NOTDIR);
    }
    let writer = call.export.writer()?;
    let around = call.export.stat(&dir.node)?;
    let new = New {
        name,
        mode: new_mode(call.dialect, perm, &around),
        // Source: create(5). The message has no group. Where the host's kernel decides, it says
        // which one too.
        owner: Owner {
            uid: dir.uid,
            gid: (!call.export.enforces()).then_some(around.gid),
        },
        byte: ModeByte::new(mode),
        extension: extension.unwrap_or_default(),
    };
    let (made, qid) = make(call, writer, &dir, perm & !PERMISSIONS & !TEMPORARY, &new)?;
    call.fids.replace(fid, dir, made)?;
    let iounit = call.iounit();
    call.out.reply(&Reply::Create { qid, iounit })
}

/// In 9P2000 the directory's mode is what a umask is elsewhere; Unix clients bring their own.
/// Source: create(5).
fn new_mode(dialect: Dialect, perm: u32, dir: &Stat) -> u32 {
    let mode = permissions(perm);
    match dialect {
        Dialect::Legacy if perm & dm::DIR != 0 => mode & (!0o777 | (dir.mode & 0o777)),
        Dialect::Legacy => mode & (!0o666 | (dir.mode & 0o666)),
        Dialect::Unix | Dialect::Linux => mode,
    }
}

fn make(
    call: &Call<'_>,
    writer: Writer<'_>,
    dir: &Fid,
    kind: u32,
    new: &New<'_>,
) -> Result<(Fid, Qid)> {
    match kind {
        0 => return make_file(call, writer, dir, new),
        dm::DIR => return make_dir(call, writer, dir, new),
        dm::APPEND | dm::EXCL => return Err(Errno::OPNOTSUPP),
        dm::SYMLINK | dm::LINK | dm::DEVICE | dm::NAMED_PIPE | dm::SOCKET => {}
        _ => return Err(Errno::INVAL),
    }
    if call.dialect == Dialect::Legacy {
        return Err(Errno::OPNOTSUPP);
    }
    let (node, name, owner) = (&dir.node, new.name, new.owner);
    let special = |kind: FileType, device| {
        let mode = kind.as_raw_mode() | new.mode;
        writer.make_node((node, name), mode, device, owner)
    };
    match kind {
        dm::LINK => {
            let target = call.fids.object(fid_of(new.extension)?)?;
            writer.link(&target.node, node, name)?;
        }
        dm::SYMLINK => drop(writer.make_symlink(node, name, new.extension, owner)?),
        dm::NAMED_PIPE => drop(special(FileType::Fifo, (0, 0))?),
        dm::SOCKET => drop(special(FileType::Socket, (0, 0))?),
        _ => {
            let (kind, device) = device_of(new.extension)?;
            special(kind, device)?;
        }
    }
    let (node, stat) = call.export.child(node, name)?;
    Ok((Fid::path(node, dir.uid), call.qid(&stat)?))
}

fn make_file(call: &Call<'_>, writer: Writer<'_>, dir: &Fid, new: &New<'_>) -> Result<(Fid, Qid)> {
    let place = (&dir.node, new.name);
    let (node, file, stat) = writer.create_file(
        call.export,
        place,
        new.byte.open_mode(),
        new.mode,
        new.owner,
    )?;
    let mut fid = Fid::new(node, dir.uid, State::file(file));
    fid.remove_on_clunk = new.byte.removes();
    Ok((fid, call.qid(&stat)?))
}

/// Whatever the mode byte says, a directory is opened for reading: FreeBSD says "read and write".
fn make_dir(call: &Call<'_>, writer: Writer<'_>, dir: &Fid, new: &New<'_>) -> Result<(Fid, Qid)> {
    if new.byte.removes() {
        return Err(Errno::ISDIR);
    }
    writer.make_dir(&dir.node, new.name, new.mode, new.owner)?;
    let (node, stat) = call.export.child(&dir.node, new.name)?;
    let state = match call.export.open_dir(&node) {
        Ok(cursor) => State::dir(cursor),
        // Made so that the server itself may not read it.
        Err(Errno::ACCESS) => State::Path,
        Err(errno) => return Err(errno),
    };
    Ok((Fid::new(node, dir.uid, state), call.qid(&stat)?))
}

/// The fid of a hard link's object, in decimal; Linux puts a newline behind it.
fn fid_of(extension: &[u8]) -> Result<u32> {
    let text = std::str::from_utf8(extension).map_err(|_| Errno::INVAL)?;
    text.trim().parse().map_err(|_| Errno::INVAL)
}

/// The kind and numbers of a device: `c MAJOR MINOR` or `b MAJOR MINOR`.
fn device_of(extension: &[u8]) -> Result<(FileType, (u32, u32))> {
    let text = std::str::from_utf8(extension).map_err(|_| Errno::INVAL)?;
    let mut words = text.split_ascii_whitespace();
    let kind = match words.next() {
        Some("c") => FileType::CharacterDevice,
        Some("b") => FileType::BlockDevice,
        _ => return Err(Errno::INVAL),
    };
    let mut number = |max| {
        let number = words.next().and_then(|word| word.parse().ok());
        number.filter(|number| *number <= max).ok_or(Errno::INVAL)
    };
    let device = (number(MAJOR_MAX)?, number(MINOR_MAX)?);
    match words.next() {
        None => Ok((kind, device)),
        Some(_) => Err(Errno::INVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_of_devices() {
        let (c, b) = (FileType::CharacterDevice, FileType::BlockDevice);
        let good: [(&[u8], _); 4] = [
            (b"c 1 3", (c, (1, 3))),
            (b"b 8 17", (b, (8, 17))),
            (b"b 4095 1048575", (b, (4095, 1_048_575))),
            (b" c  1  3 \n", (c, (1, 3))),
        ];
        for (text, want) in good {
            assert_eq!(device_of(text), Ok(want), "{text:?}");
        }
        let bad: [&[u8]; 12] = [
            b"",
            b"c",
            b"c 1",
            b"c 1 3 4",
            b"d 1 3",
            b"c1 3",
            b"c -1 3",
            b"c 4096 0",
            b"b 0 1048576",
            b"c 99999999999 0",
            b"c 1\0 3",
            b"\xff 1 3",
        ];
        for text in bad {
            assert_eq!(device_of(text), Err(Errno::INVAL), "{text:?}");
        }
    }

    #[test]
    fn extensions_of_hard_links() {
        for (text, want) in [("3\n", 3), ("0", 0), ("4294967294", u32::MAX - 1)] {
            assert_eq!(fid_of(text.as_bytes()), Ok(want));
        }
        for text in ["", "x", "-1", "3 4", "4294967296", "\u{663}"] {
            assert_eq!(fid_of(text.as_bytes()), Err(Errno::INVAL), "{text:?}");
        }
    }
}
