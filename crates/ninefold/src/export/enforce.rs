//! Permissions that the host's kernel checks: each request runs as the user who attached.
//!
//! The kernel decides, not this module: it says only who the user is ([`User`]), and has the worker
//! act as that user ([`identity`]). Who a client says he is, is believed.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::{Export, ExportError, ExportOptions, Node, Owner, SecurityModel};
use crate::locked;
use crate::sys::identity::{self, User};
use crate::sys::{self, Result};

/// Most users that are remembered; beyond, all are asked for anew.
const USERS_MAX: usize = 4096;

/// Who checks permissions by the owners and modes of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforce {
    /// The client's kernel. Everything is done with the rights of the server.
    #[default]
    Client,
    /// The host's kernel: everything is done with the rights of the user who attached. Needs
    /// `CAP_SETUID` and `CAP_SETGID`, and a model whose owners are the host's.
    Server(Squash),
}

/// Who is not who he says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Squash {
    /// Of whom.
    pub who: Squashed,
    /// Who they are instead, on the host: user and group. Users that the host does not know have
    /// this group too.
    pub to: (u32, u32),
}

impl Default for Squash {
    /// Nobody is another one; the group of the unknown is nobody's.
    fn default() -> Self {
        Self {
            who: Squashed::Nobody,
            to: (65534, 65534),
        }
    }
}

/// Whose name does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Squashed {
    /// All are who they say.
    Nobody,
    /// User 0 of the host.
    Root,
    /// Everybody.
    All,
}

/// Who the users are.
pub(super) struct Enforcer {
    squash: Squash,
    /// Whom the squashed are.
    nobody: Arc<User>,
    /// What the host does not permit of owners is ignored.
    lenient: bool,
    users: Mutex<HashMap<u32, Arc<User>>>,
}

impl Enforcer {
    /// What the options ask for, if this server can do it.
    pub(super) fn new(options: &ExportOptions) -> std::result::Result<Option<Self>, ExportError> {
        let Enforce::Server(squash) = options.enforce else {
            return Ok(None);
        };
        if options.security_model.is_mapped() {
            return Err(ExportError::EnforceMapped);
        }
        if !identity::may_act() {
            return Err(ExportError::EnforceRights);
        }
        let (uid, gid) = squash.to;
        let groups = sys::groups_of(uid).map_or_else(Vec::new, |(_, groups)| groups);
        Ok(Some(Self {
            squash,
            nobody: Arc::new(User { uid, gid, groups }),
            lenient: options.security_model == SecurityModel::None,
            users: Mutex::default(),
        }))
    }

    /// The user of the host that somebody is.
    fn squashed(&self, uid: u32) -> u32 {
        match self.squash.who {
            Squashed::Root if uid == 0 => self.nobody.uid,
            Squashed::All => self.nobody.uid,
            _ => uid,
        }
    }

    fn user(&self, uid: u32) -> Arc<User> {
        if uid == self.nobody.uid {
            return Arc::clone(&self.nobody);
        }
        let known = locked(&self.users).get(&uid).cloned();
        known.unwrap_or_else(|| self.look_up(uid))
    }

    /// Whether a group that is not the user's gives way to his own, instead of being refused.
    fn passes_over(&self, user: &User) -> bool {
        self.lenient || user.uid == self.nobody.uid || !user.is_known()
    }

    /// Asks the host's user database, which can take long: nobody else has to wait for it.
    fn look_up(&self, uid: u32) -> Arc<User> {
        let (gid, groups) = sys::groups_of(uid).unwrap_or_else(|| (self.nobody.gid, Vec::new()));
        let user = Arc::new(User { uid, gid, groups });
        let mut users = locked(&self.users);
        if users.len() >= USERS_MAX {
            users.clear();
        }
        users.insert(uid, Arc::clone(&user));
        user
    }
}

impl Export {
    /// Whether permissions are checked here.
    pub(crate) fn enforces(&self) -> bool {
        self.enforcer.is_some()
    }

    /// As whom the fids of an attach work: the client's number of the user, which may be missing, or
    /// where permissions are checked here the host's. His groups are those that he has now.
    ///
    /// # Errors
    /// Where permissions are checked here: EPERM for a number that the id rules leave out, EACCES for
    /// a user without a number whose name the host does not know.
    pub(crate) fn attach(&self, uid: Option<u32>, uname: &[u8]) -> Result<Option<u32>> {
        let Some(enforcer) = &self.enforcer else {
            return Ok(uid);
        };
        let uid = match uid {
            _ if enforcer.squash.who == Squashed::All => enforcer.nobody.uid,
            Some(uid) => self.host_uid(uid)?,
            None => sys::uid_of(uname).ok_or(Errno::ACCESS)?,
        };
        let uid = enforcer.squashed(uid);
        if uid != enforcer.nobody.uid {
            enforcer.look_up(uid);
        }
        Ok(Some(uid))
    }

    /// Has this thread work for a fid's user from now on, or as the server where permissions are not
    /// checked here.
    ///
    /// # Errors
    /// EPERM when that cannot be.
    pub(crate) fn act_as(&self, uid: Option<u32>) -> Result<()> {
        match (&self.enforcer, uid) {
            (None, _) => identity::act_as(None),
            (Some(enforcer), Some(uid)) => identity::act_as(Some(&enforcer.user(uid))),
            (Some(_), None) => Err(Errno::PERM),
        }
    }

    /// Whom an object that somebody makes in `dir` belongs to on the host. Where permissions are
    /// checked here, that is the maker, and the group that he names if it is one of his, or the one
    /// that a set-group-id directory gives. Who is squashed, or not known to the host, names none that
    /// counts.
    ///
    /// # Errors
    /// EPERM for whom the host has no id, and for a group that the maker is not in.
    pub(super) fn owner_of_new(&self, dir: &Arc<Node>, owner: Owner) -> Result<Owner> {
        let Some(enforcer) = &self.enforcer else {
            return self.host_owner(owner);
        };
        let user = enforcer.user(owner.uid.ok_or(Errno::PERM)?);
        let gid = owner.gid.map(|gid| self.host_gid(gid)).transpose()?;
        let theirs = gid.filter(|gid| user.may_give(*gid));
        if theirs == gid || enforcer.passes_over(&user) || inherits(dir, gid)? {
            return Ok(Owner {
                uid: None,
                gid: theirs,
            });
        }
        Err(Errno::PERM)
    }
}

/// Whether the host gives this group to whatever is made in the directory.
fn inherits(dir: &Arc<Node>, gid: Option<u32>) -> Result<bool> {
    let stat = sys::stat(dir.fd()?.as_fd())?;
    Ok(stat.mode & libc::S_ISGID != 0 && Some(stat.gid) == gid)
}
