//! Extended attributes and ACLs.

use anyhow::Result;
use rustix::io::Errno;

use crate::acl;
use crate::acl::Entry;
use crate::acl::Tag;
use crate::cli::Model;
use crate::files;
use crate::suites::interop::case::ALL;
use crate::suites::interop::case::Case;
use crate::suites::interop::case::Defect;
use crate::suites::interop::case::Sign;
use crate::suites::interop::hand::Hand;

const LIST: [Entry; 5] = [
    (Tag::Owner, 6),
    (Tag::User(12), 6),
    (Tag::OwningGroup, 4),
    (Tag::Mask, 6),
    (Tag::Other, 0),
];

const NO_EMPTY: Defect = Defect {
    models: ALL,
    sign: Sign::Fails(Errno::NODATA),
    why: "QEMU takes an empty value for a removal: ENODATA",
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = users();
    cases.extend(acls().map(|case| case.not_in(Model::None, "this model keeps no ACLs")));
    cases
}

fn a_file(hand: &Hand<'_>) -> Result<()> {
    hand.put("file", 0o644, b"content")
}

fn with_attributes(hand: &Hand<'_>) -> Result<()> {
    a_file(hand)?;
    hand.set_xattr("file", "user.one", b"1")?;
    hand.set_xattr("file", "user.two", &files::pattern(3, 1500))
}

fn with_list(hand: &Hand<'_>) -> Result<()> {
    a_file(hand)?;
    hand.set_xattr("file", acl::ACCESS, &acl::encode(&LIST))
}

/// A directory with a default ACL.
fn with_default(hand: &Hand<'_>) -> Result<()> {
    hand.mkdir("top", 0o755)?;
    hand.set_xattr("top", acl::DEFAULT, &acl::encode(&LIST))
}

fn users() -> Vec<Case> {
    vec![
        Case::made(
            "xattr",
            with_attributes,
            &["file 100644 0:0 7 user.one user.two"],
        ),
        Case::made(
            "xattr-of-a-directory",
            |hand| {
                hand.mkdir("directory", 0o755)?;
                hand.set_xattr("directory", "user.any%20name\n", b"\0\xff\0")
            },
            &["directory 40755 0:0 user.any%2520name%0A"],
        ),
        Case::made(
            "xattr-empty",
            |hand| {
                a_file(hand)?;
                hand.set_xattr("file", "user.empty", b"")
            },
            &["file 100644 0:0 7 user.empty"],
        )
        .but(NO_EMPTY),
        Case::changed(
            "xattr-replaced",
            with_attributes,
            |hand| hand.set_xattr("file", "user.two", b"shorter"),
            &["file 100644 0:0 7 user.one user.two"],
        ),
        Case::changed(
            "xattr-removed",
            with_attributes,
            |hand| hand.remove_xattr("file", "user.one"),
            &["file 100644 0:0 7 user.two"],
        ),
        Case::changed(
            "xattr-survives",
            with_attributes,
            |hand| {
                hand.chmod("file", 0o600)?;
                hand.owned("file", 12, 34)?;
                hand.rename("file", "moved")
            },
            &["moved 100600 12:34 7 user.one user.two"],
        ),
    ]
}

fn acls() -> impl Iterator<Item = Case> {
    let cases = [
        Case::made(
            "acl",
            with_list,
            &["file 100660 0:0 7 system.posix_acl_access"],
        ),
        Case::made(
            "acl-default",
            with_default,
            &["top 40755 0:0 system.posix_acl_default"],
        ),
        Case::changed(
            "acl-inherited",
            with_default,
            |hand| {
                hand.put("top/file", 0o666, b"")?;
                hand.mkdir("top/sub", 0o777)
            },
            &[
                "top 40755 0:0 system.posix_acl_default",
                "top/file 100660 0:0 0 system.posix_acl_access",
                "top/sub 40660 0:0 system.posix_acl_access system.posix_acl_default",
            ],
        ),
        Case::changed(
            "acl-not-inherited-by-a-symlink",
            with_default,
            |hand| hand.symlink("top/symlink", b"nowhere"),
            &[
                "top 40755 0:0 system.posix_acl_default",
                "top/symlink 120777 0:0 7",
            ],
        )
        .not_in(
            Model::MappedFile,
            "the host's kernel gives an ACL to the file that stands for the symlink",
        ),
        Case::changed(
            "acl-replaced",
            with_list,
            |hand| {
                let mut list = LIST;
                list[1] = (Tag::User(4_294_967_294), 7);
                list[3] = (Tag::Mask, 4);
                hand.set_xattr("file", acl::ACCESS, &acl::encode(&list))
            },
            &["file 100640 0:0 7 system.posix_acl_access"],
        ),
        Case::changed(
            "acl-mask-by-chmod",
            with_list,
            |hand| hand.chmod("file", 0o701),
            &["file 100701 0:0 7 system.posix_acl_access"],
        ),
        Case::changed(
            "acl-removed",
            with_list,
            |hand| hand.remove_xattr("file", acl::ACCESS),
            &["file 100660 0:0 7"],
        ),
        Case::changed(
            "acl-default-removed",
            with_default,
            |hand| hand.remove_xattr("top", acl::DEFAULT),
            &["top 40755 0:0"],
        ),
        Case::changed(
            "acl-survives",
            with_list,
            |hand| {
                hand.owned("file", 12, 34)?;
                hand.mkdir("elsewhere", 0o755)?;
                hand.rename("file", "elsewhere/file")
            },
            &[
                "elsewhere 40755 0:0",
                "elsewhere/file 100660 12:34 7 system.posix_acl_access",
            ],
        ),
    ];
    cases.into_iter()
}
