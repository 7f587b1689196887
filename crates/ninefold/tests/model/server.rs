//! The server's side: sends each message and reads the reply.

use std::collections::BTreeMap;

use ninefold::Errno;
use ninefold_wire::flags::setattr;
use ninefold_wire::{
    Attr, Data, Dirents, LockRange, NOFID, Name, Qid, Reply, Request, SetAttr, Statfs, Step, Steps,
    Tail,
};

use crate::client::Client;
use crate::op::{Change, NewTime, Op};

/// What a reply says.
#[derive(Debug)]
pub enum Answer {
    Done,
    Qids(Vec<Qid>),
    Attr(Box<Attr>),
    Data(Vec<u8>),
    Count(u32),
    Size(u64),
    /// By name: the qid, and the type of readdir(3).
    Entries(BTreeMap<String, (Qid, u8)>),
    Status(u8),
    /// Kind, range and process of the lock in the way.
    Blocker(Option<(u8, (u64, u64), u32)>),
    Figures(Statfs),
}

const MSIZE: u32 = 1 << 20;
const UNLOCK: u8 = 2;

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).expect("a name of the test's")
}

pub fn send(client: &mut Client, op: &Op) -> Result<Answer, Errno> {
    match op {
        Op::Version => {
            let (msize, version) = (MSIZE, &b"9P2000.L"[..]);
            client.call(&Request::Version { msize, version }, answer)
        }
        Op::List { fid, count } => list(client, *fid, *count),
        Op::Walk { fid, newfid, steps } => {
            let step = |name: &&'static str| Step::new(name.as_bytes()).expect("a step");
            let steps: Vec<_> = steps.iter().map(step).collect();
            let steps = Steps::of(&steps).expect("at most 16 steps");
            let (fid, newfid) = (*fid, *newfid);
            client.call(&Request::Walk { fid, newfid, steps }, answer)
        }
        Op::Write { fid, offset, data } => {
            let (fid, offset, data) = (*fid, *offset, Data(data));
            client.call(&Request::Write { fid, offset, data }, answer)
        }
        op => client.call(&change(op).unwrap_or_else(|| question(op)), answer),
    }
}

/// Messages that change names.
fn change(op: &Op) -> Option<Request<'static>> {
    Some(match *op {
        Op::Lcreate {
            fid,
            name: new,
            flags,
            mode,
            gid,
        } => Request::Lcreate {
            fid,
            name: name(new),
            flags,
            mode,
            gid,
        },
        Op::Mkdir {
            dfid,
            name: new,
            mode,
            gid,
        } => Request::Mkdir {
            dfid,
            name: name(new),
            mode,
            gid,
        },
        Op::Mknod {
            dfid,
            name: new,
            mode,
            device: (major, minor),
            gid,
        } => Request::Mknod {
            dfid,
            name: name(new),
            mode,
            major,
            minor,
            gid,
        },
        Op::Symlink {
            dfid,
            name: new,
            target,
            gid,
        } => Request::Symlink {
            dfid,
            name: name(new),
            target: target.as_bytes(),
            gid,
        },
        Op::Link {
            dfid,
            fid,
            name: new,
        } => Request::Link {
            dfid,
            fid,
            name: name(new),
        },
        Op::Rename {
            fid,
            dfid,
            name: new,
        } => Request::Rename {
            fid,
            dfid,
            name: name(new),
        },
        Op::Renameat { old, new } => Request::Renameat {
            olddirfid: old.0,
            oldname: name(old.1),
            newdirfid: new.0,
            newname: name(new.1),
        },
        Op::Unlinkat {
            dfid,
            name: old,
            flags,
        } => Request::Unlinkat {
            dirfid: dfid,
            name: name(old),
            flags,
        },
        _ => return None,
    })
}

/// All other messages.
fn question(op: &Op) -> Request<'static> {
    match *op {
        Op::Attach { fid, uid } => Request::Attach {
            fid,
            afid: NOFID,
            uname: b"",
            aname: b"",
            n_uname: Some(uid),
        },
        Op::Lopen { fid, flags } => Request::Lopen { fid, flags },
        Op::Remove { fid } => Request::Remove { fid },
        Op::Clunk { fid } => Request::Clunk { fid },
        Op::Read { fid, offset, count } => Request::Read { fid, offset, count },
        Op::Setattr { fid, change } => Request::Setattr {
            fid,
            attr: attr(&change),
        },
        Op::Getattr { fid } => Request::Getattr {
            fid,
            request_mask: 0x3fff,
        },
        Op::Readlink { fid } => Request::Readlink { fid },
        Op::Statfs { fid } => Request::Statfs { fid },
        Op::Fsync { fid } => Request::Fsync {
            fid,
            datasync: Tail(Some(1)),
        },
        Op::Xattrwalk { fid, newfid, name } => Request::Xattrwalk {
            fid,
            newfid,
            name: name.as_bytes(),
        },
        Op::Xattrcreate {
            fid,
            name,
            size,
            flags,
        } => Request::Xattrcreate {
            fid,
            name: name.as_bytes(),
            size,
            flags,
        },
        _ => lock(op),
    }
}

fn lock(op: &Op) -> Request<'static> {
    let range = |start, length, proc_id| LockRange {
        start,
        length,
        proc_id,
        client_id: b"node",
    };
    match *op {
        Op::Lock {
            fid,
            kind,
            start,
            length,
            process,
        } => Request::Lock {
            fid,
            kind,
            flags: 0,
            range: range(start, length, process),
        },
        Op::Getlock {
            fid,
            kind,
            start,
            length,
            process,
        } => Request::Getlock {
            fid,
            kind,
            range: range(start, length, process),
        },
        _ => unreachable!("{op:?} is sent elsewhere"),
    }
}

fn attr(change: &Change) -> SetAttr {
    let mut attr = SetAttr::default();
    let mut set = |given: bool, bit: u32| attr.valid |= if given { bit } else { 0 };
    set(change.size.is_some(), setattr::SIZE);
    set(change.uid.is_some(), setattr::UID);
    set(change.gid.is_some(), setattr::GID);
    set(change.mode.is_some(), setattr::MODE);
    set(change.atime.is_some(), setattr::ATIME);
    set(change.mtime.is_some(), setattr::MTIME);
    set(change.ctime, setattr::CTIME);
    let given = |time| matches!(time, Some(NewTime::To(_)));
    set(given(change.atime), setattr::ATIME_SET);
    set(given(change.mtime), setattr::MTIME_SET);
    let time = |time| match time {
        Some(NewTime::To(time)) => time,
        _ => (0, 0),
    };
    attr.size = change.size.unwrap_or(0);
    attr.uid = change.uid.unwrap_or(0);
    attr.gid = change.gid.unwrap_or(0);
    attr.mode = change.mode.unwrap_or(0);
    (attr.atime_sec, attr.atime_nsec) = time(change.atime);
    (attr.mtime_sec, attr.mtime_nsec) = time(change.mtime);
    attr
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "what a client is asked to take from a reply"
)]
fn answer(reply: Reply<'_>) -> Option<Answer> {
    Some(match reply {
        Reply::Attach { qid }
        | Reply::Lopen { qid, .. }
        | Reply::Lcreate { qid, .. }
        | Reply::Mkdir { qid }
        | Reply::Mknod { qid }
        | Reply::Symlink { qid } => Answer::Qids(vec![qid]),
        Reply::Walk { qids } => Answer::Qids(qids.as_slice().to_vec()),
        Reply::Getattr { attr } => Answer::Attr(Box::new(attr)),
        Reply::Read { data } => Answer::Data(data.0.to_vec()),
        Reply::Readlink { target } => Answer::Data(target.to_vec()),
        Reply::Write { count } => Answer::Count(count),
        Reply::Xattrwalk { size } => Answer::Size(size),
        Reply::Lock { status } => Answer::Status(status),
        Reply::Getlock { kind: UNLOCK, .. } => Answer::Blocker(None),
        Reply::Getlock { kind, range } => {
            Answer::Blocker(Some((kind, (range.start, range.length), range.proc_id)))
        }
        Reply::Statfs { statfs } => Answer::Figures(statfs),
        _ => Answer::Done,
    })
}

/// Reads a directory from its start until nothing more comes.
fn list(client: &mut Client, fid: u32, count: u32) -> Result<Answer, Errno> {
    let mut all = BTreeMap::new();
    let mut offset = 0;
    loop {
        let request = Request::Readdir { fid, offset, count };
        let entries = client.call(&request, |reply| match reply {
            Reply::Readdir { data } => Some(data.0.to_vec()),
            _ => None,
        })?;
        if entries.is_empty() {
            return Ok(Answer::Entries(all));
        }
        for entry in Dirents::new(&entries) {
            let entry = entry.expect("a whole entry");
            offset = entry.offset;
            let name = String::from_utf8(entry.name.to_vec()).expect("the test's own names");
            let twice = all.insert(name, (entry.qid, entry.kind));
            assert!(twice.is_none(), "listed twice: {:?}", entry.name);
        }
    }
}
