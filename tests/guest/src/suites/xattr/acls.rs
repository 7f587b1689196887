//! POSIX access control lists on one file or directory.
//!
//! Linux's 9p client with `posixacl` computes and checks them itself and keeps them in the server's
//! `system.posix_acl_*` attributes. An ACL that the mode says as well it writes as *empty* attribute.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::fs::OFlags;
use rustix::fs::lremovexattr;
use rustix::io::Errno;

use crate::acl;
use crate::acl::Entry;
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
use crate::peer::Peer;
use crate::row::Row;
use crate::suites::xattr::FILE;
use crate::suites::xattr::file;
use crate::suites::xattr::needs_acls;

/// rw for the owner, r for user 12 and for the group, capped by the mask.
const LIST: [Entry; 5] = [
    (Tag::Owner, 6),
    (Tag::User(12), 6),
    (Tag::OwningGroup, 4),
    (Tag::Mask, 6),
    (Tag::Other, 0),
];

pub(super) fn rows() -> Vec<Row> {
    let rows = vec![
        Row::new("acl/set-get", set_get),
        Row::new("acl/mask-is-the-group-mode", mask_is_mode),
        Row::new("acl/chmod-changes-the-mask", chmod_changes_mask),
        Row::new("acl/many-entries", many_entries),
        Row::new("acl/remove", remove),
        Row::new("acl/minimal-is-the-mode", minimal),
        Row::new("acl/minimal-where-there-was-none", minimal_at_first),
        Row::new("acl/malformed", malformed),
        Row::new("acl/default-on-a-file", default_on_file),
        Row::new("acl/default-set-get-remove", default),
        Row::new("acl/seen-by-the-other-client", other_sees),
        Row::new("acl/seen-by-the-host", host_sees),
        Row::new("acl/host-set-seen-here", host_set),
        Row::new("acl/after-rename-and-link", rename_link),
        Row::new("acl/gives-access", gives_access),
        Row::new("acl/takes-access", takes_access),
        Row::new("acl/setfacl-getfacl", tools),
        Row::new("acl/setfacl-remove-all", tool_removes),
    ];
    let rows = rows.into_iter();
    rows.map(|row| row.needing(needs_acls)).collect()
}

fn mode_of(path: &Path) -> Result<u32> {
    Ok(rustix::fs::stat(path).context("stat")?.st_mode & 0o7777)
}

fn set_get(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    fails("at first", xattr(&path, acl::ACCESS), &[Errno::NODATA])?;
    set_xattr(&path, acl::ACCESS, &acl::encode(&LIST)).context("setxattr")?;
    same_bytes(
        "ACL",
        &xattr(&path, acl::ACCESS).context("getxattr")?,
        &acl::encode(&LIST),
    )
}

fn mask_is_mode(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    for mask in [0, 4, 6, 7] {
        let mut list = LIST;
        list[3] = (Tag::Mask, mask);
        set_xattr(&path, acl::ACCESS, &acl::encode(&list)).context("setxattr")?;
        same("mode", mode_of(&path)?, 0o600 | (u32::from(mask) << 3))?;
    }
    Ok(())
}

/// The group's own entry stays; that is what the mask is for.
fn chmod_changes_mask(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, acl::ACCESS, &acl::encode(&LIST)).context("setxattr")?;
    rustix::fs::chmod(&path, files::mode(0o701)).context("chmod")?;
    let expected = [
        (Tag::Owner, 7),
        (Tag::User(12), 6),
        (Tag::OwningGroup, 4),
        (Tag::Mask, 0),
        (Tag::Other, 1),
    ];
    same_bytes(
        "ACL after chmod",
        &xattr(&path, acl::ACCESS).context("getxattr")?,
        &acl::encode(&expected),
    )?;
    let other = xattr(&ctx.b(FILE), acl::ACCESS).context("getxattr")?;
    same_bytes("ACL by the other client", &other, &acl::encode(&expected))?;
    same("mode", mode_of(&path)?, 0o701)
}

fn many_entries(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let mut list = vec![(Tag::Owner, 6)];
    list.extend((0..20).map(|user| (Tag::User(1000 + user), 4)));
    list.push((Tag::OwningGroup, 4));
    list.extend((0..20).map(|group| (Tag::Group(2000 + group), 6)));
    list.extend([(Tag::Mask, 6), (Tag::Other, 0)]);
    set_xattr(&path, acl::ACCESS, &acl::encode(&list)).context("setxattr")?;
    same_bytes(
        "ACL",
        &xattr(&ctx.b(FILE), acl::ACCESS).context("getxattr")?,
        &acl::encode(&list),
    )
}

fn remove(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, acl::ACCESS, &acl::encode(&LIST)).context("setxattr")?;
    lremovexattr(&path, acl::ACCESS).context("removexattr")?;
    fails("after removal", xattr(&path, acl::ACCESS), &[Errno::NODATA])?;
    fails(
        "by the other client",
        xattr(&ctx.b(FILE), acl::ACCESS),
        &[Errno::NODATA],
    )
}

fn minimal(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, acl::ACCESS, &acl::encode(&LIST)).context("setxattr")?;
    let minimal = [(Tag::Owner, 6), (Tag::OwningGroup, 1), (Tag::Other, 4)];
    set_xattr(&path, acl::ACCESS, &acl::encode(&minimal)).context("set one without names")?;
    same("mode", mode_of(&path)?, 0o614)?;
    fails(
        "what the mode says as well",
        xattr(&path, acl::ACCESS),
        &[Errno::NODATA],
    )?;
    fails(
        "by the other client",
        xattr(&ctx.b(FILE), acl::ACCESS),
        &[Errno::NODATA],
    )?;
    same("mode by the other client", mode_of(&ctx.b(FILE))?, 0o614)
}

/// The client writes an empty attribute over one that is not there.
fn minimal_at_first(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let minimal = [(Tag::Owner, 6), (Tag::OwningGroup, 2), (Tag::Other, 1)];
    set_xattr(&path, acl::ACCESS, &acl::encode(&minimal)).context("set one without names")?;
    same("mode", mode_of(&ctx.b(FILE))?, 0o621)?;
    fails(
        "what the mode says as well",
        xattr(&path, acl::ACCESS),
        &[Errno::NODATA],
    )
}

fn malformed(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let without_mask = [
        (Tag::Owner, 6),
        (Tag::User(12), 6),
        (Tag::OwningGroup, 4),
        (Tag::Other, 0),
    ];
    fails(
        "no mask",
        set_xattr(&path, acl::ACCESS, &acl::encode(&without_mask)),
        &[Errno::INVAL],
    )?;
    fails(
        "no entries that must be",
        set_xattr(&path, acl::ACCESS, &acl::encode(&[(Tag::Other, 0)])),
        &[Errno::INVAL],
    )?;
    fails(
        "garbage",
        set_xattr(&path, acl::ACCESS, b"garbage"),
        &[Errno::INVAL, Errno::OPNOTSUPP],
    )?;
    same("mode", mode_of(&path)?, 0o644)
}

fn default_on_file(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    fails(
        "set",
        set_xattr(&path, acl::DEFAULT, &acl::encode(&LIST)),
        &[Errno::ACCESS, Errno::INVAL],
    )
}

fn default(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "directory")?;
    let path = ctx.a("directory");
    set_xattr(&path, acl::DEFAULT, &acl::encode(&LIST)).context("setxattr")?;
    same_bytes(
        "ACL",
        &xattr(&path, acl::DEFAULT).context("getxattr")?,
        &acl::encode(&LIST),
    )?;
    same("mode", mode_of(&path)?, 0o755)?;
    fails(
        "the other kind",
        xattr(&path, acl::ACCESS),
        &[Errno::NODATA],
    )?;
    lremovexattr(&path, acl::DEFAULT).context("removexattr")?;
    fails(
        "after removal",
        xattr(&ctx.b("directory"), acl::DEFAULT),
        &[Errno::NODATA],
    )
}

fn other_sees(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, acl::ACCESS, &acl::encode(&LIST)).context("setxattr")?;
    let other = xattr(&ctx.b(FILE), acl::ACCESS).context("getxattr")?;
    same_bytes("ACL", &other, &acl::encode(&LIST))?;
    same("mode", mode_of(&ctx.b(FILE))?, 0o660)
}

fn host_sees(ctx: &Ctx) -> Result<()> {
    if !ctx.host_sees_metadata() {
        return skip("the model keeps ACLs where the host does not look for them");
    }
    set_xattr(&file(ctx)?, acl::ACCESS, &acl::encode(&LIST)).context("setxattr")?;
    let host = ctx
        .host
        .getxattr(&ctx.h(FILE), acl::ACCESS.as_bytes())?
        .context("host: getxattr")?;
    same_bytes("ACL", &host, &acl::encode(&LIST))?;
    same(
        "mode",
        ctx.host.stat(&ctx.h(FILE))?.context("host: stat")?.mode & 0o7777,
        0o660,
    )
}

fn host_set(ctx: &Ctx) -> Result<()> {
    if !ctx.host_sees_metadata() {
        return skip("the model keeps ACLs where the host does not look for them");
    }
    let path = file(ctx)?;
    ctx.host
        .setxattr(&ctx.h(FILE), acl::ACCESS.as_bytes(), &acl::encode(&LIST))?;
    same_bytes(
        "ACL",
        &xattr(&path, acl::ACCESS).context("getxattr")?,
        &acl::encode(&LIST),
    )?;
    same("mode", mode_of(&path)?, 0o660)
}

fn rename_link(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, acl::ACCESS, &acl::encode(&LIST)).context("setxattr")?;
    rustix::fs::link(&path, ctx.a("link")).context("link")?;
    ctx.rename(Who::This, FILE, "elsewhere")?;
    for name in ["link", "elsewhere"] {
        same_bytes(
            "ACL",
            &xattr(&ctx.a(name), acl::ACCESS).context("getxattr")?,
            &acl::encode(&LIST),
        )?;
    }
    Ok(())
}

/// Somebody who is not root, on the other client.
fn user_12(ctx: &Ctx) -> Result<Peer> {
    let peer = Peer::start()?;
    // The program may lie where only root gets; it is running already.
    peer.ask(&[b"become", b"12", b"999"])?
        .context("become user 12")?;
    ensure!(
        ctx.second.is_dir(),
        "expected the row's directory on the second mount"
    );
    Ok(peer)
}

fn opens(ctx: &Ctx, peer: &Peer, flags: OFlags) -> Result<Result<(), Errno>> {
    use std::os::unix::ffi::OsStrExt;
    let path = ctx.b(FILE);
    let flags = flags.bits().to_string();
    Ok(peer
        .ask(&[b"open", path.as_os_str().as_bytes(), flags.as_bytes()])?
        .map(drop))
}

fn gives_access(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    rustix::fs::chmod(&path, files::mode(0o600)).context("chmod")?;
    let user = user_12(ctx)?;
    fails(
        "before",
        opens(ctx, &user, OFlags::RDONLY)?,
        &[Errno::ACCESS],
    )?;
    set_xattr(&path, acl::ACCESS, &acl::encode(&LIST)).context("setxattr")?;
    opens(ctx, &user, OFlags::RDWR)?.context("open with the ACL")?;
    let mut masked = LIST;
    masked[3] = (Tag::Mask, 4);
    set_xattr(&path, acl::ACCESS, &acl::encode(&masked)).context("setxattr")?;
    // A client may go by what it knew of a file while that is still open there.
    drop(user);
    let again = user_12(ctx)?;
    fails(
        "writing when masked",
        opens(ctx, &again, OFlags::RDWR)?,
        &[Errno::ACCESS],
    )?;
    opens(ctx, &again, OFlags::RDONLY)?.context("reading when masked")
}

fn takes_access(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let list = [
        (Tag::Owner, 6),
        (Tag::User(12), 0),
        (Tag::OwningGroup, 4),
        (Tag::Mask, 4),
        (Tag::Other, 4),
    ];
    set_xattr(&path, acl::ACCESS, &acl::encode(&list)).context("setxattr")?;
    fails(
        "whom the ACL excludes",
        opens(ctx, &user_12(ctx)?, OFlags::RDONLY)?,
        &[Errno::ACCESS],
    )?;
    lremovexattr(&path, acl::ACCESS).context("removexattr")?;
    opens(ctx, &user_12(ctx)?, OFlags::RDONLY)?.context("open without the ACL")
}

/// Runs a tool of the package acl. `None` when it is not there.
pub(super) fn tool(arguments: &[&str], path: &Path) -> Result<Option<String>> {
    let Ok(output) = Command::new(arguments[0])
        .args(&arguments[1..])
        .arg(path)
        .output()
    else {
        return Ok(None);
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {complaint}");
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn tools(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    if tool(&["setfacl", "-m", "u:12:rw,g:34:rwx,m::r"], &path)?.is_none() {
        return skip("setfacl is not installed here");
    }
    let said = tool(&["getfacl", "-n", "-c", "-E", "-p"], &ctx.b(FILE))?.unwrap_or_default();
    let expected = "user::rw-\nuser:12:rw-\ngroup::r--\ngroup:34:rwx\nmask::r--\nother::r--\n\n";
    same("getfacl", said.as_str(), expected)
}

fn tool_removes(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    if tool(&["setfacl", "-m", "u:12:rw"], &path)?.is_none() {
        return skip("setfacl is not installed here");
    }
    tool(&["setfacl", "-b"], &path)?;
    fails(
        "after setfacl -b",
        xattr(&path, acl::ACCESS),
        &[Errno::NODATA],
    )?;
    fails(
        "by the other client",
        xattr(&ctx.b(FILE), acl::ACCESS),
        &[Errno::NODATA],
    )?;
    same("mode", mode_of(&path)?, 0o644)
}
