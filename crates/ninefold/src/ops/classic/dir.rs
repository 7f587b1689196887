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
    /// The server has run out of something: no fault of the entry.
    Failed(Errno),
}

/// The directory that is read, and for whom.
struct View<'a> {
    export: &'a Export,
    dialect: Dialect,
    dir: &'a Arc<Node>,
}

/// Reads on in an open directory, from its start or from the end of the read before. `.` and `..`
/// are not listed. Source: read(5).
pub(in crate::ops) fn read(
    call: &mut Call<'_>,
    dir: &Arc<Node>,
    listing: &Mutex<Listing>,
    offset: u64,
    count: u32,
) -> Result<Answer> {
    let listing = &mut *locked(listing);
    let mut at = match offset {
        0 => ReadPosition::default(),
        _ if offset == listing.read.offset => listing.read,
        _ => return Err(Errno::SPIPE),
    };
    let view = View {
        export: call.export,
        dialect: call.dialect,
        dir,
    };
    let room = call.out.data(count);
    let records = records_for(room.len());
    let (mut packed, mut stop) = (0, None);
    // What cannot be seen (`.`, or what has vanished) takes no room: an empty reply would be the end.
    while packed == 0 && stop.is_none() {
        let from = at.cookie;
        let mut take = |entry: &Entry<'_>| match view.pack(entry, &mut room[packed..]) {
            Ok(len) => {
                packed += len;
                at.cookie = entry.offset;
                true
            }
            Err(why) => {
                stop = Some(why);
                false
            }
        };
        let (cursor, scratch) = (&mut listing.cursor, &mut *call.scratch);
        if !view
            .export
            .read_dir(cursor, from, records, scratch, &mut take)?
        {
            break;
        }
    }
    match stop {
        Some(Stop::Full) if packed == 0 => return Err(Errno::INVAL),
        Some(Stop::Failed(errno)) if packed == 0 => return Err(errno),
        _ => {}
    }
    at.offset += packed as u64;
    listing.read = at;
    call.out.read(packed)
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
