//! Names of extended attributes: the client's, and those under which they are kept.

use std::borrow::Cow;

use rustix::io::Errno;

use crate::sys::Result;

/// Begins the host's names of all that this model keeps.
const PRIVATE: &[u8] = b"user.virtfs.";
/// Kept under a private name: the two ACLs as QEMU does; beyond QEMU, which does not show them, the
/// name spaces for which the host would demand privileges.
const KEPT_NAMES: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
const KEPT_PREFIXES: [&[u8]; 2] = [b"security.", b"trusted."];

fn is_kept(name: &[u8]) -> bool {
    KEPT_NAMES.contains(&name)
        || KEPT_PREFIXES
            .iter()
            .any(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
}

/// The host's name of a client's.
pub(super) fn of_host(name: &[u8], change: bool) -> Result<Cow<'_, [u8]>> {
    if name.starts_with(PRIVATE) {
        return Err(if change { Errno::ACCESS } else { Errno::NODATA });
    }
    if name.starts_with(b"user.") {
        return Ok(Cow::Borrowed(name));
    }
    if is_kept(name) {
        return Ok(Cow::Owned([PRIVATE, name].concat()));
    }
    Err(Errno::OPNOTSUPP)
}

/// The client's name of a host's, if clients may see it.
pub(super) fn of_client(name: &[u8]) -> Option<&[u8]> {
    match name.strip_prefix(PRIVATE) {
        Some(kept) => is_kept(kept).then_some(kept),
        None => name.starts_with(b"user.").then_some(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attributes() {
        let cases: [(&[u8], Result<&[u8]>); 10] = [
            (b"user.text", Ok(b"user.text")),
            (b"user.", Ok(b"user.")),
            (b"user", Err(Errno::OPNOTSUPP)),
            (b"user.virtfs.uid", Err(Errno::NODATA)),
            (
                b"system.posix_acl_access",
                Ok(b"user.virtfs.system.posix_acl_access"),
            ),
            (
                b"system.posix_acl_default",
                Ok(b"user.virtfs.system.posix_acl_default"),
            ),
            (b"system.posix_acl_other", Err(Errno::OPNOTSUPP)),
            (
                b"security.capability",
                Ok(b"user.virtfs.security.capability"),
            ),
            (
                b"trusted.overlay.opaque",
                Ok(b"user.virtfs.trusted.overlay.opaque"),
            ),
            (b"trusted.", Err(Errno::OPNOTSUPP)),
        ];
        for (name, expected) in cases {
            let host = of_host(name, false);
            assert_eq!(host.as_deref().map_err(|errno| *errno), expected);
            if let Ok(host) = expected {
                assert_eq!(of_client(host), Some(name));
            }
        }
        let denied = of_host(b"user.virtfs.mode", true);
        assert_eq!(denied.unwrap_err(), Errno::ACCESS);
        for hidden in [
            &b"user.virtfs.uid"[..],
            b"user.virtfs.x",
            b"security.selinux",
            b"system.posix_acl_access",
        ] {
            assert_eq!(of_client(hidden), None);
        }
    }
}
