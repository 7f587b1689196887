//! Messages that make, move and remove names.

use ninefold::Errno;

use crate::op::{Name, Op};
use crate::reference::{Expect, Expected, Fid, NONE, Open, Reference, State};
use crate::tree::{Attributes, Id, Kind, Object};

const TARGET_MAX: usize = 4095;

impl Reference {
    pub fn change_names(&mut self, client: usize, op: &Op) -> Expect {
        match *op {
            Op::Lcreate {
                fid,
                name,
                flags,
                mode,
                gid,
            } => self.lcreate(client, (fid, name), flags, (mode, gid)),
            Op::Mkdir {
                dfid,
                name,
                mode,
                gid,
            } => self.make(client, (dfid, name), gid, |rules| {
                // mkdir(2) takes no set-id bits.
                let host = if rules.is_mapped() { 0o7777 } else { 0o1777 };
                Ok((Kind::Dir(Default::default()), mode & host, 0))
            }),
            Op::Mknod {
                dfid,
                name,
                mode,
                device,
                gid,
            } => self.make(client, (dfid, name), gid, |_| node(mode, device)),
            Op::Symlink {
                dfid,
                name,
                target,
                gid,
            } => self.make(client, (dfid, name), gid, |_| symlink(target)),
            Op::Link { dfid, fid, name } => self.make_link(client, fid, (dfid, name)),
            Op::Rename { fid, dfid, name } => {
                let object = self.object_fid(client, fid)?.clone();
                let dir = self.directory(client, dfid)?.id;
                let (old, old_name) = self.locate(&object)?;
                self.rename((old, &old_name), (dir, name))
            }
            Op::Renameat { old, new } => {
                let from = self.directory(client, old.0)?.id;
                let to = match new.0 {
                    NONE => from,
                    fid => self.directory(client, fid)?.id,
                };
                self.rename((from, old.1), (to, new.1))
            }
            Op::Unlinkat { dfid, name, flags } => {
                if flags & !0x200 != 0 {
                    return Err(Errno::INVAL);
                }
                let dir = self.directory(client, dfid)?.id;
                self.rules.check_name(name)?;
                self.unlink(dir, name, flags != 0).map(|()| Expected::Done)
            }
            _ => unreachable!("{op:?} makes no names"),
        }
    }

    /// What a client makes in a directory.
    fn new_object(
        &self,
        dir: Id,
        (kind, mode, rdev): (Kind, u32, u64),
        (uid, gid): (u32, u32),
    ) -> Object {
        let given = |id: u32| (id != NONE).then_some(id);
        let own = Attributes {
            uid: Some(self.rules.uid),
            gid: Some(self.rules.gid),
            mode: Some(0o600),
        };
        let mut object = Object::new(kind, own);
        object.rdev = rdev;
        let asked = Attributes {
            uid: given(uid),
            gid: given(gid),
            mode: Some(mode),
        };
        if self.rules.is_mapped() {
            object.kept = asked;
            object.metadata = true;
            return object;
        }
        object.host.uid = asked.uid.or(own.uid);
        object.host.gid = asked.gid.or(own.gid);
        object.host.mode = Some(mode);
        // The group of a set-group-id directory is that of all in it.
        let parent = self.tree.object(dir);
        if parent.mode() & libc::S_ISGID != 0 {
            object.host.gid = Some(parent.gid());
            if object.is_dir() {
                object.host.mode = Some(mode | libc::S_ISGID);
            }
        }
        object
    }

    fn make(
        &mut self,
        client: usize,
        (dfid, name): (u32, Name),
        gid: u32,
        what: impl FnOnce(crate::reference::Rules) -> Result<(Kind, u32, u64), Errno>,
    ) -> Expect {
        let dir = self.directory(client, dfid)?.clone();
        self.rules.check_name(name)?;
        let what = what(self.rules)?;
        self.tree.check_free(dir.id, name)?;
        let object = self.new_object(dir.id, what, (dir.uid, gid));
        let made = self.tree.add(dir.id, name, object);
        Ok(Expected::Qids(vec![made.id]))
    }

    fn lcreate(
        &mut self,
        client: usize,
        (number, name): (u32, Name),
        flags: u32,
        (mode, gid): (u32, u32),
    ) -> Expect {
        let dir = self.unopened(client, number)?.clone();
        if !self.tree.object(dir.id).is_dir() {
            return Err(Errno::NOTDIR);
        }
        self.rules.check_name(name)?;
        let entry = match self.tree.check_free(dir.id, name) {
            Ok(()) => {
                let what = (Kind::File(Vec::new()), mode & 0o7777, 0);
                let object = self.new_object(dir.id, what, (dir.uid, gid));
                self.tree.add(dir.id, name, object)
            }
            Err(Errno::EXIST) if flags & 0o200 == 0 => self.tree.lookup(dir.id, name)?,
            Err(errno) => return Err(errno),
        };
        let state = State::File(self.open_file(entry.id, flags)?);
        let file = Fid {
            id: entry.id,
            uid: dir.uid,
            place: Some((dir.id, name.to_owned(), entry.number)),
            state,
        };
        self.set(client, number, file);
        Ok(Expected::Qids(vec![entry.id]))
    }

    /// Opens what must be a regular file.
    pub fn open_file(&mut self, id: Id, flags: u32) -> Result<Open, Errno> {
        let object = self.tree.object_mut(id);
        match &mut object.kind {
            Kind::Dir(_) => return Err(Errno::ISDIR),
            Kind::Symlink(_) => return Err(Errno::LOOP),
            Kind::Special(_) => return Err(Errno::NXIO),
            Kind::File(content) if flags & 0o1000 != 0 => {
                content.clear();
                object.mtime = None;
            }
            Kind::File(_) => {}
        }
        self.opens += 1;
        Ok(Open {
            reads: flags & 3 != 1,
            writes: matches!(flags & 3, 1 | 2),
            appends: flags & 0o2000 != 0,
            number: self.opens,
        })
    }

    fn make_link(&mut self, client: usize, fid: u32, (dfid, name): (u32, Name)) -> Expect {
        let id = self.object_fid(client, fid)?.id;
        let dir = self.directory(client, dfid)?.id;
        self.rules.check_name(name)?;
        if self.tree.object(id).is_dir() {
            return Err(Errno::PERM);
        }
        if self.rules.by_file() {
            // Both names are to show every later change.
            self.keep_as_on_host(id);
        }
        self.tree.link(id, dir, name)?;
        Ok(Expected::Done)
    }

    /// Has the attributes of an object that has none kept be those of the host for good.
    fn keep_as_on_host(&mut self, id: Id) {
        let object = self.tree.object_mut(id);
        if object.hosts && !object.metadata {
            object.kept = object.host;
            object.metadata = true;
        }
    }

    pub fn unlink(&mut self, dir: Id, name: &str, directory: bool) -> Result<(), Errno> {
        let gone = self.tree.lookup(dir, name)?.id;
        self.tree.unlink(dir, name, directory)?;
        self.lose_name(gone);
        Ok(())
    }

    /// Metadata of the host's own objects is looked for by their names.
    pub fn lose_name(&mut self, gone: Id) {
        let by_file = self.rules.by_file();
        let object = self.tree.object_mut(gone);
        object.hazy |= by_file && object.hosts;
    }

    pub fn rename(&mut self, old: (Id, &str), new: (Id, &str)) -> Expect {
        self.rules.check_name(old.1)?;
        self.rules.check_name(new.1)?;
        let target = self.tree.lookup(new.0, new.1);
        let moved = self.tree.lookup(old.0, old.1)?.id;
        self.tree.rename(old, new)?;
        if let Some(target) = target.ok().map(|entry| entry.id).filter(|id| *id != moved) {
            if self.tree.object(target).metadata && self.rules.by_file() {
                self.keep_as_on_host(moved);
            }
            self.lose_name(target);
        }
        Ok(Expected::Done)
    }
}

/// Kind, permission bits and device number.
fn node(mode: u32, (major, minor): (u32, u32)) -> Result<(Kind, u32, u64), Errno> {
    let rdev = rustix::fs::makedev(major, minor);
    let kind = match mode & libc::S_IFMT {
        0 | libc::S_IFREG => Kind::File(Vec::new()),
        libc::S_IFDIR => return Err(Errno::PERM),
        bits @ (libc::S_IFIFO | libc::S_IFSOCK | libc::S_IFCHR | libc::S_IFBLK) => {
            Kind::Special(bits)
        }
        _ => return Err(Errno::INVAL),
    };
    Ok((kind, mode & 0o7777, rdev))
}

fn symlink(target: &str) -> Result<(Kind, u32, u64), Errno> {
    match target.len() {
        0 => Err(Errno::NOENT),
        len if len > TARGET_MAX => Err(Errno::NAMETOOLONG),
        _ => Ok((Kind::Symlink(target.into()), 0o777, 0)),
    }
}
