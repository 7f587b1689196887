//! The guest's user and group ids, and what they are on the host.
//!
//! A layer around the export: below it, in the security models and on the disk, all ids are the
//! host's; above it, in fids and messages, all are the guest's. They are translated where an object
//! gets an owner, where its owner is shown, and in ACLs. Without rules nothing is done and nothing
//! asked.

mod acl;
mod map;
mod parse;

pub use parse::{IdRule, IdRuleError};

use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::{Export, ExportError, Owner};
use crate::sys::{self, Result, Stat};
use map::{IdMap, Overlap};
use parse::Kind;

/// Who somebody is whom the guest has no id for; the kernel's own choice (`overflowuid`).
const NOBODY: u32 = 65534;
/// As many ids as there are.
const ALL: u32 = u32::MAX;

/// How ids are translated between guest and host. Of each way (to the host, to the guest), what no
/// rule names stays what it is when there are no rules for that way, or only such as forbid;
/// otherwise it is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdTranslation {
    /// Of users.
    pub uids: Vec<IdRule>,
    /// Of groups.
    pub gids: Vec<IdRule>,
}

impl IdTranslation {
    /// All that the guest makes belongs to the server's own user and group, and what belongs to them
    /// is shown to the guest as `uid`'s and `gid`'s. What belongs to others is shown as nobody's
    /// (65534). Both ids are at most 4294967294.
    #[must_use]
    pub fn guest_to_me(uid: u32, gid: u32) -> Self {
        Self {
            uids: to_me(geteuid().as_raw(), uid),
            gids: to_me(getegid().as_raw(), gid),
        }
    }
}

fn to_me(me: u32, guest: u32) -> Vec<IdRule> {
    let above = me.saturating_add(1);
    let rules = [
        IdRule::new(Kind::SquashGuest, 0, me, ALL),
        IdRule::new(Kind::Host, me, guest, 1),
        IdRule::new(Kind::SquashHost, 0, NOBODY, me),
        IdRule::new(Kind::SquashHost, above, NOBODY, ALL - above),
    ];
    // Nobody is below 0: that rule is none.
    rules.into_iter().flatten().collect()
}

/// Two rules say what becomes of the same ids.
#[derive(Debug, thiserror::Error)]
#[error(
    "the {kind} id rules {earlier} and {later} overlap: both say what becomes of the same ids of the {side} (the last number of a rule is a count, not an id)"
)]
pub struct IdOverlap {
    kind: &'static str,
    side: map::Side,
    earlier: IdRule,
    later: IdRule,
}

impl IdOverlap {
    fn of(kind: &'static str) -> impl Fn(Overlap) -> Self {
        move |overlap| Self {
            kind,
            side: overlap.side,
            earlier: overlap.rules.1,
            later: overlap.rules.0,
        }
    }
}

/// The translation of both kinds of ids.
pub(super) struct Ids {
    uids: IdMap,
    gids: IdMap,
}

impl Ids {
    /// The translation, if there are rules at all.
    pub(super) fn new(rules: &IdTranslation) -> std::result::Result<Option<Self>, IdOverlap> {
        if *rules == IdTranslation::default() {
            return Ok(None);
        }
        Ok(Some(Self {
            uids: IdMap::new(&rules.uids).map_err(IdOverlap::of("user"))?,
            gids: IdMap::new(&rules.gids).map_err(IdOverlap::of("group"))?,
        }))
    }

    /// # Errors
    /// EPERM when there is none.
    pub(super) fn host_uid(&self, guest: u32) -> Result<u32> {
        self.uids.host(guest).ok_or(Errno::PERM)
    }

    pub(super) fn host_gid(&self, guest: u32) -> Result<u32> {
        self.gids.host(guest).ok_or(Errno::PERM)
    }

    /// # Errors
    /// EOVERFLOW when there is none, as Linux has it for an id that a mount does not map.
    fn guest_uid(&self, host: u32) -> Result<u32> {
        self.uids.guest(host).ok_or(Errno::OVERFLOW)
    }

    fn guest_gid(&self, host: u32) -> Result<u32> {
        self.gids.guest(host).ok_or(Errno::OVERFLOW)
    }

    /// Whom a new object is to belong to. Who does not say who he is, is taken for whoever the guest
    /// sees in the server's own user: no way around a rule.
    fn new_owner(&self, owner: Owner) -> Result<Owner> {
        let (me, my_group) = (geteuid().as_raw(), getegid().as_raw());
        let uid = owner.uid.map_or_else(|| self.guest_uid(me), Ok);
        let gid = owner.gid.map_or_else(|| self.guest_gid(my_group), Ok);
        Ok(Owner {
            uid: Some(self.host_uid(uid.map_err(|_| Errno::PERM)?)?),
            gid: Some(self.host_gid(gid.map_err(|_| Errno::PERM)?)?),
        })
    }

    fn changed_owner(&self, owner: Owner) -> Result<Owner> {
        Ok(Owner {
            uid: owner.uid.map(|uid| self.host_uid(uid)).transpose()?,
            gid: owner.gid.map(|gid| self.host_gid(gid)).transpose()?,
        })
    }
}

impl Export {
    /// Checks that the guest can be shown whom the shared folder belongs to: it could not mount it.
    pub(super) fn check_owner(&self, path: &Path) -> std::result::Result<(), ExportError> {
        let stat = self.root.fd().and_then(|fd| sys::stat(fd.as_fd()));
        let (Some(ids), Ok(mut stat)) = (&self.ids, stat) else {
            return Ok(());
        };
        let (complete, root) = (&self.ownership, &self.root);
        // What fails otherwise fails at the mount, and says why.
        let known = complete.complete(self, root, &mut stat).is_err()
            || ids.guest_uid(stat.uid).is_ok() && ids.guest_gid(stat.gid).is_ok();
        if known {
            return Ok(());
        }
        Err(ExportError::UnknownOwner {
            path: path.to_owned(),
            uid: stat.uid,
            gid: stat.gid,
        })
    }

    /// Whether there is nobody whom [`Export::show_owner`] refuses to show.
    pub(super) fn shows_all_owners(&self) -> bool {
        self.ids.is_none()
    }

    /// Shows the owner of an object as the guest is to see it.
    ///
    /// # Errors
    /// EOVERFLOW when the guest has no id for the owner or the group.
    pub(super) fn show_owner(&self, stat: &mut Stat) -> Result<()> {
        if let Some(ids) = &self.ids {
            stat.uid = ids.guest_uid(stat.uid)?;
            stat.gid = ids.guest_gid(stat.gid)?;
        }
        Ok(())
    }

    /// Whom an object that the guest makes belongs to on the host.
    ///
    /// # Errors
    /// EPERM for whom the host has no id.
    pub(super) fn host_owner(&self, owner: Owner) -> Result<Owner> {
        match &self.ids {
            Some(ids) => ids.new_owner(owner),
            None => Ok(owner),
        }
    }

    /// The host's number of a user.
    ///
    /// # Errors
    /// As [`Export::host_owner`].
    pub(super) fn host_uid(&self, uid: u32) -> Result<u32> {
        self.ids.as_ref().map_or(Ok(uid), |ids| ids.host_uid(uid))
    }

    /// The host's number of a group.
    ///
    /// # Errors
    /// As [`Export::host_owner`].
    pub(super) fn host_gid(&self, gid: u32) -> Result<u32> {
        self.ids.as_ref().map_or(Ok(gid), |ids| ids.host_gid(gid))
    }

    /// Whom an object that the guest gives away belongs to on the host.
    ///
    /// # Errors
    /// As [`Export::host_owner`].
    pub(super) fn changed_owner(&self, owner: Owner) -> Result<Owner> {
        match &self.ids {
            Some(ids) => ids.changed_owner(owner),
            None => Ok(owner),
        }
    }

    /// Puts the guest's ids into an ACL that was read on the host.
    ///
    /// # Errors
    /// EOVERFLOW for an id that the guest has none for, EINVAL for what is no ACL.
    pub(super) fn show_acl(&self, value: &mut [u8]) -> Result<()> {
        match &self.ids {
            Some(ids) => acl::to_guest(ids, value),
            None => Ok(()),
        }
    }

    /// An ACL of the guest's as it is on the host; none when it is the same.
    ///
    /// # Errors
    /// EPERM for an id that the host has none for; EINVAL for what is no ACL, and for one that
    /// translation would make ambiguous.
    pub(super) fn host_acl(&self, value: &[u8]) -> Result<Option<Vec<u8>>> {
        let ids = self.ids.as_ref();
        ids.map(|ids| acl::to_host(ids, value)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_mine_and_the_rest_is_nobodys() {
        for me in [0, 1, 1000, NOBODY, u32::MAX - 1] {
            let map = IdMap::new(&to_me(me, 5)).expect("no overlap");
            for guest in [0, 5, 1000, u32::MAX - 1] {
                assert_eq!(map.host(guest), Some(me));
            }
            for host in [0, 1, 999, 1000, 1001, NOBODY, u32::MAX - 1] {
                let want = if host == me { 5 } else { NOBODY };
                assert_eq!(map.guest(host), Some(want), "{host} for {me}");
            }
        }
    }

    #[test]
    fn whoever_does_not_say_is_no_way_around() {
        let own = (geteuid().as_raw(), getegid().as_raw());
        let anybody = Owner {
            uid: None,
            gid: None,
        };
        let ids = |texts: [String; 2]| {
            let [uids, gids] = texts.map(|text| vec![text.parse().expect("a rule")]);
            let ids = Ids::new(&IdTranslation { uids, gids });
            ids.expect("no overlap").expect("rules")
        };
        let all = "squash-guest:0:1234:4294967295".to_owned();
        let squashed = ids([all.clone(), all]).new_owner(anybody);
        let want = Owner {
            uid: Some(1234),
            gid: Some(1234),
        };
        assert_eq!(squashed, Ok(want));
        let mine = ids([format!("map:5:{}:1", own.0), format!("map:6:{}:1", own.1)]);
        let want = Owner {
            uid: Some(own.0),
            gid: Some(own.1),
        };
        assert_eq!(mine.new_owner(anybody), Ok(want));
        let others = ids([
            format!("map:5:{}:1", own.0 + 1),
            format!("map:6:{}:1", own.1),
        ]);
        assert_eq!(others.new_owner(anybody), Err(Errno::PERM));
        assert_eq!(others.changed_owner(anybody), Ok(anybody), "leave it");
    }

    #[test]
    fn overlaps_are_told() {
        let rules =
            ["guest:0:9:10", "squash-guest:9:0:1"].map(|text| text.parse().expect("a rule"));
        let translation = IdTranslation {
            uids: Vec::new(),
            gids: rules.into(),
        };
        let error = Ids::new(&translation).err().expect("an overlap");
        assert!(error.to_string().starts_with(
            "the group id rules guest:0:9:10 and squash-guest:9:0:1 overlap: both say what becomes of the same ids of the guest"
        ));
    }
}
