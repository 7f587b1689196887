//! The message set as one table: number, name, fields in wire order.
//!
//! A .L session also takes the 9P2000.u forms of Topen, Tcreate, Tstat and Twstat, because clients
//! send them (FreeBSD and Unikraft create with Tcreate, Linux falls back to Twstat); a .u session
//! takes the .L messages; a 9P2000 session takes only the numbers from 100 up.

use crate::codec::{Cursor, DecodeError, Field, Full, Header, encode_data_head, encode_frame};
use crate::{Attr, Data, Dialect, LockRange, Name, Qid, Qids, SetAttr, Stat, Statfs, Steps, Tail};

/// The first number of the 9P2000 set; .L's own messages lie below.
const LEGACY_FIRST: u8 = 100;

macro_rules! messages {
    (
        $(#[$meta:meta])* $set:ident
        $($(#[$doc:meta])* $number:literal $name:ident { $($field:ident: $ty:ty),* })*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the fields are the protocol's own, named in the table")]
        #[allow(clippy::large_enum_variant, reason = "lives on the stack for one call; a box would allocate")]
        pub enum $set<'a> {
            $($(#[$doc])* $name { $($field: $ty),* },)*
        }

        impl<'a> $set<'a> {
            /// The number and name of every message of this set, in the order of the table.
            pub const TABLE: &'static [(u8, &'static str)] = &[$(($number, stringify!($name))),*];

            /// The type number on the wire.
            #[must_use]
            pub fn number(&self) -> u8 {
                match self { $(Self::$name { .. } => $number,)* }
            }

            /// Decodes one whole frame. Returns its tag beside the message.
            ///
            /// # Errors
            /// [`DecodeError`]: the frame is not exactly one message of this set and dialect.
            pub fn decode(frame: &'a [u8], dialect: Dialect) -> Result<(u16, Self), DecodeError> {
                let (header, body) = Header::split(frame)?;
                if dialect == Dialect::Legacy && header.number < LEGACY_FIRST {
                    return Err(DecodeError::UnknownType(header.number));
                }
                let mut from = Cursor::new(body, dialect);
                // Each message is made where the caller has it: moving the largest costs more than
                // decoding most of them.
                match header.number {
                    $($number => {
                        $(let $field = Field::take(&mut from)?;)*
                        from.finish()?;
                        Ok((header.tag, Self::$name { $($field),* }))
                    })*
                    other => Err(DecodeError::UnknownType(other)),
                }
            }

            /// Encodes the message as one frame at the start of `buf`; returns the frame's length.
            ///
            /// # Errors
            /// [`Full`] when it does not fit; `buf` may then hold part of it.
            pub fn encode(&self, tag: u16, buf: &mut [u8]) -> Result<usize, Full> {
                encode_frame(buf, self.number(), tag, |to| match self {
                    $(Self::$name { $($field),* } => {
                        let _ = &to;
                        $($field.put(to)?;)*
                        Ok(())
                    })*
                })
            }
        }
    };
}

messages! {
    /// What a client asks: the T-messages.
    Request
    /// File system figures.
    8 Statfs { fid: u32 }
    /// Open (.L).
    12 Lopen { fid: u32, flags: u32 }
    /// Create and open a file; the fid becomes it (.L).
    14 Lcreate { fid: u32, name: Name<'a>, flags: u32, mode: u32, gid: u32 }
    /// Make a symbolic link.
    16 Symlink { dfid: u32, name: Name<'a>, target: &'a [u8], gid: u32 }
    /// Make a device, FIFO, socket or file.
    18 Mknod { dfid: u32, name: Name<'a>, mode: u32, major: u32, minor: u32, gid: u32 }
    /// Move the object of a fid.
    20 Rename { fid: u32, dfid: u32, name: Name<'a> }
    /// Read a symbolic link.
    22 Readlink { fid: u32 }
    /// Attributes.
    24 Getattr { fid: u32, request_mask: u64 }
    /// Change attributes.
    26 Setattr { fid: u32, attr: SetAttr }
    /// Open an extended attribute, or with an empty name their list, for reading.
    30 Xattrwalk { fid: u32, newfid: u32, name: &'a [u8] }
    /// Turn the fid into a new value of an extended attribute, set at its clunk.
    32 Xattrcreate { fid: u32, name: &'a [u8], size: u64, flags: u32 }
    /// Read a directory (.L).
    40 Readdir { fid: u32, offset: u64, count: u32 }
    /// Write to the disk.
    50 Fsync { fid: u32, datasync: Tail }
    /// Take or release a byte-range lock.
    52 Lock { fid: u32, kind: u8, flags: u32, range: LockRange<'a> }
    /// Ask who holds a byte-range lock.
    54 Getlock { fid: u32, kind: u8, range: LockRange<'a> }
    /// Make a hard link.
    70 Link { dfid: u32, fid: u32, name: Name<'a> }
    /// Make a directory.
    72 Mkdir { dfid: u32, name: Name<'a>, mode: u32, gid: u32 }
    /// Move an entry.
    74 Renameat { olddirfid: u32, oldname: Name<'a>, newdirfid: u32, newname: Name<'a> }
    /// Remove an entry.
    76 Unlinkat { dirfid: u32, name: Name<'a>, flags: u32 }
    /// Begin a session: agree on msize and dialect.
    100 Version { msize: u32, version: &'a [u8] }
    /// Authenticate.
    102 Auth { afid: u32, uname: &'a [u8], aname: &'a [u8], n_uname: Option<u32> }
    /// A fid for the root of a tree.
    104 Attach { fid: u32, afid: u32, uname: &'a [u8], aname: &'a [u8], n_uname: Option<u32> }
    /// Give up a request.
    108 Flush { oldtag: u16 }
    /// Descend; newfid becomes what is found.
    110 Walk { fid: u32, newfid: u32, steps: Steps<'a> }
    /// Open (9P2000, .u).
    112 Open { fid: u32, mode: u8 }
    /// Create and open (9P2000, .u).
    114 Create { fid: u32, name: Name<'a>, perm: u32, mode: u8, extension: Option<&'a [u8]> }
    /// Read.
    116 Read { fid: u32, offset: u64, count: u32 }
    /// Write.
    118 Write { fid: u32, offset: u64, data: Data<'a> }
    /// Forget a fid.
    120 Clunk { fid: u32 }
    /// Remove the object of a fid and forget the fid.
    122 Remove { fid: u32 }
    /// Attributes (9P2000, .u).
    124 Stat { fid: u32 }
    /// Change attributes (9P2000, .u).
    126 Wstat { fid: u32, stat: Stat<'a> }
}

messages! {
    /// What a server answers: the R-messages.
    Reply
    /// Failure (.L): a Linux error number.
    7 Lerror { ecode: u32 }
    /// Answer to Statfs.
    9 Statfs { statfs: Statfs }
    /// Answer to Lopen.
    13 Lopen { qid: Qid, iounit: u32 }
    /// Answer to Lcreate.
    15 Lcreate { qid: Qid, iounit: u32 }
    /// Answer to Symlink.
    17 Symlink { qid: Qid }
    /// Answer to Mknod.
    19 Mknod { qid: Qid }
    /// Answer to Rename.
    21 Rename {}
    /// Answer to Readlink.
    23 Readlink { target: &'a [u8] }
    /// Answer to Getattr.
    25 Getattr { attr: Attr }
    /// Answer to Setattr.
    27 Setattr {}
    /// Answer to Xattrwalk: the bytes that newfid holds.
    31 Xattrwalk { size: u64 }
    /// Answer to Xattrcreate.
    33 Xattrcreate {}
    /// Answer to Readdir: packed [`Dirent`](crate::Dirent)s.
    41 Readdir { data: Data<'a> }
    /// Answer to Fsync.
    51 Fsync {}
    /// Answer to Lock: a status of [`flags::lock`](crate::flags::lock).
    53 Lock { status: u8 }
    /// Answer to Getlock: the lock in the way, or type unlock and the rest as asked.
    55 Getlock { kind: u8, range: LockRange<'a> }
    /// Answer to Link.
    71 Link {}
    /// Answer to Mkdir.
    73 Mkdir { qid: Qid }
    /// Answer to Renameat.
    75 Renameat {}
    /// Answer to Unlinkat.
    77 Unlinkat {}
    /// Answer to Version.
    101 Version { msize: u32, version: &'a [u8] }
    /// Answer to Auth.
    103 Auth { aqid: Qid }
    /// Answer to Attach.
    105 Attach { qid: Qid }
    /// Failure (9P2000, .u): a text, in .u with an error number.
    107 Error { ename: &'a [u8], errno: Option<u32> }
    /// Answer to Flush: the old tag is free.
    109 Flush {}
    /// Answer to Walk: a qid for each step made.
    111 Walk { qids: Qids }
    /// Answer to Open.
    113 Open { qid: Qid, iounit: u32 }
    /// Answer to Create.
    115 Create { qid: Qid, iounit: u32 }
    /// Answer to Read.
    117 Read { data: Data<'a> }
    /// Answer to Write: bytes written.
    119 Write { count: u32 }
    /// Answer to Clunk.
    121 Clunk {}
    /// Answer to Remove.
    123 Remove {}
    /// Answer to Stat.
    125 Stat { stat: Stat<'a> }
    /// Answer to Wstat.
    127 Wstat {}
}

/// Type numbers of requests that are told apart before they are decoded.
pub mod number {
    /// Tlcreate.
    pub const LCREATE: u8 = 14;
    /// Tsymlink.
    pub const SYMLINK: u8 = 16;
    /// Tmknod.
    pub const MKNOD: u8 = 18;
    /// Trename.
    pub const RENAME: u8 = 20;
    /// Txattrwalk.
    pub const XATTRWALK: u8 = 30;
    /// Tlink.
    pub const LINK: u8 = 70;
    /// Tmkdir.
    pub const MKDIR: u8 = 72;
    /// Trenameat.
    pub const RENAMEAT: u8 = 74;
    /// Tunlinkat.
    pub const UNLINKAT: u8 = 76;
    /// Tversion.
    pub const VERSION: u8 = 100;
    /// Tauth.
    pub const AUTH: u8 = 102;
    /// Tflush.
    pub const FLUSH: u8 = 108;
    /// Twalk.
    pub const WALK: u8 = 110;
    /// Tcreate.
    pub const CREATE: u8 = 114;
    /// Tread.
    pub const READ: u8 = 116;
    /// Twrite.
    pub const WRITE: u8 = 118;
    /// Tclunk.
    pub const CLUNK: u8 = 120;
    /// Tremove.
    pub const REMOVE: u8 = 122;
}

/// Completes an Rread whose data the file system has put into `buf` behind the first
/// [`DATA_HEADER_LEN`](crate::DATA_HEADER_LEN) bytes: no copy. Returns the frame's length.
///
/// # Errors
/// [`Full`] when `buf` is shorter than that.
pub fn encode_read_head(tag: u16, count: usize, buf: &mut [u8]) -> Result<usize, Full> {
    encode_data_head(buf, Reply::Read { data: Data(&[]) }.number(), tag, count)
}

/// As [`encode_read_head`], for an Rreaddir.
///
/// # Errors
/// [`Full`] when `buf` is shorter than that.
pub fn encode_readdir_head(tag: u16, count: usize, buf: &mut [u8]) -> Result<usize, Full> {
    encode_data_head(buf, Reply::Readdir { data: Data(&[]) }.number(), tag, count)
}
