//! A tree as POSIX has it, in memory: objects by number, names as edges between them.
//!
//! No messages and no fids here, and no security model beyond two sets of attributes: the host's,
//! and those kept over them.

use std::collections::BTreeMap;

use ninefold::Errno;

use crate::op::Time;

pub const ROOT: usize = 0;

/// An object's number; no object ever gets that of another.
pub type Id = usize;

/// Owner, group and permission bits, as far as they are known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mode: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub kind: Kind,
    /// Of a directory: where it is, or was when it was removed.
    pub parent: Id,
    /// Of what is no directory; a directory that was removed has 0.
    pub links: usize,
    /// Had more than one name once.
    pub had_links: bool,
    /// What the host shows; always whole.
    pub host: Attributes,
    /// What a mapped model shows instead.
    pub kept: Attributes,
    /// Attributes can be different for each fid: not compared.
    pub hazy: bool,
    /// Made by the host.
    pub hosts: bool,
    /// Under mapped-file: there is a file for what is kept.
    pub metadata: bool,
    pub rdev: u64,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Times that were set and not changed since.
    pub atime: Option<Time>,
    pub mtime: Option<Time>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Dir(BTreeMap<String, Entry>),
    File(Vec<u8>),
    Symlink(Vec<u8>),
    /// With its bits of `S_IFMT`.
    Special(u32),
}

/// One name of an object. A rename moves the entry; a new name is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: Id,
    pub number: u64,
}

impl Object {
    pub fn new(kind: Kind, host: Attributes) -> Self {
        Self {
            kind,
            parent: ROOT,
            links: 1,
            had_links: false,
            host,
            kept: Attributes::default(),
            hazy: false,
            hosts: false,
            metadata: false,
            rdev: 0,
            xattrs: BTreeMap::new(),
            atime: None,
            mtime: None,
        }
    }

    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir(_))
    }

    /// The bits of `S_IFMT`.
    pub fn type_bits(&self) -> u32 {
        match self.kind {
            Kind::Dir(_) => libc::S_IFDIR,
            Kind::File(_) => libc::S_IFREG,
            Kind::Symlink(_) => libc::S_IFLNK,
            Kind::Special(bits) => bits,
        }
    }

    pub fn uid(&self) -> u32 {
        self.kept.uid.or(self.host.uid).unwrap_or(0)
    }

    pub fn gid(&self) -> u32 {
        self.kept.gid.or(self.host.gid).unwrap_or(0)
    }

    /// Permission bits.
    pub fn mode(&self) -> u32 {
        self.kept.mode.or(self.host.mode).unwrap_or(0)
    }

    /// What has no size that is compared has none.
    pub fn size(&self) -> Option<u64> {
        match &self.kind {
            Kind::Dir(_) => None,
            Kind::File(bytes) | Kind::Symlink(bytes) => Some(bytes.len() as u64),
            Kind::Special(_) => Some(0),
        }
    }

    pub fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        let entries = match &self.kind {
            Kind::Dir(entries) => Some(entries),
            _ => None,
        };
        entries.into_iter().flatten()
    }
}

#[derive(Clone, Debug)]
pub struct Tree {
    objects: Vec<Object>,
    entries: u64,
}

impl Tree {
    pub fn new(root: Attributes) -> Self {
        let root = Object::new(Kind::Dir(BTreeMap::new()), root);
        Self {
            objects: vec![root],
            entries: 0,
        }
    }

    pub fn object(&self, id: Id) -> &Object {
        &self.objects[id]
    }

    pub fn object_mut(&mut self, id: Id) -> &mut Object {
        &mut self.objects[id]
    }

    /// Hard links as stat(2) shows them.
    pub fn nlink(&self, id: Id) -> u64 {
        let object = self.object(id);
        let subdirs = object
            .entries()
            .filter(|(_, entry)| self.object(entry.id).is_dir())
            .count();
        let more = if object.is_dir() && object.links > 0 {
            1 + subdirs
        } else {
            0
        };
        (object.links + more) as u64
    }

    /// The entry of a directory, which may have been removed.
    pub fn lookup(&self, dir: Id, name: &str) -> Result<Entry, Errno> {
        let Kind::Dir(entries) = &self.object(dir).kind else {
            return Err(Errno::NOTDIR);
        };
        if self.object(dir).links == 0 {
            return Err(Errno::NOENT);
        }
        entries.get(name).copied().ok_or(Errno::NOENT)
    }

    /// Whether something can be made under that name.
    pub fn check_free(&self, dir: Id, name: &str) -> Result<(), Errno> {
        match self.lookup(dir, name) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) if self.object(dir).links > 0 => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Puts a new object under a name that is free.
    pub fn add(&mut self, dir: Id, name: &str, mut object: Object) -> Entry {
        object.parent = dir;
        self.objects.push(object);
        let id = self.objects.len() - 1;
        self.enter(dir, name, id)
    }

    fn enter(&mut self, dir: Id, name: &str, id: Id) -> Entry {
        self.entries += 1;
        let number = self.entries;
        let entry = Entry { id, number };
        self.insert(dir, name, entry);
        entry
    }

    fn insert(&mut self, dir: Id, name: &str, entry: Entry) {
        let object = self.object_mut(dir);
        object.mtime = None;
        if let Kind::Dir(entries) = &mut object.kind {
            entries.insert(name.to_owned(), entry);
        }
    }

    fn take(&mut self, dir: Id, name: &str) {
        let object = self.object_mut(dir);
        object.mtime = None;
        if let Kind::Dir(entries) = &mut object.kind {
            entries.remove(name);
        }
    }

    fn is_empty(&self, id: Id) -> bool {
        self.object(id).entries().next().is_none()
    }

    pub fn link(&mut self, id: Id, dir: Id, name: &str) -> Result<(), Errno> {
        if self.object(id).is_dir() {
            return Err(Errno::PERM);
        }
        self.check_free(dir, name)?;
        if self.object(id).links == 0 {
            return Err(Errno::NOENT);
        }
        self.enter(dir, name, id);
        let object = self.object_mut(id);
        object.links += 1;
        object.had_links = true;
        Ok(())
    }

    pub fn unlink(&mut self, dir: Id, name: &str, directory: bool) -> Result<(), Errno> {
        let id = self.lookup(dir, name)?.id;
        match (self.object(id).is_dir(), directory) {
            (true, false) => return Err(Errno::ISDIR),
            (false, true) => return Err(Errno::NOTDIR),
            (true, true) if !self.is_empty(id) => return Err(Errno::NOTEMPTY),
            _ => {}
        }
        self.take(dir, name);
        self.object_mut(id).links -= 1;
        Ok(())
    }

    /// Whether `id` is `dir` or lies somewhere below it.
    fn is_below(&self, id: Id, dir: Id) -> bool {
        let mut at = id;
        while at != dir {
            if at == ROOT {
                return false;
            }
            at = self.object(at).parent;
        }
        true
    }

    pub fn rename(&mut self, old: (Id, &str), new: (Id, &str)) -> Result<(), Errno> {
        let moved = self.lookup(old.0, old.1)?;
        let target = match self.lookup(new.0, new.1) {
            Err(Errno::NOENT) if self.object(new.0).links > 0 => None,
            found => Some(found?.id),
        };
        self.check_rename(moved.id, target, old.0, new.0)?;
        if target == Some(moved.id) {
            return Ok(());
        }
        if let Some(target) = target {
            self.take(new.0, new.1);
            self.object_mut(target).links -= 1;
        }
        self.take(old.0, old.1);
        self.insert(new.0, new.1, moved);
        let object = self.object_mut(moved.id);
        if object.is_dir() {
            object.parent = new.0;
            object.mtime = None;
        }
        Ok(())
    }

    fn check_rename(&self, moved: Id, target: Option<Id>, from: Id, into: Id) -> Result<(), Errno> {
        if self.object(moved).is_dir() && self.is_below(into, moved) {
            return Err(Errno::INVAL);
        }
        let Some(target) = target.filter(|target| *target != moved) else {
            return Ok(());
        };
        if self.object(target).is_dir() && self.is_below(from, target) {
            return Err(Errno::NOTEMPTY);
        }
        match (self.object(moved).is_dir(), self.object(target).is_dir()) {
            (true, false) => Err(Errno::NOTDIR),
            (false, true) => Err(Errno::ISDIR),
            (true, true) if !self.is_empty(target) => Err(Errno::NOTEMPTY),
            _ => Ok(()),
        }
    }

    /// Where an entry is now.
    pub fn place_of(&self, wanted: impl Fn(&Entry) -> bool) -> Option<(Id, String)> {
        let live = (0..self.objects.len()).filter(|id| self.object(*id).links > 0);
        live.flat_map(|dir| {
            let entries = self.object(dir).entries();
            entries.map(move |(name, entry)| (dir, name, entry))
        })
        .find(|(_, _, entry)| wanted(entry))
        .map(|(dir, name, _)| (dir, name.clone()))
    }

    /// The entry at a path below the root: its directory, its name, and what is there.
    pub fn resolve<'p>(&self, path: &'p str) -> Result<(Id, &'p str, Option<Id>), Errno> {
        let (way, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = ROOT;
        for step in way.split('/').filter(|step| !step.is_empty()) {
            dir = self.lookup(dir, step)?.id;
        }
        match self.lookup(dir, name) {
            Ok(entry) => Ok((dir, name, Some(entry.id))),
            Err(Errno::NOENT) => Ok((dir, name, None)),
            Err(errno) => Err(errno),
        }
    }

    /// All paths below the root with what is there, parents first.
    pub fn paths(&self) -> Vec<(String, Id)> {
        let mut all = Vec::new();
        let mut left = vec![(String::new(), ROOT)];
        while let Some((path, id)) = left.pop() {
            for (name, entry) in self.object(id).entries() {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}/{name}")
                };
                left.push((below.clone(), entry.id));
                all.push((below, entry.id));
            }
        }
        all.sort();
        all
    }
}
