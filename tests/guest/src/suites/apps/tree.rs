//! A tree with something of everything, and the comparison of two trees.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;

use crate::acl;
use crate::acl::Tag;
use crate::cli::Model;
use crate::ctx::Ctx;
use crate::files;

/// Which attributes two trees have to share besides names, types, contents, modes, owners and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    Plain,
    Attributes,
}

/// What is compared of one thing. Times in whole seconds: the 9p client sets no others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    kind: FileType,
    mode: u32,
    owner: (u32, u32),
    mtime: i64,
    /// Content or target
    bytes: Vec<u8>,
    /// The first name of the same file
    same_as: Vec<u8>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

type Tree = BTreeMap<Vec<u8>, Node>;

/// Files and directories of the tree: path and mode, `/` at the end for a directory.
const THINGS: [(&str, u32); 14] = [
    ("empty", 0o644),
    ("small", 0o600),
    ("executable", 0o755),
    ("setuid", 0o4755),
    ("setgid", 0o2750),
    ("read only", 0o444),
    ("-dash and spaces ", 0o664),
    ("dir/", 0o755),
    ("dir/inside", 0o640),
    ("dir/deeper/", 0o700),
    ("dir/deeper/large", 0o644),
    ("shared/", 0o2775),
    ("tmp/", 0o1777),
    ("bare/", 0o750),
];

const NOT_UTF_8: &[u8] = b"caf\xe9\n";
/// The longest name there can be.
const LONG: &str = match std::str::from_utf8(&[b'n'; 255]) {
    Ok(name) => name,
    Err(_) => "",
};

/// Makes the tree in a new directory of the row's.
pub(super) fn plant(ctx: &Ctx, name: &str) -> Result<()> {
    let root = ctx.a(name);
    std::fs::create_dir(&root).context("mkdir")?;
    for (number, (thing, _)) in THINGS.iter().enumerate() {
        let path = root.join(thing);
        if thing.ends_with('/') {
            std::fs::create_dir(&path).with_context(|| format!("mkdir {thing}"))?;
        } else {
            let length = if thing.ends_with("large") {
                300_000
            } else {
                number * 100
            };
            std::fs::write(&path, files::pattern(number as u64, length))
                .with_context(|| format!("write {thing}"))?;
        }
    }
    plant_links(&root)?;
    plant_attributes(ctx, &root)?;
    for (number, (thing, mode)) in THINGS.into_iter().enumerate() {
        let path = root.join(thing);
        let owner = if number % 3 == 0 { (12, 34) } else { (0, 0) };
        rustix::fs::chown(
            &path,
            Some(Uid::from_raw(owner.0)),
            Some(Gid::from_raw(owner.1)),
        )
        .context("chown")?;
        rustix::fs::chmod(&path, files::mode(mode)).context("chmod")?;
    }
    // All times are long ago, or rsync's window of a second would let the time at which it makes
    // something pass for the original's. The deepest first: each change in a directory changes its time.
    for (number, (thing, _)) in THINGS.iter().enumerate().rev() {
        set_time(
            &root.join(thing),
            1_500_000_000 + 86_400 * i64::try_from(number)?,
        )?;
    }
    for name in [&b"fifo"[..], NOT_UTF_8, LONG.as_bytes()] {
        set_time(&files::join(&root, name), 1_400_000_000)?;
    }
    set_time(&root, 1_300_000_000)
}

fn set_time(path: &Path, seconds: i64) -> Result<()> {
    let at = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: at,
        last_modification: at,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()).context("utimensat")
}

fn plant_links(root: &Path) -> Result<()> {
    for (target, name) in [
        ("small", "pointer"),
        ("../nowhere", "dir/dangling"),
        ("/etc/passwd", "absolute"),
    ] {
        rustix::fs::symlink(target, root.join(name)).context("symlink")?;
    }
    rustix::fs::symlink("t".repeat(3000), root.join("long-pointer")).context("symlink")?;
    for name in ["hard-one", "dir/hard-two"] {
        rustix::fs::link(root.join("small"), root.join(name)).context("link")?;
    }
    std::fs::write(files::join(root, NOT_UTF_8), b"not UTF-8").context("write")?;
    std::fs::write(root.join(LONG), b"long name").context("write")?;
    let kind = FileType::Fifo;
    rustix::fs::mknodat(CWD, root.join("fifo"), kind, files::mode(0o640), 0).context("mkfifo")
}

fn plant_attributes(ctx: &Ctx, root: &Path) -> Result<()> {
    files::set_xattr(&root.join("small"), "user.text", b"value").context("setxattr")?;
    files::set_xattr(&root.join("executable"), "user.binary", b"\0\xff\n").context("setxattr")?;
    files::set_xattr(&root.join("dir"), "user.of-directory", b"x").context("setxattr")?;
    if ctx.model == Model::None {
        // An ACL would name owners that this model does not keep.
        return Ok(());
    }
    let list = |mask| {
        acl::encode(&[
            (Tag::Owner, 7),
            (Tag::User(12), 5),
            (Tag::OwningGroup, 5),
            (Tag::Mask, mask),
            (Tag::Other, 0),
        ])
    };
    files::set_xattr(&root.join("dir/inside"), acl::ACCESS, &list(4)).context("set an ACL")?;
    files::set_xattr(&root.join("bare"), acl::DEFAULT, &list(5)).context("set a default ACL")
}

/// Both trees are the same, in all that matters.
pub(super) fn same(ctx: &Ctx, one: &Path, other: &Path, with: With) -> Result<()> {
    let (one, other) = (read(ctx, one, with)?, read(ctx, other, with)?);
    for (name, node) in &one {
        let shown = String::from_utf8_lossy(name);
        let copy = other
            .get(name)
            .with_context(|| format!("expected {shown:?}, came nothing"))?;
        ensure!(
            copy.bytes == node.bytes,
            "{shown:?}: expected the same bytes, came others"
        );
        let (expected, came) = (without_bytes(node), without_bytes(copy));
        ensure!(
            came == expected,
            "{shown:?}: expected {expected:?}, came {came:?}"
        );
    }
    let more: Vec<_> = other
        .keys()
        .filter(|name| !one.contains_key(*name))
        .collect();
    ensure!(
        more.is_empty(),
        "expected nothing more, came {:?}",
        more.first().map(|name| String::from_utf8_lossy(name))
    );
    ensure!(one.len() > 1, "expected a tree, came {} things", one.len());
    Ok(())
}

fn without_bytes(node: &Node) -> Node {
    Node {
        bytes: vec![],
        ..node.clone()
    }
}

fn read(ctx: &Ctx, root: &Path, with: With) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut first_names = HashMap::new();
    let mut todo = vec![Vec::new()];
    while let Some(name) = todo.pop() {
        let path = files::join(root, &name);
        let stat =
            rustix::fs::lstat(&path).with_context(|| format!("stat of {}", path.display()))?;
        let node = node(ctx, &path, &stat, with)?;
        if node.kind == FileType::Directory {
            let prefix = if name.is_empty() {
                vec![]
            } else {
                [&name[..], b"/"].concat()
            };
            todo.extend(
                files::list(&path)?
                    .into_iter()
                    .map(|inside| [&prefix[..], &inside].concat()),
            );
        }
        if stat.st_nlink > 1 && node.kind == FileType::RegularFile {
            let names: &mut Vec<Vec<u8>> = first_names.entry(stat.st_ino).or_default();
            names.push(name.clone());
        }
        tree.insert(name, node);
    }
    for mut names in first_names.into_values() {
        names.sort();
        for name in &names {
            tree.get_mut(name)
                .context("linked name")?
                .same_as
                .clone_from(&names[0]);
        }
    }
    Ok(tree)
}

fn node(ctx: &Ctx, path: &Path, stat: &rustix::fs::Stat, with: With) -> Result<Node> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let bytes = match kind {
        FileType::RegularFile => {
            std::fs::read(path).with_context(|| format!("read {}", path.display()))?
        }
        FileType::Symlink => std::fs::read_link(path)
            .context("readlink")?
            .as_os_str()
            .as_bytes()
            .to_vec(),
        _ => vec![],
    };
    let mut attributes = BTreeMap::new();
    if with == With::Attributes && matches!(kind, FileType::RegularFile | FileType::Directory) {
        for name in files::xattr_names(path).context("listxattr")? {
            let value = files::xattr(path, &name).context("getxattr")?;
            attributes.insert(name, value);
        }
    }
    // A model that forgets owners need not clear setuid and setgid as chown(2) would.
    let (bits, owner) = if ctx.keeps_owners() {
        (0o7777, (stat.st_uid, stat.st_gid))
    } else {
        (0o1777, (0, 0))
    };
    // Programs do not set the times of symlinks everywhere.
    let mtime = if kind == FileType::Symlink {
        0
    } else {
        stat.st_mtime
    };
    Ok(Node {
        kind,
        mode: stat.st_mode & bits,
        owner,
        mtime,
        bytes,
        same_as: vec![],
        attributes,
    })
}
