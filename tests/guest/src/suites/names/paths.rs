//! Long paths and deep trees.

use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("path/4095-bytes", path_max),
        Row::new("path/4096-bytes", beyond_path_max),
        Row::new("path/deeper-than-a-path", deeper),
        Row::new("path/a-hundred-deep-and-up", hundred),
        Row::new("path/dot-dot-at-each-level", dot_dot),
        Row::new("path/repeated-slashes-and-dots", slashes),
    ]
}

/// Directories with names of 255 bytes, 15 deep: with a file's name, paths up to 4095.
fn deep_names() -> Vec<String> {
    (0..15_u8)
        .map(|level| char::from(b'a' + level).to_string().repeat(255))
        .collect()
}

/// Makes them below the working directory, which becomes the row's.
fn plant(ctx: &Ctx) -> Result<String> {
    rustix::process::chdir(&ctx.first).context("chdir")?;
    let mut path = PathBuf::new();
    for name in deep_names() {
        path.push(name);
        std::fs::create_dir(&path)
            .with_context(|| format!("mkdir of {} bytes", path.as_os_str().len()))?;
    }
    Ok(path.to_str().context("path")?.to_owned())
}

fn path_max(ctx: &Ctx) -> Result<()> {
    let directory = plant(ctx)?;
    let file = format!("{directory}/{}", "f".repeat(4095 - directory.len() - 1));
    same("length", file.len(), 4095)?;
    std::fs::write(&file, b"deep").context("create")?;
    rustix::fs::chmod(&file, files::mode(0o600)).context("chmod")?;
    files::set_xattr(file.as_ref(), "user.deep", b"x").context("setxattr")?;
    rustix::process::chdir(&ctx.second).context("chdir")?;
    same_bytes(
        "content by the other client",
        &std::fs::read(&file).context("read")?,
        b"deep",
    )?;
    same(
        "mode",
        rustix::fs::stat(&file[..]).context("stat")?.st_mode & 0o7777,
        0o600,
    )?;
    same_bytes(
        "content on the host",
        &ctx.host.read(&ctx.h(&file))?,
        b"deep",
    )?;
    rustix::fs::rename(&file[..], &file[..4000]).context("rename")?;
    rustix::fs::unlink(&file[..4000]).context("unlink")?;
    same("names left", files::list(directory.as_ref())?, vec![])
}

fn beyond_path_max(ctx: &Ctx) -> Result<()> {
    let directory = plant(ctx)?;
    let file = format!("{directory}/{}", "f".repeat(4096 - directory.len() - 1));
    fails(
        "create",
        files::open(&file, OFlags::WRONLY | OFlags::CREATE),
        &[Errno::NAMETOOLONG],
    )?;
    same("names", files::list(directory.as_ref())?, vec![])
}

/// Name by name one gets further than any path reaches.
fn deeper(ctx: &Ctx) -> Result<()> {
    rustix::process::chdir(&ctx.first).context("chdir")?;
    let name = "d".repeat(200);
    for level in 0..25 {
        rustix::fs::mkdir(&name[..], files::mode(0o755))
            .with_context(|| format!("mkdir at level {level}"))?;
        rustix::process::chdir(&name[..]).with_context(|| format!("chdir at level {level}"))?;
    }
    std::fs::write("file", b"5000 bytes deep").context("create")?;
    rustix::fs::rename("file", "renamed").context("rename")?;
    same_bytes(
        "content",
        &std::fs::read("renamed").context("read")?,
        b"5000 bytes deep",
    )?;
    let fd = files::open("renamed", OFlags::RDWR).context("open")?;
    rustix::fs::ftruncate(&fd, 4).context("ftruncate")?;
    same("size", rustix::fs::fstat(&fd).context("fstat")?.st_size, 4)?;
    rustix::fs::unlink("renamed").context("unlink")?;
    for level in 0..25 {
        rustix::process::chdir("..").with_context(|| format!("up at level {level}"))?;
        rustix::fs::rmdir(&name[..]).with_context(|| format!("rmdir at level {level}"))?;
    }
    same("names left", files::list(&ctx.second)?, vec![])
}

fn hundred(ctx: &Ctx) -> Result<()> {
    rustix::process::chdir(&ctx.first).context("chdir")?;
    let mut inodes = vec![rustix::fs::stat(".").context("stat")?.st_ino];
    for level in 0..100 {
        let name = format!("level{level}");
        rustix::fs::mkdir(&name[..], files::mode(0o755)).context("mkdir")?;
        rustix::process::chdir(&name[..]).context("chdir")?;
        inodes.push(rustix::fs::stat(".").context("stat")?.st_ino);
    }
    same(
        "cwd",
        std::env::current_dir()
            .context("getcwd")?
            .ends_with("level98/level99"),
        true,
    )?;
    for inode in inodes.iter().rev() {
        same(
            "inode of .",
            rustix::fs::stat(".").context("stat")?.st_ino,
            *inode,
        )?;
        rustix::process::chdir("..").context("chdir ..")?;
    }
    let mut seen = inodes.clone();
    seen.sort_unstable();
    seen.dedup();
    same("different inodes", seen.len(), inodes.len())
}

fn dot_dot(ctx: &Ctx) -> Result<()> {
    std::fs::create_dir_all(ctx.a("a/b/c")).context("mkdir")?;
    std::fs::write(ctx.a("file"), b"up here").context("create")?;
    same_bytes(
        "content",
        &std::fs::read(ctx.a("a/b/c/../../../file")).context("read")?,
        b"up here",
    )?;
    let up = rustix::fs::stat(ctx.b("a/b/..")).context("stat")?;
    same(
        "inode",
        up.st_ino,
        rustix::fs::stat(ctx.b("a")).context("stat")?.st_ino,
    )?;
    fails(
        "through what is no directory",
        rustix::fs::stat(ctx.a("file/..")).map(|stat| stat.st_ino),
        &[Errno::NOTDIR],
    )?;
    fails(
        "through nothing",
        rustix::fs::stat(ctx.a("no/..")).map(|stat| stat.st_ino),
        &[Errno::NOENT],
    )
}

fn slashes(ctx: &Ctx) -> Result<()> {
    std::fs::create_dir(ctx.a("a")).context("mkdir")?;
    std::fs::write(ctx.a("a//file"), b"x").context("create")?;
    same_bytes(
        "content",
        &std::fs::read(ctx.a(".//a/././//file")).context("read")?,
        b"x",
    )?;
    fails(
        "a file with a slash after it",
        rustix::fs::stat(ctx.a("a/file/")).map(|stat| stat.st_ino),
        &[Errno::NOTDIR],
    )?;
    std::fs::create_dir(ctx.a("b/")).context("mkdir with a slash after it")
}
