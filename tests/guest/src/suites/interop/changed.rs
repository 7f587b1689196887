//! Content, modes, owners and times that one server gives to what any of the two made.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;

use crate::suites::interop::case::Case;
use crate::suites::interop::case::NO_SPECIAL;
use crate::suites::interop::hand::Hand;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = contents();
    cases.extend(modes());
    cases.extend(owners());
    cases
}

fn a_file(hand: &Hand<'_>) -> Result<()> {
    hand.put("file", 0o644, b"content")
}

fn a_directory(hand: &Hand<'_>) -> Result<()> {
    hand.mkdir("directory", 0o755)?;
    hand.put("directory/file", 0o600, b"x")
}

/// One of each kind that is neither file nor directory.
fn specials(hand: &Hand<'_>) -> Result<()> {
    hand.mknod("block", FileType::BlockDevice, (7, 1))?;
    hand.mknod("character", FileType::CharacterDevice, (1, 3))?;
    hand.mknod("fifo", FileType::Fifo, (0, 0))?;
    hand.mknod("socket", FileType::Socket, (0, 0))
}

fn contents() -> Vec<Case> {
    vec![
        Case::changed(
            "append",
            a_file,
            |hand| hand.write("file", OFlags::APPEND, b" and more"),
            &["file 100644 0:0 16"],
        ),
        Case::changed(
            "overwrite",
            a_file,
            |hand| hand.write("file", OFlags::TRUNC, b"new"),
            &["file 100644 0:0 3"],
        ),
        Case::changed(
            "truncate",
            a_file,
            |hand| hand.truncate("file", 2),
            &["file 100644 0:0 2"],
        ),
        Case::changed(
            "lengthen",
            a_file,
            |hand| hand.truncate("file", 70_000),
            &["file 100644 0:0 70000"],
        ),
        Case::changed("times", a_file, times, &["file 100644 0:0 7"]),
        Case::changed(
            "times-of-a-symlink",
            |hand| hand.symlink("file", b"nowhere"),
            times,
            &["file 120777 0:0 7"],
        ),
    ]
}

fn times(hand: &Hand<'_>) -> Result<()> {
    let time = Timespec {
        tv_sec: 1_234_567_890,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, hand.at("file"), &times, AtFlags::SYMLINK_NOFOLLOW)
        .context("utimensat")
}

fn modes() -> Vec<Case> {
    vec![
        Case::changed(
            "chmod",
            a_file,
            |hand| hand.chmod("file", 0o751),
            &["file 100751 0:0 7"],
        ),
        Case::changed(
            "chmod-to-nothing",
            a_file,
            |hand| hand.chmod("file", 0),
            &["file 100000 0:0 7"],
        ),
        Case::changed(
            "chmod-setuid-setgid",
            a_file,
            |hand| hand.chmod("file", 0o6711),
            &["file 106711 0:0 7"],
        ),
        Case::changed(
            "chmod-of-a-directory",
            a_directory,
            |hand| hand.chmod("directory", 0o3770),
            &["directory 43770 0:0", "directory/file 100600 0:0 1"],
        ),
        Case::changed(
            "chmod-of-specials",
            specials,
            |hand| {
                hand.chmod("block", 0o600)?;
                hand.chmod("character", 0o666)?;
                hand.chmod("fifo", 0o622)?;
                hand.chmod("socket", 0o777)
            },
            &[
                "block 60600 0:0 7:1",
                "character 20666 0:0 1:3",
                "fifo 10622 0:0",
                "socket 140777 0:0",
            ],
        )
        .but(NO_SPECIAL),
    ]
}

fn owners() -> Vec<Case> {
    vec![
        Case::changed(
            "chown",
            a_file,
            |hand| hand.owned("file", 12, 34),
            &["file 100644 12:34 7"],
        ),
        Case::changed(
            "chown-to-one-after-the-other",
            |hand| {
                a_file(hand)?;
                hand.owned("file", 12, 34)
            },
            |hand| {
                hand.chown("file", Some(56), None)?;
                hand.chown("file", None, Some(78))
            },
            &["file 100644 56:78 7"],
        ),
        Case::changed(
            "chown-to-the-largest",
            |hand| {
                a_file(hand)?;
                a_directory(hand)
            },
            |hand| {
                hand.owned("file", 4_294_967_294, 4_294_967_294)?;
                hand.owned("directory", 2_147_483_648, 2_147_483_647)
            },
            &[
                "directory 40755 2147483648:2147483647",
                "directory/file 100600 0:0 1",
                "file 100644 4294967294:4294967294 7",
            ],
        ),
        Case::changed(
            "chown-takes-setuid",
            |hand| {
                a_file(hand)?;
                hand.chmod("file", 0o6755)
            },
            |hand| hand.owned("file", 12, 34),
            &["file 100755 12:34 7"],
        ),
        Case::changed(
            "chown-then-chmod",
            a_file,
            |hand| {
                hand.owned("file", 12, 34)?;
                hand.chmod("file", 0o4711)
            },
            &["file 104711 12:34 7"],
        ),
        Case::changed(
            "chown-of-a-symlink",
            |hand| hand.symlink("pointer", b"nowhere"),
            |hand| hand.owned("pointer", 12, 34),
            &["pointer 120777 12:34 7"],
        ),
        Case::changed(
            "chown-of-specials",
            specials,
            |hand| {
                let names = ["block", "character", "fifo", "socket"];
                names.iter().try_for_each(|name| hand.owned(name, 12, 34))
            },
            &[
                "block 60640 12:34 7:1",
                "character 20640 12:34 1:3",
                "fifo 10640 12:34",
                "socket 140640 12:34",
            ],
        )
        .but(NO_SPECIAL),
    ]
}
