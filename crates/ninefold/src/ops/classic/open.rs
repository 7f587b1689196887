//! Topen.

use std::sync::Arc;

use ninefold_wire::Reply;
use ninefold_wire::flags::classic_open as bits;
use rustix::io::Errno;

use crate::export::{Access, OpenMode};
use crate::fid::{Fid, State};
use crate::ops::{Answer, Call};
use crate::sys::Result;

/// The mode byte of Topen and Tcreate.
#[derive(Clone, Copy)]
pub(super) struct ModeByte(u8);

impl ModeByte {
    /// Bits that mean nothing here are dropped, as everywhere: `OCEXEC` is the client's business.
    pub(super) fn new(byte: u8) -> Self {
        Self(byte)
    }

    pub(super) fn open_mode(self) -> OpenMode {
        OpenMode {
            access: match self.0 & bits::ACCESS {
                bits::WRITE => Access::Write,
                bits::RDWR => Access::ReadWrite,
                // To execute is to read.
                _ => Access::Read,
            },
            truncate: self.0 & bits::TRUNC != 0,
            append: self.0 & bits::APPEND != 0,
            sync: false,
            noatime: false,
        }
    }

    pub(super) fn executes(self) -> bool {
        self.0 & bits::ACCESS == bits::EXEC
    }

    pub(super) fn removes(self) -> bool {
        self.0 & bits::RCLOSE != 0
    }
}

/// Opens the object of a fid. Source: open(5).
pub(in crate::ops) fn open(call: &mut Call<'_>, fid: u32, byte: u8) -> Result<Answer> {
    let path = call.fids.object(fid)?;
    path.check_unopened()?;
    let byte = ModeByte::new(byte);
    let mode = byte.open_mode();
    let changes = mode.changes() || byte.removes();
    let (state, stat) = if path.node.is_dir() {
        if changes {
            return Err(Errno::ISDIR);
        }
        let dir = call.export.open_dir(&path.node)?;
        (State::dir(dir), call.export.stat(&path.node)?)
    } else {
        if changes {
            call.export.writer()?;
        }
        if byte.executes() && call.export.stat(&path.node)?.mode & 0o111 == 0 {
            return Err(Errno::ACCESS);
        }
        let (file, stat) = call.export.open_file(&path.node, mode)?;
        (State::file(file), stat)
    };
    let qid = call.qid(&stat)?;
    let mut opened = Fid::new(Arc::clone(&path.node), path.uid, state);
    opened.remove_on_clunk = byte.removes();
    call.fids.replace(fid, path, opened)?;
    let iounit = call.iounit();
    call.out.reply(&Reply::Open { qid, iounit })
}
