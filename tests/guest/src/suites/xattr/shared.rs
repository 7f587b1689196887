//! Attributes belong to the file: whoever looks, by whatever name or none.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::XattrFlags;
use rustix::fs::lremovexattr;
use rustix::io::Errno;

use crate::acl;
use crate::acl::Tag;
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
use crate::suites::xattr::FILE;
use crate::suites::xattr::file;
use crate::suites::xattr::needs_acls;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("shared/seen-by-the-other-client", other_sees),
        Row::new("shared/seen-by-the-host", host_sees),
        Row::new("shared/host-set-seen-here", host_set),
        Row::new("shared/changed-by-both-clients", both_change),
        Row::new("shared/removed-by-the-other-client", other_removes),
        Row::new("shared/after-rename", after_rename),
        Row::new("shared/after-rename-by-host", after_host_rename),
        Row::new("shared/replacement-has-its-own", replacement),
        Row::new("shared/hard-links-share", hard_links),
        Row::new("shared/new-file-of-an-old-name", new_file),
        Row::new("shared/unlinked-descriptor", unlinked),
        Row::new("shared/unlinked-descriptor-acl", unlinked_acl).needing(needs_acls),
        Row::new("shared/directory-after-rename", directory_renamed).needing(needs_acls),
    ]
}

fn other_sees(ctx: &Ctx) -> Result<()> {
    set_xattr(&file(ctx)?, "user.one", b"x").context("setxattr")?;
    same_bytes(
        "value",
        &xattr(&ctx.b(FILE), "user.one").context("getxattr")?,
        b"x",
    )?;
    same(
        "names",
        xattr_names(&ctx.b(FILE)).context("listxattr")?,
        vec![b"user.one".to_vec()],
    )
}

fn host_sees(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.one", b"x\0y").context("setxattr")?;
    same_bytes(
        "value",
        &ctx.host
            .getxattr(&ctx.h(FILE), b"user.one")?
            .context("host: getxattr")?,
        b"x\0y",
    )?;
    lremovexattr(&path, "user.one").context("removexattr")?;
    fails(
        "after removal",
        ctx.host.getxattr(&ctx.h(FILE), b"user.one")?,
        &[Errno::NODATA],
    )
}

fn host_set(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    for value in [b"first".as_slice(), b"", b"then longer"] {
        ctx.host.setxattr(&ctx.h(FILE), b"user.host", value)?;
        same_bytes(
            "value",
            &xattr(&path, "user.host").context("getxattr")?,
            value,
        )?;
    }
    same(
        "names",
        xattr_names(&path).context("listxattr")?,
        vec![b"user.host".to_vec()],
    )
}

fn both_change(ctx: &Ctx) -> Result<()> {
    let paths = [file(ctx)?, ctx.b(FILE)];
    for turn in 0..6_usize {
        let value = format!("turn {turn}");
        set_xattr(&paths[turn % 2], "user.one", value.as_bytes()).context("setxattr")?;
        same_bytes(
            "value",
            &xattr(&paths[(turn + 1) % 2], "user.one").context("getxattr")?,
            value.as_bytes(),
        )?;
    }
    Ok(())
}

fn other_removes(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.one", b"x").context("setxattr")?;
    lremovexattr(ctx.b(FILE), "user.one").context("removexattr")?;
    fails("value", xattr(&path, "user.one"), &[Errno::NODATA])?;
    same("names", xattr_names(&path).context("listxattr")?, vec![])
}

fn after_rename(ctx: &Ctx) -> Result<()> {
    set_xattr(&file(ctx)?, "user.one", b"x").context("setxattr")?;
    ctx.mkdir(Who::This, "directory")?;
    ctx.rename(Who::This, FILE, "directory/elsewhere")?;
    same_bytes(
        "value",
        &xattr(&ctx.a("directory/elsewhere"), "user.one").context("getxattr")?,
        b"x",
    )
}

fn after_host_rename(ctx: &Ctx) -> Result<()> {
    set_xattr(&file(ctx)?, "user.one", b"x").context("setxattr")?;
    ctx.rename(Who::Host, FILE, "elsewhere")?;
    same_bytes(
        "value",
        &xattr(&ctx.a("elsewhere"), "user.one").context("getxattr")?,
        b"x",
    )
}

fn replacement(ctx: &Ctx) -> Result<()> {
    set_xattr(&file(ctx)?, "user.old", b"x").context("setxattr")?;
    ctx.put(Who::This, "new", b"new")?;
    set_xattr(&ctx.a("new"), "user.new", b"y").context("setxattr")?;
    ctx.rename(Who::This, "new", FILE)?;
    same(
        "names",
        xattr_names(&ctx.a(FILE)).context("listxattr")?,
        vec![b"user.new".to_vec()],
    )
}

fn hard_links(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    rustix::fs::link(&path, ctx.a("link")).context("link")?;
    set_xattr(&path, "user.one", b"x").context("setxattr")?;
    same_bytes(
        "by the link",
        &xattr(&ctx.a("link"), "user.one").context("getxattr")?,
        b"x",
    )?;
    set_xattr(&ctx.b("link"), "user.one", b"y").context("setxattr")?;
    ctx.unlink(Who::This, "link")?;
    same_bytes(
        "by the first name",
        &xattr(&path, "user.one").context("getxattr")?,
        b"y",
    )
}

fn new_file(ctx: &Ctx) -> Result<()> {
    set_xattr(&file(ctx)?, "user.one", b"x").context("setxattr")?;
    ctx.unlink(Who::This, FILE)?;
    let path = file(ctx)?;
    same("names", xattr_names(&path).context("listxattr")?, vec![])
}

fn unlinked(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.one", b"x").context("setxattr")?;
    let fd = files::open(&path, OFlags::RDWR).context("open")?;
    ctx.unlink(Who::Other, FILE)?;
    same_bytes(
        "value",
        &files::fd_xattr(&fd, "user.one").context("fgetxattr")?,
        b"x",
    )?;
    rustix::fs::fsetxattr(&fd, "user.two", b"", XattrFlags::CREATE)
        .context("fsetxattr to nothing")?;
    same_bytes(
        "new value",
        &files::fd_xattr(&fd, "user.two").context("fgetxattr")?,
        b"",
    )?;
    rustix::fs::fremovexattr(&fd, "user.one").context("fremovexattr")?;
    same(
        "names",
        files::fd_xattr_names(&fd).context("flistxattr")?,
        vec![b"user.two".to_vec()],
    )
}

fn unlinked_acl(ctx: &Ctx) -> Result<()> {
    let fd = files::open(file(ctx)?, OFlags::RDWR).context("open")?;
    ctx.unlink(Who::This, FILE)?;
    let list = [
        (Tag::Owner, 6),
        (Tag::User(12), 4),
        (Tag::OwningGroup, 4),
        (Tag::Mask, 4),
        (Tag::Other, 0),
    ];
    let list = acl::encode(&list);
    rustix::fs::fsetxattr(&fd, acl::ACCESS, &list, XattrFlags::empty()).context("set an ACL")?;
    same_bytes(
        "ACL",
        &files::fd_xattr(&fd, acl::ACCESS).context("get the ACL")?,
        &list,
    )?;
    same(
        "mode",
        rustix::fs::fstat(&fd).context("fstat")?.st_mode & 0o7777,
        0o640,
    )
}

fn directory_renamed(ctx: &Ctx) -> Result<()> {
    if !ctx.host_sees_metadata() {
        return skip("what the host sees of ACLs depends on the model");
    }
    ctx.mkdir(Who::This, "directory")?;
    set_xattr(&ctx.a("directory"), "user.one", b"x").context("setxattr")?;
    let list = [
        (Tag::Owner, 7),
        (Tag::User(12), 5),
        (Tag::OwningGroup, 5),
        (Tag::Mask, 5),
        (Tag::Other, 0),
    ];
    let list = acl::encode(&list);
    set_xattr(&ctx.a("directory"), acl::DEFAULT, &list).context("set a default ACL")?;
    ctx.rename(Who::Other, "directory", "elsewhere")?;
    same_bytes(
        "value",
        &xattr(&ctx.a("elsewhere"), "user.one").context("getxattr")?,
        b"x",
    )?;
    let host = ctx
        .host
        .getxattr(&ctx.h("elsewhere"), acl::DEFAULT.as_bytes())?;
    same_bytes(
        "default ACL on the host",
        &host.context("host: getxattr")?,
        &list,
    )
}
