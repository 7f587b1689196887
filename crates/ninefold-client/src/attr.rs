//! Attributes of an object and of its file system.
//!
//! Extended attributes are elsewhere; they are more like small files.

use ninefold_wire::flags::getattr;
use ninefold_wire::{Attr, Reply, Request, SetAttr, Statfs};

use crate::session::ask;
use crate::{Fid, Result};

/// All that a server may have to say.
const EVERYTHING: u64 = getattr::BASIC | getattr::BTIME | getattr::GEN | getattr::DATA_VERSION;

/// The file type in a mode, and its values (`S_IFMT` ...).
const TYPE_MASK: u32 = 0o170_000;
const TYPE_DIR: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;

/// The attributes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata(
    /// As they came over the wire.
    pub Attr,
);

impl Metadata {
    /// Bytes of the content.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The lower twelve bits of the mode.
    #[must_use]
    pub fn permissions(&self) -> u32 {
        self.0.mode & 0o7777
    }

    /// The file type alone (`st_mode & S_IFMT`).
    #[must_use]
    pub fn file_type(&self) -> u32 {
        self.0.mode & TYPE_MASK
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.file_type() == TYPE_DIR
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.file_type() == TYPE_FILE
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.file_type() == TYPE_SYMLINK
    }
}

impl Fid {
    /// The attributes, all that the server knows.
    ///
    /// # Errors
    /// The server's.
    pub fn metadata(&self) -> Result<Metadata> {
        self.metadata_of(EVERYTHING)
    }

    /// The attributes named by `mask`, bits of [`getattr`].
    ///
    /// # Errors
    /// The server's.
    pub fn metadata_of(&self, mask: u64) -> Result<Metadata> {
        let request = Request::Getattr {
            fid: self.number(),
            request_mask: mask,
        };
        ask!(self.session(), request, Reply::Getattr { attr } => Ok(Metadata(attr)))
    }

    /// Changes the attributes that `attr.valid` names.
    ///
    /// # Errors
    /// The server's.
    pub fn set_attr(&self, attr: SetAttr) -> Result<()> {
        let request = Request::Setattr {
            fid: self.number(),
            attr,
        };
        ask!(self.session(), request, Reply::Setattr {} => Ok(()))
    }

    /// The figures of the file system that the object lies on.
    ///
    /// # Errors
    /// The server's.
    pub fn statfs(&self) -> Result<Statfs> {
        let request = Request::Statfs { fid: self.number() };
        ask!(self.session(), request, Reply::Statfs { statfs } => Ok(statfs))
    }
}
