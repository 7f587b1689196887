//! What the rows do: the kinds of operation, by name.
//!
//! As 9P messages they are in [`load`](crate::load), as system calls in [`plain`](crate::plain).

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Attributes of a fid that is there.
    Getattr,
    /// Walk so many names, getattr, clunk.
    Walk { names: usize },
    /// Walk to one of the entries of a directory, getattr, clunk.
    Among { wide: bool },
    /// Walk to a file of 4 KiB, open, read it, clunk.
    OpenRead,
    /// Create a file, write 4 KiB, clunk, unlink.
    CreateWrite,
    /// Rename a file, and back again.
    Rename,
    /// Make a directory, remove it.
    MakeDir,
    /// Make a symbolic link, walk to it, read it, clunk, unlink.
    SymbolicLink,
    /// Set an extended attribute.
    XattrSet,
    /// Read an extended attribute.
    XattrGet,
    /// List a directory; an operation is an entry.
    List { attributes: bool },
    /// One read after the other.
    ReadOnwards,
    /// One write after the other.
    WriteOnwards,
    /// 4 KiB from anywhere.
    ReadAnywhere,
    /// Attributes, on so many connections.
    Connections { count: u16 },
    /// Attributes, while another request on the same connection waits for a lock.
    BesideSlow,
    /// Walk to a file, and keep the fid.
    Fids { count: u32 },
}

impl Work {
    /// Whether its figures are told for each MiB, not for each message.
    pub fn is_bulk(self) -> bool {
        matches!(self, Self::ReadOnwards | Self::WriteOnwards)
    }

    /// Whether it needs the directories with many entries.
    pub fn is_wide(self) -> bool {
        matches!(
            self,
            Self::Among { .. } | Self::List { .. } | Self::Fids { .. }
        )
    }
}
