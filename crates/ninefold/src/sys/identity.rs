//! As whom a thread works on files.
//!
//! The file system user and group of Linux, the supplementary groups and the capabilities belong to
//! the thread: nothing here changes another one.
//!
//! A server that may, makes each object as its owner to be ([`take`]): owner and mode are then right
//! from the first moment, in one call, and there is no chown to undo when something fails. The
//! capabilities are kept, so that permission checks stay those of the server: it is the client's
//! kernel that decides.
//!
//! Where the host's kernel is to decide, a thread acts as a user altogether ([`act_as`]): with that
//! user's groups and without the capabilities that would pass over permissions. It stays so until it
//! acts for somebody else, which costs nothing while one user's requests follow each other; so whoever
//! serves a request says first for whom.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, OnceLock};

use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, capabilities, set_capabilities, set_thread_groups,
};

use super::Result;

/// What a thread needs to act for others.
const NEEDED: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// Whom a thread can act as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user. 0 keeps the server's capabilities.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// All groups; none when the host does not know the user.
    pub groups: Vec<u32>,
}

impl User {
    /// Whether the host knows what groups the user is in.
    pub fn is_known(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Whether this user may give the group what is his.
    pub fn may_give(&self, gid: u32) -> bool {
        self.uid == 0 || gid == self.gid || self.groups.contains(&gid)
    }
}

/// What the server itself is, and stays: to ask anew for each object made would be two calls more.
struct Own {
    ids: (u32, u32),
    capabilities: CapabilitySets,
    groups: Vec<Gid>,
}

/// Asked before any thread acts for somebody, or makes something for somebody.
static OWN: OnceLock<Own> = OnceLock::new();

thread_local! {
    /// The file system user and group this thread last took; none before the first.
    static TAKEN: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
    /// Whom this thread acts as; none is the server.
    static ACTS: RefCell<Option<Arc<User>>> = const { RefCell::new(None) };
    /// What it is accordingly.
    static STANDING: Cell<Standing> = const { Cell::new(Standing::Server) };
}

/// What a thread is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The server's own.
    Server,
    /// It acts as a user.
    User,
    /// Something failed on the way: neither the one nor the other.
    Between,
}

/// Whether this thread may act for others at all.
pub fn may_take() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(NEEDED))
}

/// Whether the server may act with others' groups too, which a user namespace can forbid.
pub fn may_act() -> bool {
    own().is_ok_and(|own| {
        own.capabilities.effective.contains(NEEDED)
            && as_server(|| set_thread_groups(&own.groups)).is_ok()
    })
}

/// Whether the modes of files do not matter to this thread.
pub fn overrides_modes() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::DAC_OVERRIDE))
}

/// Makes what this thread creates from now on belong to `uid` and `gid`; none is the server's own, or
/// those of the user that the thread acts as, who can take none but that user's groups.
///
/// # Errors
/// EPERM when the server, or the user, may not act for them.
pub fn take(uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    if let Some(user) = ACTS.with_borrow(Clone::clone) {
        return take_group(&user, uid, gid.unwrap_or(user.gid));
    }
    let own = own()?.ids;
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

fn take_group(user: &User, uid: Option<u32>, gid: u32) -> Result<()> {
    let taken = (user.uid, gid);
    if TAKEN.get() == Some(taken) {
        return Ok(());
    }
    if uid.is_some_and(|uid| uid != user.uid) || !user.may_give(gid) {
        return Err(Errno::PERM);
    }
    set_and_check(libc::SYS_setfsgid, gid)?;
    TAKEN.set(Some(taken));
    Ok(())
}

/// Makes this thread act as a user from now on; none is the server.
///
/// # Errors
/// EPERM when the server may not; the thread is then the server's own, or if not even that is
/// possible, fit for nothing until it is.
pub fn act_as(user: Option<&Arc<User>>) -> Result<()> {
    match user {
        None if STANDING.get() == Standing::Server => return Ok(()),
        Some(user) if is_already(user) => return take_group(user, None, user.gid),
        _ => {}
    }
    let done = become_user(user.map(Arc::as_ref));
    if done.is_ok() {
        ACTS.set(user.cloned());
        return Ok(());
    }
    if become_user(None).is_ok() {
        ACTS.set(None);
    }
    done
}

fn is_already(user: &Arc<User>) -> bool {
    STANDING.get() == Standing::User && ACTS.with_borrow(|acts| acts.as_ref() == Some(user))
}

/// Makes this thread the server's own again. One that has served requests of an export that checks
/// permissions ([`Enforce::Server`](crate::Enforce::Server)) works on as the last user; whoever then
/// uses it for something else calls this first.
///
/// # Errors
/// EPERM when that is not possible; the thread is then fit for nothing.
pub fn act_as_server() -> Result<()> {
    act_as(None)
}

/// Runs `act` as the server, whomever the thread acts as.
///
/// # Errors
/// Those of `act`, and of the way there and back.
pub fn as_server<T>(act: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(user) = ACTS.with_borrow(Clone::clone) else {
        return act();
    };
    act_as(None)?;
    let done = act();
    act_as(Some(&user))?;
    done
}

fn become_user(user: Option<&User>) -> Result<()> {
    let own = own()?;
    STANDING.set(Standing::Between);
    // First everything that is needed to change the rest.
    set_capabilities(None, own.capabilities)?;
    let ids = match user {
        Some(user) => {
            let groups: Vec<_> = user.groups.iter().copied().map(Gid::from_raw).collect();
            set_thread_groups(&groups)?;
            (user.uid, user.gid)
        }
        None => {
            set_thread_groups(&own.groups)?;
            own.ids
        }
    };
    switch(ids)?;
    let mut sets = own.capabilities;
    if user.is_some_and(|user| user.uid != 0) {
        sets.effective &= NEEDED;
    }
    restore(sets)?;
    TAKEN.set(Some(ids));
    STANDING.set(match user {
        Some(_) => Standing::User,
        None => Standing::Server,
    });
    Ok(())
}

fn own() -> Result<&'static Own> {
    if let Some(known) = OWN.get() {
        return Ok(known);
    }
    let own = Own {
        ids: (geteuid().as_raw(), getegid().as_raw()),
        capabilities: capabilities(None)?,
        groups: getgroups()?,
    };
    Ok(OWN.get_or_init(|| own))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    /// File system user and group, groups, and effective capabilities of this thread.
    fn state() -> (String, String, String, String) {
        let status = fs::read_to_string("/proc/thread-self/status").expect("a status");
        let line = |word: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(word));
            line.expect(word).trim().to_owned()
        };
        let last = |ids: String| ids.split_whitespace().last().map(str::to_owned);
        (
            last(line("Uid:")).expect("four ids"),
            last(line("Gid:")).expect("four ids"),
            line("Groups:"),
            line("CapEff:"),
        )
    }

    fn user(uid: u32, gid: u32, groups: &[u32]) -> Arc<User> {
        Arc::new(User {
            uid,
            gid,
            groups: groups.to_vec(),
        })
    }

    #[test]
    fn a_thread_acts_as_one_user_and_then_as_another() {
        if !may_act() {
            eprintln!("not proven: only root can act for others");
            return;
        }
        let own = state();
        let shown = |(uid, gid, groups, effective): (String, String, String, String)| {
            (format!("{uid} {gid} {groups}"), effective)
        };
        let needed = format!("{:016x}", NEEDED.bits());
        act_as(Some(&user(1001, 1002, &[5, 6]))).expect("root may");
        assert_eq!(shown(state()), ("1001 1002 5 6".into(), needed.clone()));
        take(Some(1001), Some(6)).expect("one of the groups");
        assert_eq!(shown(state()), ("1001 6 5 6".into(), needed.clone()));
        assert_eq!(take(None, Some(7)), Err(Errno::PERM));
        assert_eq!(take(Some(0), None), Err(Errno::PERM));
        act_as(Some(&user(1001, 1002, &[5, 6]))).expect("root may");
        assert_eq!(shown(state()), ("1001 1002 5 6".into(), needed.clone()));

        as_server(|| {
            assert_eq!(state(), own);
            Ok(())
        })
        .expect("and back");
        assert_eq!(shown(state()), ("1001 1002 5 6".into(), needed.clone()));
        act_as(Some(&user(1003, 1004, &[]))).expect("root may");
        assert_eq!(shown(state()), ("1003 1004 ".into(), needed));
        act_as(Some(&user(0, 0, &[4]))).expect("root may");
        assert_eq!(shown(state()), ("0 0 4".into(), own.3.clone()));
        act_as(None).expect("back");
        assert_eq!(state(), own);
    }

    #[test]
    fn another_thread_is_not_touched() {
        if !may_act() {
            eprintln!("not proven: only root can act for others");
            return;
        }
        act_as(Some(&user(1001, 1002, &[5]))).expect("root may");
        let other = std::thread::scope(|scope| {
            let other = scope.spawn(|| act_as(Some(&user(7, 8, &[9]))).map(|()| state().0));
            other.join().expect("no panic")
        });
        assert_eq!(other.as_deref(), Ok("7"));
        assert_eq!(state().0, "1001");
        act_as(None).expect("back");
    }

    #[test]
    fn capabilities_go_and_come_back() {
        if !may_act() {
            eprintln!("not proven: only root can act for others");
            return;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("secret");
        fs::write(&file, "").expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
        let may_open = || fs::File::open(&file).is_ok();
        act_as(Some(&user(1001, 1002, &[]))).expect("root may");
        assert!(!may_open(), "it is root's alone");
        assert_eq!(as_server(|| Ok(may_open())), Ok(true));
        assert!(!may_open());
        act_as(None).expect("back");
        assert!(may_open());
        // To make something for somebody else still is no matter of permissions.
        take(Some(1001), Some(1002)).expect("root may");
        fs::write(dir.path().join("given"), "").expect("a file");
        let given = fs::metadata(dir.path().join("given")).expect("a file");
        assert_eq!((given.uid(), given.gid()), (1001, 1002));
        take(None, None).expect("back");
    }
}
