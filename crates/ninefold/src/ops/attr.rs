//! Tgetattr, Tsetattr and Tstatfs.

use ninefold_wire::flags::{getattr as ask, setattr as set};
use ninefold_wire::{Attr, Reply, SetAttr, Statfs};
use rustix::fs::StatFs;

use super::{Answer, Call, given};
use crate::export::{Owner, SetTime};
use crate::fid::Fid;
use crate::sys::{Result, Stat, Time};

/// The attributes of an object, all that the host has; `valid` says which those are. What is not
/// valid is 0, because Linux compares the generation without looking.
pub(super) fn getattr(call: &mut Call<'_>, fid: u32, mask: u64) -> Result<Answer> {
    let fid = call.fids.object(fid)?;
    let stat = call.export.stat(&fid.node)?;
    let generation = if mask & ask::GEN != 0 {
        fid.node.generation()?
    } else {
        None
    };
    let mut attr = basic(&stat, call.iounit());
    attr.qid = call.export.qid(&stat)?;
    if let Some(btime) = stat.btime {
        attr.valid |= ask::BTIME;
        (attr.btime_sec, attr.btime_nsec) = seconds(btime);
    }
    if let Some(generation) = generation {
        attr.valid |= ask::GEN;
        attr.generation = generation.into();
    }
    call.out.reply(&Reply::Getattr { attr })
}

fn basic(stat: &Stat, iounit: u32) -> Attr {
    let (atime_sec, atime_nsec) = seconds(stat.atime);
    let (mtime_sec, mtime_nsec) = seconds(stat.mtime);
    let (ctime_sec, ctime_nsec) = seconds(stat.ctime);
    Attr {
        valid: ask::BASIC,
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        nlink: stat.nlink.into(),
        rdev: stat.rdev,
        size: stat.size,
        blksize: whole_blocks(iounit, stat.blksize).into(),
        blocks: stat.blocks,
        atime_sec,
        atime_nsec,
        mtime_sec,
        mtime_nsec,
        ctime_sec,
        ctime_nsec,
        ..Attr::default()
    }
}

fn seconds(time: Time) -> (u64, u64) {
    (u64::from_le_bytes(time.sec.to_le_bytes()), time.nsec.into())
}

/// The most data of one message in whole blocks of the host: programs size their buffers by it, so
/// that a bigger one spares them messages. QEMU says the same.
fn whole_blocks(iounit: u32, block: u32) -> u32 {
    match iounit.checked_rem(block) {
        Some(rest) if rest < iounit => iounit - rest,
        _ => iounit,
    }
}

/// Changes attributes. Length first, then owner, mode and times, because a change of owner clears
/// the set-id bits and a change of length touches the times. When one fails, the earlier ones stay.
pub(super) fn setattr(call: &mut Call<'_>, fid: u32, attr: &SetAttr) -> Result<Answer> {
    let fid = call.fids.object(fid)?;
    apply(call, &fid, attr)?;
    call.out.reply(&Reply::Setattr {})
}

fn apply(call: &Call<'_>, fid: &Fid, attr: &SetAttr) -> Result<()> {
    let writer = call.export.writer()?;
    let has = |bit| attr.valid & bit != 0;
    if has(set::SIZE) {
        writer.truncate(&fid.node, fid.open_file(), attr.size)?;
    }
    if has(set::UID | set::GID) {
        let uid = given(attr.uid).filter(|_| has(set::UID));
        let gid = given(attr.gid).filter(|_| has(set::GID));
        writer.chown(&fid.node, Owner { uid, gid })?;
    }
    if has(set::MODE) {
        writer.chmod(&fid.node, attr.mode)?;
    }
    if has(set::ATIME | set::MTIME) {
        let atime = new_time(
            has(set::ATIME),
            has(set::ATIME_SET),
            attr.atime_sec,
            attr.atime_nsec,
        );
        let mtime = new_time(
            has(set::MTIME),
            has(set::MTIME_SET),
            attr.mtime_sec,
            attr.mtime_nsec,
        );
        writer.set_times(&fid.node, atime?, mtime?)?;
    }
    if has(set::CTIME)
        && !has(set::SIZE | set::UID | set::GID | set::MODE | set::ATIME | set::MTIME)
    {
        writer.touch(&fid.node)?;
    }
    Ok(())
}

fn new_time(change: bool, given: bool, sec: u64, nsec: u64) -> Result<SetTime> {
    if !change {
        return Ok(SetTime::Keep);
    }
    if !given {
        return Ok(SetTime::Now);
    }
    // The host's own markers for "now" and "leave" lie above, and are not the client's to use.
    let nsec = u32::try_from(nsec)
        .ok()
        .filter(|nsec| *nsec < 1_000_000_000);
    let nsec = nsec.ok_or(rustix::io::Errno::INVAL)?;
    Ok(SetTime::To(Time {
        sec: i64::from_le_bytes(sec.to_le_bytes()),
        nsec,
    }))
}

/// The figures of the file system, the host's own.
pub(super) fn statfs(call: &mut Call<'_>, fid: u32) -> Result<Answer> {
    let fid = call.fids.object(fid)?;
    let (host, fsid) = call.export.statfs(&fid.node)?;
    let statfs = wire_statfs(&host, fsid);
    call.out.reply(&Reply::Statfs { statfs })
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the low bits are meant"
)]
fn wire_statfs(host: &StatFs, fsid: u64) -> Statfs {
    Statfs {
        kind: host.f_type as u32,
        bsize: host.f_bsize as u32,
        blocks: host.f_blocks,
        bfree: host.f_bfree,
        bavail: host.f_bavail,
        files: host.f_files,
        ffree: host.f_ffree,
        fsid,
        namelen: host.f_namelen as u32,
    }
}
