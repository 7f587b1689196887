//! Tread of a directory: whole stats, one after the other.

use std::sync::{Arc, Mutex};

use ninefold_wire::{Dialect, NONUNAME, Name, Stat as WireStat, StatUnix};
use rustix::io::Errno;

use super::kind_bits;
use super::stat::About;
use crate::export::{Entry, Export, Node};
use crate::fid::{Listing, ReadPosition};
use crate::locked;
use crate::ops::{Answer, Call};
use crate::sys::Result;

/// Why an entry is not taken.
enum Stop {
    Full,
    /// The offset asked for lies in the midst of this one.
    Within,
    /// The server has run out of something: no fault of the entry.
    Failed(Errno),
}

/// The directory that is read, and for whom.
struct View<'a> {
    export: &'a Export,
    dialect: Dialect,
    dir: &'a Arc<Node>,
}

/// Reads on in an open directory: from its start, from the end of the read before, or from an entry
/// that was read before, because Linux's client says so for seekdir(3); read(5) has only the first
/// two. `.` and `..` are not listed.
pub(in crate::ops) fn read(
    call: &mut Call<'_>,
    dir: &Arc<Node>,
    listing: &Mutex<Listing>,
    offset: u64,
    count: u32,
) -> Result<Answer> {
    let listing = &mut *locked(listing);
    let from = match offset {
        0 => ReadPosition::default(),
        _ => listing.reading.near(offset),
    };
    // No read was longer than a message, so that no entry of one is further from its start.
    let skip = u32::try_from(offset - from.offset).ok();
    let skip = skip
        .filter(|skip| *skip <= call.iounit())
        .ok_or(Errno::SPIPE)?;
    let view = View {
        export: call.export,
        dialect: call.dialect,
        dir,
    };
    let mut packing = Packing {
        room: call.out.data(count),
        packed: 0,
        skip: usize::try_from(skip).map_err(|_| Errno::SPIPE)?,
        cookie: from.cookie,
        stop: None,
    };
    let records = records_for(packing.room.len());
    let (cursor, scratch) = (&mut listing.cursor, &mut *call.scratch);
    // What cannot be seen (`.`, or what has vanished) takes no room: an empty reply would be the end.
    while packing.packed == 0 && packing.stop.is_none() {
        let at = packing.cookie;
        let take = |entry: &Entry<'_>| packing.take(&view, entry);
        if !view.export.read_dir(cursor, at, records, scratch, take)? {
            break;
        }
    }
    let packed = packing.len()?;
    let end = ReadPosition {
        offset: offset + packed as u64,
        cookie: packing.cookie,
    };
    listing.reading.advance(from, end);
    call.out.read(packed)
}

/// The reply as it grows.
struct Packing<'a> {
    room: &'a mut [u8],
    packed: usize,
    /// Bytes of stats to pass over first.
    skip: usize,
    /// The directory's own offset of what comes next.
    cookie: u64,
    stop: Option<Stop>,
}

impl Packing<'_> {
    fn take(&mut self, view: &View<'_>, entry: &Entry<'_>) -> bool {
        match view.pack(entry, &mut self.room[self.packed..]) {
            Ok(len) if self.skip == 0 => self.packed += len,
            Ok(len) if len <= self.skip => self.skip -= len,
            Ok(_) => self.stop = Some(Stop::Within),
            Err(why) => self.stop = Some(why),
        }
        if self.stop.is_none() {
            self.cookie = entry.offset;
        }
        self.stop.is_none()
    }

    /// How much there is, if not nothing for a reason.
    fn len(&self) -> Result<usize> {
        match self.stop {
            _ if self.packed > 0 => Ok(self.packed),
            Some(Stop::Full) => Err(Errno::INVAL),
            Some(Stop::Within) => Err(Errno::SPIPE),
            Some(Stop::Failed(errno)) => Err(errno),
            None if self.skip > 0 => Err(Errno::SPIPE),
            None => Ok(0),
        }
    }
}

/// The kernel's record of an entry is about half as long as its stat, for names of usual length.
const fn records_for(room: usize) -> usize {
    room / 2
}

impl View<'_> {
    /// Writes the stat of an entry; returns its length, 0 for one that the client is not to see.
    fn pack(&self, entry: &Entry<'_>, room: &mut [u8]) -> std::result::Result<usize, Stop> {
        // `.` and `..` are no names.
        let Ok(name) = Name::new(entry.name) else {
            return Ok(0);
        };
        match self.about(name) {
            Ok(about) => about.wire(entry.name).encode_entry(room),
            Err(Errno::NOENT) => return Ok(0),
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => {
                return Err(Stop::Failed(errno));
            }
            // One that cannot be looked at must not hide all that come after it.
            Err(_) => self.bare(entry).encode_entry(room),
        }
        .map_err(|_| Stop::Full)
    }

    fn about(&self, name: Name<'_>) -> Result<About> {
        let (node, stat) = self.export.child(self.dir, name)?;
        About::new(self.export, self.dialect, &node, &stat)
    }

    /// What the directory itself knows of an entry.
    fn bare<'a>(&self, entry: &Entry<'a>) -> WireStat<'a> {
        let mode = kind_bits(self.dialect, entry.file_type);
        let unix = StatUnix {
            extension: b"",
            n_uid: NONUNAME,
            n_gid: NONUNAME,
            n_muid: NONUNAME,
        };
        let mut qid = entry.qid;
        qid.kind = u8::try_from(mode >> 24).unwrap_or(0);
        WireStat {
            qid,
            mode,
            name: entry.name,
            unix: self.dialect.has_unix_fields().then_some(unix),
            ..WireStat::default()
        }
    }
}
