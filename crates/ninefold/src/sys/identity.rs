//! As whom a thread makes files.
//!
//! The file system user and group of Linux belong to the thread. A server that may, makes each
//! object as its owner to be: owner and mode are then right from the first moment, in one call,
//! and there is no chown to undo when something fails. The capabilities are kept, so that
//! permission checks stay those of the server: it is the client's kernel that decides.

use std::cell::Cell;

use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::Result;

thread_local! {
    /// The identity this thread last took; none before the first.
    static TAKEN: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
}

/// Whether this thread may act for others at all.
pub fn may_take() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// Whether the modes of files do not matter to this thread.
pub fn overrides_modes() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::DAC_OVERRIDE))
}

/// Makes what this thread creates from now on belong to `uid` and `gid`; none is the server's own.
///
/// # Errors
/// EPERM when the server may not act for them.
pub fn take(uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let own = (geteuid().as_raw(), getegid().as_raw());
    let wanted = (uid.unwrap_or(own.0), gid.unwrap_or(own.1));
    if TAKEN.get().unwrap_or(own) == wanted {
        return Ok(());
    }
    let kept = capabilities(None)?;
    let switched = switch(wanted);
    if switched.is_err() {
        // Back to the own identity, which is always allowed.
        let _ = switch(own);
    }
    restore(kept)?;
    TAKEN.set(Some(if switched.is_ok() { wanted } else { own }));
    switched
}

fn switch((uid, gid): (u32, u32)) -> Result<()> {
    set_and_check(libc::SYS_setfsgid, gid)?;
    set_and_check(libc::SYS_setfsuid, uid)
}

/// These calls report nothing: asking with an impossible id tells what is in force.
fn set_and_check(call: libc::c_long, id: u32) -> Result<()> {
    // SAFETY: setfsuid and setfsgid take a number and change only this thread's credentials.
    let in_force = unsafe {
        libc::syscall(call, libc::c_ulong::from(id));
        libc::syscall(call, libc::c_ulong::from(u32::MAX))
    };
    if u32::try_from(in_force) == Ok(id) {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

/// Leaving uid 0 takes the file system capabilities from the effective set; they come back.
fn restore(kept: CapabilitySets) -> Result<()> {
    set_capabilities(None, kept)
}
