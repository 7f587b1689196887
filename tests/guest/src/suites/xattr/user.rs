//! `user.*`: set, get, list, remove, and the flags.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::XattrFlags;
use rustix::fs::lremovexattr;
use rustix::fs::lsetxattr;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::files::set_xattr;
use crate::files::xattr;
use crate::files::xattr_names;
use crate::row::Row;
use crate::suites::xattr::file;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("user/set-get", set_get),
        Row::new("user/overwrite-shorter-and-longer", overwrite),
        Row::new("user/list", list),
        Row::new("user/remove", remove),
        Row::new("user/missing", missing),
        Row::new("user/create-flag", create_flag),
        Row::new("user/replace-flag", replace_flag),
        Row::new("user/empty-value", empty_value),
        Row::new("user/empty-value-with-create-flag", empty_create),
        Row::new("user/empty-value-over-another", empty_over),
        Row::new("user/empty-value-with-replace-flag", empty_replace),
        Row::new("user/empty-value-is-listed-and-removed", empty_listed),
        Row::new("user/binary-value", binary),
        Row::new("user/unusual-names", unusual_names),
        Row::new("user/on-a-directory", directory),
        Row::new("user/on-a-symlink", symlink),
        Row::new("user/on-a-fifo", fifo),
        Row::new("user/on-a-descriptor", descriptor),
        Row::new("user/on-a-read-only-file", read_only_file),
        Row::new("user/survives-write-truncate-chmod", survives),
        Row::new("user/changes-no-content", changes_nothing_else),
    ]
}

fn set_get(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.one", b"1").context("setxattr")?;
    set_xattr(&path, "user.two", b"22").context("setxattr")?;
    same_bytes("one", &xattr(&path, "user.one").context("getxattr")?, b"1")?;
    same_bytes("two", &xattr(&path, "user.two").context("getxattr")?, b"22")
}

fn overwrite(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    for value in [b"middle".as_slice(), b"s", b"rather longer", b"middle"] {
        set_xattr(&path, "user.one", value).context("setxattr")?;
        same_bytes(
            "value",
            &xattr(&path, "user.one").context("getxattr")?,
            value,
        )?;
    }
    same(
        "names",
        xattr_names(&path).context("listxattr")?,
        vec![b"user.one".to_vec()],
    )
}

fn list(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    same(
        "names at first",
        xattr_names(&path).context("listxattr")?,
        vec![],
    )?;
    for name in ["user.b", "user.a", "user.c"] {
        set_xattr(&path, name, b"x").context("setxattr")?;
    }
    let expected = ["user.a", "user.b", "user.c"].map(|name| name.as_bytes().to_vec());
    same(
        "names",
        xattr_names(&path).context("listxattr")?,
        expected.to_vec(),
    )
}

fn remove(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    for name in ["user.gone", "user.kept"] {
        set_xattr(&path, name, b"x").context("setxattr")?;
    }
    lremovexattr(&path, "user.gone").context("removexattr")?;
    fails("get", xattr(&path, "user.gone"), &[Errno::NODATA])?;
    fails(
        "remove again",
        lremovexattr(&path, "user.gone"),
        &[Errno::NODATA],
    )?;
    same(
        "names",
        xattr_names(&path).context("listxattr")?,
        vec![b"user.kept".to_vec()],
    )
}

fn missing(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    fails("get", xattr(&path, "user.missing"), &[Errno::NODATA])?;
    fails(
        "remove",
        lremovexattr(&path, "user.missing"),
        &[Errno::NODATA],
    )?;
    fails(
        "get of a missing file",
        xattr(&ctx.a("nothing"), "user.a"),
        &[Errno::NOENT],
    )?;
    fails(
        "set without a name",
        set_xattr(&path, "user.", b"x"),
        &[Errno::INVAL],
    )?;
    fails(
        "set in no namespace",
        set_xattr(&path, "what.a", b"x"),
        &[Errno::OPNOTSUPP],
    )
}

fn create_flag(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    lsetxattr(&path, "user.one", b"first", XattrFlags::CREATE).context("create")?;
    fails(
        "create again",
        lsetxattr(&path, "user.one", b"second", XattrFlags::CREATE),
        &[Errno::EXIST],
    )?;
    same_bytes(
        "value",
        &xattr(&path, "user.one").context("getxattr")?,
        b"first",
    )
}

fn replace_flag(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    fails(
        "replace nothing",
        lsetxattr(&path, "user.one", b"x", XattrFlags::REPLACE),
        &[Errno::NODATA],
    )?;
    fails(
        "what was not there",
        xattr(&path, "user.one"),
        &[Errno::NODATA],
    )?;
    set_xattr(&path, "user.one", b"first").context("setxattr")?;
    lsetxattr(&path, "user.one", b"second", XattrFlags::REPLACE).context("replace")?;
    same_bytes(
        "value",
        &xattr(&path, "user.one").context("getxattr")?,
        b"second",
    )
}

fn is_empty(path: &std::path::Path) -> Result<()> {
    same_bytes(
        "empty value",
        &xattr(path, "user.empty").context("getxattr")?,
        b"",
    )
}

fn empty_value(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.empty", b"").context("set to nothing")?;
    is_empty(&path)?;
    is_empty(&ctx.b(crate::suites::xattr::FILE))
}

/// What overlayfs does on each copy-up.
fn empty_create(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    lsetxattr(&path, "user.empty", b"", XattrFlags::CREATE).context("create with nothing")?;
    is_empty(&path)?;
    fails(
        "create again",
        lsetxattr(&path, "user.empty", b"", XattrFlags::CREATE),
        &[Errno::EXIST],
    )?;
    is_empty(&path)
}

fn empty_over(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.empty", b"full").context("setxattr")?;
    set_xattr(&path, "user.empty", b"").context("set to nothing")?;
    is_empty(&path)?;
    set_xattr(&path, "user.empty", b"full again").context("setxattr")?;
    same_bytes(
        "value",
        &xattr(&path, "user.empty").context("getxattr")?,
        b"full again",
    )
}

fn empty_replace(ctx: &Ctx) -> Result<()> {
    ctx.not_on_9p(
        "the 9p client sends the same for an empty value with XATTR_REPLACE and for a removal",
    )?;
    let path = file(ctx)?;
    set_xattr(&path, "user.empty", b"full").context("setxattr")?;
    lsetxattr(&path, "user.empty", b"", XattrFlags::REPLACE).context("replace by nothing")?;
    is_empty(&path)
}

fn empty_listed(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.empty", b"").context("set to nothing")?;
    same(
        "names",
        xattr_names(&path).context("listxattr")?,
        vec![b"user.empty".to_vec()],
    )?;
    lremovexattr(&path, "user.empty").context("removexattr")?;
    fails(
        "after removal",
        xattr(&path, "user.empty"),
        &[Errno::NODATA],
    )?;
    same("names", xattr_names(&path).context("listxattr")?, vec![])
}

fn binary(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let every: Vec<u8> = (0..=255).collect();
    for value in [&every[..], b"\0", b"\0\0\0", b"text\0"] {
        set_xattr(&path, "user.binary", value).context("setxattr")?;
        same_bytes(
            "value",
            &xattr(&path, "user.binary").context("getxattr")?,
            value,
        )?;
    }
    Ok(())
}

fn unusual_names(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let mut names: Vec<Vec<u8>> = vec![
        b"user. ".to_vec(),
        b"user.a b=c\n".to_vec(),
        b"user..".to_vec(),
        b"user.a/b".to_vec(),
        b"user.\xff\xfe".to_vec(),
        b"user.user.x".to_vec(),
        b"user.UPPER".to_vec(),
        b"user.upper".to_vec(),
    ];
    for name in &names {
        set_xattr(&path, name, name)
            .with_context(|| format!("set {:?}", String::from_utf8_lossy(name)))?;
    }
    names.sort();
    same("names", &xattr_names(&path).context("listxattr")?, &names)?;
    for name in &names {
        same_bytes("value", &xattr(&path, name).context("getxattr")?, name)?;
    }
    Ok(())
}

fn directory(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "directory")?;
    let path = ctx.a("directory");
    set_xattr(&path, "user.one", b"of a directory").context("setxattr")?;
    ctx.put(Who::This, "directory/inside", b"")?;
    same_bytes(
        "value",
        &xattr(&path, "user.one").context("getxattr")?,
        b"of a directory",
    )?;
    fails(
        "of what is inside",
        xattr(&ctx.a("directory/inside"), "user.one"),
        &[Errno::NODATA],
    )?;
    lremovexattr(&path, "user.one").context("removexattr")?;
    same("names", xattr_names(&path).context("listxattr")?, vec![])
}

/// Linux has no `user.*` on symlinks; the target must not get it either.
fn symlink(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    rustix::fs::symlink("file", ctx.a("pointer")).context("symlink")?;
    fails(
        "set on the symlink",
        set_xattr(&ctx.a("pointer"), "user.one", b"x"),
        &[Errno::PERM],
    )?;
    rustix::fs::setxattr(ctx.a("pointer"), "user.through", b"x", XattrFlags::empty())
        .context("set through it")?;
    same(
        "names",
        xattr_names(&path).context("listxattr")?,
        vec![b"user.through".to_vec()],
    )
}

fn fifo(ctx: &Ctx) -> Result<()> {
    let path = ctx.a("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        files::mode(0o644),
        0,
    )
    .context("mkfifo")?;
    fails("set", set_xattr(&path, "user.one", b"x"), &[Errno::PERM])
}

fn descriptor(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let fd = files::open(&path, OFlags::RDONLY).context("open")?;
    rustix::fs::fsetxattr(&fd, "user.one", b"by descriptor", XattrFlags::CREATE)
        .context("fsetxattr")?;
    same_bytes(
        "by name",
        &xattr(&path, "user.one").context("getxattr")?,
        b"by descriptor",
    )?;
    same(
        "names",
        files::fd_xattr_names(&fd).context("flistxattr")?,
        vec![b"user.one".to_vec()],
    )?;
    rustix::fs::fremovexattr(&fd, "user.one").context("fremovexattr")?;
    fails("by name", xattr(&path, "user.one"), &[Errno::NODATA])
}

/// root may, whatever the mode is.
fn read_only_file(ctx: &Ctx) -> Result<()> {
    if ctx.server_is_bound() {
        return skip("the mode binds the server as well");
    }
    let path = file(ctx)?;
    rustix::fs::chmod(&path, files::mode(0o444)).context("chmod")?;
    set_xattr(&path, "user.one", b"x").context("setxattr")?;
    same(
        "mode",
        rustix::fs::stat(&path).context("stat")?.st_mode & 0o7777,
        0o444,
    )
}

fn survives(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.one", b"kept").context("setxattr")?;
    ctx.put(Who::This, "file", b"other content")?;
    rustix::fs::chmod(&path, files::mode(0o600)).context("chmod")?;
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(3))
        .context("truncate")?;
    same_bytes(
        "value",
        &xattr(&path, "user.one").context("getxattr")?,
        b"kept",
    )
}

fn changes_nothing_else(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let before = rustix::fs::stat(&path).context("stat")?;
    set_xattr(&path, "user.one", b"x").context("setxattr")?;
    let after = rustix::fs::stat(&path).context("stat")?;
    same("size", after.st_size, before.st_size)?;
    same("mode", after.st_mode, before.st_mode)?;
    same(
        "modification time",
        (after.st_mtime, after.st_mtime_nsec),
        (before.st_mtime, before.st_mtime_nsec),
    )?;
    same_bytes(
        "content",
        &std::fs::read(&path).context("read")?,
        b"content",
    )
}
