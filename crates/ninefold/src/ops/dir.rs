//! Treaddir.

use ninefold_wire::Dirent;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::{Answer, Call};
use crate::export::Entry;
use crate::fid::State;
use crate::locked;
use crate::sys::Result;

/// The kernel's record of an entry is at least 6/7 as long as the message's: asking it for so much
/// gives only what fits, so that nothing has to be read again.
const fn records_for(room: usize) -> usize {
    room / 7 * 6
}

/// Lists a directory, whole entries only, as many as fit.
pub(super) fn readdir(call: &mut Call<'_>, fid: u32, offset: u64, count: u32) -> Result<Answer> {
    let fid = call.fids.any(fid)?;
    let State::Dir(listing) = &fid.state else {
        return Err(Errno::NOTDIR);
    };
    let room = call.out.data(count);
    let records = records_for(room.len());
    let mut packed = 0;
    let mut take = |entry: &Entry<'_>| match dirent(entry).encode(&mut room[packed..]) {
        Ok(len) => {
            packed += len;
            true
        }
        Err(_) => false,
    };
    let cursor = &mut locked(listing).cursor;
    let any = call
        .export
        .read_dir(cursor, offset, records, call.scratch, &mut take)?;
    // Nothing at all would mean the end of the directory.
    if any && packed == 0 {
        return Err(Errno::INVAL);
    }
    call.out.readdir(packed)
}

fn dirent<'a>(entry: &Entry<'a>) -> Dirent<'a> {
    Dirent {
        qid: entry.qid,
        offset: entry.offset,
        kind: type_number(entry.file_type),
        name: entry.name,
    }
}

/// `DT_*` of readdir(3).
fn type_number(file_type: FileType) -> u8 {
    match file_type {
        FileType::Fifo => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 4,
        FileType::BlockDevice => 6,
        FileType::RegularFile => 8,
        FileType::Symlink => 10,
        FileType::Socket => 12,
        FileType::Unknown => 0,
    }
}
