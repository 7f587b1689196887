//! Mode bits, umask, setgid directories and the sticky bit.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::Gid;
use rustix::fs::OFlags;
use rustix::fs::Uid;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::skip;
use crate::files;
use crate::peer::Peer;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("mode/every-bit-of-a-file", |ctx| every_bit(ctx, false)),
        Row::new("mode/every-bit-of-a-directory", |ctx| every_bit(ctx, true)),
        Row::new("mode/none-at-all", none_at_all),
        Row::new("mode/create-read-only-and-write", create_read_only),
        Row::new("mode/umask", umask),
        Row::new("mode/setgid-directory", setgid_directory),
        Row::new("mode/chown-clears-setuid", chown_clears),
        Row::new("mode/chown-to-every-id", chown_ids),
        Row::new("mode/chown-one-of-both", chown_one),
        Row::new("mode/new-files-owner", new_owner),
        Row::new("mode/sticky-directory", sticky),
        Row::new("mode/not-the-owner", not_the_owner),
        Row::new("mode/unreadable-for-others", unreadable),
        Row::new("mode/seen-by-the-host", seen_by_host),
        Row::new("mode/host-chmod-seen-here", host_chmod),
    ]
}

fn bits(path: &Path) -> Result<u32> {
    Ok(rustix::fs::lstat(path).context("stat")?.st_mode & 0o7777)
}

fn every_bit(ctx: &Ctx, directory: bool) -> Result<()> {
    if directory {
        ctx.mkdir(Who::This, "thing")?;
    } else {
        ctx.put(Who::This, "thing", b"")?;
    }
    for mode in (0..12)
        .map(|bit| 1 << bit)
        .chain([0o7777, 0o4755, 0o2755, 0o1777, 0o644])
    {
        rustix::fs::chmod(ctx.a("thing"), files::mode(mode))
            .with_context(|| format!("chmod {mode:o}"))?;
        same("mode here", bits(&ctx.a("thing"))?, mode)?;
        same("mode by the other client", bits(&ctx.b("thing"))?, mode)?;
    }
    Ok(())
}

/// root works with it all the same.
fn none_at_all(ctx: &Ctx) -> Result<()> {
    if ctx.server_is_bound() {
        return skip("the mode binds the server as well");
    }
    ctx.put(Who::This, "file", b"x")?;
    ctx.mkdir(Who::This, "directory")?;
    for name in ["file", "directory"] {
        rustix::fs::chmod(ctx.a(name), files::mode(0)).context("chmod")?;
    }
    same(
        "content",
        std::fs::read(ctx.b("file")).context("read")?,
        b"x".to_vec(),
    )?;
    ctx.put(Who::This, "directory/inside", b"y")?;
    same(
        "names",
        files::list(&ctx.b("directory"))?,
        vec![b"inside".to_vec()],
    )
}

fn create_read_only(ctx: &Ctx) -> Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    for mode in [0o444, 0o400, 0] {
        let path = ctx.a(format!("file{mode:o}"));
        let fd = rustix::fs::open(&path, flags, files::mode(mode)).context("create")?;
        files::write_at(&fd, b"written", 0)?;
        same("content", files::read_fd(&fd)?, b"written".to_vec())?;
        same("mode", bits(&path)?, mode)?;
    }
    Ok(())
}

fn umask(ctx: &Ctx) -> Result<()> {
    for (mask, file, directory) in [
        (0o027, 0o640, 0o750),
        (0, 0o666, 0o777),
        (0o777, 0, 0),
        (0o022, 0o644, 0o755),
    ] {
        rustix::process::umask(files::mode(mask));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        rustix::fs::open(ctx.a(format!("f{mask:o}")), flags, files::mode(0o666))
            .context("create")?;
        rustix::fs::mkdir(ctx.a(format!("d{mask:o}")), files::mode(0o777)).context("mkdir")?;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            ctx.a(format!("p{mask:o}")),
            kind,
            files::mode(0o666),
            0,
        )
        .context("mkfifo")?;
        same("mode of a file", bits(&ctx.b(format!("f{mask:o}")))?, file)?;
        same(
            "mode of a directory",
            bits(&ctx.b(format!("d{mask:o}")))?,
            directory,
        )?;
        same("mode of a fifo", bits(&ctx.b(format!("p{mask:o}")))?, file)?;
    }
    Ok(())
}

fn needs_owners(ctx: &Ctx) -> Result<()> {
    if ctx.keeps_owners() {
        Ok(())
    } else {
        skip("the model keeps no owners")
    }
}

fn chown(path: &Path, uid: u32, gid: u32) -> Result<()> {
    rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).context("chown")
}

fn owner(path: &Path) -> Result<(u32, u32)> {
    let stat = rustix::fs::lstat(path).context("stat")?;
    Ok((stat.st_uid, stat.st_gid))
}

fn setgid_directory(ctx: &Ctx) -> Result<()> {
    needs_owners(ctx)?;
    ctx.mkdir(Who::This, "top")?;
    chown(&ctx.a("top"), 0, 34)?;
    rustix::fs::chmod(ctx.a("top"), files::mode(0o2775)).context("chmod")?;
    ctx.put(Who::This, "top/file", b"")?;
    ctx.mkdir(Who::This, "top/sub")?;
    ctx.put(Who::This, "top/sub/file", b"")?;
    rustix::fs::symlink("x", ctx.a("top/pointer")).context("symlink")?;
    for name in ["top/file", "top/sub", "top/sub/file", "top/pointer"] {
        same(&format!("group of {name}"), owner(&ctx.b(name))?.1, 34)?;
    }
    same(
        "mode of the new directory",
        bits(&ctx.b("top/sub"))?,
        0o2755,
    )?;
    same("mode of the new file", bits(&ctx.b("top/file"))?, 0o644)
}

fn chown_clears(ctx: &Ctx) -> Result<()> {
    needs_owners(ctx)?;
    ctx.put(Who::This, "file", b"")?;
    rustix::fs::chmod(ctx.a("file"), files::mode(0o6755)).context("chmod")?;
    chown(&ctx.a("file"), 12, 34)?;
    same("mode", bits(&ctx.b("file"))?, 0o755)?;
    rustix::fs::chmod(ctx.a("file"), files::mode(0o6755)).context("chmod")?;
    same("mode set again", bits(&ctx.b("file"))?, 0o6755)
}

fn chown_ids(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"")?;
    for (uid, gid) in [
        (0, 0),
        (1, 2),
        (1000, 100),
        (65_534, 65_534),
        (65_536, 70_000),
        (4_000_000_000, 4_294_967_294),
    ] {
        chown(&ctx.a("file"), uid, gid)?;
        if ctx.keeps_owners() {
            same("owner", owner(&ctx.b("file"))?, (uid, gid))?;
        }
    }
    Ok(())
}

fn chown_one(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"")?;
    chown(&ctx.a("file"), 12, 34)?;
    rustix::fs::chown(ctx.a("file"), Some(Uid::from_raw(56)), None).context("chown of the user")?;
    rustix::fs::chown(ctx.a("file"), None, Some(Gid::from_raw(78)))
        .context("chown of the group")?;
    needs_owners(ctx)?;
    same("owner", owner(&ctx.b("file"))?, (56, 78))
}

/// A process that is not root any more.
fn user(uid: u32) -> Result<Peer> {
    let peer = Peer::start()?;
    peer.ask(&[b"become", uid.to_string().as_bytes(), b"100"])?
        .context("give up root")?;
    Ok(peer)
}

fn asks(
    peer: &Peer,
    command: &[u8],
    path: &Path,
    more: &[&[u8]],
) -> Result<Result<Vec<u8>, Errno>> {
    peer.ask(&[&[command, path.as_os_str().as_bytes()], more].concat())
}

fn creates(peer: &Peer, path: &Path) -> Result<Result<Vec<u8>, Errno>> {
    let flags = (OFlags::WRONLY | OFlags::CREATE).bits().to_string();
    asks(peer, b"open", path, &[flags.as_bytes()])
}

fn new_owner(ctx: &Ctx) -> Result<()> {
    needs_owners(ctx)?;
    ctx.mkdir(Who::This, "open")?;
    rustix::fs::chmod(ctx.a("open"), files::mode(0o777)).context("chmod")?;
    for (uid, name) in [(1000, "open/one"), (1001, "open/two")] {
        creates(&user(uid)?, &ctx.a(name))?.context("create")?;
        same("owner", owner(&ctx.b(name))?, (uid, 100))?;
    }
    asks(&user(1002)?, b"mkdir", &ctx.a("open/directory"), &[])?.context("mkdir")?;
    same("owner", owner(&ctx.b("open/directory"))?, (1002, 100))
}

fn sticky(ctx: &Ctx) -> Result<()> {
    needs_owners(ctx)?;
    ctx.mkdir(Who::This, "tmp")?;
    rustix::fs::chmod(ctx.a("tmp"), files::mode(0o1777)).context("chmod")?;
    let (one, two) = (user(1000)?, user(1001)?);
    let path = ctx.a("tmp/file");
    creates(&one, &path)?.context("create")?;
    let denied = &[Errno::PERM, Errno::ACCESS];
    fails(
        "unlink by another",
        asks(&two, b"unlink", &path, &[])?,
        denied,
    )?;
    let elsewhere = ctx.a("tmp/elsewhere");
    let to = elsewhere.as_os_str().as_bytes();
    fails(
        "rename by another",
        asks(&two, b"rename", &path, &[to])?,
        denied,
    )?;
    asks(&one, b"rename", &path, &[to])?.context("rename by the owner")?;
    asks(&one, b"unlink", &elsewhere, &[])?
        .context("unlink by the owner")
        .map(drop)
}

fn not_the_owner(ctx: &Ctx) -> Result<()> {
    needs_owners(ctx)?;
    ctx.put(Who::This, "file", b"")?;
    rustix::fs::chmod(ctx.a("file"), files::mode(0o666)).context("chmod")?;
    let mode = 0o600.to_string();
    fails(
        "chmod",
        asks(&user(1000)?, b"chmod", &ctx.a("file"), &[mode.as_bytes()])?,
        &[Errno::PERM],
    )?;
    same("mode", bits(&ctx.b("file"))?, 0o666)?;
    creates(&user(1000)?, &ctx.a("file"))?
        .context("open for writing")
        .map(drop)
}

fn unreadable(ctx: &Ctx) -> Result<()> {
    needs_owners(ctx)?;
    ctx.put(Who::This, "file", b"secret")?;
    rustix::fs::chmod(ctx.a("file"), files::mode(0o600)).context("chmod")?;
    let flags = OFlags::RDONLY.bits().to_string();
    let peer = user(1000)?;
    fails(
        "open",
        asks(&peer, b"open", &ctx.a("file"), &[flags.as_bytes()])?,
        &[Errno::ACCESS],
    )?;
    fails(
        "create beside it",
        creates(&peer, &ctx.a("new"))?,
        &[Errno::ACCESS],
    )?;
    fails(
        "unlink",
        asks(&peer, b"unlink", &ctx.a("file"), &[])?,
        &[Errno::ACCESS],
    )?;
    chown(&ctx.a("file"), 1000, 100)?;
    asks(&user(1000)?, b"open", &ctx.a("file"), &[flags.as_bytes()])?
        .context("open by the owner")
        .map(drop)
}

fn seen_by_host(ctx: &Ctx) -> Result<()> {
    if !ctx.host_sees_metadata() {
        return skip("the model keeps modes where the host does not look for them");
    }
    ctx.put(Who::This, "file", b"")?;
    rustix::fs::chmod(ctx.a("file"), files::mode(0o751)).context("chmod")?;
    let stat = ctx.host.stat(&ctx.h("file"))?.context("host: stat")?;
    same("mode", stat.mode, 0o100_751)?;
    if ctx.keeps_owners() {
        chown(&ctx.a("file"), 12, 34)?;
        let stat = ctx.host.stat(&ctx.h("file"))?.context("host: stat")?;
        same("owner", (stat.uid, stat.gid), (12, 34))?;
    }
    Ok(())
}

fn host_chmod(ctx: &Ctx) -> Result<()> {
    if !ctx.host_sees_metadata() {
        return skip("the model keeps modes where the host does not look for them");
    }
    ctx.put(Who::This, "file", b"")?;
    for mode in [0o600, 0o755, 0o4711] {
        ctx.host.chmod(&ctx.h("file"), mode)?;
        same("mode", bits(&ctx.a("file"))?, mode)?;
    }
    Ok(())
}
