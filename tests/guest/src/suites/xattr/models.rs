//! Names that only some security models have.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::lremovexattr;
use rustix::io::Errno;

use crate::acl;
use crate::acl::Tag;
use crate::cli::Model;
use crate::ctx::Ctx;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files::set_xattr;
use crate::files::xattr;
use crate::files::xattr_names;
use crate::row::Row;
use crate::suites::xattr::FILE;
use crate::suites::xattr::file;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("model/user-virtfs", user_virtfs),
        Row::new("model/no-acls", no_acls),
        Row::new("model/no-trusted-no-security", no_privileged),
    ]
}

/// In the model that keeps its own things there they do not exist; elsewhere they are ordinary.
fn user_virtfs(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    for name in ["user.virtfs.mode", "user.virtfs.uid", "user.virtfs.x"] {
        let set = set_xattr(&path, name, b"1234");
        if ctx.model == Model::MappedXattr {
            fails(name, set, &[Errno::ACCESS])?;
            fails(name, xattr(&path, name), &[Errno::NODATA])?;
            fails(name, lremovexattr(&path, name), &[Errno::ACCESS])?;
        } else {
            set.with_context(|| format!("set {name}"))?;
            same_bytes(name, &xattr(&path, name).context("getxattr")?, b"1234")?;
            lremovexattr(&path, name).with_context(|| format!("remove {name}"))?;
        }
    }
    has_nothing(ctx)
}

fn no_acls(ctx: &Ctx) -> Result<()> {
    if ctx.keeps_acls() || !ctx.is_9p() {
        return skip("there are ACLs here");
    }
    // It means the mode that the file has: Linux's client sets the mode before it asks for the list.
    let list = [
        (Tag::Owner, 6),
        (Tag::User(12), 4),
        (Tag::OwningGroup, 4),
        (Tag::Mask, 4),
        (Tag::Other, 4),
    ];
    let set = set_xattr(&file(ctx)?, acl::ACCESS, &acl::encode(&list));
    fails("set an ACL", set, &[Errno::OPNOTSUPP])?;
    has_nothing(ctx)
}

fn no_privileged(ctx: &Ctx) -> Result<()> {
    if !ctx.is_9p() || matches!(ctx.model, Model::Passthrough | Model::MappedXattr) {
        return skip("there are trusted.* and security.* here");
    }
    let path = file(ctx)?;
    for name in ["trusted.one", "security.ninefold"] {
        fails(name, set_xattr(&path, name, b"x"), &[Errno::OPNOTSUPP])?;
        fails(name, xattr(&path, name), &[Errno::OPNOTSUPP])?;
    }
    has_nothing(ctx)
}

/// No attribute was set, and nothing else was changed.
fn has_nothing(ctx: &Ctx) -> Result<()> {
    let path = ctx.b(FILE);
    same("names", xattr_names(&path).context("listxattr")?, vec![])?;
    let stat = rustix::fs::stat(&path).context("stat")?;
    same("mode", stat.st_mode, 0o100_644)
}
