//! The host's user database: getpwuid(3), getpwnam(3) and getgrouplist(3).
//!
//! What answers may be a file or a server far away: these calls can take their time.

use std::ffi::{CStr, CString};
use std::ptr;

/// Longest record that is asked for, bytes.
const RECORD_MAX: usize = 1 << 20;
/// Most groups that a user can be in (`NGROUPS_MAX`).
const GROUPS_MAX: usize = 65536;

/// A user's own record.
struct Record {
    uid: u32,
    gid: u32,
    name: CString,
}

/// The primary group of a user, and all groups; none when the host does not know the user.
#[must_use]
pub fn groups_of(uid: u32) -> Option<(u32, Vec<u32>)> {
    // SAFETY: the arguments are those that the call asks for; `record` passes on valid ones.
    let found = record(|passwd, room, len, result| unsafe {
        libc::getpwuid_r(uid, passwd, room, len, result)
    })?;
    Some((found.gid, group_list(&found.name, found.gid)?))
}

/// The number of a user; none when the host does not know the name.
#[must_use]
pub fn uid_of(name: &[u8]) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: as above; the name ends in a NUL and outlives the call.
    let found = record(|passwd, room, len, result| unsafe {
        libc::getpwnam_r(name.as_ptr(), passwd, room, len, result)
    })?;
    Some(found.uid)
}

type Lookup<'a> =
    dyn Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> i32 + 'a;

/// Asks with more and more room. An error of the database is the same as "not known": who cannot be
/// looked up gets no groups.
fn record(
    ask: impl Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> i32,
) -> Option<Record> {
    let ask: &Lookup<'_> = &ask;
    let mut room = vec![0; 1024];
    loop {
        // SAFETY: passwd is plain data: numbers and pointers, for which zeroes are valid.
        let mut passwd: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = ptr::null_mut();
        let status = ask(
            &raw mut passwd,
            room.as_mut_ptr(),
            room.len(),
            &raw mut found,
        );
        if status == libc::ERANGE && room.len() < RECORD_MAX {
            room.resize(room.len() * 2, 0);
            continue;
        }
        if status != 0 || found.is_null() || passwd.pw_name.is_null() {
            return None;
        }
        // SAFETY: the call succeeded, so that the name is a text that ends in a NUL, within `room`.
        let name = unsafe { CStr::from_ptr(passwd.pw_name) }.to_owned();
        return Some(Record {
            uid: passwd.pw_uid,
            gid: passwd.pw_gid,
            name,
        });
    }
}

fn group_list(name: &CStr, gid: u32) -> Option<Vec<u32>> {
    let mut groups = vec![0; 64];
    loop {
        let mut count = i32::try_from(groups.len()).ok()?;
        // SAFETY: the name ends in a NUL; `groups` has room for `count` numbers.
        let status =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        if status >= 0 {
            groups.truncate(usize::try_from(count).ok()?);
            return Some(groups);
        }
        if groups.len() >= GROUPS_MAX {
            return None;
        }
        groups.resize(groups.len() * 2, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_everywhere() {
        assert_eq!(uid_of(b"root"), Some(0));
        let (gid, groups) = groups_of(0).expect("a record");
        assert_eq!(gid, 0);
        assert!(groups.contains(&0));
    }

    #[test]
    fn strangers_are_not_known() {
        assert_eq!(uid_of(b"nobody of this name"), None);
        assert_eq!(uid_of(b"ro\0ot"), None);
        assert_eq!(uid_of(b""), None);
        assert_eq!(groups_of(3_999_999_999), None);
    }
}
