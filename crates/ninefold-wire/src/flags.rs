//! Numbers that stand inside fields. All are Linux's asm-generic values whatever the host.

/// Bits of a qid's type. Source: intro(5); `P9_QTSYMLINK` of Linux's `9p.h`.
pub mod qid {
    /// Directory.
    pub const DIR: u8 = 0x80;
    /// Symbolic link (.u, .L).
    pub const SYMLINK: u8 = 0x02;
    /// Anything else.
    pub const FILE: u8 = 0x00;
}

/// Bits of `request_mask` and `valid` of getattr. Source: `P9_STATS_*`.
pub mod getattr {
    /// mode .. blocks: what stat(2) shows.
    pub const BASIC: u64 = 0x07ff;
    /// Creation time.
    pub const BTIME: u64 = 0x0800;
    /// Inode generation.
    pub const GEN: u64 = 0x1000;
    /// Change counter.
    pub const DATA_VERSION: u64 = 0x2000;
}

/// Bits of Tsetattr's `valid`. Source: `P9_ATTR_*`.
pub mod setattr {
    /// Set the mode.
    pub const MODE: u32 = 0x001;
    /// Set the owner.
    pub const UID: u32 = 0x002;
    /// Set the group.
    pub const GID: u32 = 0x004;
    /// Set the length.
    pub const SIZE: u32 = 0x008;
    /// Set the access time, to now without [`ATIME_SET`].
    pub const ATIME: u32 = 0x010;
    /// Set the modification time, to now without [`MTIME_SET`].
    pub const MTIME: u32 = 0x020;
    /// Touch the change time.
    pub const CTIME: u32 = 0x040;
    /// The access time is the one given.
    pub const ATIME_SET: u32 = 0x080;
    /// The modification time is the one given.
    pub const MTIME_SET: u32 = 0x100;
}

/// Flags of Tlopen and Tlcreate. Source: `P9_DOTL_*`.
pub mod open {
    /// The access mode: 0 read, 1 write, 2 both.
    pub const ACCESS: u32 = 0o3;
    /// Write only.
    pub const WRONLY: u32 = 0o1;
    /// Read and write.
    pub const RDWR: u32 = 0o2;
    /// Create.
    pub const CREAT: u32 = 0o100;
    /// Fail if it exists.
    pub const EXCL: u32 = 0o200;
    /// Empty the file.
    pub const TRUNC: u32 = 0o1000;
    /// Write at the end.
    pub const APPEND: u32 = 0o2000;
    /// Do not wait.
    pub const NONBLOCK: u32 = 0o4000;
    /// Data reaches the disk before a write returns.
    pub const DSYNC: u32 = 0o10000;
    /// Past the page cache.
    pub const DIRECT: u32 = 0o40000;
    /// Must be a directory.
    pub const DIRECTORY: u32 = 0o200_000;
    /// Must not be a symbolic link.
    pub const NOFOLLOW: u32 = 0o400_000;
    /// Leave the access time.
    pub const NOATIME: u32 = 0o1_000_000;
    /// With [`DSYNC`]: metadata too.
    pub const SYNC: u32 = 0o4_000_000;
}

/// The mode byte of Topen and Tcreate. Source: open(5); `P9_O*` of Linux's `9p.h`.
pub mod classic_open {
    /// The access mode: 0 read, 1 write, 2 both, 3 execute.
    pub const ACCESS: u8 = 3;
    /// Read.
    pub const READ: u8 = 0;
    /// Write only.
    pub const WRITE: u8 = 1;
    /// Read and write.
    pub const RDWR: u8 = 2;
    /// Read what may be executed.
    pub const EXEC: u8 = 3;
    /// Empty the file.
    pub const TRUNC: u8 = 0x10;
    /// Remove the file when the fid is clunked.
    pub const RCLOSE: u8 = 0x40;
    /// .u: write at the end.
    pub const APPEND: u8 = 0x80;
}

/// Flags of Tunlinkat.
pub mod unlink {
    /// Remove a directory, not a file (`AT_REMOVEDIR`).
    pub const REMOVEDIR: u32 = 0x200;
}

/// Flags of Txattrcreate.
pub mod xattr {
    /// Fail if the attribute exists.
    pub const CREATE: u32 = 1;
    /// Fail if the attribute does not exist.
    pub const REPLACE: u32 = 2;
}

/// Flags of Tlock and the status of an Rlock. Source: `P9_LOCK_*`.
pub mod lock {
    /// Wait for the lock.
    pub const BLOCK: u32 = 1;
    /// Recover a lock after a server's restart.
    pub const RECLAIM: u32 = 2;
    /// Status: granted.
    pub const SUCCESS: u8 = 0;
    /// Status: another holds it.
    pub const BLOCKED: u8 = 1;
    /// Status: failed.
    pub const ERROR: u8 = 2;
    /// Status: the server is still recovering locks.
    pub const GRACE: u8 = 3;
}

/// Bits of a stat's mode beside the permissions. Source: stat(5), the .u draft.
pub mod dm {
    /// Directory.
    pub const DIR: u32 = 0x8000_0000;
    /// Append only.
    pub const APPEND: u32 = 0x4000_0000;
    /// Exclusive use.
    pub const EXCL: u32 = 0x2000_0000;
    /// .u: symbolic link.
    pub const SYMLINK: u32 = 0x0200_0000;
    /// .u: hard link (Tcreate only).
    pub const LINK: u32 = 0x0100_0000;
    /// .u: device.
    pub const DEVICE: u32 = 0x0080_0000;
    /// .u: FIFO.
    pub const NAMED_PIPE: u32 = 0x0020_0000;
    /// .u: socket.
    pub const SOCKET: u32 = 0x0010_0000;
    /// .u: set-user-id.
    pub const SETUID: u32 = 0x0008_0000;
    /// .u: set-group-id.
    pub const SETGID: u32 = 0x0004_0000;
    /// .u: sticky.
    pub const SETVTX: u32 = 0x0001_0000;
}
