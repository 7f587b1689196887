//! The messages that .L has others for: Topen, Tcreate, Tstat, Twstat and the Tread of a directory.
//!
//! They are the only ones that 9P2000 and 9P2000.u have for these things. A .L session takes them
//! too, in the form of .u, because FreeBSD and Unikraft create with Tcreate there and Linux falls
//! back to Twstat; a .u session takes the messages of .L.

mod create;
mod dir;
mod open;
mod stat;
mod wstat;

pub(super) use create::create;
pub(super) use dir::read as read_dir;
pub(super) use open::open;
pub(super) use stat::stat;
pub(super) use wstat::wstat;

use ninefold_wire::Dialect;
use ninefold_wire::flags::dm;
use rustix::fs::FileType;

use super::given;
use crate::sys::Stat;

/// What a mode says besides which kind of object it is of.
const PERMISSIONS: u32 = 0o777 | dm::SETUID | dm::SETGID | dm::SETVTX;

/// The set-id and sticky bits of a mode on the wire and on the host. Plain 9P2000 has no words for
/// them, and a client that changes a mode sends back what it was shown: so it is shown them.
const SPECIAL: [(u32, u32); 3] = [
    (dm::SETUID, 0o4000),
    (dm::SETGID, 0o2000),
    (dm::SETVTX, 0o1000),
];

/// The bits that say which kind of object. To plain 9P2000, what is no directory is a file.
fn kind_bits(dialect: Dialect, file_type: FileType) -> u32 {
    match file_type {
        FileType::Directory => dm::DIR,
        _ if dialect == Dialect::Legacy => 0,
        FileType::Symlink => dm::SYMLINK,
        FileType::CharacterDevice | FileType::BlockDevice => dm::DEVICE,
        FileType::Fifo => dm::NAMED_PIPE,
        FileType::Socket => dm::SOCKET,
        FileType::RegularFile | FileType::Unknown => 0,
    }
}

/// The mode of an object as the client is shown it.
fn shown_mode(dialect: Dialect, stat: &Stat) -> u32 {
    let special = SPECIAL.iter().filter(|(_, host)| stat.mode & host != 0);
    let special: u32 = special.map(|(wire, _)| wire).sum();
    kind_bits(dialect, stat.file_type()) | special | (stat.mode & 0o777)
}

/// The permission bits of the host that a mode on the wire means.
fn permissions(wire: u32) -> u32 {
    let special = SPECIAL.iter().filter(|(bit, _)| wire & bit != 0);
    let special: u32 = special.map(|(_, host)| host).sum();
    special | (wire & 0o777)
}

/// The user or group of a name. Names are numbers here: what the host calls them is nothing to a
/// guest with users of its own.
pub(super) fn user(name: &[u8]) -> Option<u32> {
    let digits = name.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(name).ok().filter(|_| digits)?;
    text.parse().ok().and_then(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        let cases: [(&[u8], Option<u32>); 9] = [
            (b"0", Some(0)),
            (b"1000", Some(1000)),
            (b"4294967294", Some(u32::MAX - 1)),
            (b"4294967295", None),
            (b"4294967296", None),
            (b"root", None),
            (b"", None),
            (b"+1", None),
            (b"1\0", None),
        ];
        for (name, want) in cases {
            assert_eq!(user(name), want, "{name:?}");
        }
    }

    #[test]
    fn special_bits_come_back() {
        for mode in 0..0o10000 {
            let wire = SPECIAL.iter().filter(|(_, host)| mode & host != 0);
            let wire: u32 = wire.map(|(wire, _)| wire).sum();
            assert_eq!(permissions(wire | (mode & 0o777)), mode);
        }
    }
}
