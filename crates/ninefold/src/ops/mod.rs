//! What each message does: from fids to calls on the export, and the reply.
//!
//! One file for each family of messages. Nothing here knows a socket or a queue; nothing below
//! here knows a message.

mod attr;
mod classic;
mod dir;
mod io;
mod lock;
mod names;
mod open;
mod user;
mod walk;
mod xattr;

pub(crate) use walk::end;

use std::sync::Arc;

use ninefold_wire::{Dialect, IO_HEADER_LEN, NONUNAME, Qid, Reply, Request, flags, message};
use rustix::io::Errno;

use crate::export::{Export, Keeper, Owner};
use crate::fid::FidTable;
use crate::session::{Aside, Outlet, Ticket, Wait};
use crate::sys::{Result, Stat};
use crate::throttle::Direction;

/// Longest target of a symbolic link plus one: Linux sets aside 8192 bytes for an Rreadlink and for
/// an Rstat.
const TARGET_ROOM: usize = 4096;

/// How an operation ended, when it did not fail.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The reply stands in the buffer: so many bytes.
    Reply(usize),
    /// So many bytes, of which all but the head of an Rread are in their place with the client.
    Placed(usize),
    /// When the wait is over, the outlet gets the reply or has the request served again.
    Waits(Wait),
}

/// What an operation works with.
pub(crate) struct Call<'c> {
    pub(crate) export: &'c Arc<Export>,
    pub(crate) fids: &'c FidTable,
    /// What the session holds of the export's descriptors.
    pub(crate) keeper: &'c Arc<Keeper>,
    pub(crate) session: u64,
    pub(crate) msize: u32,
    pub(crate) dialect: Dialect,
    pub(crate) out: Out<'c>,
    pub(crate) scratch: &'c mut Vec<u8>,
    pub(crate) ticket: Ticket,
    pub(crate) outlet: &'c Arc<dyn Outlet>,
    /// Where data is, other than in the frame and the buffer.
    pub(crate) aside: Aside<'c>,
}

impl Call<'_> {
    /// The most data that one Tread or Twrite carries, which is what every iounit says.
    fn iounit(&self) -> u32 {
        self.msize - IO_HEADER_LEN
    }

    /// Lets a transfer of `size` bytes begin, or says what it waits for.
    fn throttle(&self, direction: Direction, size: usize) -> Option<Wait> {
        let throttle = self.export.throttle()?;
        if self.ticket.has_passed() {
            return None;
        }
        let (outlet, ticket) = (Arc::clone(self.outlet), self.ticket);
        let wait = throttle.ask(direction, size as u64, move || outlet.resume(ticket));
        wait.map(Wait::Throttle)
    }

    /// The qid of an object with these attributes.
    fn qid(&self, stat: &Stat) -> Result<Qid> {
        wire_qid(self.export, self.dialect, stat)
    }
}

/// The qid of an object with these attributes.
fn wire_qid(export: &Export, dialect: Dialect, stat: &Stat) -> Result<Qid> {
    Ok(told(dialect, export.qid(stat)?))
}

/// A qid as the client understands it. 9P2000 has no symbolic links.
fn told(dialect: Dialect, mut qid: Qid) -> Qid {
    if dialect == Dialect::Legacy {
        qid.kind &= flags::qid::DIR;
    }
    qid
}

/// The buffer for the reply, as long as the session's msize.
pub(crate) struct Out<'b> {
    buf: &'b mut [u8],
    tag: u16,
}

impl<'b> Out<'b> {
    pub(crate) fn new(buf: &'b mut [u8], tag: u16) -> Self {
        Self { buf, tag }
    }

    /// Writes a reply.
    pub(crate) fn reply(&mut self, reply: &Reply<'_>) -> Result<Answer> {
        reply
            .encode(self.tag, self.buf)
            .map(Answer::Reply)
            .map_err(|_| Errno::MSGSIZE)
    }

    /// Room for up to `count` bytes of data, where an Rread or Rreaddir has them.
    fn data(&mut self, count: u32) -> &mut [u8] {
        let room = &mut self.buf[ninefold_wire::DATA_HEADER_LEN..];
        let len = usize::try_from(count).unwrap_or(room.len()).min(room.len());
        &mut room[..len]
    }

    /// Completes an Rread whose data stands in [`Out::data`].
    fn read(&mut self, count: usize) -> Result<Answer> {
        let len = message::encode_read_head(self.tag, count, self.buf);
        len.map(Answer::Reply).map_err(|_| Errno::MSGSIZE)
    }

    /// Completes an Rread whose data is in its place with the client: only the head stands here.
    fn placed(&mut self, count: usize) -> Result<Answer> {
        let len = message::encode_read_head(self.tag, count, self.buf);
        len.map(Answer::Placed).map_err(|_| Errno::MSGSIZE)
    }

    /// Completes an Rreaddir whose entries stand in [`Out::data`].
    fn readdir(&mut self, count: usize) -> Result<Answer> {
        let len = message::encode_readdir_head(self.tag, count, self.buf);
        len.map(Answer::Reply).map_err(|_| Errno::MSGSIZE)
    }
}

/// An id of a message; all ones is "not given".
fn given(id: u32) -> Option<u32> {
    (id != NONUNAME).then_some(id)
}

/// Whom a new object is to belong to: the user who attached, the group that the message names.
fn new_owner(uid: Option<u32>, gid: u32) -> Owner {
    Owner {
        uid,
        gid: given(gid),
    }
}

/// Runs one request.
///
/// # Errors
/// The number for the error reply.
pub(crate) fn run(call: &mut Call<'_>, request: &Request<'_>) -> Result<Answer> {
    user::enter(call, request)?;
    match *request {
        Request::Statfs { fid } => attr::statfs(call, fid),
        Request::Lopen { fid, flags } => open::lopen(call, fid, flags),
        Request::Lcreate {
            fid,
            name,
            flags,
            mode,
            gid,
        } => open::lcreate(call, (fid, name), flags, mode, gid),
        Request::Symlink {
            dfid,
            name,
            target,
            gid,
        } => names::symlink(call, (dfid, name), target, gid),
        Request::Mknod {
            dfid,
            name,
            mode,
            major,
            minor,
            gid,
        } => names::mknod(call, (dfid, name), mode, (major, minor), gid),
        Request::Rename { fid, dfid, name } => names::rename(call, fid, (dfid, name)),
        Request::Readlink { fid } => names::readlink(call, fid),
        Request::Getattr { fid, request_mask } => attr::getattr(call, fid, request_mask),
        Request::Setattr { fid, ref attr } => attr::setattr(call, fid, attr),
        Request::Xattrwalk { fid, newfid, name } => xattr::walk(call, fid, newfid, name),
        Request::Xattrcreate {
            fid,
            name,
            size,
            flags,
        } => xattr::create(call, fid, name, size, flags),
        Request::Readdir { fid, offset, count } => dir::readdir(call, fid, offset, count),
        Request::Fsync { fid, datasync } => io::fsync(call, fid, datasync),
        Request::Lock {
            fid,
            kind,
            flags,
            range,
        } => lock::lock(call, fid, kind, flags, &range),
        Request::Getlock { fid, kind, range } => lock::getlock(call, fid, kind, &range),
        Request::Link { dfid, fid, name } => names::link(call, fid, (dfid, name)),
        Request::Mkdir {
            dfid,
            name,
            mode,
            gid,
        } => names::mkdir(call, (dfid, name), mode, gid),
        Request::Renameat {
            olddirfid,
            oldname,
            newdirfid,
            newname,
        } => names::renameat(call, (olddirfid, oldname), (newdirfid, newname)),
        Request::Unlinkat {
            dirfid,
            name,
            flags,
        } => names::unlinkat(call, dirfid, name, flags),
        Request::Attach {
            fid,
            afid,
            uname,
            n_uname,
            ..
        } => walk::attach(call, (fid, afid), uname, n_uname),
        Request::Flush { .. } => call.out.reply(&Reply::Flush {}),
        Request::Walk {
            fid,
            newfid,
            ref steps,
        } => walk::walk(call, fid, newfid, steps),
        Request::Read { fid, offset, count } => io::read(call, fid, offset, count),
        Request::Write { fid, offset, data } => io::write(call, fid, offset, data.0),
        Request::Clunk { fid } => walk::clunk(call, fid),
        Request::Remove { fid } => names::remove(call, fid),
        Request::Open { fid, mode } => classic::open(call, fid, mode),
        Request::Create {
            fid,
            name,
            perm,
            mode,
            extension,
        } => classic::create(call, (fid, name), perm, mode, extension),
        Request::Stat { fid } => classic::stat(call, fid),
        Request::Wstat { fid, ref stat } => classic::wstat(call, fid, stat),
        // There is no authentication.
        Request::Auth { .. } | Request::Version { .. } => Err(Errno::OPNOTSUPP),
    }
}
