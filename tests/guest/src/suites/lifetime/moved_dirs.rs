//! Open directories and working directories through renames of themselves and of those above.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::OFlags;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::row::Row;
use crate::suites::lifetime::moves;
use crate::suites::lifetime::moves::Decoy;
use crate::suites::lifetime::moves::Move;

/// An open directory that is elsewhere now. The process stands in it as well.
struct Moved {
    fd: OwnedFd,
    ino: u64,
    /// The file and the neighbour, as they were found before
    content: Vec<u8>,
    way: Move,
    directory: &'static str,
    /// Its mode and owner are where the host did not look for them
    loses_metadata: bool,
}

impl Moved {
    /// A name in it, through the client that holds nothing open.
    fn elsewhere(&self, ctx: &Ctx, name: &str) -> std::path::PathBuf {
        ctx.b(format!("{}/{name}", self.directory))
    }

    fn file(&self) -> &'static str {
        self.way.file.rsplit('/').next().unwrap_or_default()
    }
}

type Check = fn(&Ctx, &Moved) -> Result<()>;

/// Which rows are worth asking for each who may move things, and which for this client only.
const BY_ALL: bool = true;
const BY_THIS: bool = false;

const CHECKS: [(&str, Check, bool); 12] = [
    ("openat", openat, BY_ALL),
    ("openat-create", openat_create, BY_ALL),
    ("mkdirat", mkdirat, BY_THIS),
    ("unlinkat", unlinkat, BY_ALL),
    ("renameat", renameat, BY_ALL),
    ("linkat", linkat, BY_THIS),
    ("symlinkat", symlinkat, BY_THIS),
    ("list", list, BY_ALL),
    ("fstat-fchmod", fstat_fchmod, BY_ALL),
    ("xattr", xattr, BY_THIS),
    ("cwd-open-create", cwd_open_create, BY_ALL),
    ("cwd-list-remove", cwd_list_remove, BY_THIS),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for way in moves::MOVES {
        let Some(directory) = way.directory else {
            continue;
        };
        for &who in way.actors() {
            for (name, check, by_all) in CHECKS {
                if !by_all && who != Who::This && way.actors().contains(&Who::This) {
                    continue;
                }
                let name = format!("dirfd/{}/{}/{name}", way.name, who.word());
                rows.push(Row::new(name, move |ctx| {
                    play(ctx, way, directory, who, check)
                }));
            }
        }
        if way.actors().contains(&Who::This) {
            let name = format!("dirfd/{}/this-client/getcwd", way.name);
            rows.push(Row::new(name, move |ctx| {
                play(ctx, way, directory, Who::This, getcwd)
            }));
        }
    }
    rows
}

fn play(ctx: &Ctx, way: Move, directory: &'static str, who: Who, check: Check) -> Result<()> {
    let content = files::pattern(4, 3_000);
    moves::plant(ctx, &content)?;
    let fd =
        files::open(ctx.a(moves::DIRECTORY), OFlags::RDONLY | OFlags::DIRECTORY).context("open")?;
    rustix::process::chdir(ctx.a(moves::DIRECTORY)).context("chdir")?;
    let ino = rustix::fs::fstat(&fd).context("fstat")?.st_ino;
    way.make(ctx, who)?;
    let decoy = Decoy::look(ctx, true)?;
    check(
        ctx,
        &Moved {
            fd,
            ino,
            content,
            way,
            directory,
            loses_metadata: way.loses_metadata(ctx, who, moves::DIRECTORY),
        },
    )?;
    decoy.check(ctx)
}

fn create_flags() -> OFlags {
    OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC
}

fn openat(_: &Ctx, moved: &Moved) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file =
        rustix::fs::openat(&moved.fd, moved.file(), flags, files::mode(0)).context("openat")?;
    same_bytes("content", &files::read_fd(file)?, &moved.content)?;
    let missing = rustix::fs::openat(&moved.fd, "missing", flags, files::mode(0));
    fails("openat of a missing name", missing, &[Errno::NOENT])
}

fn openat_create(ctx: &Ctx, moved: &Moved) -> Result<()> {
    let file = rustix::fs::openat(&moved.fd, "created", create_flags(), files::mode(0o644))
        .context("create")?;
    files::write_at(&file, b"data", 0)?;
    same_bytes(
        "by the new path",
        &std::fs::read(moved.elsewhere(ctx, "created")).context("read")?,
        b"data",
    )
}

fn mkdirat(ctx: &Ctx, moved: &Moved) -> Result<()> {
    rustix::fs::mkdirat(&moved.fd, "made", files::mode(0o755)).context("mkdirat")?;
    same(
        "by the new path",
        moved.elsewhere(ctx, "made").is_dir(),
        true,
    )?;
    rustix::fs::unlinkat(&moved.fd, "made", AtFlags::REMOVEDIR).context("rmdir")?;
    same("removed", moved.elsewhere(ctx, "made").exists(), false)
}

fn unlinkat(ctx: &Ctx, moved: &Moved) -> Result<()> {
    for name in [moved.file(), "neighbour"] {
        rustix::fs::unlinkat(&moved.fd, name, AtFlags::empty()).context("unlinkat")?;
    }
    same("names left", files::list(&ctx.b(moved.directory))?, vec![])
}

fn renameat(ctx: &Ctx, moved: &Moved) -> Result<()> {
    rustix::fs::renameat(&moved.fd, "neighbour", &moved.fd, "renamed").context("renameat")?;
    same_bytes(
        "by the new path",
        &std::fs::read(moved.elsewhere(ctx, "renamed")).context("read")?,
        b"neighbour",
    )?;
    same(
        "the old name",
        moved.elsewhere(ctx, "neighbour").exists(),
        false,
    )?;
    rustix::fs::renameat(&moved.fd, "renamed", CWD, ctx.a("out")).context("renameat out of it")?;
    same_bytes(
        "outside",
        &std::fs::read(ctx.b("out")).context("read")?,
        b"neighbour",
    )
}

fn linkat(ctx: &Ctx, moved: &Moved) -> Result<()> {
    rustix::fs::linkat(
        &moved.fd,
        "neighbour",
        &moved.fd,
        "linked",
        AtFlags::empty(),
    )
    .context("linkat")?;
    let [one, other] =
        ["neighbour", "linked"].map(|name| rustix::fs::stat(moved.elsewhere(ctx, name)));
    same(
        "inode numbers",
        one.context("stat")?.st_ino,
        other.context("stat")?.st_ino,
    )
}

fn symlinkat(ctx: &Ctx, moved: &Moved) -> Result<()> {
    rustix::fs::symlinkat("neighbour", &moved.fd, "pointer").context("symlinkat")?;
    let target = rustix::fs::readlinkat(&moved.fd, "pointer", vec![]).context("readlinkat")?;
    same("target", target.to_bytes(), b"neighbour".as_slice())?;
    same_bytes(
        "through it",
        &std::fs::read(moved.elsewhere(ctx, "pointer")).context("read")?,
        b"neighbour",
    )
}

fn list(_: &Ctx, moved: &Moved) -> Result<()> {
    let mut expected = vec![moved.file().into(), b"neighbour".to_vec()];
    expected.sort();
    same(
        "names",
        files::list_fd(&moved.fd).context("readdir")?,
        expected,
    )
}

fn fstat_fchmod(ctx: &Ctx, moved: &Moved) -> Result<()> {
    same(
        "inode number",
        rustix::fs::fstat(&moved.fd).context("fstat")?.st_ino,
        moved.ino,
    )?;
    if moved.loses_metadata {
        return skip("in this model the host leaves mode and owner at the old name");
    }
    rustix::fs::fchmod(&moved.fd, files::mode(0o701)).context("fchmod")?;
    let stat = rustix::fs::stat(ctx.b(moved.directory)).context("stat by the new path")?;
    same(
        "inode and mode by the new path",
        (stat.st_ino, stat.st_mode & 0o7777),
        (moved.ino, 0o701),
    )?;
    let old = rustix::fs::stat(ctx.b(moves::DIRECTORY)).context("stat by the old path")?;
    same("mode in the old place", old.st_mode & 0o7777, 0o755)
}

fn xattr(ctx: &Ctx, moved: &Moved) -> Result<()> {
    rustix::fs::fsetxattr(&moved.fd, "user.dir", b"yes", XattrFlags::CREATE)
        .context("fsetxattr")?;
    let came =
        files::xattr(&ctx.b(moved.directory), "user.dir").context("getxattr by the new path")?;
    same_bytes("attribute by the new path", &came, b"yes")?;
    fails(
        "in the old place",
        files::xattr(&ctx.b(moves::DIRECTORY), "user.dir"),
        &[Errno::NODATA],
    )
}

fn cwd_open_create(ctx: &Ctx, moved: &Moved) -> Result<()> {
    same_bytes(
        "content",
        &std::fs::read(moved.file()).context("read")?,
        &moved.content,
    )?;
    std::fs::write("by-cwd", b"data").context("write")?;
    same_bytes(
        "by the new path",
        &std::fs::read(moved.elsewhere(ctx, "by-cwd")).context("read")?,
        b"data",
    )?;
    same(
        "inode of .",
        rustix::fs::stat(".").context("stat")?.st_ino,
        moved.ino,
    )
}

fn cwd_list_remove(ctx: &Ctx, moved: &Moved) -> Result<()> {
    let mut expected = vec![moved.file().into(), b"neighbour".to_vec()];
    expected.sort();
    same("names", files::list(".".as_ref())?, expected)?;
    std::fs::remove_file("neighbour").context("unlink")?;
    same(
        "names by the new path",
        files::list(&ctx.b(moved.directory))?,
        vec![moved.file().into()],
    )
}

fn getcwd(ctx: &Ctx, moved: &Moved) -> Result<()> {
    let came = std::env::current_dir().context("getcwd")?;
    same(
        "working directory",
        came,
        ctx.a(moved.directory).canonicalize()?,
    )?;
    let up = rustix::fs::stat("..").context("stat of ..")?;
    let expected = moved.elsewhere(ctx, "").join("..");
    same(
        "inode of ..",
        up.st_ino,
        rustix::fs::stat(expected).context("stat")?.st_ino,
    )
}
