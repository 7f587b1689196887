//! The messages as calls.

use ninefold_wire::{Dialect, Qid, Reply, Request, Stat, StatUnix};

use crate::client::Client;
use crate::verbs::{Result, name};

/// A stat, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub qid: Qid,
    pub mode: u32,
    pub atime: u32,
    pub mtime: u32,
    pub length: u64,
    pub name: String,
    pub uid: String,
    pub gid: String,
    pub muid: String,
    /// Extension, owner and group of .u.
    pub unix: Option<(String, u32, u32)>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the test's own names")
}

impl Kept {
    pub fn new(stat: &Stat<'_>) -> Self {
        assert_eq!((stat.kind, stat.dev), (0, 0));
        let unix = stat.unix.map(|unix| {
            assert_eq!(unix.n_muid, u32::MAX);
            (text(unix.extension), unix.n_uid, unix.n_gid)
        });
        Self {
            qid: stat.qid,
            mode: stat.mode,
            atime: stat.atime,
            mtime: stat.mtime,
            length: stat.length,
            name: text(stat.name),
            uid: text(stat.uid),
            gid: text(stat.gid),
            muid: text(stat.muid),
            unix,
        }
    }

    pub fn extension(&self) -> &str {
        self.unix.as_ref().map_or("", |unix| &unix.0)
    }
}

/// A stat that touches nothing.
pub fn untouched(dialect: Dialect) -> Stat<'static> {
    let unix = StatUnix {
        extension: b"",
        n_uid: u32::MAX,
        n_gid: u32::MAX,
        n_muid: u32::MAX,
    };
    Stat {
        kind: u16::MAX,
        dev: u32::MAX,
        qid: Qid {
            kind: u8::MAX,
            version: u32::MAX,
            path: u64::MAX,
        },
        mode: u32::MAX,
        atime: u32::MAX,
        mtime: u32::MAX,
        length: u64::MAX,
        unix: dialect.has_unix_fields().then_some(unix),
        ..Stat::default()
    }
}

impl Client {
    /// Topen: qid and iounit.
    pub fn topen(&mut self, fid: u32, mode: u8) -> Result<(Qid, u32)> {
        self.call(&Request::Open { fid, mode }, |reply| match reply {
            Reply::Open { qid, iounit } => Some((qid, iounit)),
            _ => None,
        })
    }

    /// Walks to `path` and opens it with Topen.
    pub fn topen_path(&mut self, fid: u32, path: &str, mode: u8) {
        self.find(fid, path);
        self.topen(fid, mode).expect(path);
    }

    /// Tcreate: qid and iounit.
    pub fn create(&mut self, fid: u32, new: &str, perm: u32, mode: u8) -> Result<(Qid, u32)> {
        self.create_with(fid, new, (perm, mode), "")
    }

    pub fn create_with(
        &mut self,
        fid: u32,
        new: &str,
        (perm, mode): (u32, u8),
        extension: &str,
    ) -> Result<(Qid, u32)> {
        let extension = extension.as_bytes();
        let request = Request::Create {
            fid,
            name: name(new),
            perm,
            mode,
            extension: self.dialect.has_unix_fields().then_some(extension),
        };
        self.call(&request, |reply| match reply {
            Reply::Create { qid, iounit } => Some((qid, iounit)),
            _ => None,
        })
    }

    /// Clones the root into `fid` and creates there.
    pub fn create_at_root(&mut self, fid: u32, new: &str, perm: u32, mode: u8) -> Result<Qid> {
        self.walk(0, fid, &[]).expect("a clone");
        self.create(fid, new, perm, mode).map(|(qid, _)| qid)
    }

    pub fn stat(&mut self, fid: u32) -> Result<Kept> {
        self.call(&Request::Stat { fid }, |reply| match reply {
            Reply::Stat { stat } => Some(Kept::new(&stat)),
            _ => None,
        })
    }

    /// The stat of what `path` names, by a fid that is gone afterwards.
    pub fn stat_path(&mut self, path: &str) -> Kept {
        self.find(777, path);
        let stat = self.stat(777).expect(path);
        self.clunk(777).expect("a clunk");
        stat
    }

    pub fn wstat(&mut self, fid: u32, stat: Stat<'_>) -> Result<()> {
        self.call(&Request::Wstat { fid, stat }, |reply| match reply {
            Reply::Wstat {} => Some(()),
            _ => None,
        })
    }

    /// Whether the fid means nothing, asked with a message that every dialect has.
    pub fn is_gone(&mut self, fid: u32) -> bool {
        self.stat(fid) == Err(ninefold::Errno::BADF)
    }

    /// The stats of a directory read.
    pub fn read_stats(&mut self, fid: u32, offset: u64, count: u32) -> Result<(Vec<Kept>, u64)> {
        let dialect = self.dialect;
        let data = self.read(fid, offset, count)?;
        assert!(data.len() <= count as usize, "no more than asked for");
        let (mut rest, mut stats) = (&data[..], Vec::new());
        while !rest.is_empty() {
            let (stat, after) = Stat::decode_entry(rest, dialect).expect("a whole stat");
            stats.push(Kept::new(&stat));
            rest = after;
        }
        Ok((stats, data.len() as u64))
    }

    /// All stats of an open directory, `count` bytes at a time.
    pub fn list(&mut self, fid: u32, count: u32) -> Vec<Kept> {
        let (mut all, mut offset) = (Vec::new(), 0);
        loop {
            let (some, len) = self.read_stats(fid, offset, count).expect("stats");
            if len == 0 {
                return all;
            }
            offset += len;
            all.extend(some);
            assert!(all.len() < 10_000, "no end");
        }
    }
}
