//! What the server has to answer: the fids of each client over one tree in memory.

use std::collections::BTreeMap;

use ninefold::{Errno, SecurityModel};

use crate::locks::Locks;
use crate::op::{Name, Op};
use crate::tree::{Attributes, Id, ROOT, Tree};

pub const NONE: u32 = u32::MAX;

/// What the reply has to say.
#[derive(Debug)]
pub enum Expected {
    Done,
    /// Qids of these objects.
    Qids(Vec<Id>),
    /// The attributes of the object.
    Attr(Id),
    Data(Vec<u8>),
    Count(u32),
    Size(u64),
    /// Names of extended attributes: so many bytes of them from an offset, in any order.
    Names(Vec<String>, u64, u32),
    /// All entries of a directory.
    Entries(Id),
    /// Some of them, read through this opening.
    Part(u64, Id),
    Status(u8),
    /// A lock of this range and kind is asked about by this owner.
    Blocker(Id),
    Figures,
}

pub type Expect = Result<Expected, Errno>;

/// What depends on the security model and on the machine.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub model: SecurityModel,
    /// Whose what the server makes for nobody in particular is.
    pub uid: u32,
    pub gid: u32,
    /// What the host removes may be gone for clients that know it.
    pub few_descriptors: bool,
}

impl Rules {
    pub fn is_mapped(self) -> bool {
        self.model.is_mapped()
    }

    pub fn by_file(self) -> bool {
        self.model == SecurityModel::MappedFile
    }

    /// Whether clients may use a name.
    pub fn check_name(self, name: &str) -> Result<(), Errno> {
        if self.by_file() && name.starts_with(".virtfs_metadata") {
            Err(Errno::INVAL)
        } else {
            Ok(())
        }
    }
}

/// What a number of a client means.
#[derive(Clone, Debug)]
pub struct Fid {
    pub id: Id,
    pub uid: u32,
    /// Where it was walked to: a directory, a name, the entry's number. None for directories.
    pub place: Option<(Id, String, u64)>,
    pub state: State,
}

#[derive(Clone, Debug)]
pub enum State {
    Path,
    File(Open),
    /// With the number of its opening.
    Dir(u64),
    Value(Vec<u8>),
    Names(Vec<String>),
    NewValue {
        name: &'static str,
        size: u64,
        flags: u32,
        value: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Open {
    pub reads: bool,
    pub writes: bool,
    pub appends: bool,
    /// Which opening it is, for locks.
    pub number: u64,
}

impl Fid {
    /// Which opening it is, if it is open.
    pub fn opening(&self) -> Option<u64> {
        match self.state {
            State::File(open) => Some(open.number),
            State::Dir(number) => Some(number),
            _ => None,
        }
    }
}

pub struct Reference {
    pub rules: Rules,
    pub tree: Tree,
    pub clients: Vec<BTreeMap<u32, Fid>>,
    pub locks: Locks,
    pub opens: u64,
}

impl Reference {
    pub fn new(rules: Rules, clients: usize, root: Attributes) -> Self {
        Self {
            rules,
            tree: Tree::new(root),
            clients: vec![BTreeMap::new(); clients],
            locks: Locks::default(),
            opens: 0,
        }
    }

    /// Whether there is still a way to the object.
    pub fn is_alive(&self, id: Id) -> bool {
        let fids = self.clients.iter().flat_map(BTreeMap::values);
        self.tree.object(id).links > 0 || fids.into_iter().any(|fid| fid.id == id)
    }

    pub fn any(&self, client: usize, fid: u32) -> Result<&Fid, Errno> {
        self.clients[client].get(&fid).ok_or(Errno::BADF)
    }

    pub fn object_fid(&self, client: usize, fid: u32) -> Result<&Fid, Errno> {
        let found = self.any(client, fid)?;
        match found.state {
            State::Path | State::File(_) | State::Dir(_) => Ok(found),
            _ => Err(Errno::BADF),
        }
    }

    /// A fid that is not open either.
    pub fn unopened(&self, client: usize, fid: u32) -> Result<&Fid, Errno> {
        let found = self.object_fid(client, fid)?;
        match found.state {
            State::Path => Ok(found),
            _ => Err(Errno::INVAL),
        }
    }

    pub fn directory(&self, client: usize, fid: u32) -> Result<&Fid, Errno> {
        let found = self.object_fid(client, fid)?;
        if self.tree.object(found.id).is_dir() {
            Ok(found)
        } else {
            Err(Errno::NOTDIR)
        }
    }

    pub fn check_unused(&self, client: usize, fid: u32) -> Result<(), Errno> {
        if self.clients[client].contains_key(&fid) {
            Err(Errno::INVAL)
        } else {
            Ok(())
        }
    }

    pub fn set(&mut self, client: usize, fid: u32, means: Fid) {
        self.clients[client].insert(fid, means);
    }

    /// What the server is to answer; the tree is then as it is to be.
    pub fn apply(&mut self, client: usize, op: &Op) -> Expect {
        match op {
            Op::Version => self.version(client),
            Op::Attach { fid, uid } => self.attach(client, *fid, *uid),
            Op::Walk { fid, newfid, steps } => self.walk(client, (*fid, *newfid), steps),
            Op::Remove { fid } => self.remove(client, *fid),
            Op::Clunk { fid } => self.clunk(client, *fid),
            Op::Getattr { fid } => Ok(Expected::Attr(self.object_fid(client, *fid)?.id)),
            Op::Statfs { fid } => self.object_fid(client, *fid).map(|_| Expected::Figures),
            Op::Setattr { fid, change } => self.setattr(client, *fid, change),
            Op::Lopen { .. }
            | Op::Read { .. }
            | Op::Write { .. }
            | Op::List { .. }
            | Op::ListOn { .. }
            | Op::Readlink { .. }
            | Op::Fsync { .. } => self.content(client, op),
            Op::Xattrwalk { fid, newfid, name } => self.xattrwalk(client, (*fid, *newfid), name),
            Op::Xattrcreate {
                fid,
                name,
                size,
                flags,
            } => self.xattrcreate(client, *fid, name, (*size, *flags)),
            Op::Lock { .. } | Op::Getlock { .. } => self.lock(client, op),
            _ => self.change_names(client, op),
        }
    }

    fn version(&mut self, client: usize) -> Expect {
        for fid in std::mem::take(&mut self.clients[client]).into_values() {
            self.close(&fid);
        }
        Ok(Expected::Done)
    }

    fn attach(&mut self, client: usize, number: u32, uid: u32) -> Expect {
        self.check_unused(client, number)?;
        let fid = Fid {
            id: ROOT,
            uid,
            place: None,
            state: State::Path,
        };
        self.set(client, number, fid);
        Ok(Expected::Qids(vec![ROOT]))
    }

    fn walk(&mut self, client: usize, (from, newfid): (u32, u32), steps: &[Name]) -> Expect {
        let mut fid = self.object_fid(client, from)?.clone();
        if from == newfid {
            self.unopened(client, from)?;
        } else {
            self.check_unused(client, newfid)?;
        }
        fid.state = State::Path;
        let mut found = Vec::new();
        for step in steps {
            match self.step(&mut fid, step) {
                Ok(()) => found.push(fid.id),
                Err(errno) if found.is_empty() => return Err(errno),
                Err(_) => return Ok(Expected::Qids(found)),
            }
        }
        self.set(client, newfid, fid);
        Ok(Expected::Qids(found))
    }

    fn step(&mut self, fid: &mut Fid, step: &str) -> Result<(), Errno> {
        if !self.tree.object(fid.id).is_dir() {
            return Err(Errno::NOTDIR);
        }
        match step {
            "." => {}
            ".." => {
                fid.id = self.tree.object(fid.id).parent;
                let by_file = self.rules.by_file();
                let parent = self.tree.object_mut(fid.id);
                // Nothing leads from there to its metadata.
                parent.hazy |= by_file && parent.links == 0;
            }
            name => {
                self.rules.check_name(name)?;
                let dir = fid.id;
                let entry = self.tree.lookup(dir, name)?;
                fid.id = entry.id;
                fid.place = Some((dir, name.to_owned(), entry.number));
            }
        }
        if self.tree.object(fid.id).is_dir() {
            fid.place = None;
        }
        Ok(())
    }

    /// Forgets a fid; a value that it holds is set.
    fn clunk(&mut self, client: usize, number: u32) -> Expect {
        let fid = self.clients[client].remove(&number).ok_or(Errno::BADF)?;
        let done = self.commit(&fid);
        self.close(&fid);
        done.map(|()| Expected::Done)
    }

    fn remove(&mut self, client: usize, number: u32) -> Expect {
        let fid = self.clients[client].remove(&number).ok_or(Errno::BADF)?;
        let done = match fid.state {
            State::Path | State::File(_) | State::Dir(_) => self.remove_object(&fid),
            _ => Err(Errno::BADF),
        };
        self.close(&fid);
        done.map(|()| Expected::Done)
    }

    fn remove_object(&mut self, fid: &Fid) -> Result<(), Errno> {
        let (dir, name) = self.locate(fid)?;
        let directory = self.tree.object(fid.id).is_dir();
        self.unlink(dir, &name, directory)
    }

    fn close(&mut self, fid: &Fid) {
        if let Some(opening) = fid.opening() {
            self.locks.release(fid.id, opening);
        }
    }

    /// Whether a message acts on an object of several names by its fid, and the one that the fid was
    /// walked to has been moved or removed: which one is meant then is the server's choice.
    pub fn is_open_to_choice(&self, client: usize, op: &Op) -> bool {
        let (Op::Remove { fid } | Op::Rename { fid, .. }) = op else {
            return false;
        };
        let Ok(fid) = self.object_fid(client, *fid) else {
            return false;
        };
        let Some((dir, name, _)) = &fid.place else {
            return false;
        };
        let entry = self.tree.lookup(*dir, name);
        let object = self.tree.object(fid.id);
        object.had_links && object.links > 0 && entry.map(|entry| entry.id) != Ok(fid.id)
    }

    /// By which name a fid's object is moved or removed: the one it was walked to if that still
    /// names it, else where that entry has gone.
    pub fn locate(&self, fid: &Fid) -> Result<(Id, String), Errno> {
        if fid.id == ROOT {
            return Err(Errno::BUSY);
        }
        let Some((dir, name, number)) = &fid.place else {
            let found = self.tree.place_of(|entry| entry.id == fid.id);
            return found.ok_or(Errno::NOENT);
        };
        match self.tree.lookup(*dir, name) {
            Ok(entry) if entry.id == fid.id => Ok((*dir, name.clone())),
            _ => {
                let found = self.tree.place_of(|entry| entry.number == *number);
                found.ok_or(Errno::NOENT)
            }
        }
    }
}
