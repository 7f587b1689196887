//! Renames and removals: what the server keeps beside a name goes with it.

use anyhow::Result;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::suites::interop::case::Case;
use crate::suites::interop::case::Defect;
use crate::suites::interop::case::MAPPED_FILE;
use crate::suites::interop::case::NO_SPECIAL;
use crate::suites::interop::case::Sign;
use crate::suites::interop::hand::Hand;

const LEFTOVER: Defect = Defect {
    models: MAPPED_FILE,
    sign: Sign::Fails(Errno::NOTEMPTY),
    why: "QEMU leaves a directory of metadata in an emptied directory, which nothing can then replace: ENOTEMPTY",
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = renames();
    cases.extend(replacements());
    cases.extend(removals());
    cases
}

/// One of each kind, each with an owner of its own, and a directory to move them to.
fn one_of_each(hand: &Hand<'_>) -> Result<()> {
    plain(hand)?;
    hand.mknod("device", FileType::CharacterDevice, (1, 3))?;
    hand.owned("device", 14, 34)?;
    hand.mknod("fifo", FileType::Fifo, (0, 0))?;
    hand.owned("fifo", 15, 34)
}

fn plain(hand: &Hand<'_>) -> Result<()> {
    hand.put("file", 0o640, b"content")?;
    hand.owned("file", 12, 34)?;
    hand.symlink("symlink", b"nowhere")?;
    hand.owned("symlink", 13, 34)?;
    hand.mkdir("to", 0o755)?;
    hand.owned("to", 16, 34)
}

fn a_tree(hand: &Hand<'_>) -> Result<()> {
    hand.mkdir("top", 0o755)?;
    hand.owned("top", 12, 34)?;
    hand.mkdir("top/sub", 0o700)?;
    hand.owned("top/sub", 56, 78)?;
    hand.put("top/sub/file", 0o604, b"x")?;
    hand.owned("top/sub/file", 90, 1)
}

fn renames() -> Vec<Case> {
    vec![
        Case::changed(
            "rename",
            plain,
            |hand| {
                hand.rename("file", "file2")?;
                hand.rename("symlink", "symlink2")?;
                hand.rename("to", "to2")
            },
            &[
                "file2 100640 12:34 7",
                "symlink2 120777 13:34 7",
                "to2 40755 16:34",
            ],
        ),
        Case::changed(
            "rename-of-specials",
            one_of_each,
            |hand| {
                hand.rename("device", "device2")?;
                hand.rename("fifo", "to/fifo")
            },
            &[
                "device2 20640 14:34 1:3",
                "file 100640 12:34 7",
                "symlink 120777 13:34 7",
                "to 40755 16:34",
                "to/fifo 10640 15:34",
            ],
        )
        .but(NO_SPECIAL),
        Case::changed(
            "rename-across-directories",
            plain,
            |hand| {
                hand.rename("file", "to/file")?;
                hand.rename("symlink", "to/symlink")
            },
            &[
                "to 40755 16:34",
                "to/file 100640 12:34 7",
                "to/symlink 120777 13:34 7",
            ],
        ),
        Case::changed(
            "rename-of-a-tree",
            a_tree,
            |hand| {
                hand.mkdir("to", 0o755)?;
                hand.rename("top", "to/moved")
            },
            &[
                "to 40755 0:0",
                "to/moved 40755 12:34",
                "to/moved/sub 40700 56:78",
                "to/moved/sub/file 100604 90:1 1",
            ],
        ),
        Case::changed(
            "rename-and-back",
            a_tree,
            |hand| {
                hand.rename("top/sub/file", "file")?;
                hand.rename("file", "top/file")?;
                hand.rename("top/file", "top/sub/file")
            },
            &[
                "top 40755 12:34",
                "top/sub 40700 56:78",
                "top/sub/file 100604 90:1 1",
            ],
        ),
    ]
}

/// A file to replace another, which differs in all that could be mixed up.
fn two_files(hand: &Hand<'_>) -> Result<()> {
    plain(hand)?;
    hand.put("to/old", 0o644, b"old content")?;
    hand.owned("to/old", 7, 8)?;
    hand.chmod("to/old", 0o4711)
}

fn two_directories(hand: &Hand<'_>) -> Result<()> {
    a_tree(hand)?;
    hand.mkdir("empty", 0o777)?;
    hand.owned("empty", 7, 8)
}

fn replacements() -> Vec<Case> {
    vec![
        Case::changed(
            "rename-over-a-file",
            two_files,
            |hand| hand.rename("file", "to/old"),
            &[
                "symlink 120777 13:34 7",
                "to 40755 16:34",
                "to/old 100640 12:34 7",
            ],
        ),
        Case::changed(
            "rename-over-a-symlink",
            plain,
            |hand| hand.rename("file", "symlink"),
            &["symlink 100640 12:34 7", "to 40755 16:34"],
        ),
        Case::changed(
            "rename-of-a-symlink-over-a-file",
            two_files,
            |hand| hand.rename("symlink", "to/old"),
            &[
                "file 100640 12:34 7",
                "to 40755 16:34",
                "to/old 120777 13:34 7",
            ],
        ),
        Case::changed(
            "rename-over-a-directory",
            two_directories,
            |hand| hand.rename("top/sub", "empty"),
            &[
                "empty 40700 56:78",
                "empty/file 100604 90:1 1",
                "top 40755 12:34",
            ],
        ),
        Case::changed(
            "rename-over-an-emptied-directory",
            |hand| {
                two_directories(hand)?;
                hand.put("empty/file", 0o600, b"")?;
                hand.unlink("empty/file")
            },
            |hand| hand.rename("top/sub", "empty"),
            &[
                "empty 40700 56:78",
                "empty/file 100604 90:1 1",
                "top 40755 12:34",
            ],
        )
        .but(LEFTOVER),
    ]
}

fn removals() -> Vec<Case> {
    vec![
        Case::changed(
            "unlink",
            plain,
            |hand| {
                hand.unlink("file")?;
                hand.unlink("symlink")
            },
            &["to 40755 16:34"],
        ),
        Case::changed(
            "unlink-of-specials",
            one_of_each,
            |hand| {
                hand.unlink("device")?;
                hand.unlink("fifo")?;
                hand.put("device", 0o644, b"")
            },
            &[
                "device 100644 0:0 0",
                "file 100640 12:34 7",
                "symlink 120777 13:34 7",
                "to 40755 16:34",
            ],
        )
        .but(NO_SPECIAL),
        Case::changed(
            "unlink-and-make-another",
            plain,
            |hand| {
                hand.unlink("file")?;
                hand.mkdir("file", 0o755)?;
                hand.unlink("symlink")?;
                hand.put("symlink", 0o644, b"")?;
                hand.rmdir("to")?;
                hand.symlink("to", b"somewhere")
            },
            &["file 40755 0:0", "symlink 100644 0:0 0", "to 120777 0:0 9"],
        ),
        Case::changed(
            "rmdir",
            |hand| hand.mkdir("top", 0o755),
            |hand| hand.rmdir("top"),
            &[],
        ),
        Case::changed(
            "rmdir-of-an-emptied-directory",
            a_tree,
            |hand| {
                hand.unlink("top/sub/file")?;
                hand.rmdir("top/sub")
            },
            &["top 40755 12:34"],
        ),
        Case::changed(
            "rmdir-of-what-is-not-empty",
            a_tree,
            |hand| {
                let came = rustix::fs::rmdir(hand.at("top/sub"));
                crate::expect::fails("rmdir", came, &[Errno::NOTEMPTY, Errno::EXIST])
            },
            &[
                "top 40755 12:34",
                "top/sub 40700 56:78",
                "top/sub/file 100604 90:1 1",
            ],
        ),
    ]
}
