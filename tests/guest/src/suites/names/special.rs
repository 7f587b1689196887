//! FIFOs, sockets and devices. Linux opens them in the guest; the server only keeps them.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::expect::skip;
use crate::files;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("special/fifo-type-and-mode", fifo),
        Row::new("special/fifo-carries-bytes", fifo_bytes),
        Row::new("special/fifo-between-names", fifo_between),
        Row::new("special/character-device", |ctx| {
            device(ctx, FileType::CharacterDevice, 1, 3)
        }),
        Row::new("special/block-device", |ctx| {
            device(ctx, FileType::BlockDevice, 7, 0)
        }),
        Row::new("special/large-device-numbers", |ctx| {
            device(ctx, FileType::CharacterDevice, 0xABC, 0xD_EF12)
        }),
        Row::new("special/overlay-whiteout", |ctx| {
            device(ctx, FileType::CharacterDevice, 0, 0)
        }),
        Row::new("special/socket-node", socket_node),
        Row::new("special/socket-bind-connect", socket_bind),
        Row::new("special/socket-chmod-chown", socket_chmod),
        Row::new("special/regular-by-mknod", regular),
        Row::new("special/over-existing", over_existing),
        Row::new("special/rename-unlink", rename_unlink),
        Row::new("special/seen-by-all-in-a-list", in_a_list),
    ]
}

fn make(ctx: &Ctx, name: &str, kind: FileType, device: u64) -> Result<(), Errno> {
    rustix::fs::mknodat(CWD, ctx.a(name), kind, files::mode(0o640), device)
}

fn type_of(ctx: &Ctx, name: &str) -> Result<FileType> {
    let stat = rustix::fs::lstat(ctx.b(name)).context("lstat")?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn fifo(ctx: &Ctx) -> Result<()> {
    make(ctx, "fifo", FileType::Fifo, 0).context("mkfifo")?;
    same("type", type_of(ctx, "fifo")?, FileType::Fifo)?;
    rustix::fs::chmod(ctx.a("fifo"), files::mode(0o606)).context("chmod")?;
    same(
        "mode",
        rustix::fs::lstat(ctx.b("fifo")).context("lstat")?.st_mode & 0o7777,
        0o606,
    )
}

fn fifo_bytes(ctx: &Ctx) -> Result<()> {
    make(ctx, "fifo", FileType::Fifo, 0).context("mkfifo")?;
    let both = files::open(ctx.a("fifo"), OFlags::RDWR | OFlags::NONBLOCK).context("open")?;
    same(
        "write",
        rustix::io::write(&both, b"through").context("write")?,
        7,
    )?;
    let mut came = [0; 16];
    let length = rustix::io::read(&both, &mut came[..]).context("read")?;
    same_bytes("what came", &came[..length], b"through")?;
    fails(
        "more",
        rustix::io::read(&both, &mut came[..]),
        &[Errno::AGAIN],
    )
}

/// A reader and a writer meet, as of any FIFO of one client.
fn fifo_between(ctx: &Ctx) -> Result<()> {
    make(ctx, "fifo", FileType::Fifo, 0).context("mkfifo")?;
    let path = ctx.a("fifo");
    let writer = std::thread::spawn(move || std::fs::write(path, b"from the writer"));
    same_bytes(
        "what came",
        &std::fs::read(ctx.a("fifo")).context("read")?,
        b"from the writer",
    )?;
    writer.join().ok().context("the writer")?.context("write")
}

fn device(ctx: &Ctx, kind: FileType, major: u32, minor: u32) -> Result<()> {
    let number = rustix::fs::makedev(major, minor);
    // Linux lets anybody make the whiteout 0:0, but not all servers know.
    if ctx.server_is_bound() {
        return skip("only root may make devices on the host");
    }
    make(ctx, "device", kind, number).context("mknod")?;
    same("type", type_of(ctx, "device")?, kind)?;
    let came = rustix::fs::lstat(ctx.b("device")).context("lstat")?;
    same(
        "number",
        (
            rustix::fs::major(came.st_rdev),
            rustix::fs::minor(came.st_rdev),
        ),
        (major, minor),
    )?;
    same("mode", came.st_mode & 0o7777, 0o640)
}

fn socket_node(ctx: &Ctx) -> Result<()> {
    make(ctx, "socket", FileType::Socket, 0).context("mknod")?;
    same("type", type_of(ctx, "socket")?, FileType::Socket)?;
    rustix::process::chdir(&ctx.first).context("chdir")?;
    fails(
        "connect to nobody",
        UnixStream::connect("socket"),
        &[Errno::CONNREFUSED],
    )
}

/// Relative, because an address holds 107 bytes.
fn listen(ctx: &Ctx) -> Result<UnixListener> {
    rustix::process::chdir(&ctx.first).context("chdir")?;
    UnixListener::bind("socket").context("bind")
}

fn socket_bind(ctx: &Ctx) -> Result<()> {
    let listener = listen(ctx)?;
    same("type", type_of(ctx, "socket")?, FileType::Socket)?;
    let mut client = UnixStream::connect("socket").context("connect")?;
    client.write_all(b"hello").context("send")?;
    drop(client);
    let mut came = Vec::new();
    listener
        .accept()
        .context("accept")?
        .0
        .read_to_end(&mut came)
        .context("receive")?;
    same_bytes("what came", &came, b"hello")?;
    fails(
        "bind again",
        UnixListener::bind("socket"),
        &[Errno::ADDRINUSE],
    )?;
    ctx.unlink(Who::This, "socket")?;
    fails(
        "connect after unlink",
        UnixStream::connect("socket"),
        &[Errno::NOENT],
    )
}

fn socket_chmod(ctx: &Ctx) -> Result<()> {
    let _listener = listen(ctx)?;
    rustix::fs::chmod(ctx.a("socket"), files::mode(0o666)).context("chmod")?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(12), rustix::fs::Gid::from_raw(34));
    rustix::fs::chown(ctx.a("socket"), Some(uid), Some(gid)).context("chown")?;
    let stat = rustix::fs::lstat(ctx.b("socket")).context("lstat")?;
    same("mode", stat.st_mode, 0o140_666)?;
    if ctx.keeps_owners() {
        same("owner", (stat.st_uid, stat.st_gid), (12, 34))?;
    }
    UnixStream::connect("socket")
        .context("connect afterwards")
        .map(drop)
}

fn regular(ctx: &Ctx) -> Result<()> {
    make(ctx, "file", FileType::RegularFile, 0).context("mknod")?;
    same("type", type_of(ctx, "file")?, FileType::RegularFile)?;
    ctx.put(Who::This, "file", b"x")?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        b"x",
    )
}

fn over_existing(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"x")?;
    fails(
        "mkfifo",
        make(ctx, "file", FileType::Fifo, 0),
        &[Errno::EXIST],
    )?;
    same("type", type_of(ctx, "file")?, FileType::RegularFile)
}

fn rename_unlink(ctx: &Ctx) -> Result<()> {
    make(ctx, "fifo", FileType::Fifo, 0).context("mkfifo")?;
    ctx.mkdir(Who::This, "directory")?;
    ctx.rename(Who::This, "fifo", "directory/moved")?;
    same("type", type_of(ctx, "directory/moved")?, FileType::Fifo)?;
    same(
        "mode",
        rustix::fs::lstat(ctx.b("directory/moved"))
            .context("lstat")?
            .st_mode
            & 0o7777,
        0o640,
    )?;
    ctx.unlink(Who::Other, "directory/moved")?;
    ctx.rmdir(Who::This, "directory")
}

fn in_a_list(ctx: &Ctx) -> Result<()> {
    make(ctx, "fifo", FileType::Fifo, 0).context("mkfifo")?;
    make(ctx, "socket", FileType::Socket, 0).context("mknod")?;
    let expected = vec![b"fifo".to_vec(), b"socket".to_vec()];
    same("names", files::list(&ctx.second)?, expected)?;
    for name in ["fifo", "socket"] {
        ctx.host.stat(&ctx.h(name))?.context("host: stat")?;
    }
    Ok(())
}
