//! What one server makes, the other shows.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::FileType;
use rustix::fs::OFlags;

use crate::files;
use crate::suites::interop::case::Case;
use crate::suites::interop::case::NO_SPECIAL;
use crate::suites::interop::hand::Hand;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = files_and_directories();
    cases.extend(symlinks());
    cases.extend(specials());
    cases
}

fn files_and_directories() -> Vec<Case> {
    vec![
        Case::made(
            "file",
            |hand| hand.put("file", 0o644, b"content"),
            &["file 100644 0:0 7"],
        ),
        Case::made(
            "file-of-many-pages",
            |hand| hand.put("file", 0o644, &files::pattern(7, 100_000)),
            &["file 100644 0:0 100000"],
        ),
        Case::made(
            "directory",
            |hand| hand.mkdir("directory", 0o755),
            &["directory 40755 0:0"],
        ),
        Case::made(
            "directories-in-directories",
            |hand| {
                hand.mkdir("one", 0o700)?;
                hand.mkdir("one/two", 0o750)?;
                hand.put("one/two/file", 0o600, b"x")
            },
            &[
                "one 40700 0:0",
                "one/two 40750 0:0",
                "one/two/file 100600 0:0 1",
            ],
        ),
        Case::made("odd-modes-at-birth", odd_modes, &ODD_MODES),
        Case::made(
            "odd-names",
            odd_names,
            &[
                "%0A%FF%25 100644 0:0 0",
                "-rf 100644 0:0 0",
                "virtfs.mode%3D1 40755 0:0",
            ],
        ),
        Case::made(
            "longest-name",
            |hand| hand.put(&"n".repeat(255), 0o640, b""),
            &[LONGEST],
        ),
        Case::made(
            "by-another-user",
            another_user,
            &[
                "open 40777 0:0",
                "open/directory 40755 1000:100",
                "open/file 100644 1000:100 0",
            ],
        ),
        Case::made(
            "in-a-directory-that-gives-its-group",
            groups,
            &[
                "top 42755 0:50",
                "top/directory 42755 0:50",
                "top/file 100644 0:50 0",
            ],
        ),
    ]
}

const LONGEST: &str = concat!(
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    " 100640 0:0 0"
);

const ODD_MODES: [&str; 6] = [
    "everybody 100777 0:0 0",
    "nobody 100000 0:0 0",
    "setgid 102755 0:0 0",
    "setuid 104755 0:0 0",
    "sticky 100644 0:0 0",
    "tmp 41777 0:0",
];

fn odd_modes(hand: &Hand<'_>) -> Result<()> {
    rustix::process::umask(files::mode(0));
    hand.put("everybody", 0o777, b"")?;
    hand.put("nobody", 0, b"")?;
    hand.put("setgid", 0o2755, b"")?;
    hand.put("setuid", 0o4755, b"")?;
    hand.put("sticky", 0o644, b"")?;
    hand.mkdir("tmp", 0o1777)
}

fn odd_names(hand: &Hand<'_>) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE;
    for name in [b"\n\xff%".as_slice(), b"-rf"] {
        files::open(hand.at(name), flags).context("create")?;
    }
    hand.mkdir("virtfs.mode=1", 0o755)
}

fn another_user(hand: &Hand<'_>) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    hand.mkdir("open", 0o755)?;
    hand.chmod("open", 0o777)?;
    let user = Hand::user(1000, 100)?;
    user.open(&hand.at("open/file"), OFlags::WRONLY | OFlags::CREATE)?;
    let directory = hand.at("open/directory");
    user.ask(&[b"mkdir", directory.as_os_str().as_bytes()])?
        .context("mkdir")
        .map(drop)
}

fn groups(hand: &Hand<'_>) -> Result<()> {
    hand.mkdir("top", 0o755)?;
    hand.owned("top", 0, 50)?;
    hand.chmod("top", 0o2755)?;
    hand.put("top/file", 0o644, b"")?;
    hand.mkdir("top/directory", 0o755)
}

fn symlinks() -> Vec<Case> {
    vec![
        Case::made(
            "symlink",
            |hand| hand.symlink("pointer", b"../else where\n\xff"),
            &["pointer 120777 0:0 15"],
        ),
        Case::made(
            "symlink-of-3000-bytes",
            |hand| hand.symlink("pointer", "long/".repeat(600).as_bytes()),
            &["pointer 120777 0:0 3000"],
        ),
    ]
}

fn specials() -> Vec<Case> {
    let cases = [
        Case::made(
            "fifo",
            |hand| hand.mknod("fifo", FileType::Fifo, (0, 0)),
            &["fifo 10640 0:0"],
        ),
        Case::made(
            "socket",
            |hand| hand.mknod("socket", FileType::Socket, (0, 0)),
            &["socket 140640 0:0"],
        ),
        Case::made(
            "character-device",
            |hand| hand.mknod("device", FileType::CharacterDevice, (0x345, 0x678)),
            &["device 20640 0:0 837:1656"],
        ),
        Case::made(
            "block-device",
            |hand| hand.mknod("device", FileType::BlockDevice, (7, 1)),
            &["device 60640 0:0 7:1"],
        ),
        // Beyond 2^31 as one number; the very largest is a text file's word for none.
        Case::made(
            "largest-device-numbers",
            |hand| hand.mknod("device", FileType::CharacterDevice, (0xFFF, 0xF_FFFE)),
            &["device 20640 0:0 4095:1048574"],
        ),
        Case::made(
            "whiteout",
            |hand| hand.mknod("device", FileType::CharacterDevice, (0, 0)),
            &["device 20640 0:0 0:0"],
        ),
    ];
    cases.map(|case| case.but(NO_SPECIAL)).into()
}
