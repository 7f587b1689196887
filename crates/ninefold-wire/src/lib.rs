//! 9P messages to and from bytes: 9P2000.L, 9P2000.u and 9P2000.
//!
//! A frame is `size[4] type[1] tag[2] body`, all integers little-endian. [`Header`] cuts frames,
//! [`Request`] and [`Reply`] are the two halves of the message table in [`message`]. Decoding
//! borrows from the frame, never allocates and never panics; whatever is not exactly a message is
//! a [`DecodeError`]. Encoding writes into a slice of the caller's.
//!
//! This crate does no I/O, knows no file, no session and no error number beyond carrying them.
//!
//! Sources: section 5 of the Plan 9 manual (9P2000), the 9P2000.u draft, `include/net/9p/9p.h` of
//! Linux and diod's `protocol.md` (9P2000.L).

#![no_std]
#![forbid(unsafe_code)]

mod codec;
mod dialect;
mod dirent;
pub mod flags;
pub mod message;
mod name;
mod stat;
mod types;

pub use codec::{DecodeError, Full, Header};
pub use dialect::Dialect;
pub use dirent::{Dirent, Dirents};
pub use message::{Reply, Request};
pub use name::{Name, NameError, Step, Steps};
pub use stat::{Stat, StatUnix};
pub use types::{Attr, Data, LockRange, LockType, Qid, Qids, SetAttr, Statfs, Tail};

/// Bytes of `size[4] type[1] tag[2]`: the smallest message.
pub const HEADER_LEN: usize = 7;
/// Bytes before the data of an Rread or Rreaddir: the header and `count[4]`.
pub const DATA_HEADER_LEN: usize = 11;
/// Bytes before the data of a Twrite: the header, `fid[4] offset[8] count[4]`.
pub const WRITE_HEADER_LEN: usize = 23;
/// What both sides set aside of msize for the header of a Tread or Twrite (`IOHDRSZ`).
pub const IO_HEADER_LEN: u32 = 24;
/// The tag of a Tversion.
pub const NOTAG: u16 = 0xffff;
/// "No fid": the afid of a client that did not authenticate; never a valid fid.
pub const NOFID: u32 = 0xffff_ffff;
/// n_uname or gid "not given".
pub const NONUNAME: u32 = 0xffff_ffff;
/// Most names in one Twalk and most qids in one Rwalk (`MAXWELEM`).
pub const WALK_MAX: usize = 16;
/// The largest value of an extended attribute (`XATTR_SIZE_MAX`), bytes.
pub const XATTR_SIZE_MAX: u64 = 65536;
