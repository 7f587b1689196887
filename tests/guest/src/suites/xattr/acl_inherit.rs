//! Default access control lists: what is made in a directory that has one.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::acl;
use crate::acl::Entry;
use crate::acl::Tag;
use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::files::set_xattr;
use crate::files::xattr;
use crate::row::Row;
use crate::suites::xattr::needs_acls;

const DEFAULT: [Entry; 5] = [
    (Tag::Owner, 7),
    (Tag::User(12), 7),
    (Tag::OwningGroup, 5),
    (Tag::Mask, 7),
    (Tag::Other, 0),
];

pub(super) fn rows() -> Vec<Row> {
    let rows = vec![
        Row::new("inherit/file", file),
        Row::new("inherit/directory", directory),
        Row::new("inherit/file-with-narrow-mode", narrow_file),
        Row::new("inherit/two-levels", two_levels),
        Row::new("inherit/mask-instead-of-umask", no_umask),
        Row::new("inherit/by-the-other-client", other_client),
        Row::new("inherit/not-into-existing", not_existing),
        Row::new("inherit/symlink-has-none", symlink),
    ];
    let rows = rows.into_iter();
    rows.map(|row| row.needing(needs_acls)).collect()
}

fn stage(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "top")?;
    set_xattr(&ctx.a("top"), acl::DEFAULT, &acl::encode(&DEFAULT)).context("set a default ACL")
}

fn create(ctx: &Ctx, name: &str, mode: u32) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    rustix::fs::open(ctx.a(name), flags, files::mode(mode)).context("create")?;
    Ok(())
}

/// The access ACL and the mode that a new thing got, as the other client sees them.
fn check(ctx: &Ctx, name: &str, list: &[Entry], mode: u32) -> Result<()> {
    for path in [ctx.a(name), ctx.b(name)] {
        same_bytes(
            "access ACL",
            &xattr(&path, acl::ACCESS).context("getxattr")?,
            &acl::encode(list),
        )?;
        same(
            "mode",
            rustix::fs::stat(path).context("stat")?.st_mode & 0o7777,
            mode,
        )?;
    }
    Ok(())
}

fn file(ctx: &Ctx) -> Result<()> {
    stage(ctx)?;
    create(ctx, "top/file", 0o666)?;
    let expected = [
        (Tag::Owner, 6),
        (Tag::User(12), 7),
        (Tag::OwningGroup, 5),
        (Tag::Mask, 6),
        (Tag::Other, 0),
    ];
    check(ctx, "top/file", &expected, 0o660)?;
    fails(
        "default ACL of a file",
        xattr(&ctx.a("top/file"), acl::DEFAULT),
        &[Errno::NODATA],
    )
}

fn directory(ctx: &Ctx) -> Result<()> {
    stage(ctx)?;
    rustix::fs::mkdir(ctx.a("top/sub"), files::mode(0o777)).context("mkdir")?;
    check(ctx, "top/sub", &DEFAULT, 0o770)?;
    same_bytes(
        "default ACL",
        &xattr(&ctx.b("top/sub"), acl::DEFAULT).context("getxattr")?,
        &acl::encode(&DEFAULT),
    )
}

fn narrow_file(ctx: &Ctx) -> Result<()> {
    stage(ctx)?;
    create(ctx, "top/file", 0o400)?;
    let expected = [
        (Tag::Owner, 4),
        (Tag::User(12), 7),
        (Tag::OwningGroup, 5),
        (Tag::Mask, 0),
        (Tag::Other, 0),
    ];
    check(ctx, "top/file", &expected, 0o400)
}

fn two_levels(ctx: &Ctx) -> Result<()> {
    stage(ctx)?;
    rustix::fs::mkdir(ctx.a("top/sub"), files::mode(0o777)).context("mkdir")?;
    create(ctx, "top/sub/file", 0o644)?;
    let expected = [
        (Tag::Owner, 6),
        (Tag::User(12), 7),
        (Tag::OwningGroup, 5),
        (Tag::Mask, 4),
        (Tag::Other, 0),
    ];
    check(ctx, "top/sub/file", &expected, 0o640)
}

fn no_umask(ctx: &Ctx) -> Result<()> {
    stage(ctx)?;
    rustix::process::umask(files::mode(0o077));
    create(ctx, "top/file", 0o666)?;
    create(ctx, "plain", 0o666)?;
    let expected = [
        (Tag::Owner, 6),
        (Tag::User(12), 7),
        (Tag::OwningGroup, 5),
        (Tag::Mask, 6),
        (Tag::Other, 0),
    ];
    check(ctx, "top/file", &expected, 0o660)?;
    same(
        "mode elsewhere",
        rustix::fs::stat(ctx.b("plain")).context("stat")?.st_mode & 0o7777,
        0o600,
    )
}

fn other_client(ctx: &Ctx) -> Result<()> {
    stage(ctx)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    rustix::fs::open(ctx.b("top/file"), flags, files::mode(0o600)).context("create")?;
    let expected = [
        (Tag::Owner, 6),
        (Tag::User(12), 7),
        (Tag::OwningGroup, 5),
        (Tag::Mask, 0),
        (Tag::Other, 0),
    ];
    check(ctx, "top/file", &expected, 0o600)
}

fn not_existing(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "top")?;
    ctx.put(Who::This, "top/file", b"")?;
    ctx.put(Who::This, "moved", b"")?;
    set_xattr(&ctx.a("top"), acl::DEFAULT, &acl::encode(&DEFAULT)).context("set a default ACL")?;
    ctx.rename(Who::This, "moved", "top/moved")?;
    for name in ["top/file", "top/moved"] {
        fails(name, xattr(&ctx.a(name), acl::ACCESS), &[Errno::NODATA])?;
    }
    Ok(())
}

fn symlink(ctx: &Ctx) -> Result<()> {
    stage(ctx)?;
    rustix::fs::symlink("nowhere", ctx.a("top/pointer")).context("symlink")?;
    let came = xattr(&ctx.a("top/pointer"), acl::ACCESS);
    fails("access ACL", came, &[Errno::NODATA, Errno::OPNOTSUPP])?;
    let target = rustix::fs::readlink(ctx.a("top/pointer"), vec![]).context("readlink")?;
    same("target", target.to_bytes(), b"nowhere".as_slice())
}
