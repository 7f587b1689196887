//! Sizes: of values, of names, of the caller's buffer.

use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::files::set_xattr;
use crate::files::xattr;
use crate::files::xattr_names;
use crate::row::Row;
use crate::suites::xattr::file;
use crate::sys;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("limits/size-query", size_query),
        Row::new("limits/list-size-query", list_size_query),
        Row::new("limits/small-buffer", small_buffer),
        Row::new("limits/exact-buffer", exact_buffer),
        Row::new("limits/small-list-buffer", small_list_buffer),
        Row::new("limits/values-up-to-3000-bytes", values),
        Row::new("limits/values-up-to-64-kib", large_values),
        Row::new("limits/value-beyond-64-kib", too_large),
        Row::new("limits/name-of-255-bytes", long_name),
        Row::new("limits/name-of-256-bytes", too_long_name),
        Row::new("limits/many-attributes", many),
    ]
}

/// `getxattr` with a buffer of this size, length only.
fn get_into(path: &Path, name: &str, size: usize) -> Result<usize, Errno> {
    rustix::fs::lgetxattr(path, name, &mut vec![0; size][..])
}

fn list_into(path: &Path, size: usize) -> Result<usize, Errno> {
    rustix::fs::llistxattr(path, &mut vec![0; size][..])
}

fn size_query(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    for length in [0, 1, 100, 2000] {
        set_xattr(&path, "user.one", &files::pattern(1, length)).context("setxattr")?;
        same(
            "size",
            sys::xattr_size(&path, "user.one").context("size query")?,
            length,
        )?;
    }
    fails(
        "size of nothing",
        sys::xattr_size(&path, "user.missing"),
        &[Errno::NODATA],
    )
}

fn list_size_query(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let before = sys::xattr_list_size(&path).context("size query")?;
    set_xattr(&path, "user.one", b"x").context("setxattr")?;
    set_xattr(&path, "user.three", b"x").context("setxattr")?;
    let names = "user.one".len() + 1 + "user.three".len() + 1;
    same(
        "size of the list",
        sys::xattr_list_size(&path).context("size query")?,
        before + names,
    )
}

fn small_buffer(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.one", &files::pattern(1, 100)).context("setxattr")?;
    for size in [1, 50, 99] {
        fails(
            "a small buffer",
            get_into(&path, "user.one", size),
            &[Errno::RANGE],
        )?;
    }
    Ok(())
}

fn exact_buffer(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.one", &files::pattern(1, 100)).context("setxattr")?;
    for size in [100, 101, 65536] {
        same(
            "length",
            get_into(&path, "user.one", size).context("getxattr")?,
            100,
        )?;
    }
    let length = sys::xattr_list_size(&path).context("size query")?;
    same(
        "length of the list",
        list_into(&path, length).context("listxattr")?,
        length,
    )
}

fn small_list_buffer(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    set_xattr(&path, "user.one", b"x").context("setxattr")?;
    for size in [1, "user.one".len()] {
        fails("a small buffer", list_into(&path, size), &[Errno::RANGE])?;
    }
    Ok(())
}

/// They fit into a block of any file system.
fn values(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    for length in [1, 2, 255, 256, 1000, 2048, 3000] {
        let value = files::pattern(length as u64, length);
        set_xattr(&path, "user.one", &value).with_context(|| format!("set {length} bytes"))?;
        same_bytes(
            "value",
            &xattr(&path, "user.one").context("getxattr")?,
            &value,
        )?;
    }
    Ok(())
}

/// How much the host's file system takes is its business: but all, or an error and no change.
fn large_values(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let mut last = b"at first".to_vec();
    set_xattr(&path, "user.one", &last).context("setxattr")?;
    for length in [4000, 4096, 10_000, 65_535, 65_536] {
        let value = files::pattern(length as u64, length);
        match set_xattr(&path, "user.one", &value) {
            Ok(()) => last = value,
            Err(Errno::NOSPC | Errno::TOOBIG) => {}
            Err(other) => {
                bail!("set {length} bytes: expected success, ENOSPC or E2BIG, came {other:?}")
            }
        }
        same_bytes(
            "value",
            &xattr(&path, "user.one").context("getxattr")?,
            &last,
        )?;
    }
    Ok(())
}

fn too_large(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    fails(
        "65537 bytes",
        set_xattr(&path, "user.one", &vec![1; 65_537]),
        &[Errno::TOOBIG],
    )?;
    fails(
        "what was not set",
        xattr(&path, "user.one"),
        &[Errno::NODATA],
    )
}

fn long_name(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let name = format!("user.{}", "n".repeat(250));
    set_xattr(&path, &name, b"x").context("setxattr")?;
    same_bytes("value", &xattr(&path, &name).context("getxattr")?, b"x")?;
    same(
        "names",
        xattr_names(&path).context("listxattr")?,
        vec![name.as_bytes().to_vec()],
    )?;
    rustix::fs::lremovexattr(&path, &name[..]).context("removexattr")
}

fn too_long_name(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let name = format!("user.{}", "n".repeat(251));
    fails("set", set_xattr(&path, &name, b"x"), &[Errno::RANGE])?;
    fails("get", xattr(&path, &name), &[Errno::RANGE])
}

fn many(ctx: &Ctx) -> Result<()> {
    let path = file(ctx)?;
    let mut names: Vec<Vec<u8>> = (0..60)
        .map(|number| format!("user.attribute-{number}").into_bytes())
        .collect();
    for name in &names {
        set_xattr(&path, name, name).context("setxattr")?;
    }
    names.sort();
    same("names", &xattr_names(&path).context("listxattr")?, &names)?;
    for name in names.iter().step_by(2) {
        rustix::fs::lremovexattr(&path, &name[..]).context("removexattr")?;
    }
    let left: Vec<Vec<u8>> = names.into_iter().skip(1).step_by(2).collect();
    same(
        "names left",
        &xattr_names(&path).context("listxattr")?,
        &left,
    )?;
    for name in &left {
        same_bytes("value", &xattr(&path, name).context("getxattr")?, name)?;
    }
    Ok(())
}
