//! Tread, Twrite and Tfsync.

use ninefold_wire::{DATA_HEADER_LEN, Dialect, Reply, Tail, WRITE_HEADER_LEN};
use rustix::io::Errno;

use super::{Answer, Call, classic, xattr};
use crate::export::OpenFile;
use crate::fid::State;
use crate::locked;
use crate::session::Aside;
use crate::sys::{Result, Source, Target};
use crate::throttle::Direction;

/// Data of this size and more goes through a pipe rather than through a buffer: that costs a system
/// call more, and saves two copies.
const PIPED_MIN: usize = 32 * 1024;

/// Reads from an open file or an attribute's value, straight into the reply, and a file into the
/// client's own memory where that is shared. Fewer bytes than asked
/// for are no end of the file; none are. Source: read(5).
pub(super) fn read(call: &mut Call<'_>, fid: u32, offset: u64, count: u32) -> Result<Answer> {
    let fid = call.fids.any(fid)?;
    if let (State::Dir(listing), true) = (&fid.state, call.dialect != Dialect::Linux) {
        return classic::read_dir(call, &fid.node, listing, offset, count);
    }
    let len = match &fid.state {
        State::File(file) => return read_file(call, file, offset, count),
        State::Dir(_) => return Err(Errno::ISDIR),
        State::XattrRead(read) => {
            let value = &read.value;
            let room = call.out.data(count);
            let start = usize::try_from(offset)
                .unwrap_or(value.len())
                .min(value.len());
            let len = room.len().min(value.len() - start);
            room[..len].copy_from_slice(&value[start..start + len]);
            len
        }
        State::Path | State::XattrWrite(_) => return Err(Errno::BADF),
    };
    call.out.read(len)
}

/// Reads from an open file, without a copy where that is worth it.
fn read_file(call: &mut Call<'_>, file: &OpenFile, offset: u64, count: u32) -> Result<Answer> {
    let size = call.out.data(count).len();
    if let Some(wait) = call.throttle(Direction::Read, size) {
        return Ok(Answer::Waits(wait));
    }
    let aside = match &mut call.aside {
        Aside::Memory(place) => Some(Target::Memory {
            memory: &place.reply,
            start: DATA_HEADER_LEN,
            len: size,
        }),
        Aside::Pipe(pipe) if size >= PIPED_MIN && file.is_read_whole() => {
            Some(Target::Pipe(pipe, size))
        }
        Aside::Pipe(_) | Aside::Nowhere => None,
    };
    let piped = matches!(aside, Some(Target::Pipe(..)));
    match aside.map(|target| file.read_at(offset, target)) {
        // What cannot go through a pipe is copied.
        Some(Err(Errno::INVAL)) if piped => {}
        Some(read) => {
            let len = read?;
            let len = len + read_tail(call, file, offset + len as u64, size - len);
            file.note_read(len == size);
            return call.out.placed(len);
        }
        None => {}
    }
    let len = file.read_at(offset, call.out.data(count))?;
    file.note_read(len == size);
    call.out.read(len)
}

/// Reads what a pipe had no room for to where the data of a reply begins; returns how much. That it
/// failed is said when it is asked for again.
fn read_tail(call: &mut Call<'_>, file: &OpenFile, offset: u64, len: usize) -> usize {
    let Aside::Pipe(pipe) = &call.aside else {
        return 0;
    };
    if !pipe.is_full() {
        return 0;
    }
    let room = &mut call.out.data(u32::MAX)[..len];
    file.read_at(offset, room).unwrap_or(0)
}

/// Writes to an open file or to an attribute's value. `data` is of a request that is here as a whole:
/// where the client shares its memory, the data stays there. Source: write(5).
pub(super) fn write(call: &mut Call<'_>, fid: u32, offset: u64, data: &[u8]) -> Result<Answer> {
    let fid = call.fids.any(fid)?;
    let data = match call.aside {
        Aside::Memory(place) => Source::Memory(&place.request, WRITE_HEADER_LEN),
        Aside::Nowhere | Aside::Pipe(_) => Source::Bytes(data),
    };
    let len = match &fid.state {
        State::File(file) => {
            if let Some(wait) = call.throttle(Direction::Write, data.len()) {
                return Ok(Answer::Waits(wait));
            }
            call.export
                .write((&fid.node, file), fid.uid, offset, data)?
        }
        State::Dir(_) => return Err(Errno::ISDIR),
        State::XattrWrite(write) => xattr::write(write, offset, data)?,
        State::Path | State::XattrRead(_) => return Err(Errno::BADF),
    };
    let count = u32::try_from(len).map_err(|_| Errno::OVERFLOW)?;
    call.out.reply(&Reply::Write { count })
}

/// Has an open file or directory on the disk. Senders of the protocol's old text leave `datasync`
/// out.
pub(super) fn fsync(call: &mut Call<'_>, fid: u32, datasync: Tail) -> Result<Answer> {
    let data_only = datasync.0.is_some_and(|word| word != 0);
    let fid = call.fids.any(fid)?;
    match &fid.state {
        State::File(file) => file.sync(data_only)?,
        State::Dir(listing) => locked(listing).cursor.sync(data_only)?,
        _ => return Err(Errno::BADF),
    }
    call.out.reply(&Reply::Fsync {})
}
