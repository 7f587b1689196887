//! Modes, owners, times and sizes.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;

use super::Place;
use super::Run;
use crate::ctx::Ctx;
use crate::expect::same;
use crate::expect::skip;
use crate::files;

pub(super) const ROWS: &[(&str, Run)] = &[
    ("attributes/chmod", chmod),
    ("attributes/set-id-bits", set_id),
    ("attributes/chown", chown),
    ("attributes/owner-of-new-files", new_owner),
    ("attributes/times", times),
    ("attributes/as-in-dotl", agree),
    ("attributes/statfs", statfs),
];

fn chmod(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("file"), b"").context("write")?;
    std::fs::create_dir(place.at("dir")).context("mkdir")?;
    for name in ["file", "dir"] {
        for mode in [0o700, 0o640, 0o777, 0o000, 0o755] {
            rustix::fs::chmod(place.at(name), files::mode(mode)).context("chmod")?;
            same("in .L", files::stat_mode(&ctx.a(name))?, mode)?;
            same("here", files::stat_mode(&place.at(name))?, mode)?;
        }
    }
    let file = files::open(place.at("file"), OFlags::RDONLY).context("open")?;
    rustix::fs::fchmod(&file, files::mode(0o600)).context("fchmod")?;
    same("fchmod", files::stat_mode(&ctx.a("file"))?, 0o600)
}

fn set_id(ctx: &Ctx, place: &Place) -> Result<()> {
    place.only_in_dotu("Linux's client drops these bits in 9P2000")?;
    std::fs::write(place.at("file"), b"").context("write")?;
    std::fs::create_dir(place.at("dir")).context("mkdir")?;
    for (name, mode) in [
        ("file", 0o4755),
        ("file", 0o2755),
        ("dir", 0o1777),
        ("dir", 0o2775),
    ] {
        rustix::fs::chmod(place.at(name), files::mode(mode)).context("chmod")?;
        same("in .L", files::stat_mode(&ctx.a(name))?, mode)?;
        same("here", files::stat_mode(&place.at(name))?, mode)?;
    }
    Ok(())
}

fn owner(path: &Path) -> Result<(u32, u32)> {
    let meta = path.symlink_metadata().context("lstat")?;
    Ok((meta.uid(), meta.gid()))
}

fn chown(ctx: &Ctx, place: &Place) -> Result<()> {
    place.only_in_dotu("Linux's client does not pass on owners in 9P2000")?;
    if !ctx.keeps_owners() || ctx.server_is_bound() {
        return skip("the server may not give files away");
    }
    std::fs::write(place.at("file"), b"").context("write")?;
    for (uid, gid, want) in [
        (Some(12), Some(34), (12, 34)),
        (None, Some(35), (12, 35)),
        (Some(13), None, (13, 35)),
    ] {
        std::os::unix::fs::chown(place.at("file"), uid, gid).context("chown")?;
        same("in .L", owner(&ctx.a("file"))?, want)?;
        same("here", owner(&place.at("file"))?, want)?;
    }
    Ok(())
}

fn new_owner(ctx: &Ctx, place: &Place) -> Result<()> {
    place.only_in_dotu("Linux's client attaches one user in 9P2000")?;
    let kept = ctx.host_sees_metadata() && ctx.model != crate::cli::Model::None;
    if !kept || ctx.server_is_bound() {
        return skip("the model does not keep who made a file");
    }
    std::os::unix::fs::chown(ctx.a(""), Some(1234), Some(4321)).context("chown")?;
    let mut touch = Command::new("touch");
    touch.arg(place.at("file")).uid(1234).gid(4321);
    let status = touch.status().context("touch")?;
    same("touch", status.success(), true)?;
    same("in .L", owner(&ctx.a("file"))?, (1234, 4321))?;
    same("here", owner(&place.at("file"))?, (1234, 4321))
}

fn times(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("file"), b"").context("write")?;
    for (atime, mtime) in [(1_000_000_000, 1_100_000_000), (0, 1), (4_000_000_000, 5)] {
        let second = |sec| Timespec {
            tv_sec: sec,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: second(atime),
            last_modification: second(mtime),
        };
        rustix::fs::utimensat(CWD, place.at("file"), &times, AtFlags::empty()).context("utimes")?;
        for path in [place.at("file"), ctx.a("file")] {
            let meta = std::fs::metadata(path)?;
            same("times", (meta.atime(), meta.mtime()), (atime, mtime))?;
        }
    }
    Ok(())
}

/// Every object of a tree, through both mounts.
fn agree(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::create_dir(ctx.a("dir")).context("mkdir")?;
    std::fs::write(ctx.a("dir/file"), files::pattern(1, 5000)).context("write")?;
    std::fs::write(ctx.a("empty"), b"").context("write")?;
    std::fs::hard_link(ctx.a("empty"), ctx.a("dir/hard")).context("link")?;
    rustix::fs::chmod(ctx.a("empty"), files::mode(0o604)).context("chmod")?;
    for name in ["", "dir", "dir/file", "empty", "dir/hard"] {
        let (here, there) = (place.at(name).metadata()?, ctx.a(name).metadata()?);
        same(name, here.mode(), there.mode())?;
        same(name, here.ino(), there.ino())?;
        same(name, here.mtime(), there.mtime())?;
        if !here.is_dir() {
            same(name, here.len(), there.len())?;
        }
        if place.sees_unix() {
            let unix = |meta: &std::fs::Metadata| (meta.uid(), meta.gid(), meta.nlink());
            same(name, unix(&here), unix(&there))?;
        }
    }
    Ok(())
}

/// Neither dialect has a Tstatfs: the client answers for itself, and programs must not stumble.
fn statfs(_: &Ctx, place: &Place) -> Result<()> {
    let figures = rustix::fs::statfs(place.at("")).context("statfs")?;
    same("longest name", figures.f_namelen > 0, true)
}
