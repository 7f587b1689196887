//! Links and special files, which plain 9P2000 does not have.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::Place;
use super::Run;
use crate::ctx::Ctx;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;

pub(super) const ROWS: &[(&str, Run)] = &[
    ("kinds/symlink", symlink),
    ("kinds/hard-link", hard_link),
    ("kinds/fifo", fifo),
    ("kinds/socket", socket),
    ("kinds/device", device),
    ("kinds/seen-from-here", seen),
];

const NO_KINDS: &str = "Linux's client refuses it in 9P2000, which has no words for it";

fn symlink(ctx: &Ctx, place: &Place) -> Result<()> {
    place.only_in_dotu(NO_KINDS)?;
    std::fs::write(place.at("file"), b"content").context("write")?;
    let long = "t".repeat(1000);
    for (name, target) in [("link", "file"), ("out", "../no where"), ("long", &long)] {
        std::os::unix::fs::symlink(target, place.at(name)).context("symlink")?;
        for path in [place.at(name), ctx.a(name)] {
            let came = std::fs::read_link(path).context("readlink")?;
            same(name, came.to_str(), Some(target))?;
        }
    }
    same_bytes("followed", &std::fs::read(place.at("link"))?, b"content")?;
    let again = rustix::fs::symlink("x", place.at("link"));
    fails("again", again, &[Errno::EXIST])
}

fn hard_link(ctx: &Ctx, place: &Place) -> Result<()> {
    place.only_in_dotu(NO_KINDS)?;
    std::fs::write(place.at("file"), b"content").context("write")?;
    std::fs::hard_link(place.at("file"), place.at("hard")).context("link")?;
    for name in ["file", "hard"] {
        same("links here", std::fs::metadata(place.at(name))?.nlink(), 2)?;
        same("links in .L", std::fs::metadata(ctx.a(name))?.nlink(), 2)?;
    }
    std::fs::write(place.at("hard"), b"changed").context("write")?;
    same_bytes("one file", &std::fs::read(ctx.a("file"))?, b"changed")?;
    std::fs::remove_file(place.at("file")).context("unlink")?;
    same_bytes("the other", &std::fs::read(place.at("hard"))?, b"changed")
}

fn type_and_mode(path: &std::path::Path) -> Result<(FileType, u32)> {
    let mode = rustix::fs::lstat(path).context("lstat")?.st_mode;
    Ok((FileType::from_raw_mode(mode), mode & 0o7777))
}

fn make(place: &Place, name: &str, kind: FileType, device: u64) -> Result<()> {
    rustix::fs::mknodat(CWD, place.at(name), kind, files::mode(0o640), device).context("mknod")
}

fn fifo(ctx: &Ctx, place: &Place) -> Result<()> {
    place.only_in_dotu(NO_KINDS)?;
    make(place, "fifo", FileType::Fifo, 0)?;
    for path in [place.at("fifo"), ctx.a("fifo")] {
        same("fifo", type_and_mode(&path)?, (FileType::Fifo, 0o640))?;
    }
    rustix::fs::chmod(place.at("fifo"), files::mode(0o600)).context("chmod")?;
    let changed = type_and_mode(&ctx.a("fifo"))?;
    same("chmod", changed, (FileType::Fifo, 0o600))?;
    std::fs::remove_file(place.at("fifo")).context("unlink")?;
    same("gone", ctx.a("fifo").exists(), false)
}

fn socket(ctx: &Ctx, place: &Place) -> Result<()> {
    place.only_in_dotu(NO_KINDS)?;
    let _listener = UnixListener::bind(place.at("sock")).context("bind")?;
    UnixStream::connect(place.at("sock")).context("connect")?;
    same("type", type_and_mode(&ctx.a("sock"))?.0, FileType::Socket)
}

fn device(ctx: &Ctx, place: &Place) -> Result<()> {
    place.only_in_dotu(NO_KINDS)?;
    if ctx.server_is_bound() {
        return skip("the server may not make devices");
    }
    for (name, kind, numbers) in [
        ("null", FileType::CharacterDevice, (1, 3)),
        ("loop", FileType::BlockDevice, (7, 0)),
        ("large", FileType::CharacterDevice, (0xABC, 0xD_EF12)),
    ] {
        let device = rustix::fs::makedev(numbers.0, numbers.1);
        make(place, name, kind, device)?;
        for path in [place.at(name), ctx.a(name)] {
            same(name, type_and_mode(&path)?, (kind, 0o640))?;
            same(name, std::fs::symlink_metadata(&path)?.rdev(), device)?;
        }
    }
    Ok(())
}

/// What .L made: .u sees it as it is, 9P2000 has only files and directories.
fn seen(ctx: &Ctx, place: &Place) -> Result<()> {
    std::os::unix::fs::symlink("file", ctx.a("link")).context("symlink")?;
    rustix::fs::mknodat(CWD, ctx.a("fifo"), FileType::Fifo, files::mode(0o644), 0)
        .context("mknod")?;
    std::fs::create_dir(ctx.a("dir")).context("mkdir")?;
    let names = [b"dir".to_vec(), b"fifo".to_vec(), b"link".to_vec()];
    same("names", files::list(&place.at(""))?, names.to_vec())?;
    let kinds = if place.sees_unix() {
        [FileType::Directory, FileType::Fifo, FileType::Symlink]
    } else {
        [
            FileType::Directory,
            FileType::RegularFile,
            FileType::RegularFile,
        ]
    };
    for (name, kind) in names.iter().zip(kinds) {
        same("type", type_and_mode(&place.at(name))?.0, kind)?;
    }
    Ok(())
}
