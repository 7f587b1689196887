//! Twstat: all changes happen, or none.

use ninefold_wire::{Name, Reply, Stat as WireStat};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::{PERMISSIONS, permissions, shown_mode, stat, user};
use crate::export::{Access, HostOwner, OpenFile, OpenMode, Owner, Place, SetTime, Writer};
use crate::fid::{Fid, State};
use crate::locked;
use crate::ops::{Answer, Call, given};
use crate::session::moved_name;
use crate::sys::{Result, Stat, Time};

/// What a Twstat wants changed.
struct Change<'a> {
    owner: Owner,
    mode: Option<u32>,
    atime: SetTime,
    mtime: SetTime,
    name: Option<Name<'a>>,
    length: Option<u64>,
}

/// What a change is made with, had before the first part of it is made.
struct Means {
    file: Option<OpenFile>,
    place: Option<Place>,
    /// Whom the object belonged to, when that changes.
    owner: Option<HostOwner>,
}

/// Changes attributes, or has the file on the disk when there are none to change. Source: stat(5).
pub(in crate::ops) fn wstat(call: &mut Call<'_>, fid: u32, wire: &WireStat<'_>) -> Result<Answer> {
    let fid = call.fids.object(fid)?;
    if touches_nothing(wire) {
        sync(call, &fid)?;
        return call.out.reply(&Reply::Wstat {});
    }
    let writer = call.export.writer()?;
    let before = call.export.stat(&fid.node)?;
    check_fixed(call, wire, &before)?;
    let change = Change {
        owner: new_owner(wire, &before)?,
        mode: new_mode(call, wire.mode, &before)?,
        atime: new_time(wire.atime),
        mtime: new_time(wire.mtime),
        name: new_name(call, &fid, wire.name)?,
        length: new_length(wire.length, &before)?,
    };
    let means = means(call, writer, &fid, &change)?;
    if let Err(errno) = make(writer, &fid, &change, &means) {
        unmake(writer, &fid, &change, &means, &before);
        return Err(errno);
    }
    call.out.reply(&Reply::Wstat {})
}

/// Whether every field is "do not touch". Linux names a muid when it renames, and never else.
fn touches_nothing(wire: &WireStat<'_>) -> bool {
    let unix = wire.unix.unwrap_or_default();
    let ids = [unix.n_uid, unix.n_gid];
    [wire.mode, wire.atime, wire.mtime, wire.dev]
        .iter()
        .all(|word| *word == u32::MAX)
        && wire.kind == u16::MAX
        && wire.length == u64::MAX
        && [wire.name, wire.uid, wire.gid]
            .iter()
            .all(|text| text.is_empty())
        && (wire.unix.is_none() || ids == [u32::MAX; 2])
}

/// fsync(2), of a fid that is not open too: a client without numeric owners says so for a chown.
fn sync(call: &Call<'_>, fid: &Fid) -> Result<()> {
    match &fid.state {
        State::File(file) => file.sync(false),
        State::Dir(listing) => locked(listing).cursor.sync(false),
        _ => match fid.node.file_type() {
            FileType::RegularFile => {
                let (file, _) = call.export.open_file(&fid.node, open_for(Access::Read))?;
                file.sync(false)
            }
            FileType::Directory => call.export.open_dir(&fid.node)?.sync(false),
            // Nothing of theirs is on the way to the disk.
            _ => Ok(()),
        },
    }
}

fn open_for(access: Access) -> OpenMode {
    OpenMode {
        access,
        truncate: false,
        append: false,
        sync: false,
        noatime: false,
    }
}

/// What cannot be changed must be as it is, or not be said. The version of the qid may be an old one.
fn check_fixed(call: &Call<'_>, wire: &WireStat<'_>, before: &Stat) -> Result<()> {
    let qid = call.qid(before)?;
    let fixed = [u16::MAX, 0].contains(&wire.kind)
        && [u32::MAX, 0].contains(&wire.dev)
        && [u8::MAX, qid.kind].contains(&wire.qid.kind)
        && [u64::MAX, qid.path].contains(&wire.qid.path);
    if fixed { Ok(()) } else { Err(Errno::INVAL) }
}

/// In 9P2000 the owner cannot be changed, the group can.
fn new_owner(wire: &WireStat<'_>, before: &Stat) -> Result<Owner> {
    let named = |name: &[u8]| match name {
        b"" => Ok(None),
        _ => user(name).map(Some).ok_or(Errno::INVAL),
    };
    let Some(unix) = wire.unix else {
        let (uid, gid) = (named(wire.uid)?, named(wire.gid)?);
        return match uid.filter(|uid| *uid != before.uid) {
            Some(_) => Err(Errno::PERM),
            None => Ok(Owner { uid: None, gid }),
        };
    };
    let either = |number: u32, name: &[u8]| match given(number) {
        Some(id) => Ok(Some(id)),
        None => named(name),
    };
    Ok(Owner {
        uid: either(unix.n_uid, wire.uid)?,
        gid: either(unix.n_gid, wire.gid)?,
    })
}

/// The new permission bits. What kind of object it is stays.
fn new_mode(call: &Call<'_>, wire: u32, before: &Stat) -> Result<Option<u32>> {
    if wire == u32::MAX {
        return Ok(None);
    }
    let shown = shown_mode(call.dialect, before);
    if (wire ^ shown) & !PERMISSIONS != 0 {
        return Err(Errno::INVAL);
    }
    match before.file_type() {
        FileType::Symlink if wire == shown => Ok(None),
        FileType::Symlink => Err(Errno::OPNOTSUPP),
        _ => Ok(Some(permissions(wire))),
    }
}

fn new_time(wire: u32) -> SetTime {
    match wire {
        u32::MAX => SetTime::Keep,
        sec => SetTime::To(Time {
            sec: sec.into(),
            nsec: 0,
        }),
    }
}

fn new_name<'a>(call: &Call<'_>, fid: &Fid, wire: &'a [u8]) -> Result<Option<Name<'a>>> {
    if wire.is_empty() || wire == stat::name(call.export, &fid.node) {
        return Ok(None);
    }
    Name::new(wire).map(Some).map_err(moved_name)
}

fn new_length(wire: u64, before: &Stat) -> Result<Option<u64>> {
    if wire == u64::MAX {
        return Ok(None);
    }
    match before.file_type() {
        FileType::RegularFile if i64::try_from(wire).is_err() => Err(Errno::INVAL),
        FileType::RegularFile => Ok(Some(wire)),
        FileType::Directory if wire == 0 => Ok(None),
        FileType::Directory => Err(Errno::ISDIR),
        _ if wire == before.size => Ok(None),
        FileType::Symlink => Err(Errno::LOOP),
        _ => Err(Errno::NXIO),
    }
}

/// Opens and looks up what the change needs: here most of what can fail does, with nothing changed.
fn means(call: &Call<'_>, writer: Writer<'_>, fid: &Fid, change: &Change<'_>) -> Result<Means> {
    let writes = fid.open_file().is_some_and(|file| file.access().writes());
    let file = match change.length {
        Some(_) if !writes => Some(call.export.open_file(&fid.node, open_for(Access::Write))?.0),
        _ => None,
    };
    let place = match change.name {
        Some(_) => Some(call.export.locate(&fid.node)?),
        None => None,
    };
    let owner = match change.changes_owner() {
        true => Some(writer.owner(&fid.node)?),
        false => None,
    };
    Ok(Means { file, place, owner })
}

/// Owner before mode, because a change of owner clears the set-id bits. What cannot be taken back
/// comes last, and then mode and times once more, because a change of length touches them.
fn make(writer: Writer<'_>, fid: &Fid, change: &Change<'_>, means: &Means) -> Result<()> {
    let node = &fid.node;
    let set_times = || match (change.atime, change.mtime) {
        (SetTime::Keep, SetTime::Keep) => Ok(()),
        (atime, mtime) => writer.set_times(node, atime, mtime),
    };
    if change.changes_owner() {
        writer.chown(node, change.owner)?;
    }
    let set_mode = || change.mode.map_or(Ok(()), |mode| writer.chmod(node, mode));
    set_mode()?;
    set_times()?;
    if let (Some(place), Some(name)) = (&means.place, change.name) {
        let dir = place.parent();
        writer.rename((dir, place.name()?), (dir, name))?;
    }
    if let Some(length) = change.length {
        writer.truncate(node, means.file.as_ref().or(fid.open_file()), length)?;
        set_mode()?;
        set_times()?;
    }
    Ok(())
}

/// Takes back what was made before something failed, as far as the host lets us.
fn unmake(writer: Writer<'_>, fid: &Fid, change: &Change<'_>, means: &Means, before: &Stat) {
    let node = &fid.node;
    if let (Some(place), Some(name)) = (&means.place, change.name) {
        let dir = place.parent();
        let moved = Place::new(dir, name).names(node);
        if let (Ok(true), Ok(false), Ok(old)) = (moved, place.names(node), place.name()) {
            let _ = writer.rename((dir, name), (dir, old));
        }
    }
    if let Some(owner) = means.owner {
        let _ = writer.give_back(node, owner);
    }
    let is_link = before.file_type() == FileType::Symlink;
    if (change.mode.is_some() || change.changes_owner()) && !is_link {
        let _ = writer.chmod(node, before.mode);
    }
    let back = |change, time| match change {
        SetTime::Keep => SetTime::Keep,
        SetTime::Now | SetTime::To(_) => SetTime::To(time),
    };
    let (atime, mtime) = (
        back(change.atime, before.atime),
        back(change.mtime, before.mtime),
    );
    if (atime, mtime) != (SetTime::Keep, SetTime::Keep) {
        let _ = writer.set_times(node, atime, mtime);
    }
}

impl Change<'_> {
    fn changes_owner(&self) -> bool {
        self.owner.uid.is_some() || self.owner.gid.is_some()
    }
}
