//! The ways to a server that Linux's client has with `ninefold mount` or with a descriptor: vsock, unix sockets, sockets
//! that somebody else has opened.
//!
//! Most rows start a server of the guest's own, so that both ends of each way are there, vsock by its loopback.

mod inherited;
mod own;
mod served;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::expect;
use crate::row::Row;

pub(crate) fn rows() -> Vec<Row> {
    let rows = [own::rows(), inherited::rows()].into_iter().flatten();
    rows.map(|row| row.needing(mounts)).collect()
}

fn mounts(ctx: &Ctx) -> Result<()> {
    if ctx.is_9p() {
        return Ok(());
    }
    expect::skip("a local file system has no transport")
}
