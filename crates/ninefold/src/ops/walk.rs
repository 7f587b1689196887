//! Tattach, Twalk and Tclunk: how fids come and go.

use ninefold_wire::{NOFID, Qids, Reply, Steps};
use rustix::io::Errno;

use super::{Answer, Call, classic, given, told, xattr};
use crate::export::Export;
use crate::fid::Fid;
use crate::sys::{Result, act_as_server};

/// A fid for the root of the export. There is one tree and no authentication: `aname` does not
/// matter, and `uname` only in 9P2000, which has no other word for the user. Source: attach(5).
pub(super) fn attach(
    call: &mut Call<'_>,
    (fid, afid): (u32, u32),
    uname: &[u8],
    n_uname: Option<u32>,
) -> Result<Answer> {
    if afid != NOFID {
        return Err(Errno::INVAL);
    }
    call.fids.check_free(fid)?;
    let root = call.export.root_for(call.keeper);
    let qid = call.qid(&call.export.stat(&root)?)?;
    let uid = match n_uname {
        Some(uid) => given(uid),
        None => classic::user(uname),
    };
    let uid = call.export.attach(uid, uname)?;
    call.fids.insert(fid, Fid::path(root, uid))?;
    call.out.reply(&Reply::Attach { qid })
}

/// Walks, one held directory after the other. When a later step fails, the reply says how far it
/// went and newfid is not made. Walking from an open fid is allowed: Linux does it. Source: walk(5).
pub(super) fn walk(
    call: &mut Call<'_>,
    fid: u32,
    newfid: u32,
    steps: &Steps<'_>,
) -> Result<Answer> {
    let from = if newfid == fid {
        let from = call.fids.object(fid)?;
        from.check_unopened()?;
        from
    } else {
        call.fids.object_for(fid, newfid)?
    };
    let mut qids = Qids::default();
    let mut walk = call.export.walk(from.node.share()?);
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        let passed = steps.peek().is_some();
        match walk.step(step, passed) {
            Ok(qid) => {
                // A Twalk of more than 16 steps does not decode.
                let _ = qids.push(told(call.dialect, qid));
            }
            Err(errno) if qids.as_slice().is_empty() => return Err(errno),
            Err(_) => return call.out.reply(&Reply::Walk { qids }),
        }
    }
    let found = Fid::path(walk.into_node(), from.uid);
    if newfid == fid {
        call.fids.replace(fid, from, found)?;
    } else {
        call.fids.insert(newfid, found)?;
    }
    call.out.reply(&Reply::Walk { qids })
}

/// Forgets a fid; a value of an extended attribute that it holds is set now. The fid is gone even
/// when that fails. Source: clunk(5).
pub(super) fn clunk(call: &mut Call<'_>, fid: u32) -> Result<Answer> {
    let gone = call.fids.remove(fid)?;
    xattr::commit(call, &gone)?;
    end(call.export, &gone)?;
    // Closes files and gives back locks before the client hears that it is done.
    drop(gone);
    call.out.reply(&Reply::Clunk {})
}

/// What the end of a fid does to the tree, beside closing.
///
/// # Errors
/// Those of a removal; that somebody else was quicker is none.
pub(crate) fn end(export: &Export, fid: &Fid) -> Result<()> {
    if !fid.remove_on_clunk {
        return Ok(());
    }
    export.act_as(fid.uid)?;
    let removed = export.writer().and_then(|writer| writer.remove(&fid.node));
    act_as_server()?;
    match removed {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}
