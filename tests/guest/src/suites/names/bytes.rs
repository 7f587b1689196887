//! A name is any bytes but `/` and NUL, up to 255 of them.

use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cli::Model;
use crate::ctx::Ctx;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

/// Names that are ordinary, though something may think otherwise.
const ORDINARY: [(&str, &[u8]); 20] = [
    ("three-dots", b"..."),
    ("dots-and-space", b".. "),
    ("hidden", b".hidden"),
    ("leading-dash", b"-rf"),
    ("one-space", b" "),
    ("spaces-around", b"  a  b  "),
    ("newline", b"line\nbreak\n"),
    ("tab-and-control", b"\t\x01\x1b[31m"),
    ("delete", b"\x7f"),
    ("backslash", b"a\\b\\"),
    ("quotes", b"'\"`$(x)`"),
    ("glob", b"*?[a-z]"),
    ("colon-and-bar", b"C:|<>"),
    ("percent", b"%41%00%2F"),
    ("latin-1", b"caf\xe9"),
    ("not-utf8", b"\xff\xfe\x80"),
    ("overlong-slash", b"a\xc0\xafb"),
    ("cut-utf8", b"\xe2\x82"),
    ("composed-and-not", "é-e\u{301}".as_bytes()),
    ("trailing-dot", b"con."),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = ORDINARY
        .into_iter()
        .map(|(what, name)| Row::new(format!("name/{what}"), move |ctx| ordinary(ctx, name)))
        .collect();
    for length in [1, 2, 127, 128, 254, 255] {
        let name = vec![b'n'; length];
        rows.push(Row::new(format!("name/{length}-bytes"), move |ctx| {
            ordinary(ctx, &name)
        }));
    }
    rows.push(Row::new("name/255-bytes-of-utf8", |ctx| {
        ordinary(ctx, "\u{20ac}".repeat(85).as_bytes())
    }));
    rows.push(Row::new("name/256-bytes", too_long));
    rows.push(Row::new("name/every-single-byte", |ctx| {
        every_byte(ctx, |byte| vec![byte])
    }));
    rows.push(Row::new("name/every-byte-inside", |ctx| {
        every_byte(ctx, |byte| vec![b'a', byte, b'z'])
    }));
    rows.push(Row::new("name/case-makes-a-difference", case));
    rows.push(Row::new("name/virtfs-metadata", virtfs_metadata));
    rows
}

/// Everything that can be done with a name, seen by all three.
fn ordinary(ctx: &Ctx, name: &[u8]) -> Result<()> {
    let (here, there) = (ctx.a(name), ctx.b(name));
    std::fs::write(&here, name).context("create")?;
    same("names", files::list(&ctx.second)?, vec![name.to_vec()])?;
    same_bytes(
        "content by the other client",
        &std::fs::read(&there).context("read")?,
        name,
    )?;
    same_bytes("content on the host", &ctx.host.read(&ctx.h(name))?, name)?;
    fails(
        "exclusive create",
        files::open(&there, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL),
        &[Errno::EXIST],
    )?;
    rustix::fs::rename(&here, ctx.a("plain")).context("rename away")?;
    fails(
        "the old name",
        rustix::fs::stat(&there).map(|stat| stat.st_ino),
        &[Errno::NOENT],
    )?;
    rustix::fs::rename(ctx.a("plain"), &here).context("rename back")?;
    rustix::fs::link(&here, ctx.a("link")).context("link")?;
    rustix::fs::unlink(&here).context("unlink")?;
    as_directory(&here)?;
    as_symlink(&here, name)?;
    same(
        "names in the end",
        files::list(&ctx.second)?,
        vec![b"link".to_vec()],
    )
}

fn as_directory(path: &Path) -> Result<()> {
    std::fs::create_dir(path).context("mkdir")?;
    std::fs::write(path.join("inside"), b"x").context("create in it")?;
    same("names in it", files::list(path)?, vec![b"inside".to_vec()])?;
    std::fs::remove_file(path.join("inside")).context("unlink in it")?;
    std::fs::remove_dir(path).context("rmdir")
}

fn as_symlink(path: &Path, target: &[u8]) -> Result<()> {
    rustix::fs::symlink(target, path).context("symlink")?;
    let came = rustix::fs::readlink(path, vec![]).context("readlink")?;
    same_bytes("target", came.to_bytes(), target)?;
    rustix::fs::unlink(path).context("unlink the symlink")
}

fn too_long(ctx: &Ctx) -> Result<()> {
    let (one, other) = (ctx.a(vec![b'n'; 256]), ctx.a("plain"));
    std::fs::write(&other, b"").context("create")?;
    let expected = &[Errno::NAMETOOLONG];
    fails(
        "create",
        files::open(&one, OFlags::RDWR | OFlags::CREATE),
        expected,
    )?;
    fails(
        "stat",
        rustix::fs::stat(&one).map(|stat| stat.st_ino),
        expected,
    )?;
    fails(
        "mkdir",
        rustix::fs::mkdir(&one, files::mode(0o755)),
        expected,
    )?;
    fails("unlink", rustix::fs::unlink(&one), expected)?;
    fails("symlink", rustix::fs::symlink("x", &one), expected)?;
    fails("link", rustix::fs::link(&other, &one), expected)?;
    fails("rename", rustix::fs::rename(&other, &one), expected)?;
    same("names", files::list(&ctx.second)?, vec![b"plain".to_vec()])
}

fn every_byte(ctx: &Ctx, name_of: fn(u8) -> Vec<u8>) -> Result<()> {
    let mut names: Vec<Vec<u8>> = (1..=255)
        .filter(|&byte| byte != b'/')
        .map(name_of)
        .collect();
    names.retain(|name| name != b".");
    for name in &names {
        let at = name.as_slice();
        std::fs::write(ctx.a(at), at).with_context(|| format!("create {at:?}"))?;
    }
    names.sort();
    same("names", &files::list(&ctx.second)?, &names)?;
    for name in names.iter().step_by(5) {
        same_bytes(
            "content",
            &std::fs::read(ctx.b(name)).with_context(|| format!("read {name:?}"))?,
            name,
        )?;
    }
    same_bytes(
        "content on the host",
        &ctx.host.read(&ctx.h(&names[254 - 10]))?,
        &names[254 - 10],
    )
}

fn case(ctx: &Ctx) -> Result<()> {
    let names = ["README", "ReadMe", "readme"];
    for name in names {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        files::write_at(
            files::open(ctx.a(name), flags).context("create")?,
            name.as_bytes(),
            0,
        )?;
    }
    same(
        "names",
        files::list(&ctx.second)?,
        names.map(|name| name.as_bytes().to_vec()).to_vec(),
    )?;
    for name in names {
        same_bytes(
            "content",
            &std::fs::read(ctx.b(name)).context("read")?,
            name.as_bytes(),
        )?;
    }
    rustix::fs::rename(ctx.a("readme"), ctx.a("README")).context("rename")?;
    same("names left", files::list(&ctx.second)?.len(), 2)
}

/// Ordinary in all models but the one that keeps its own things there.
fn virtfs_metadata(ctx: &Ctx) -> Result<()> {
    let names = [".virtfs_metadata", ".virtfs_metadata_root"];
    if ctx.model == Model::MappedFile {
        return names.iter().try_for_each(|name| forbidden(ctx, name));
    }
    ordinary(ctx, names[0].as_bytes())?;
    rustix::fs::unlink(ctx.a("link")).context("unlink")?;
    ordinary(ctx, names[1].as_bytes())
}

fn forbidden(ctx: &Ctx, name: &str) -> Result<()> {
    let (path, file) = (ctx.a(name), ctx.a(format!("file-for{name}")));
    std::fs::write(&file, b"x").context("create")?;
    let invalid = &[Errno::INVAL];
    fails("create", std::fs::write(&path, b"x"), invalid)?;
    fails("mkdir", std::fs::create_dir(&path), invalid)?;
    fails("symlink", rustix::fs::symlink("x", &path), invalid)?;
    fails("link", rustix::fs::link(&file, &path), invalid)?;
    fails("rename to it", rustix::fs::rename(&file, &path), invalid)?;
    fails(
        "rename of it",
        rustix::fs::rename(&path, ctx.a("new")),
        invalid,
    )?;
    fails("unlink", rustix::fs::unlink(&path), invalid)?;
    fails("rmdir", rustix::fs::rmdir(&path), invalid)?;
    fails(
        "stat",
        rustix::fs::lstat(&path).map(|stat| stat.st_ino),
        invalid,
    )?;
    let left = files::list(&ctx.second)?;
    same(
        "names",
        left.iter().any(|left| *left == name.as_bytes()),
        false,
    )?;
    rustix::fs::unlink(file).context("unlink")
}
