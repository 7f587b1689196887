//! Users and groups that are named in ACLs.

use anyhow::Context;
use anyhow::Result;
use rustix::io::Errno;

use crate::acl;
use crate::acl::Tag;
use crate::cli::Model;
use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files::set_xattr;
use crate::files::xattr;
use crate::row::Row;
use crate::suites::ids::GROUPS;
use crate::suites::ids::USERS;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("acl/set-here", set_here).needing(needs_acls),
        Row::new("acl/default-is-inherited", inherited).needing(needs_acls),
        Row::new("acl/set-by-the-host", set_there).needing(needs_acls),
        Row::new("acl/beyond-the-map", beyond).needing(needs_acls),
    ]
}

fn needs_acls(ctx: &Ctx) -> Result<()> {
    if ctx.keeps_acls() {
        Ok(())
    } else {
        skip("the model has no ACLs")
    }
}

/// A list that names a user and a group.
fn list(uid: u32, gid: u32) -> Vec<u8> {
    acl::encode(&[
        (Tag::Owner, 7),
        (Tag::User(uid), 4),
        (Tag::OwningGroup, 4),
        (Tag::Group(gid), 6),
        (Tag::Mask, 6),
        (Tag::Other, 0),
    ])
}

/// Where the host keeps a list.
fn on_disk(ctx: &Ctx, name: &str) -> Option<String> {
    match ctx.model {
        Model::Passthrough => Some(name.to_owned()),
        Model::MappedXattr => Some(format!("user.virtfs.{name}")),
        Model::MappedFile | Model::None => None,
    }
}

fn is_there(ctx: &Ctx, file: &str, name: &str) -> Result<()> {
    let here = xattr(&ctx.b(file), name).context("getxattr by the other client")?;
    same_bytes("by the other client", &here, &list(1_002, 1_003))?;
    let Some(name) = on_disk(ctx, name) else {
        return Ok(());
    };
    let there = ctx.host.getxattr(&ctx.h(file), name.as_bytes())?;
    let expected = list(1_002 + USERS, 1_003 + GROUPS);
    same_bytes(
        "on the host",
        &there.context("getxattr on the host")?,
        &expected,
    )
}

fn set_here(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    set_xattr(&ctx.a("file"), acl::ACCESS, &list(1_002, 1_003)).context("setxattr")?;
    is_there(ctx, "file", acl::ACCESS)
}

fn inherited(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "dir")?;
    set_xattr(&ctx.a("dir"), acl::DEFAULT, &list(1_002, 1_003)).context("setxattr")?;
    is_there(ctx, "dir", acl::DEFAULT)?;
    ctx.mkdir(Who::This, "dir/inner")?;
    is_there(ctx, "dir/inner", acl::DEFAULT)
}

fn set_there(ctx: &Ctx) -> Result<()> {
    let Some(name) = on_disk(ctx, acl::ACCESS) else {
        return skip("the host sets none in this model");
    };
    ctx.put(Who::This, "file", b"x")?;
    let value = list(1_002 + USERS, 1_003 + GROUPS);
    ctx.host.setxattr(&ctx.h("file"), name.as_bytes(), &value)?;
    is_there(ctx, "file", acl::ACCESS)
}

/// An error, and no other list than before.
fn beyond(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    let path = ctx.a("file");
    set_xattr(&path, acl::ACCESS, &list(1_002, 1_003)).context("setxattr")?;
    for (uid, gid) in [(5, 1_000), (1_000, 5), (51_000, 1_000)] {
        let came = set_xattr(&path, acl::ACCESS, &list(uid, gid));
        fails(
            &format!("a list with {uid} and {gid}"),
            came,
            &[Errno::PERM, Errno::INVAL],
        )?;
    }
    is_there(ctx, "file", acl::ACCESS)
}
