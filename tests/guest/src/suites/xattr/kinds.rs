//! `trusted.*` and `security.*`.

use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::XattrFlags;
use rustix::fs::lremovexattr;
use rustix::fs::lsetxattr;
use rustix::io::Errno;

use crate::cli::Model;
use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::holds;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::files::set_xattr;
use crate::files::xattr;
use crate::files::xattr_names;
use crate::row::Row;
use crate::suites::xattr::file;

/// `cap_net_raw=ep` as the kernel keeps it.
const NET_RAW: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

const CAPABILITY: &str = "security.capability";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("trusted/set-get-list-remove", |ctx| {
            round(ctx, "trusted.overlay.opaque")
        }),
        Row::new("trusted/flags", |ctx| flags(ctx, "trusted.flags")),
        Row::new("trusted/empty-value", |ctx| {
            empty(ctx, "trusted.overlay.origin")
        }),
        Row::new("trusted/on-a-directory", trusted_directory),
        Row::new("trusted/on-a-symlink", trusted_symlink),
        Row::new("security/set-get-list-remove", |ctx| {
            round(ctx, "security.ninefold")
        }),
        Row::new("security/selinux-label", selinux),
        Row::new("security/empty-value", |ctx| {
            empty(ctx, "security.ninefold")
        }),
        Row::new("security/capability-bytes", capability),
        Row::new("security/no-capability-at-first", no_capability),
        Row::new("security/malformed-capability", malformed_capability),
        Row::new("security/setcap-getcap", setcap),
        Row::new("security/write-drops-capability", write_drops),
        Row::new("security/truncate-drops-capability", truncate_drops),
        Row::new("security/chown-drops-capability", chown_drops),
    ]
}

/// Some models have neither of these, and in others only root may write them.
fn needs_privilege(ctx: &Ctx) -> Result<()> {
    if ctx.keeps_privileged_xattrs() {
        Ok(())
    } else {
        skip("the server keeps no trusted.* and security.*")
    }
}

/// What is there where there is no capability.
fn nothing(ctx: &Ctx) -> Errno {
    if ctx.keeps_privileged_xattrs() || ctx.model == Model::Passthrough {
        Errno::NODATA
    } else {
        Errno::OPNOTSUPP
    }
}

fn round(ctx: &Ctx, name: &str) -> Result<()> {
    needs_privilege(ctx)?;
    let path = file(ctx)?;
    fails("at first", xattr(&path, name), &[Errno::NODATA])?;
    set_xattr(&path, name, b"y\0\xff").context("setxattr")?;
    same_bytes(
        "value",
        &xattr(&path, name).context("getxattr")?,
        b"y\0\xff",
    )?;
    same_bytes(
        "by the other client",
        &xattr(&ctx.b("file"), name).context("getxattr")?,
        b"y\0\xff",
    )?;
    same(
        "names",
        xattr_names(&path).context("listxattr")?,
        vec![name.as_bytes().to_vec()],
    )?;
    lremovexattr(&path, name).context("removexattr")?;
    fails("after removal", xattr(&path, name), &[Errno::NODATA])
}

fn flags(ctx: &Ctx, name: &str) -> Result<()> {
    needs_privilege(ctx)?;
    let path = file(ctx)?;
    fails(
        "replace nothing",
        lsetxattr(&path, name, b"x", XattrFlags::REPLACE),
        &[Errno::NODATA],
    )?;
    lsetxattr(&path, name, b"x", XattrFlags::CREATE).context("create")?;
    fails(
        "create again",
        lsetxattr(&path, name, b"y", XattrFlags::CREATE),
        &[Errno::EXIST],
    )
}

fn empty(ctx: &Ctx, name: &str) -> Result<()> {
    needs_privilege(ctx)?;
    let path = file(ctx)?;
    set_xattr(&path, name, b"").context("set to nothing")?;
    same_bytes("value", &xattr(&path, name).context("getxattr")?, b"")?;
    lremovexattr(&path, name).context("removexattr")?;
    fails("after removal", xattr(&path, name), &[Errno::NODATA])
}

fn trusted_directory(ctx: &Ctx) -> Result<()> {
    needs_privilege(ctx)?;
    ctx.mkdir(Who::This, "directory")?;
    set_xattr(&ctx.a("directory"), "trusted.overlay.opaque", b"y").context("setxattr")?;
    let came = xattr(&ctx.b("directory"), "trusted.overlay.opaque").context("getxattr")?;
    same_bytes("value", &came, b"y")
}

/// On the symlink itself, not on its target.
fn trusted_symlink(ctx: &Ctx) -> Result<()> {
    needs_privilege(ctx)?;
    let target = file(ctx)?;
    rustix::fs::symlink("file", ctx.a("pointer")).context("symlink")?;
    set_xattr(&ctx.a("pointer"), "trusted.one", b"of the link").context("setxattr")?;
    same_bytes(
        "value",
        &xattr(&ctx.a("pointer"), "trusted.one").context("getxattr")?,
        b"of the link",
    )?;
    fails(
        "of the target",
        xattr(&target, "trusted.one"),
        &[Errno::NODATA],
    )?;
    lremovexattr(ctx.a("pointer"), "trusted.one").context("removexattr")?;
    fails(
        "after removal",
        xattr(&ctx.a("pointer"), "trusted.one"),
        &[Errno::NODATA],
    )
}

fn selinux(ctx: &Ctx) -> Result<()> {
    needs_privilege(ctx)?;
    if std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        return skip("SELinux runs here and decides about its labels by itself");
    }
    let path = file(ctx)?;
    let label = b"system_u:object_r:etc_t:s0\0";
    set_xattr(&path, "security.selinux", label).context("setxattr")?;
    same_bytes(
        "label",
        &xattr(&path, "security.selinux").context("getxattr")?,
        label,
    )
}

fn capability(ctx: &Ctx) -> Result<()> {
    needs_privilege(ctx)?;
    let path = file(ctx)?;
    set_xattr(&path, CAPABILITY, &NET_RAW).context("setxattr")?;
    same_bytes(
        "capability",
        &xattr(&path, CAPABILITY).context("getxattr")?,
        &NET_RAW,
    )?;
    same_bytes(
        "by the other client",
        &xattr(&ctx.b("file"), CAPABILITY).context("getxattr")?,
        &NET_RAW,
    )?;
    lremovexattr(&path, CAPABILITY).context("removexattr")?;
    fails("after removal", xattr(&path, CAPABILITY), &[Errno::NODATA])
}

/// Asked before writes by newer clients, so the answer must be this one.
fn no_capability(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    fails("getxattr", xattr(&path, CAPABILITY), &[nothing(ctx)])
}

fn malformed_capability(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    fails(
        "three bytes",
        set_xattr(&path, CAPABILITY, b"bad"),
        &[Errno::INVAL],
    )?;
    fails(
        "what was not set",
        xattr(&path, CAPABILITY),
        &[nothing(ctx)],
    )
}

fn setcap(ctx: &Ctx) -> Result<()> {
    needs_privilege(ctx)?;
    let path = file(ctx)?;
    let Ok(output) = Command::new("setcap")
        .arg("cap_net_raw+ep")
        .arg(&path)
        .output()
    else {
        return skip("setcap is not installed here");
    };
    holds(
        &format!("setcap: {}", String::from_utf8_lossy(&output.stderr)),
        output.status.success(),
    )?;
    let output = Command::new("getcap")
        .arg(&path)
        .output()
        .context("getcap")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    holds(
        &format!("getcap says cap_net_raw=ep, it said {said:?}"),
        said.trim_end().ends_with("cap_net_raw=ep"),
    )?;
    same_bytes(
        "capability",
        &xattr(&path, CAPABILITY).context("getxattr")?,
        &NET_RAW,
    )
}

/// A changed program does not keep what was given to the old one. Here the host's kernel sees to it.
fn write_drops(ctx: &Ctx) -> Result<()> {
    needs_privilege(ctx)?;
    if !ctx.host_sees_metadata() {
        return skip("the model keeps capabilities where the host's kernel does not drop them");
    }
    let path = file(ctx)?;
    set_xattr(&path, CAPABILITY, &NET_RAW).context("setxattr")?;
    files::write_at(files::open(&path, OFlags::WRONLY).context("open")?, b"x", 0)?;
    fails("after a write", xattr(&path, CAPABILITY), &[Errno::NODATA])
}

/// Here the client's kernel sees to it, if it learns that there is one.
fn truncate_drops(ctx: &Ctx) -> Result<()> {
    needs_privilege(ctx)?;
    let path = file(ctx)?;
    set_xattr(&path, CAPABILITY, &NET_RAW).context("setxattr")?;
    ctx.put(Who::This, "file", b"changed")?;
    fails(
        "after truncation",
        xattr(&path, CAPABILITY),
        &[Errno::NODATA],
    )
}

fn chown_drops(ctx: &Ctx) -> Result<()> {
    needs_privilege(ctx)?;
    if !ctx.keeps_owners() {
        return skip("the model keeps no owners");
    }
    let path = file(ctx)?;
    set_xattr(&path, CAPABILITY, &NET_RAW).context("setxattr")?;
    rustix::fs::chown(&path, Some(rustix::fs::Uid::from_raw(12)), None).context("chown")?;
    fails("after a chown", xattr(&path, CAPABILITY), &[Errno::NODATA])
}
