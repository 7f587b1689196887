//! What is asked of contents, attributes and locks.

use ninefold::SecurityModel;

use super::{Chooser, OPEN_FLAGS, UIDS, is_value};
use crate::op::{Change, NewTime, Op};
use crate::reference::{Fid, State};
use crate::tree::ROOT;

const ATTRIBUTES: [&str; 5] = [
    "user.a",
    "user.b",
    "user.virtfs.uid",
    "trusted.t",
    "system.x",
];

impl Chooser<'_> {
    pub(super) fn content(&mut self, client: usize) -> Op {
        let offset = match self.random.below(30) {
            0 => u64::MAX / 2,
            1 => u64::MAX - 7,
            _ => self.random.below(80) as u64,
        };
        match self.random.below(10) {
            0..3 => Op::Lopen {
                fid: self.unopened(client),
                flags: self.one(&OPEN_FLAGS),
            },
            3..6 => Op::Read {
                fid: self.fid(client, |_, fid| is_value(fid) || fid.opening().is_some()),
                offset,
                count: self.one(&[0, 1, 20, 4000, 70_000]),
            },
            _ => Op::Write {
                fid: self.file(client),
                offset,
                data: self.data(),
            },
        }
    }

    pub(super) fn time(&mut self) -> Option<NewTime> {
        match self.random.below(5) {
            0 => Some(NewTime::Now),
            1 => Some(NewTime::To((0, self.one(&[0, 1_000_000_000])))),
            2 => {
                let sec = self.random.below(1 << 30) as u64;
                let nsec = self.random.below(1_000_000_000) as u64;
                Some(NewTime::To((sec, nsec)))
            }
            _ => None,
        }
    }

    pub(super) fn setattr(&mut self, client: usize) -> Op {
        let fid = self.fid(client, |_, fid| !is_value(fid) && fid.id != ROOT);
        let mut change = Change::default();
        match self.random.below(6) {
            0 => change.size = Some(self.random.below(120) as u64),
            1 => change.mode = Some(self.mode()),
            2 => {
                change.uid = Some(self.one(&UIDS));
                change.gid = Some(self.one(&UIDS)).filter(|_| self.chance(2));
            }
            3 => {
                change.atime = self.time();
                change.mtime = self.time();
            }
            4 => change.ctime = true,
            _ => {
                change.size = Some(self.one(&[5, u64::MAX])).filter(|_| self.chance(3));
                change.gid = Some(self.one(&UIDS));
                change.mode = Some(self.mode());
                change.mtime = self.time();
            }
        }
        Op::Setattr { fid, change }
    }

    pub(super) fn attribute(&mut self) -> &'static str {
        let name = self.one(&ATTRIBUTES);
        // Whether this process may set it is the host's decision.
        if name == "trusted.t" && self.reference.rules.model == SecurityModel::Passthrough {
            return "user.a";
        }
        name
    }

    pub(super) fn xattr(&mut self, client: usize) -> Op {
        let pending = self.reference.clients[client]
            .iter()
            .find_map(|(fid, means)| {
                let State::NewValue { size, value, .. } = &means.state else {
                    return None;
                };
                Some((*fid, *size, value.len() as u64))
            });
        match pending {
            Some((fid, size, len)) if size > len => {
                let rest = usize::try_from(size - len).expect("short");
                let part = if self.chance(4) { rest / 2 } else { rest };
                return Op::Write {
                    fid,
                    offset: len,
                    data: self.random.bytes(part),
                };
            }
            Some((fid, ..)) if !self.chance(4) => return Op::Clunk { fid },
            _ => {}
        }
        if self.chance(2) {
            Op::Xattrcreate {
                fid: self.unopened(client),
                name: self.attribute(),
                size: self.one(&[0, 0, 1, 20, 50, 70_000]),
                flags: self.one(&[0, 0, 1, 2, 2, 3, 4]),
            }
        } else {
            let name = self.attribute();
            Op::Xattrwalk {
                fid: self.object(client),
                newfid: self.new_fid(client),
                name: if self.chance(3) { "" } else { name },
            }
        }
    }

    pub(super) fn lock(&mut self, client: usize) -> Op {
        let fid = self.fid(
            client,
            |_, fid| matches!(fid.state, State::File(open) if open.reads && open.writes),
        );
        let start = self.random.below(12) as u64;
        let length = self.random.below(10) as u64;
        let process = self.one(&[1, 2]);
        if self.chance(4) {
            let kind = self.one(&[0, 1]);
            return Op::Getlock {
                fid,
                kind,
                start,
                length,
                process,
            };
        }
        let kind = self.one(&[0, 0, 1, 1, 2]);
        Op::Lock {
            fid,
            kind,
            start,
            length,
            process,
        }
    }

    /// Goes on with a listing; begins one where there is none.
    pub(super) fn list(&mut self, client: usize) -> Op {
        let fids = &self.reference.clients[client];
        let is_open = |fid: &Fid| matches!(fid.state, State::Dir(_));
        if !fids.values().any(is_open) || self.chance(6) {
            let fid = self.fid(client, |this, fid| {
                matches!(fid.state, State::Path) && this.is_dir(fid) && fid.id != ROOT
            });
            return Op::Lopen { fid, flags: 0 };
        }
        let fid = self.fid(client, |_, fid| is_open(fid));
        if self.chance(5) {
            let count = self.one(&[300, 400, 8192]);
            return Op::List { fid, count };
        }
        let count = self.one(&[30, 60, 280]);
        Op::ListOn { fid, count }
    }

    pub(super) fn other(&mut self, client: usize) -> Op {
        let fid = self.object(client);
        match self.random.below(20) {
            0..6 => Op::Getattr { fid },
            10 => Op::Readlink { fid },
            11 => Op::Statfs { fid },
            12 if self.chance(40) => Op::Fsync { fid },
            13 if self.chance(10) => Op::Version,
            _ => Op::Clunk {
                fid: self.fid(client, |_, fid| fid.id != ROOT),
            },
        }
    }
}
