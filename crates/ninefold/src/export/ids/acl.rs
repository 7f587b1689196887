//! POSIX ACLs with the ids in them translated.
//!
//! The value is Linux's (`include/uapi/linux/posix_acl_xattr.h`), in little-endian bytes whatever the
//! host: a version, then entries of tag, permissions and id. Only entries for a named user or a named
//! group have an id that means something.

use rustix::io::Errno;

use super::Ids;
use crate::sys::Result;

const VERSION: [u8; 4] = 2_u32.to_le_bytes();
const ENTRY_LEN: usize = 8;
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;

/// Puts the host's ids in the place of the guest's.
///
/// # Errors
/// EPERM for an id that has none on the host. EINVAL for what is no ACL, and for one where two users
/// or two groups become the same: nobody could tell which of the two entries holds.
pub(super) fn to_host(ids: &Ids, value: &[u8]) -> Result<Vec<u8>> {
    let mut translated = value.to_vec();
    translate(&mut translated, |tag, id| match tag {
        USER => ids.host_uid(id),
        _ => ids.host_gid(id),
    })?;
    let mut named: Vec<_> = entries(&translated)?
        .filter(|(tag, _)| [USER, GROUP].contains(tag))
        .collect();
    named.sort_unstable();
    if named.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Errno::INVAL);
    }
    Ok(translated)
}

/// Puts the guest's ids in the place of the host's.
///
/// # Errors
/// EOVERFLOW for an id that the guest has none for, EINVAL for what is no ACL.
pub(super) fn to_guest(ids: &Ids, value: &mut [u8]) -> Result<()> {
    translate(value, |tag, id| match tag {
        USER => ids.guest_uid(id),
        _ => ids.guest_gid(id),
    })
}

/// The bytes of the entries.
fn body(value: &[u8]) -> Result<&[u8]> {
    let body = value.strip_prefix(&VERSION).ok_or(Errno::INVAL)?;
    if body.len() % ENTRY_LEN == 0 {
        Ok(body)
    } else {
        Err(Errno::INVAL)
    }
}

/// Tag and id of an entry.
fn parse(entry: &[u8]) -> Option<(u16, u32)> {
    let tag = entry.get(..2)?.try_into().ok().map(u16::from_le_bytes)?;
    let id = entry.get(4..8)?.try_into().ok().map(u32::from_le_bytes)?;
    Some((tag, id))
}

fn entries(value: &[u8]) -> Result<impl Iterator<Item = (u16, u32)> + '_> {
    Ok(body(value)?.chunks_exact(ENTRY_LEN).filter_map(parse))
}

fn translate(value: &mut [u8], id_of: impl Fn(u16, u32) -> Result<u32>) -> Result<()> {
    body(value)?;
    let (_, body) = value.split_at_mut(VERSION.len());
    for entry in body.chunks_exact_mut(ENTRY_LEN) {
        if let Some((tag @ (USER | GROUP), id)) = parse(entry) {
            entry[4..].copy_from_slice(&id_of(tag, id)?.to_le_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::IdTranslation;
    use super::*;

    fn ids(uids: &[&str], gids: &[&str]) -> Ids {
        let rules = |texts: &[&str]| {
            let rule = |text: &&str| text.parse().expect("a rule");
            texts.iter().map(rule).collect()
        };
        let translation = IdTranslation {
            uids: rules(uids),
            gids: rules(gids),
        };
        Ids::new(&translation).expect("no overlap").expect("rules")
    }

    fn acl(entries: &[(u16, u32)]) -> Vec<u8> {
        let entries = entries.iter().flat_map(|(tag, id)| {
            let parts = [tag.to_le_bytes(), 6_u16.to_le_bytes()].concat();
            [parts, id.to_le_bytes().to_vec()].concat()
        });
        VERSION.into_iter().chain(entries).collect()
    }

    #[test]
    fn named_users_and_groups_are_translated_both_ways() {
        let ids = ids(&["map:0:1000:10"], &["map:0:2000:10"]);
        let none = u32::MAX;
        let guest = acl(&[
            (1, none),
            (USER, 5),
            (4, none),
            (GROUP, 5),
            (16, none),
            (32, none),
        ]);
        let host = acl(&[
            (1, none),
            (USER, 1005),
            (4, none),
            (GROUP, 2005),
            (16, none),
            (32, none),
        ]);
        assert_eq!(to_host(&ids, &guest), Ok(host.clone()));
        let mut back = host;
        assert_eq!(to_guest(&ids, &mut back), Ok(()));
        assert_eq!(back, guest);
    }

    #[test]
    fn ids_outside_are_errors() {
        let ids = ids(&["map:0:1000:10"], &["map:0:2000:10"]);
        for entry in [(USER, 10), (GROUP, 10), (USER, u32::MAX)] {
            assert_eq!(to_host(&ids, &acl(&[entry])), Err(Errno::PERM), "{entry:?}");
        }
        for entry in [(USER, 999), (GROUP, 1005), (USER, u32::MAX)] {
            let mut value = acl(&[entry]);
            assert_eq!(
                to_guest(&ids, &mut value),
                Err(Errno::OVERFLOW),
                "{entry:?}"
            );
        }
    }

    #[test]
    fn two_that_become_one_are_refused() {
        let ids = ids(&["squash-guest:0:1000:100"], &[]);
        assert_eq!(
            to_host(&ids, &acl(&[(USER, 1), (USER, 2)])),
            Err(Errno::INVAL)
        );
        let apart = acl(&[(USER, 1), (GROUP, 1000), (GROUP, 1001)]);
        assert!(to_host(&ids, &apart).is_ok());
    }

    #[test]
    fn what_is_no_acl_is_refused() {
        let ids = ids(&["map:0:0:10"], &[]);
        let whole = acl(&[(USER, 1)]);
        for value in [&[][..], &whole[..3], &whole[..11], &[1, 0, 0, 0], b"text"] {
            assert_eq!(to_host(&ids, value), Err(Errno::INVAL), "{value:?}");
            assert_eq!(to_guest(&ids, &mut value.to_vec()), Err(Errno::INVAL));
        }
        assert_eq!(to_host(&ids, &VERSION), Ok(VERSION.to_vec()), "no entries");
    }
}
