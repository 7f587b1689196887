//! What an entry says: name, type and inode number.

use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::fs::CWD;
use rustix::fs::FileType;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::skip;
use crate::files;
use crate::row::Row;
use crate::suites::readdir::raw;

const BUFFER: usize = 32 * 1024;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![
        Row::new("entry/empty-directory", empty),
        Row::new("entry/dots-of-the-mount", dots_of_the_mount),
        Row::new("entry/dots-below", dots_below),
        Row::new("entry/inode-numbers-match-stat", inodes),
        Row::new("entry/nested", nested),
        Row::new("entry/longest-names", longest),
        Row::new("entry/after-rename", after_rename),
        Row::new("entry/hard-links-have-one-number", hard_links),
    ];
    let kinds = [
        ("file", FileType::RegularFile),
        ("directory", FileType::Directory),
        ("symlink", FileType::Symlink),
        ("fifo", FileType::Fifo),
        ("socket", FileType::Socket),
        ("character-device", FileType::CharacterDevice),
        ("block-device", FileType::BlockDevice),
    ];
    rows.extend(kinds.map(|(name, kind)| {
        Row::new(format!("entry/type-of-{name}"), move |ctx| {
            type_of(ctx, kind)
        })
    }));
    rows
}

fn inode(path: &Path) -> Result<u64> {
    Ok(rustix::fs::lstat(path)
        .with_context(|| format!("stat of {}", path.display()))?
        .st_ino)
}

fn names(entries: &[raw::Entry]) -> Vec<&[u8]> {
    let mut names: Vec<&[u8]> = entries.iter().map(|entry| entry.name.as_slice()).collect();
    names.sort_unstable();
    names
}

fn empty(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "empty")?;
    for path in [ctx.a("empty"), ctx.b("empty")] {
        same(
            "names",
            names(&raw::list(&path, BUFFER)?),
            vec![b".".as_slice(), b".."],
        )?;
    }
    Ok(())
}

fn dots(path: &Path, above: Option<u64>) -> Result<()> {
    let entries = raw::list(path, BUFFER)?;
    for (name, expected) in [(b".".as_slice(), Some(inode(path)?)), (b"..", above)] {
        let found: Vec<_> = entries.iter().filter(|entry| entry.name == name).collect();
        ensure!(
            found.len() == 1,
            "expected {} once, came {}",
            String::from_utf8_lossy(name),
            found.len()
        );
        same("type", found[0].kind, FileType::Directory)?;
        if let Some(expected) = expected {
            same(
                &format!("inode number of {}", String::from_utf8_lossy(name)),
                found[0].ino,
                expected,
            )?;
        }
    }
    Ok(())
}

/// Above the root of an export there is nothing but itself.
fn dots_of_the_mount(ctx: &Ctx) -> Result<()> {
    dots(
        &ctx.mount,
        if ctx.is_9p() {
            Some(inode(&ctx.mount)?)
        } else {
            None
        },
    )
}

fn dots_below(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "sub")?;
    dots(&ctx.first, Some(inode(&ctx.mount)?))?;
    dots(&ctx.a("sub"), Some(inode(&ctx.first)?))
}

fn inodes(ctx: &Ctx) -> Result<()> {
    for number in 0..50 {
        ctx.put(Who::This, &format!("f{number}"), b"")?;
    }
    ctx.mkdir(Who::This, "directory")?;
    rustix::fs::symlink("f0", ctx.a("pointer")).context("symlink")?;
    let entries = raw::by_name(&raw::list(&ctx.second, BUFFER)?)?;
    same("entries", entries.len(), 52)?;
    for entry in entries.values() {
        same(
            &String::from_utf8_lossy(&entry.name),
            entry.ino,
            inode(&ctx.b(&entry.name))?,
        )?;
    }
    Ok(())
}

fn type_of(ctx: &Ctx, kind: FileType) -> Result<()> {
    let path = ctx.a("thing");
    match kind {
        FileType::RegularFile => ctx.put(Who::This, "thing", b"")?,
        FileType::Directory => ctx.mkdir(Who::This, "thing")?,
        FileType::Symlink => rustix::fs::symlink("nowhere", &path).context("symlink")?,
        FileType::Socket => {
            rustix::process::chdir(&ctx.first).context("chdir")?;
            UnixListener::bind("thing").context("bind").map(drop)?;
        }
        kind => {
            if kind != FileType::Fifo && ctx.server_is_bound() {
                return skip("only root may make devices on the host");
            }
            let number = if kind == FileType::Fifo {
                0
            } else {
                rustix::fs::makedev(1, 3)
            };
            rustix::fs::mknodat(CWD, &path, kind, files::mode(0o600), number).context("mknod")?;
        }
    }
    // What the host shows as a file may be anything in these models, and a listing does not look.
    let may_be_unknown = !ctx.host_sees_metadata() && kind != FileType::Directory;
    for directory in [&ctx.first, &ctx.second] {
        let entries = raw::by_name(&raw::list(directory, BUFFER)?)?;
        let came = entries.get(b"thing".as_slice()).map(|entry| entry.kind);
        if !(may_be_unknown && came == Some(FileType::Unknown)) {
            same("type", came, Some(kind))?;
        }
    }
    Ok(())
}

fn nested(ctx: &Ctx) -> Result<()> {
    let mut path = String::from("d");
    for level in 0..12 {
        ctx.mkdir(Who::This, &path)?;
        ctx.put(Who::This, &format!("{path}/file{level}"), b"")?;
        path.push_str("/d");
    }
    let mut found = 0;
    let mut todo = vec![ctx.second.clone()];
    while let Some(directory) = todo.pop() {
        for entry in raw::by_name(&raw::list(&directory, BUFFER)?)?.values() {
            match entry.kind {
                FileType::Directory => todo.push(files::join(&directory, &entry.name)),
                _ => found += 1,
            }
        }
    }
    same("files found", found, 12)
}

/// Few of them fill a message.
fn longest(ctx: &Ctx) -> Result<()> {
    let mut expected: Vec<Vec<u8>> = (0..300)
        .map(|number| format!("{number:0>255}").into_bytes())
        .collect();
    for name in &expected {
        ctx.host.write(&ctx.h(name), b"")?;
    }
    expected.sort();
    for buffer in [300, 4096, BUFFER, 1 << 20] {
        let entries = raw::by_name(&raw::list(&ctx.first, buffer)?)?;
        same(
            "names",
            entries.into_keys().collect::<Vec<_>>(),
            expected.clone(),
        )?;
    }
    Ok(())
}

fn after_rename(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "one", b"")?;
    ctx.mkdir(Who::This, "sub")?;
    let before = inode(&ctx.a("one"))?;
    ctx.rename(Who::Other, "one", "sub/two")?;
    let entries = raw::list(&ctx.a("sub"), BUFFER)?;
    same(
        "names",
        names(&entries),
        vec![b".".as_slice(), b"..", b"two"],
    )?;
    same(
        "inode number",
        raw::by_name(&entries)?
            .remove(b"two".as_slice())
            .map(|entry| entry.ino),
        Some(before),
    )?;
    same(
        "names above",
        names(&raw::list(&ctx.first, BUFFER)?),
        vec![b".".as_slice(), b"..", b"sub"],
    )
}

fn hard_links(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "one", b"")?;
    rustix::fs::link(ctx.a("one"), ctx.a("two")).context("link")?;
    let entries = raw::by_name(&raw::list(&ctx.first, BUFFER)?)?;
    let numbers: Vec<u64> = entries.values().map(|entry| entry.ino).collect();
    same("numbers", numbers.len(), 2)?;
    same("one number", numbers[0], numbers[1])
}
