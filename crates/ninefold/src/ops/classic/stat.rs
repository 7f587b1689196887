//! Tstat, and the stats that a directory is read as.

use std::sync::Arc;

use ninefold_wire::{Dialect, NONUNAME, Qid, Reply, Stat as WireStat, StatUnix};
use rustix::fs::{self, FileType};

use super::shown_mode;
use crate::export::{Export, Node};
use crate::ops::{Answer, Call, TARGET_ROOM, wire_qid};
use crate::sys::{Result, Stat, Time};

/// What a stat says of an object besides its name.
pub(super) struct About {
    dialect: Dialect,
    stat: Stat,
    qid: Qid,
    uid: String,
    gid: String,
    extension: Vec<u8>,
}

impl About {
    pub(super) fn new(
        export: &Export,
        dialect: Dialect,
        node: &Arc<Node>,
        stat: &Stat,
    ) -> Result<Self> {
        let extension = match dialect {
            Dialect::Legacy => Vec::new(),
            Dialect::Unix | Dialect::Linux => extension(export, node, stat)?,
        };
        Ok(Self {
            dialect,
            stat: *stat,
            qid: wire_qid(export, dialect, stat)?,
            uid: stat.uid.to_string(),
            gid: stat.gid.to_string(),
            extension,
        })
    }

    pub(super) fn wire<'a>(&'a self, name: &'a [u8]) -> WireStat<'a> {
        let stat = &self.stat;
        let unix = StatUnix {
            extension: &self.extension,
            n_uid: stat.uid,
            n_gid: stat.gid,
            // Nobody keeps who changed a file last.
            n_muid: NONUNAME,
        };
        WireStat {
            kind: 0,
            dev: 0,
            qid: self.qid,
            mode: shown_mode(self.dialect, stat),
            atime: seconds(stat.atime),
            mtime: seconds(stat.mtime),
            length: match stat.file_type() {
                FileType::Directory => 0,
                _ => stat.size,
            },
            name,
            uid: self.uid.as_bytes(),
            gid: self.gid.as_bytes(),
            muid: b"",
            unix: self.dialect.has_unix_fields().then_some(unix),
        }
    }
}

/// The nearest time that the message can say; all ones would be "do not touch" on its way back.
fn seconds(time: Time) -> u32 {
    let sec = time.sec.clamp(0, i64::from(u32::MAX - 1));
    u32::try_from(sec).unwrap_or(0)
}

/// What .u says of an object in words. The count of links is Linux's own idea, read by its client.
fn extension(export: &Export, node: &Arc<Node>, stat: &Stat) -> Result<Vec<u8>> {
    let (major, minor) = (fs::major(stat.rdev), fs::minor(stat.rdev));
    Ok(match stat.file_type() {
        FileType::Symlink => {
            let mut target = vec![0; TARGET_ROOM];
            let len = export.read_link(node, &mut target)?;
            target.truncate(len);
            target
        }
        FileType::CharacterDevice => format!("c {major} {minor}").into_bytes(),
        FileType::BlockDevice => format!("b {major} {minor}").into_bytes(),
        FileType::RegularFile | FileType::Directory => {
            format!("HARDLINKCOUNT {}", stat.nlink).into_bytes()
        }
        FileType::Fifo | FileType::Socket | FileType::Unknown => Vec::new(),
    })
}

/// The attributes of an object. Source: stat(5).
pub(in crate::ops) fn stat(call: &mut Call<'_>, fid: u32) -> Result<Answer> {
    let fid = call.fids.object(fid)?;
    let stat = call.export.stat(&fid.node)?;
    let about = About::new(call.export, call.dialect, &fid.node, &stat)?;
    let name = name(call.export, &fid.node);
    let stat = about.wire(&name);
    call.out.reply(&Reply::Stat { stat })
}

/// The object's name now; when it has none any more, the one it was found by.
pub(super) fn name(export: &Export, node: &Arc<Node>) -> Vec<u8> {
    if node.id() == export.root().id() {
        return b"/".to_vec();
    }
    let now = export.locate(node).ok();
    let place = now.as_ref().or(node.place());
    let name = place.and_then(|place| place.name().ok());
    name.map(|name| name.bytes().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_the_nearest() {
        let cases = [
            (0, 0),
            (-1, 0),
            (i64::MIN, 0),
            (1_700_000_000, 1_700_000_000),
            (i64::from(u32::MAX), u32::MAX - 1),
            (i64::MAX, u32::MAX - 1),
        ];
        for (sec, want) in cases {
            assert_eq!(seconds(Time { sec, nsec: 9 }), want);
        }
    }
}
