//! Arbitrary messages of every type: the owned parts, and the messages that borrow from them.

use ninefold_wire::{
    Attr, Data, Dialect, Dirent, LockRange, Name, Qid, Qids, Reply, Request, SetAttr, Stat,
    StatUnix, Statfs, Step, Steps, Tail,
};
use proptest::array::{uniform2, uniform4, uniform8, uniform20};
use proptest::collection::vec;
use proptest::prelude::*;

/// Enough values for any one message, edge values often among them.
#[derive(Clone, Debug)]
pub struct Parts {
    pub tag: u16,
    byte: u8,
    half: u16,
    words: [u32; 8],
    wide: [u64; 20],
    texts: [Vec<u8>; 4],
    extension: Vec<u8>,
    names: [Vec<u8>; 2],
    steps: Vec<Vec<u8>>,
    qids: Vec<Qid>,
    data: Vec<u8>,
    tail: Option<u32>,
}

prop_compose! {
    /// Any parts.
    pub fn parts()(
        (tag, byte, half) in (any::<u16>(), any::<u8>(), any::<u16>()),
        words in uniform8(edged(u32::MAX)),
        wide in uniform20(edged(u64::MAX)),
        texts in uniform4(vec(any::<u8>(), 0..20)),
        extension in vec(any::<u8>(), 0..20),
        names in uniform2(name()),
        steps in vec(prop_oneof![4 => name(), 1 => Just(b".".to_vec()), 1 => Just(b"..".to_vec())], 0..=16),
        qids in vec(qid(), 0..=16),
        data in vec(any::<u8>(), 0..100),
        tail in any::<Option<u32>>(),
    ) -> Parts {
        Parts { tag, byte, half, words, wide, texts, extension, names, steps, qids, data, tail }
    }
}

fn edged<T: Arbitrary + Clone + Default + 'static>(max: T) -> impl Strategy<Value = T> {
    prop_oneof![3 => any::<T>(), 1 => Just(T::default()), 1 => Just(max)]
}

/// A lawful name, mostly short.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|b| if b == 0 || b == b'/' { b'x' } else { b });
    prop_oneof![9 => vec(byte.clone(), 1..12), 1 => vec(byte, 255)]
        .prop_filter("dots are steps", |name| name != b"." && name != b"..")
}

fn qid() -> impl Strategy<Value = Qid> {
    (any::<u8>(), edged(u32::MAX), edged(u64::MAX)).prop_map(|(kind, version, path)| Qid {
        kind,
        version,
        path,
    })
}

impl Parts {
    fn name(&self, index: usize) -> Name<'_> {
        Name::new(&self.names[index]).expect("made lawful")
    }

    fn steps(&self) -> Steps<'_> {
        let steps: Vec<Step<'_>> = self
            .steps
            .iter()
            .map(|step| Step::new(step).expect("made lawful"))
            .collect();
        // For the rest of the test: a request borrows them.
        Steps::of(steps.leak()).expect("at most 16")
    }

    fn qid(&self) -> Qid {
        Qid {
            kind: self.byte,
            version: self.words[0],
            path: self.wide[0],
        }
    }

    fn qids(&self) -> Qids {
        let mut all = Qids::default();
        self.qids.iter().for_each(|&qid| assert!(all.push(qid)));
        all
    }

    fn range(&self) -> LockRange<'_> {
        LockRange {
            start: self.wide[0],
            length: self.wide[1],
            proc_id: self.words[7],
            client_id: &self.texts[0],
        }
    }

    fn setattr(&self) -> SetAttr {
        let [valid, mode, uid, gid, ..] = self.words;
        let [size, atime_sec, atime_nsec, mtime_sec, mtime_nsec, ..] = self.wide;
        SetAttr {
            valid,
            mode,
            uid,
            gid,
            size,
            atime_sec,
            atime_nsec,
            mtime_sec,
            mtime_nsec,
        }
    }

    fn statfs(&self) -> Statfs {
        let [kind, bsize, namelen, ..] = self.words;
        let [blocks, bfree, bavail, files, ffree, fsid, ..] = self.wide;
        Statfs {
            kind,
            bsize,
            blocks,
            bfree,
            bavail,
            files,
            ffree,
            fsid,
            namelen,
        }
    }

    fn attr(&self) -> Attr {
        let [_, mode, uid, gid, ..] = self.words;
        let [
            _,
            valid,
            nlink,
            rdev,
            size,
            blksize,
            blocks,
            atime_sec,
            atime_nsec,
            ..,
        ] = self.wide;
        let [
            ..,
            mtime_sec,
            mtime_nsec,
            ctime_sec,
            ctime_nsec,
            btime_sec,
            btime_nsec,
            generation,
            data_version,
        ] = self.wide;
        Attr {
            valid,
            qid: self.qid(),
            mode,
            uid,
            gid,
            nlink,
            rdev,
            size,
            blksize,
            blocks,
            atime_sec,
            atime_nsec,
            mtime_sec,
            mtime_nsec,
            ctime_sec,
            ctime_nsec,
            btime_sec,
            btime_nsec,
            generation,
            data_version,
        }
    }

    /// A stat structure of the dialect.
    pub fn stat(&self, dialect: Dialect) -> Stat<'_> {
        let [_, dev, mode, atime, mtime, n_uid, n_gid, n_muid] = self.words;
        let [name, uid, gid, muid] = &self.texts;
        let unix = StatUnix {
            extension: &self.extension,
            n_uid,
            n_gid,
            n_muid,
        };
        Stat {
            kind: self.half,
            dev,
            qid: self.qid(),
            mode,
            atime,
            mtime,
            length: self.wide[1],
            name,
            uid,
            gid,
            muid,
            unix: dialect.has_unix_fields().then_some(unix),
        }
    }

    /// A directory entry.
    pub fn dirent(&self) -> Dirent<'_> {
        Dirent {
            qid: self.qid(),
            offset: self.wide[1],
            kind: self.byte,
            name: &self.texts[0],
        }
    }

    /// The request with this number, as the dialect has it.
    // Laid out by hand: one message a line, like the table it mirrors.
    #[rustfmt::skip]
    pub fn request(&self, number: u8, dialect: Dialect) -> Request<'_> {
        let unix = dialect.has_unix_fields();
        let [a, b, c, d, e, _, _, h] = self.words;
        match number {
            8 => Request::Statfs { fid: a },
            12 => Request::Lopen { fid: a, flags: b },
            14 => Request::Lcreate { fid: a, name: self.name(0), flags: b, mode: c, gid: d },
            16 => Request::Symlink { dfid: a, name: self.name(0), target: &self.texts[0], gid: b },
            18 => Request::Mknod { dfid: a, name: self.name(0), mode: b, major: c, minor: d, gid: e },
            20 => Request::Rename { fid: a, dfid: b, name: self.name(0) },
            22 => Request::Readlink { fid: a },
            24 => Request::Getattr { fid: a, request_mask: self.wide[0] },
            26 => Request::Setattr { fid: a, attr: self.setattr() },
            30 => Request::Xattrwalk { fid: a, newfid: b, name: &self.texts[0] },
            32 => Request::Xattrcreate { fid: a, name: &self.texts[0], size: self.wide[0], flags: b },
            40 => Request::Readdir { fid: a, offset: self.wide[0], count: b },
            50 => Request::Fsync { fid: a, datasync: Tail(self.tail) },
            52 => Request::Lock { fid: a, kind: self.byte, flags: b, range: self.range() },
            54 => Request::Getlock { fid: a, kind: self.byte, range: self.range() },
            70 => Request::Link { dfid: a, fid: b, name: self.name(0) },
            72 => Request::Mkdir { dfid: a, name: self.name(0), mode: b, gid: c },
            74 => Request::Renameat { olddirfid: a, oldname: self.name(0), newdirfid: b, newname: self.name(1) },
            76 => Request::Unlinkat { dirfid: a, name: self.name(0), flags: b },
            100 => Request::Version { msize: a, version: &self.texts[0] },
            102 => Request::Auth { afid: a, uname: &self.texts[0], aname: &self.texts[1], n_uname: unix.then_some(h) },
            104 => Request::Attach { fid: a, afid: b, uname: &self.texts[0], aname: &self.texts[1], n_uname: unix.then_some(h) },
            108 => Request::Flush { oldtag: self.half },
            110 => Request::Walk { fid: a, newfid: b, steps: self.steps() },
            112 => Request::Open { fid: a, mode: self.byte },
            114 => Request::Create { fid: a, name: self.name(0), perm: b, mode: self.byte, extension: unix.then_some(&self.extension) },
            116 => Request::Read { fid: a, offset: self.wide[0], count: b },
            118 => Request::Write { fid: a, offset: self.wide[0], data: Data(&self.data) },
            120 => Request::Clunk { fid: a },
            122 => Request::Remove { fid: a },
            124 => Request::Stat { fid: a },
            126 => Request::Wstat { fid: a, stat: self.stat(dialect) },
            other => panic!("Request {other} is not built here"),
        }
    }

    /// The reply with this number, as the dialect has it.
    // Laid out by hand: one message a line, like the table it mirrors.
    #[rustfmt::skip]
    pub fn reply(&self, number: u8, dialect: Dialect) -> Reply<'_> {
        let unix = dialect.has_unix_fields();
        let [a, _, _, _, _, _, _, h] = self.words;
        match number {
            7 => Reply::Lerror { ecode: a },
            9 => Reply::Statfs { statfs: self.statfs() },
            13 => Reply::Lopen { qid: self.qid(), iounit: a },
            15 => Reply::Lcreate { qid: self.qid(), iounit: a },
            17 => Reply::Symlink { qid: self.qid() },
            19 => Reply::Mknod { qid: self.qid() },
            21 => Reply::Rename {},
            23 => Reply::Readlink { target: &self.texts[0] },
            25 => Reply::Getattr { attr: self.attr() },
            27 => Reply::Setattr {},
            31 => Reply::Xattrwalk { size: self.wide[0] },
            33 => Reply::Xattrcreate {},
            41 => Reply::Readdir { data: Data(&self.data) },
            51 => Reply::Fsync {},
            53 => Reply::Lock { status: self.byte },
            55 => Reply::Getlock { kind: self.byte, range: self.range() },
            71 => Reply::Link {},
            73 => Reply::Mkdir { qid: self.qid() },
            75 => Reply::Renameat {},
            77 => Reply::Unlinkat {},
            101 => Reply::Version { msize: a, version: &self.texts[0] },
            103 => Reply::Auth { aqid: self.qid() },
            105 => Reply::Attach { qid: self.qid() },
            107 => Reply::Error { ename: &self.texts[0], errno: unix.then_some(h) },
            109 => Reply::Flush {},
            111 => Reply::Walk { qids: self.qids() },
            113 => Reply::Open { qid: self.qid(), iounit: a },
            115 => Reply::Create { qid: self.qid(), iounit: a },
            117 => Reply::Read { data: Data(&self.data) },
            119 => Reply::Write { count: a },
            121 => Reply::Clunk {},
            123 => Reply::Remove {},
            125 => Reply::Stat { stat: self.stat(dialect) },
            127 => Reply::Wstat {},
            other => panic!("Reply {other} is not built here"),
        }
    }
}
