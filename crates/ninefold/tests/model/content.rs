//! Messages on what objects hold: opening, reading, writing, and attributes.

use ninefold::Errno;

use crate::op::{Change, NewTime, Op};
use crate::reference::{Expect, Expected, Fid, NONE, Reference, State};
use crate::tree::{Attributes, Id, Kind, Object};

const OFFSET_MAX: u64 = i64::MAX as u64;

fn slice(bytes: &[u8], offset: u64, count: u32) -> Vec<u8> {
    let start = usize::try_from(offset)
        .unwrap_or(bytes.len())
        .min(bytes.len());
    let len = (bytes.len() - start).min(count as usize);
    bytes[start..start + len].to_vec()
}

impl Reference {
    pub fn content(&mut self, client: usize, op: &Op) -> Expect {
        match op {
            Op::Lopen { fid, flags } => self.lopen(client, *fid, *flags),
            Op::Read { fid, offset, count } => {
                let fid = self.any(client, *fid)?.clone();
                self.read(&fid, *offset, *count)
            }
            Op::Write { fid, offset, data } => self.write(client, *fid, *offset, data),
            Op::List { fid, .. } | Op::ListOn { fid, .. } => {
                let fid = self.any(client, *fid)?;
                let State::Dir(opening) = fid.state else {
                    return Err(Errno::NOTDIR);
                };
                let id = fid.id;
                if self.tree.object(id).links == 0 {
                    return Err(Errno::NOENT);
                }
                self.tree.object_mut(id).atime = None;
                Ok(match op {
                    Op::List { .. } => Expected::Entries(id),
                    _ => Expected::Part(opening, id),
                })
            }
            Op::Readlink { fid } => {
                let id = self.object_fid(client, *fid)?.id;
                let object = self.tree.object_mut(id);
                object.atime = None;
                match &object.kind {
                    Kind::Symlink(target) => Ok(Expected::Data(target.clone())),
                    _ => Err(Errno::INVAL),
                }
            }
            Op::Fsync { fid } => match self.any(client, *fid)?.state {
                State::File(_) | State::Dir(_) => Ok(Expected::Done),
                _ => Err(Errno::BADF),
            },
            _ => unreachable!("{op:?} is about names"),
        }
    }

    fn lopen(&mut self, client: usize, number: u32, flags: u32) -> Expect {
        let mut fid = self.unopened(client, number)?.clone();
        fid.state = if self.tree.object(fid.id).is_dir() {
            if matches!(flags & 3, 1 | 2) || flags & 0o1000 != 0 {
                return Err(Errno::ISDIR);
            }
            self.opens += 1;
            State::Dir(self.opens)
        } else if flags & 0o200_000 != 0 {
            return Err(Errno::NOTDIR);
        } else {
            State::File(self.open_file(fid.id, flags)?)
        };
        let id = fid.id;
        self.set(client, number, fid);
        Ok(Expected::Qids(vec![id]))
    }

    fn read(&mut self, fid: &Fid, offset: u64, count: u32) -> Expect {
        match &fid.state {
            State::File(_) if offset > OFFSET_MAX => Err(Errno::INVAL),
            State::File(open) if open.reads => {
                if offset + u64::from(count) > OFFSET_MAX {
                    return Err(Errno::INVAL);
                }
                let object = self.tree.object_mut(fid.id);
                object.atime = None;
                match &object.kind {
                    Kind::File(content) => Ok(Expected::Data(slice(content, offset, count))),
                    _ => unreachable!("only files are open"),
                }
            }
            State::Value(value) => Ok(Expected::Data(slice(value, offset, count))),
            State::Names(names) => Ok(Expected::Names(names.clone(), offset, count)),
            State::Dir(_) => Err(Errno::ISDIR),
            State::File(_) | State::Path | State::NewValue { .. } => Err(Errno::BADF),
        }
    }

    fn write(&mut self, client: usize, number: u32, offset: u64, data: &[u8]) -> Expect {
        let fid = self.any(client, number)?.clone();
        let open = match fid.state {
            State::File(open) => open,
            State::NewValue { .. } => return self.write_value(client, number, offset, data),
            State::Dir(_) => return Err(Errno::ISDIR),
            _ => return Err(Errno::BADF),
        };
        if offset > OFFSET_MAX - data.len() as u64 {
            return Err(Errno::INVAL);
        }
        if !open.writes {
            return Err(Errno::BADF);
        }
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if count == 0 {
            return Ok(Expected::Count(0));
        }
        if fid.uid != 0 && self.rules.is_mapped() {
            self.drop_set_id(fid.id);
        }
        let object = self.tree.object_mut(fid.id);
        let at = match open.appends {
            true => object.size().unwrap_or(0),
            false => offset,
        };
        overwrite(object, at, data);
        Ok(Expected::Count(count))
    }

    /// What becomes of the set-id bits of a file when it is written by somebody.
    fn drop_set_id(&mut self, id: Id) {
        let object = self.tree.object_mut(id);
        let mode = without_set_id(object.mode());
        if mode != object.mode() {
            object.kept.mode = Some(mode);
            object.metadata = true;
        }
    }

    pub fn setattr(&mut self, client: usize, number: u32, change: &Change) -> Expect {
        let fid = self.object_fid(client, number)?.clone();
        if let Some(size) = change.size {
            self.truncate(&fid, size)?;
        }
        if change.uid.is_some() || change.gid.is_some() {
            let given = |id: Option<u32>| id.filter(|id| *id != NONE);
            self.chown(fid.id, given(change.uid), given(change.gid));
        }
        let object = self.tree.object_mut(fid.id);
        if let Some(mode) = change.mode {
            if matches!(object.kind, Kind::Symlink(_)) {
                return Err(Errno::OPNOTSUPP);
            }
            shown(object, self.rules.is_mapped()).mode = Some(mode & 0o7777);
            object.metadata = true;
        }
        let nsecs = [change.atime, change.mtime].into_iter().flatten();
        for time in nsecs {
            if matches!(time, NewTime::To((_, nsec)) if nsec >= 1_000_000_000) {
                return Err(Errno::INVAL);
            }
        }
        let set = |old: &mut Option<_>, new| match new {
            None => {}
            Some(NewTime::Now) => *old = None,
            Some(NewTime::To(time)) => *old = Some(time),
        };
        set(&mut object.atime, change.atime);
        set(&mut object.mtime, change.mtime);
        Ok(Expected::Done)
    }

    fn truncate(&mut self, fid: &Fid, size: u64) -> Result<(), Errno> {
        if size > OFFSET_MAX {
            return Err(Errno::INVAL);
        }
        let object = self.tree.object_mut(fid.id);
        match &mut object.kind {
            Kind::File(content) => resize(content, size),
            Kind::Dir(_) => return Err(Errno::ISDIR),
            Kind::Symlink(_) => return Err(Errno::LOOP),
            Kind::Special(_) => return Err(Errno::NXIO),
        }
        object.mtime = None;
        Ok(())
    }

    /// The host takes set-id bits from all but directories, even when nobody is named; what a
    /// mapped model does is to be seen of files alone.
    fn chown(&mut self, id: Id, uid: Option<u32>, gid: Option<u32>) {
        let mapped = self.rules.is_mapped();
        let object = self.tree.object_mut(id);
        let mode = without_set_id(object.mode());
        let drops = if mapped {
            matches!(object.kind, Kind::File(_)) && (uid.is_some() || gid.is_some())
        } else {
            !object.is_dir()
        };
        let changes = mode != object.mode();
        let attributes = shown(object, mapped);
        attributes.uid = uid.or(attributes.uid);
        attributes.gid = gid.or(attributes.gid);
        if drops && changes {
            attributes.mode = Some(mode);
        }
        object.metadata = true;
    }
}

/// The attributes that a client changes.
fn shown(object: &mut Object, mapped: bool) -> &mut Attributes {
    if mapped {
        &mut object.kept
    } else {
        &mut object.host
    }
}

fn without_set_id(mode: u32) -> u32 {
    let group = libc::S_ISGID | libc::S_IXGRP;
    if mode & group == group {
        mode & !(libc::S_ISUID | libc::S_ISGID)
    } else {
        mode & !libc::S_ISUID
    }
}

fn resize(content: &mut Vec<u8>, size: u64) {
    content.resize(usize::try_from(size).expect("a small file"), 0);
}

/// Writes into a file, with zeros before where it was shorter.
pub fn overwrite(object: &mut Object, offset: u64, data: &[u8]) {
    let Kind::File(content) = &mut object.kind else {
        unreachable!("only files are written");
    };
    if data.is_empty() {
        return;
    }
    let start = usize::try_from(offset).expect("a small file");
    let end = start + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(data);
    object.mtime = None;
}

/// Sets the length of a file.
pub fn cut(object: &mut Object, size: u64) {
    if let Kind::File(content) = &mut object.kind {
        resize(content, size);
    }
    object.mtime = None;
}
