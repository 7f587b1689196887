//! Hard links: one object, one owner and one mode under all its names.

use anyhow::Result;
use rustix::fs::FileType;
use rustix::fs::OFlags;

use crate::suites::interop::case::Case;
use crate::suites::interop::case::NO_SPECIAL;
use crate::suites::interop::hand::Hand;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = links();
    cases.extend(changes());
    cases
}

fn a_file(hand: &Hand<'_>) -> Result<()> {
    hand.put("one", 0o640, b"content")?;
    hand.owned("one", 12, 34)
}

fn two_names(hand: &Hand<'_>) -> Result<()> {
    a_file(hand)?;
    hand.mkdir("to", 0o755)?;
    hand.link("one", "to/two")
}

fn links() -> Vec<Case> {
    vec![
        Case::changed(
            "link",
            a_file,
            |hand| hand.link("one", "two"),
            &["one 100640 12:34 7 x2", "two 100640 12:34 7 x2"],
        ),
        Case::changed(
            "link-across-directories",
            a_file,
            |hand| {
                hand.mkdir("to", 0o755)?;
                hand.link("one", "to/two")
            },
            &[
                "one 100640 12:34 7 x2",
                "to 40755 0:0",
                "to/two 100640 12:34 7 x2",
            ],
        ),
        Case::changed(
            "link-of-a-symlink",
            |hand| hand.symlink("one", b"nowhere"),
            |hand| hand.link("one", "two"),
            &["one 120777 0:0 7 x2", "two 120777 0:0 7 x2"],
        ),
        Case::changed(
            "link-of-a-device",
            |hand| hand.mknod("one", FileType::BlockDevice, (7, 1)),
            |hand| hand.link("one", "two"),
            &["one 60640 0:0 7:1 x2", "two 60640 0:0 7:1 x2"],
        )
        .but(NO_SPECIAL),
    ]
}

fn changes() -> Vec<Case> {
    vec![
        Case::changed(
            "link-then-change-by-the-new-name",
            two_names,
            |hand| {
                hand.chmod("to/two", 0o604)?;
                hand.chown("to/two", Some(56), None)?;
                hand.write("to/two", OFlags::APPEND, b"!")
            },
            &[
                "one 100604 56:34 8 x2",
                "to 40755 0:0",
                "to/two 100604 56:34 8 x2",
            ],
        ),
        Case::changed(
            "link-then-change-by-the-old-name",
            two_names,
            |hand| {
                hand.chmod("one", 0o4711)?;
                hand.set_xattr("one", "user.x", b"1")
            },
            &[
                "one 104711 12:34 7 x2 user.x",
                "to 40755 0:0",
                "to/two 104711 12:34 7 x2 user.x",
            ],
        ),
        Case::changed(
            "link-then-unlink-the-first",
            two_names,
            |hand| hand.unlink("one"),
            &["to 40755 0:0", "to/two 100640 12:34 7"],
        ),
        Case::changed(
            "link-then-rename",
            two_names,
            |hand| {
                hand.rename("to/two", "three")?;
                hand.chmod("three", 0o600)
            },
            &[
                "one 100600 12:34 7 x2",
                "three 100600 12:34 7 x2",
                "to 40755 0:0",
            ],
        ),
        Case::changed(
            "link-then-rename-over-the-other-and-change",
            |hand| {
                two_names(hand)?;
                hand.put("new", 0o600, b"new")
            },
            |hand| {
                hand.rename("new", "to/two")?;
                hand.owned("to/two", 7, 8)
            },
            &["one 100640 12:34 7", "to 40755 0:0", "to/two 100600 7:8 3"],
        ),
    ]
}
