//! Which error number answers a frame that is not a request.

use ninefold_wire::message::number;
use ninefold_wire::{DecodeError, Header, NameError};
use rustix::io::Errno;

/// What a message does with the name in it.
enum Use {
    Find,
    Make,
    Move,
    Remove,
}

/// The number of the message decides what a wrong name is answered with, as in QEMU's server.
fn use_of_name(message: u8) -> Use {
    match message {
        number::LCREATE
        | number::CREATE
        | number::MKDIR
        | number::MKNOD
        | number::SYMLINK
        | number::LINK => Use::Make,
        number::RENAME | number::RENAMEAT => Use::Move,
        number::UNLINKAT => Use::Remove,
        _ => Use::Find,
    }
}

pub(super) fn errno(frame: &[u8], error: DecodeError) -> Errno {
    let message = Header::peek(frame).map_or(0, |header| header.number);
    match error {
        DecodeError::UnknownType(_) => Errno::OPNOTSUPP,
        DecodeError::Stat => Errno::PROTO,
        DecodeError::Name(name) => name_errno(use_of_name(message), name),
        DecodeError::Size
        | DecodeError::Truncated
        | DecodeError::Trailing(_)
        | DecodeError::TooManyNames(_) => Errno::INVAL,
    }
}

/// What the name that a Twstat gives is refused with; it stands where a Twstat may also have none.
pub(crate) fn moved_name(error: NameError) -> Errno {
    name_errno(Use::Move, error)
}

fn name_errno(wanted: Use, error: NameError) -> Errno {
    match (error, wanted) {
        (NameError::Empty | NameError::Slash, _)
        | (NameError::Dot | NameError::DotDot, Use::Find) => Errno::NOENT,
        (NameError::TooLong, _) => Errno::NAMETOOLONG,
        (NameError::Nul, _) | (NameError::Dot, Use::Remove) => Errno::INVAL,
        (NameError::Dot | NameError::DotDot, Use::Make) => Errno::EXIST,
        (NameError::Dot | NameError::DotDot, Use::Move) => Errno::ISDIR,
        (NameError::DotDot, Use::Remove) => Errno::NOTEMPTY,
    }
}
