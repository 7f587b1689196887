//! Directories and names.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::RawDir;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::Place;
use super::Run;
use crate::ctx::Ctx;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;

pub(super) const ROWS: &[(&str, Run)] = &[
    ("dirs/make-and-remove", make),
    ("dirs/list-of-300", list),
    ("dirs/list-again", again),
    ("dirs/list-from-anywhere", anywhere),
    ("dirs/list-while-removing", removing),
    ("dirs/rename", rename),
    ("dirs/rename-over", rename_over),
    ("dirs/rename-to-another-directory", rename_across),
    ("dirs/errors", errors),
];

fn make(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::create_dir(place.at("dir")).context("mkdir")?;
    std::fs::create_dir(place.at("dir/inner")).context("mkdir")?;
    same("mode", files::stat_mode(&ctx.a("dir"))?, 0o755)?;
    let removed = rustix::fs::rmdir(place.at("dir"));
    fails("not empty", removed, &[Errno::NOTEMPTY])?;
    std::fs::remove_dir(place.at("dir/inner")).context("rmdir")?;
    std::fs::remove_dir(place.at("dir")).context("rmdir")?;
    same("gone in .L", ctx.a("dir").exists(), false)
}

fn name(number: usize) -> Vec<u8> {
    format!("{number:03}{}", "n".repeat(number % 120)).into_bytes()
}

/// Made by the quicker mount.
fn fill(ctx: &Ctx) -> Result<Vec<Vec<u8>>> {
    let names: Vec<_> = (0..300).map(name).collect();
    for name in &names {
        std::fs::write(ctx.a(name), b"").context("write")?;
    }
    Ok(names)
}

fn list(ctx: &Ctx, place: &Place) -> Result<()> {
    let names = fill(ctx)?;
    same("names", files::list(&place.at(""))?, names)?;
    std::fs::create_dir(place.at("zzz")).context("mkdir")?;
    for entry in std::fs::read_dir(place.at("")).context("list")? {
        let entry = entry.context("readdir")?;
        let is_dir = entry.file_type().context("type")?.is_dir();
        same("type", is_dir, entry.file_name() == "zzz")?;
    }
    Ok(())
}

fn again(ctx: &Ctx, place: &Place) -> Result<()> {
    let names = fill(ctx)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = files::open(place.at(""), flags).context("open")?;
    for _ in 0..3 {
        let came = files::list_fd(&directory).context("list")?;
        same("names", &came, &names)?;
    }
    Ok(())
}

/// The names from where the descriptor stands, each with where to go on after it.
fn names_from(fd: &OwnedFd) -> Result<Vec<(Vec<u8>, u64)>> {
    let mut buffer = vec![MaybeUninit::uninit(); 8192];
    let mut directory = RawDir::new(fd, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = directory.next() {
        let entry = entry.context("getdents")?;
        names.push((
            entry.file_name().to_bytes().to_vec(),
            entry.next_entry_cookie(),
        ));
    }
    Ok(names)
}

fn anywhere(ctx: &Ctx, place: &Place) -> Result<()> {
    fill(ctx)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = files::open(place.at(""), flags).context("open")?;
    let all = names_from(&directory)?;
    for at in [250, 3, 299, 100] {
        rustix::fs::seek(&directory, SeekFrom::Start(all[at].1)).context("seek")?;
        same(
            "the rest",
            names_from(&directory)?.as_slice(),
            &all[at + 1..],
        )?;
    }
    Ok(())
}

fn removing(ctx: &Ctx, place: &Place) -> Result<()> {
    fill(ctx)?;
    let mut count = 0;
    for entry in std::fs::read_dir(place.at("")).context("list")? {
        let entry = entry.context("readdir")?;
        std::fs::remove_file(entry.path()).context("unlink")?;
        count += 1;
    }
    same("removed", count, 300)?;
    same("left", files::list(&ctx.first)?, vec![])
}

fn rename(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::create_dir(place.at("dir")).context("mkdir")?;
    std::fs::write(place.at("dir/file"), b"content").context("write")?;
    let open = files::open(place.at("dir/file"), OFlags::RDONLY).context("open")?;
    std::fs::rename(place.at("dir/file"), place.at("dir/moved")).context("rename")?;
    std::fs::rename(place.at("dir"), place.at("other")).context("rename")?;
    same_bytes("moved", &std::fs::read(ctx.a("other/moved"))?, b"content")?;
    same_bytes("here", &std::fs::read(place.at("other/moved"))?, b"content")?;
    same_bytes("open", &files::read_fd(&open)?, b"content")?;
    same(
        "names",
        files::list(&ctx.a("other"))?,
        vec![b"moved".to_vec()],
    )
}

fn rename_over(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("new"), b"new").context("write")?;
    std::fs::write(place.at("old"), b"old").context("write")?;
    let ino = std::fs::metadata(ctx.a("new"))?.ino();
    std::fs::rename(place.at("new"), place.at("old")).context("rename")?;
    same_bytes("content", &std::fs::read(ctx.a("old"))?, b"new")?;
    same("inode", std::fs::metadata(ctx.a("old"))?.ino(), ino)?;
    same("names", files::list(&ctx.first)?, vec![b"old".to_vec()])
}

/// A Twstat names no directory: Linux's client says EXDEV by itself, and mv(1) copies.
fn rename_across(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("file"), b"content").context("write")?;
    std::fs::create_dir(place.at("dir")).context("mkdir")?;
    let moved = rustix::fs::rename(place.at("file"), place.at("dir/file"));
    if !place.is_9p() {
        return moved.context("rename");
    }
    fails("rename", moved, &[Errno::XDEV])?;
    same_bytes("left alone", &std::fs::read(ctx.a("file"))?, b"content")
}

/// In plain 9P2000 errors are texts, which the client turns into numbers again.
fn errors(_: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("file"), b"").context("write")?;
    std::fs::create_dir(place.at("dir")).context("mkdir")?;
    let missing = rustix::fs::lstat(place.at("missing"));
    fails("missing", missing.map(drop), &[Errno::NOENT])?;
    let below = files::open(place.at("file/below"), OFlags::RDONLY);
    fails("below a file", below, &[Errno::NOTDIR])?;
    let written = files::open(place.at("dir"), OFlags::WRONLY);
    fails("write a directory", written, &[Errno::ISDIR])?;
    let made = rustix::fs::mkdir(place.at("file"), files::mode(0o755));
    fails("mkdir over a file", made, &[Errno::EXIST])?;
    let long = rustix::fs::mkdir(place.at([b'n'; 256]), files::mode(0o755));
    fails("long", long, &[Errno::NAMETOOLONG])?;
    let over = rustix::fs::rename(place.at("file"), place.at("dir"));
    fails("file over directory", over, &[Errno::ISDIR])
}
