//! What a client can ask, each message a call.
//!
//! Nothing is checked here but that the reply is of the right kind.

use ninefold::Errno;
use ninefold_wire::{
    Attr, Data, Dialect, Dirents, LockRange, NOFID, Name, Qid, Reply, Request, SetAttr, Statfs,
    Step, Steps, Tail,
};

use crate::client::Client;

pub type Result<T> = std::result::Result<T, Errno>;

/// `O_*` of the wire that tests use.
pub const RDONLY: u32 = 0;
pub const WRONLY: u32 = 1;
pub const RDWR: u32 = 2;

/// An entry of a directory, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub qid: Qid,
    pub offset: u64,
    pub kind: u8,
    pub name: String,
}

/// A name that the test knows to be sound.
pub fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).expect("a name")
}

/// A lock's range and owner; the client is always the same node.
pub fn range(start: u64, length: u64, proc_id: u32) -> LockRange<'static> {
    LockRange {
        start,
        length,
        proc_id,
        client_id: b"node",
    }
}

macro_rules! take {
    ($pattern:pat => $value:expr) => {
        |reply| match reply {
            $pattern => Some($value),
            _ => None,
        }
    };
}

impl Client {
    pub fn version(&mut self, msize: u32, version: &[u8]) -> Result<(u32, Vec<u8>)> {
        self.dialect = Dialect::of_version(version).unwrap_or(Dialect::Linux);
        let request = Request::Version { msize, version };
        self.call(
            &request,
            take!(Reply::Version { msize, version } => (msize, version.to_vec())),
        )
    }

    pub fn attach(&mut self, fid: u32) -> Result<Qid> {
        self.attach_as(fid, NOFID, rustix::process::geteuid().as_raw())
    }

    pub fn attach_as(&mut self, fid: u32, afid: u32, uid: u32) -> Result<Qid> {
        let n_uname = self.dialect.has_unix_fields().then_some(uid);
        self.attach_named(fid, afid, b"", n_uname)
    }

    pub fn attach_named(
        &mut self,
        fid: u32,
        afid: u32,
        uname: &[u8],
        n_uname: Option<u32>,
    ) -> Result<Qid> {
        let request = Request::Attach {
            fid,
            afid,
            uname,
            aname: b"",
            n_uname,
        };
        self.call(&request, take!(Reply::Attach { qid } => qid))
    }

    pub fn walk(&mut self, fid: u32, newfid: u32, names: &[&str]) -> Result<Vec<Qid>> {
        let steps: Vec<_> = names
            .iter()
            .map(|name| Step::new(name.as_bytes()).expect("a step"))
            .collect();
        let steps = Steps::of(&steps).expect("at most 16 steps");
        let request = Request::Walk { fid, newfid, steps };
        self.call(
            &request,
            take!(Reply::Walk { qids } => qids.as_slice().to_vec()),
        )
    }

    /// Walks to `path` from the root, all the way.
    pub fn find(&mut self, newfid: u32, path: &str) -> Qid {
        let names: Vec<_> = path.split('/').collect();
        let qids = self.walk(0, newfid, &names).expect(path);
        assert_eq!(qids.len(), names.len(), "{path} is there");
        qids[names.len() - 1]
    }

    /// Walks to `path` and opens it.
    pub fn open(&mut self, newfid: u32, path: &str, flags: u32) {
        self.find(newfid, path);
        self.lopen(newfid, flags).expect(path);
    }

    pub fn clunk(&mut self, fid: u32) -> Result<()> {
        self.call(&Request::Clunk { fid }, take!(Reply::Clunk {} => ()))
    }

    pub fn remove(&mut self, fid: u32) -> Result<()> {
        self.call(&Request::Remove { fid }, take!(Reply::Remove {} => ()))
    }

    pub fn lopen(&mut self, fid: u32, flags: u32) -> Result<(Qid, u32)> {
        let request = Request::Lopen { fid, flags };
        self.call(
            &request,
            take!(Reply::Lopen { qid, iounit } => (qid, iounit)),
        )
    }

    pub fn lcreate(&mut self, fid: u32, new: &str, flags: u32, mode: u32) -> Result<Qid> {
        let request = Request::Lcreate {
            fid,
            name: name(new),
            flags,
            mode,
            gid: u32::MAX,
        };
        self.call(&request, take!(Reply::Lcreate { qid, .. } => qid))
    }

    pub fn read(&mut self, fid: u32, offset: u64, count: u32) -> Result<Vec<u8>> {
        let request = Request::Read { fid, offset, count };
        self.call(&request, take!(Reply::Read { data } => data.0.to_vec()))
    }

    pub fn write(&mut self, fid: u32, offset: u64, data: &[u8]) -> Result<u32> {
        let data = Data(data);
        let request = Request::Write { fid, offset, data };
        self.call(&request, take!(Reply::Write { count } => count))
    }

    pub fn fsync(&mut self, fid: u32, datasync: Option<u32>) -> Result<()> {
        let datasync = Tail(datasync);
        self.call(
            &Request::Fsync { fid, datasync },
            take!(Reply::Fsync {} => ()),
        )
    }

    pub fn getattr(&mut self, fid: u32, request_mask: u64) -> Result<Attr> {
        let request = Request::Getattr { fid, request_mask };
        self.call(&request, take!(Reply::Getattr { attr } => attr))
    }

    pub fn setattr(&mut self, fid: u32, attr: SetAttr) -> Result<()> {
        self.call(
            &Request::Setattr { fid, attr },
            take!(Reply::Setattr {} => ()),
        )
    }

    pub fn statfs(&mut self, fid: u32) -> Result<Statfs> {
        self.call(
            &Request::Statfs { fid },
            take!(Reply::Statfs { statfs } => statfs),
        )
    }

    pub fn mkdir(&mut self, dfid: u32, new: &str, mode: u32) -> Result<Qid> {
        let request = Request::Mkdir {
            dfid,
            name: name(new),
            mode,
            gid: u32::MAX,
        };
        self.call(&request, take!(Reply::Mkdir { qid } => qid))
    }

    pub fn mknod(&mut self, dfid: u32, new: &str, mode: u32, device: (u32, u32)) -> Result<Qid> {
        let request = Request::Mknod {
            dfid,
            name: name(new),
            mode,
            major: device.0,
            minor: device.1,
            gid: u32::MAX,
        };
        self.call(&request, take!(Reply::Mknod { qid } => qid))
    }

    pub fn symlink(&mut self, dfid: u32, new: &str, target: &[u8]) -> Result<Qid> {
        let request = Request::Symlink {
            dfid,
            name: name(new),
            target,
            gid: u32::MAX,
        };
        self.call(&request, take!(Reply::Symlink { qid } => qid))
    }

    pub fn readlink(&mut self, fid: u32) -> Result<Vec<u8>> {
        self.call(
            &Request::Readlink { fid },
            take!(Reply::Readlink { target } => target.to_vec()),
        )
    }

    pub fn link(&mut self, dfid: u32, fid: u32, new: &str) -> Result<()> {
        let name = name(new);
        self.call(
            &Request::Link { dfid, fid, name },
            take!(Reply::Link {} => ()),
        )
    }

    pub fn rename(&mut self, fid: u32, dfid: u32, new: &str) -> Result<()> {
        let name = name(new);
        self.call(
            &Request::Rename { fid, dfid, name },
            take!(Reply::Rename {} => ()),
        )
    }

    pub fn renameat(&mut self, old: (u32, &str), new: (u32, &str)) -> Result<()> {
        let request = Request::Renameat {
            olddirfid: old.0,
            oldname: name(old.1),
            newdirfid: new.0,
            newname: name(new.1),
        };
        self.call(&request, take!(Reply::Renameat {} => ()))
    }

    pub fn unlinkat(&mut self, dirfid: u32, old: &str, flags: u32) -> Result<()> {
        let name = name(old);
        let request = Request::Unlinkat {
            dirfid,
            name,
            flags,
        };
        self.call(&request, take!(Reply::Unlinkat {} => ()))
    }

    pub fn xattrwalk(&mut self, fid: u32, newfid: u32, name: &[u8]) -> Result<u64> {
        let request = Request::Xattrwalk { fid, newfid, name };
        self.call(&request, take!(Reply::Xattrwalk { size } => size))
    }

    pub fn xattrcreate(&mut self, fid: u32, name: &[u8], size: u64, flags: u32) -> Result<()> {
        let request = Request::Xattrcreate {
            fid,
            name,
            size,
            flags,
        };
        self.call(&request, take!(Reply::Xattrcreate {} => ()))
    }

    pub fn readdir(&mut self, fid: u32, offset: u64, count: u32) -> Result<Vec<Entry>> {
        let request = Request::Readdir { fid, offset, count };
        self.call(
            &request,
            take!(Reply::Readdir { data } => entries(data.0, count)),
        )
    }

    /// The status of the Rlock.
    pub fn lock(&mut self, fid: u32, kind: u8, flags: u32, range: LockRange<'_>) -> Result<u8> {
        let request = Request::Lock {
            fid,
            kind,
            flags,
            range,
        };
        self.call(&request, take!(Reply::Lock { status } => status))
    }

    /// Kind, start, length and process of the lock in the way, or type unlock and what was asked.
    pub fn getlock(
        &mut self,
        fid: u32,
        kind: u8,
        range: LockRange<'_>,
    ) -> Result<(u8, u64, u64, u32)> {
        let request = Request::Getlock { fid, kind, range };
        self.call(
            &request,
            take!(Reply::Getlock { kind, range } => (kind, range.start, range.length, range.proc_id)),
        )
    }

    /// Whether the fid means nothing: a Tgetattr says EBADF.
    pub fn is_unknown(&mut self, fid: u32) -> bool {
        // A fid that holds an attribute's value answers the same, but can be read.
        self.getattr(fid, 0) == Err(Errno::BADF) && self.clunk(fid) == Err(Errno::BADF)
    }
}

fn entries(data: &[u8], count: u32) -> Vec<Entry> {
    assert!(
        data.len() <= count as usize,
        "{} bytes for {count}",
        data.len()
    );
    Dirents::new(data)
        .map(|entry| {
            let entry = entry.expect("a whole entry");
            Entry {
                qid: entry.qid,
                offset: entry.offset,
                kind: entry.kind,
                name: String::from_utf8(entry.name.to_vec()).expect("the test's own names"),
            }
        })
        .collect()
}
