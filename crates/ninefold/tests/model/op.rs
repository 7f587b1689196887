//! What clients and the host do: messages and host's calls with all their arguments, so that a list
//! of them can be run again, whole or in part.

/// A name of one of the pools in `choose`.
pub type Name = &'static str;

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A client sends a message.
    Client(usize, Op),
    /// Somebody on the host changes the folder.
    Host(HostOp),
}

/// A message.
#[derive(Clone, Debug)]
pub enum Op {
    /// Tversion, and Tattach for fid 0.
    Version,
    Attach {
        fid: u32,
        uid: u32,
    },
    Walk {
        fid: u32,
        newfid: u32,
        steps: Vec<Name>,
    },
    Lopen {
        fid: u32,
        flags: u32,
    },
    Lcreate {
        fid: u32,
        name: Name,
        flags: u32,
        mode: u32,
        gid: u32,
    },
    Mkdir {
        dfid: u32,
        name: Name,
        mode: u32,
        gid: u32,
    },
    Mknod {
        dfid: u32,
        name: Name,
        mode: u32,
        device: (u32, u32),
        gid: u32,
    },
    Symlink {
        dfid: u32,
        name: Name,
        target: &'static str,
        gid: u32,
    },
    Link {
        dfid: u32,
        fid: u32,
        name: Name,
    },
    Rename {
        fid: u32,
        dfid: u32,
        name: Name,
    },
    Renameat {
        old: (u32, Name),
        new: (u32, Name),
    },
    Unlinkat {
        dfid: u32,
        name: Name,
        flags: u32,
    },
    Remove {
        fid: u32,
    },
    Clunk {
        fid: u32,
    },
    Read {
        fid: u32,
        offset: u64,
        count: u32,
    },
    Write {
        fid: u32,
        offset: u64,
        data: Vec<u8>,
    },
    Setattr {
        fid: u32,
        change: Change,
    },
    Getattr {
        fid: u32,
    },
    /// Treaddir from the start to the end.
    List {
        fid: u32,
        count: u32,
    },
    /// One Treaddir from where the last one of this opening ended.
    ListOn {
        fid: u32,
        count: u32,
    },
    Readlink {
        fid: u32,
    },
    Statfs {
        fid: u32,
    },
    Fsync {
        fid: u32,
    },
    Xattrwalk {
        fid: u32,
        newfid: u32,
        name: &'static str,
    },
    Xattrcreate {
        fid: u32,
        name: &'static str,
        size: u64,
        flags: u32,
    },
    Lock {
        fid: u32,
        kind: u8,
        start: u64,
        length: u64,
        process: u32,
    },
    Getlock {
        fid: u32,
        kind: u8,
        start: u64,
        length: u64,
        process: u32,
    },
}

/// A Tsetattr: what is not given is not to be set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mode: Option<u32>,
    pub atime: Option<NewTime>,
    pub mtime: Option<NewTime>,
    pub ctime: bool,
}

/// What a time is set to.
#[derive(Clone, Copy, Debug)]
pub enum NewTime {
    Now,
    To(Time),
}

/// Seconds of the epoch and nanoseconds.
pub type Time = (u64, u64);

/// A change on the host, by the path below the folder. What makes no sense when its turn comes is
/// left out.
#[derive(Clone, Debug)]
pub enum HostOp {
    Create {
        path: String,
        content: Vec<u8>,
        mode: u32,
    },
    Mkdir {
        path: String,
        mode: u32,
    },
    Symlink {
        path: String,
        target: &'static str,
    },
    Link {
        from: String,
        to: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// A file, or an empty directory.
    Remove {
        path: String,
    },
    Write {
        path: String,
        offset: u64,
        data: Vec<u8>,
    },
    Truncate {
        path: String,
        size: u64,
    },
    Chmod {
        path: String,
        mode: u32,
    },
}
