//! Files and what is in them.

use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Place;
use super::Run;
use crate::ctx::Ctx;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;

pub(super) const ROWS: &[(&str, Run)] = &[
    ("data/create-write-read", create),
    ("data/large", large),
    ("data/append", append),
    ("data/truncate", truncate),
    ("data/exclusive", exclusive),
    ("data/open-modes", modes),
    ("data/unlinked-but-open", unlinked),
    ("data/fsync", fsync),
    ("data/execute", execute),
    ("data/two-dialects-one-file", shared),
];

fn create(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("file"), b"content").context("write")?;
    same_bytes("here", &std::fs::read(place.at("file"))?, b"content")?;
    same_bytes("in .L", &std::fs::read(ctx.a("file"))?, b"content")?;
    same("mode", files::stat_mode(&ctx.a("file"))?, 0o644)
}

fn large(ctx: &Ctx, place: &Place) -> Result<()> {
    let content = files::pattern(7, 3_000_001);
    std::fs::write(place.at("large"), &content).context("write")?;
    same_bytes("in .L", &std::fs::read(ctx.a("large"))?, &content)?;
    same_bytes("here", &std::fs::read(place.at("large"))?, &content)
}

fn append(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("file"), b"one").context("write")?;
    let flags = OFlags::WRONLY | OFlags::APPEND;
    let (first, second) = (
        files::open(place.at("file"), flags).context("open")?,
        files::open(place.at("file"), flags).context("open")?,
    );
    for (fd, text) in [(&first, b"two"), (&second, b"six"), (&first, b"ten")] {
        rustix::io::write(fd, text).context("write")?;
    }
    same_bytes("content", &std::fs::read(ctx.a("file"))?, b"onetwosixten")
}

fn truncate(ctx: &Ctx, place: &Place) -> Result<()> {
    let content = || std::fs::read(ctx.a("file"));
    std::fs::write(place.at("file"), b"content").context("write")?;
    let file = files::open(place.at("file"), OFlags::RDWR).context("open")?;
    rustix::fs::ftruncate(&file, 3).context("ftruncate")?;
    same_bytes("cut", &content()?, b"con")?;
    rustix::fs::ftruncate(&file, 5).context("ftruncate")?;
    same_bytes("grown", &content()?, b"con\0\0")?;
    let file = std::fs::File::options()
        .write(true)
        .open(place.at("file"))?;
    file.set_len(1).context("set_len")?;
    same_bytes("cut by another", &content()?, b"c")?;
    files::open(place.at("file"), OFlags::WRONLY | OFlags::TRUNC).context("open")?;
    same_bytes("O_TRUNC", &content()?, b"")
}

fn exclusive(ctx: &Ctx, place: &Place) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    files::open(place.at("new"), flags).context("create")?;
    fails(
        "again",
        files::open(place.at("new"), flags),
        &[Errno::EXIST],
    )?;
    std::fs::write(ctx.a("other"), b"x").context("write")?;
    fails(
        "made in .L",
        files::open(place.at("other"), flags),
        &[Errno::EXIST],
    )?;
    let plain = OFlags::WRONLY | OFlags::CREATE;
    files::open(place.at("other"), plain).context("open")?;
    same_bytes("left alone", &std::fs::read(ctx.a("other"))?, b"x")
}

fn modes(_: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("file"), b"content").context("write")?;
    let reader = files::open(place.at("file"), OFlags::RDONLY).context("open")?;
    fails("write", rustix::io::write(&reader, b"x"), &[Errno::BADF])?;
    let writer = files::open(place.at("file"), OFlags::WRONLY).context("open")?;
    let mut byte = [0];
    fails(
        "read",
        rustix::io::read(&writer, &mut byte[..]),
        &[Errno::BADF],
    )
}

fn unlinked(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(place.at("file"), b"content").context("write")?;
    let file = files::open(place.at("file"), OFlags::RDWR).context("open")?;
    std::fs::remove_file(place.at("file")).context("unlink")?;
    same("gone in .L", ctx.a("file").exists(), false)?;
    same_bytes("read", &files::read_fd(&file)?, b"content")?;
    files::write_at(&file, b"CON", 0)?;
    rustix::fs::ftruncate(&file, 5).context("ftruncate")?;
    same_bytes("changed", &files::read_fd(&file)?, b"CONte")
}

fn fsync(ctx: &Ctx, place: &Place) -> Result<()> {
    let file = std::fs::File::create(place.at("file")).context("create")?;
    file.write_all_at(b"content", 0).context("write")?;
    file.sync_all().context("fsync")?;
    file.sync_data().context("fdatasync")?;
    same_bytes("content", &std::fs::read(ctx.a("file"))?, b"content")
}

fn execute(_: &Ctx, place: &Place) -> Result<()> {
    std::fs::copy("/bin/true", place.at("true")).context("copy")?;
    let mode = std::fs::metadata(place.at("true"))?.permissions().mode();
    same("mode", mode & 0o111, 0o111)?;
    let status = Command::new(place.at("true")).status().context("exec")?;
    same("status", status.success(), true)
}

fn shared(ctx: &Ctx, place: &Place) -> Result<()> {
    std::fs::write(ctx.a("file"), b"from .L").context("write")?;
    let file = files::open(place.at("file"), OFlags::RDWR).context("open")?;
    same_bytes("seen", &files::read_fd(&file)?, b"from .L")?;
    std::fs::rename(ctx.a("file"), ctx.a("moved")).context("rename")?;
    files::write_at(&file, b"TO", 0)?;
    same_bytes("followed", &std::fs::read(ctx.a("moved"))?, b"TOom .L")?;
    std::fs::remove_file(ctx.a("moved")).context("unlink")?;
    same_bytes("outlived", &files::read_fd(&file)?, b"TOom .L")
}
