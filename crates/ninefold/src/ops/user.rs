//! As whom a request runs: the user of the fid that it names first.

use ninefold_wire::Request;

use super::Call;
use crate::sys::{Result, act_as_server};

/// Has this thread work for the user of the request. One without a user's fid, and any where
/// permissions are not checked here, runs as the server.
///
/// # Errors
/// EBADF for a fid that is unknown, which it must stay: one that appears now could be another
/// user's.
pub(super) fn enter(call: &Call<'_>, request: &Request<'_>) -> Result<()> {
    match fid(request) {
        Some(fid) if call.export.enforces() => {
            let fid = call.fids.any(fid)?;
            call.export.act_as(fid.uid)
        }
        _ => act_as_server(),
    }
}

/// The fid whose user asks. A Tattach has none yet.
fn fid(request: &Request<'_>) -> Option<u32> {
    match *request {
        Request::Version { .. }
        | Request::Auth { .. }
        | Request::Attach { .. }
        | Request::Flush { .. } => None,
        Request::Statfs { fid }
        | Request::Lopen { fid, .. }
        | Request::Lcreate { fid, .. }
        | Request::Rename { fid, .. }
        | Request::Readlink { fid }
        | Request::Getattr { fid, .. }
        | Request::Setattr { fid, .. }
        | Request::Xattrwalk { fid, .. }
        | Request::Xattrcreate { fid, .. }
        | Request::Readdir { fid, .. }
        | Request::Fsync { fid, .. }
        | Request::Lock { fid, .. }
        | Request::Getlock { fid, .. }
        | Request::Walk { fid, .. }
        | Request::Read { fid, .. }
        | Request::Write { fid, .. }
        | Request::Clunk { fid }
        | Request::Remove { fid }
        | Request::Open { fid, .. }
        | Request::Create { fid, .. }
        | Request::Stat { fid }
        | Request::Wstat { fid, .. } => Some(fid),
        Request::Symlink { dfid, .. }
        | Request::Mknod { dfid, .. }
        | Request::Link { dfid, .. }
        | Request::Mkdir { dfid, .. } => Some(dfid),
        Request::Renameat { olddirfid, .. } => Some(olddirfid),
        Request::Unlinkat { dirfid, .. } => Some(dirfid),
    }
}
