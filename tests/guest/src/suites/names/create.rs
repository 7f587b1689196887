//! Opening and creating: what the flags mean.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::fails;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("open/exclusive", exclusive),
        Row::new("open/exclusive-one-of-many-wins", one_wins),
        Row::new("open/create-existing", create_existing),
        Row::new("open/create-truncate-keeps-owner-and-mode", create_truncate),
        Row::new("open/truncate", truncate),
        Row::new("open/directory-flag-on-a-file", |ctx| {
            refused(
                ctx,
                "file",
                OFlags::RDONLY | OFlags::DIRECTORY,
                Errno::NOTDIR,
            )
        }),
        Row::new("open/directory-for-writing", |ctx| {
            refused(ctx, "directory", OFlags::WRONLY, Errno::ISDIR)
        }),
        Row::new("open/directory-for-both", |ctx| {
            refused(ctx, "directory", OFlags::RDWR, Errno::ISDIR)
        }),
        Row::new("open/directory-with-create", |ctx| {
            refused(
                ctx,
                "directory",
                OFlags::RDONLY | OFlags::CREATE,
                Errno::ISDIR,
            )
        }),
        Row::new("open/missing", |ctx| {
            refused(ctx, "nothing", OFlags::RDWR, Errno::NOENT)
        }),
        Row::new("open/create-in-missing-directory", |ctx| {
            refused(ctx, "no/file", OFlags::RDWR | OFlags::CREATE, Errno::NOENT)
        }),
        Row::new("open/create-below-a-file", |ctx| {
            refused(
                ctx,
                "file/new",
                OFlags::RDWR | OFlags::CREATE,
                Errno::NOTDIR,
            )
        }),
        Row::new("open/create-with-slash", |ctx| {
            refused(ctx, "new/", OFlags::RDWR | OFlags::CREATE, Errno::ISDIR)
        }),
        Row::new("open/direction-is-kept", direction),
        Row::new("open/no-access-time-flag", no_access_time),
        Row::new("open/read-of-a-directory", read_directory),
        Row::new("open/created-by-the-other-client", created_by_other),
        Row::new("open/nine-hundred-at-once", nine_hundred),
    ]
}

fn exclusive(ctx: &Ctx) -> Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let fd = files::open(ctx.a("file"), flags).context("create")?;
    files::write_at(&fd, b"first", 0)?;
    fails(
        "again here",
        files::open(ctx.a("file"), flags),
        &[Errno::EXIST],
    )?;
    fails(
        "by the other client",
        files::open(ctx.b("file"), flags),
        &[Errno::EXIST],
    )?;
    ctx.put(Who::Host, "by-host", b"")?;
    fails(
        "over the host's",
        files::open(ctx.a("by-host"), flags),
        &[Errno::EXIST],
    )?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        b"first",
    )
}

/// A lock file: whoever makes it has it.
fn one_wins(ctx: &Ctx) -> Result<()> {
    for round in 0..10 {
        let name = format!("lock{round}");
        let threads: Vec<_> = (0..6)
            .map(|number| {
                let path = if number % 2 == 0 {
                    ctx.a(&name)
                } else {
                    ctx.b(&name)
                };
                std::thread::spawn(move || {
                    files::open(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
                })
            })
            .collect();
        let mut won = 0;
        for thread in threads {
            match thread.join().ok().context("thread")? {
                Ok(_) => won += 1,
                Err(errno) => same("error of the others", errno, Errno::EXIST)?,
            }
        }
        same("winners", won, 1)?;
    }
    Ok(())
}

fn create_existing(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"content")?;
    rustix::fs::chmod(ctx.a("file"), files::mode(0o604)).context("chmod")?;
    let fd = rustix::fs::open(
        ctx.a("file"),
        OFlags::RDWR | OFlags::CREATE,
        files::mode(0o777),
    )
    .context("open")?;
    same_bytes("content", &files::read_fd(&fd)?, b"content")?;
    same(
        "mode",
        rustix::fs::fstat(&fd).context("fstat")?.st_mode & 0o7777,
        0o604,
    )
}

fn create_truncate(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"content")?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(12), rustix::fs::Gid::from_raw(34));
    rustix::fs::chown(ctx.a("file"), Some(uid), Some(gid)).context("chown")?;
    rustix::fs::chmod(ctx.a("file"), files::mode(0o604)).context("chmod")?;
    let before = rustix::fs::stat(ctx.a("file")).context("stat")?;
    ctx.put(Who::This, "file", b"new")?;
    let after = rustix::fs::stat(ctx.b("file")).context("stat")?;
    let of = |stat: &rustix::fs::Stat| (stat.st_ino, stat.st_mode, stat.st_uid, stat.st_gid);
    same("inode, mode and owner", of(&after), of(&before))?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        b"new",
    )
}

fn truncate(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"content")?;
    let open = files::open(ctx.b("file"), OFlags::RDONLY).context("open")?;
    drop(files::open(ctx.a("file"), OFlags::RDWR | OFlags::TRUNC).context("open")?);
    same(
        "size",
        rustix::fs::fstat(&open).context("fstat")?.st_size,
        0,
    )?;
    same_bytes("content", &files::read_fd(&open)?, b"")
}

fn refused(ctx: &Ctx, name: &str, flags: OFlags, errno: Errno) -> Result<()> {
    ctx.put(Who::This, "file", b"content")?;
    ctx.mkdir(Who::This, "directory")?;
    fails("open", files::open(ctx.a(name), flags), &[errno])?;
    same(
        "names",
        files::list(&ctx.second)?,
        vec![b"directory".to_vec(), b"file".to_vec()],
    )?;
    same_bytes(
        "content",
        &std::fs::read(ctx.b("file")).context("read")?,
        b"content",
    )
}

fn direction(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"content")?;
    let reader = files::open(ctx.a("file"), OFlags::RDONLY).context("open")?;
    let writer = files::open(ctx.a("file"), OFlags::WRONLY).context("open")?;
    fails(
        "write",
        rustix::io::pwrite(&reader, b"x", 0),
        &[Errno::BADF],
    )?;
    fails(
        "read",
        rustix::io::pread(&writer, &mut [0; 4][..], 0),
        &[Errno::BADF],
    )?;
    fails(
        "truncate",
        rustix::fs::ftruncate(&reader, 0),
        &[Errno::INVAL, Errno::BADF],
    )
}

fn no_access_time(ctx: &Ctx) -> Result<()> {
    ctx.put(Who::This, "file", b"content")?;
    let fd = files::open(ctx.a("file"), OFlags::RDONLY | OFlags::NOATIME).context("open")?;
    same_bytes("content", &files::read_fd(fd)?, b"content")
}

fn read_directory(ctx: &Ctx) -> Result<()> {
    ctx.mkdir(Who::This, "directory")?;
    let fd = files::open(ctx.a("directory"), OFlags::RDONLY).context("open")?;
    fails(
        "read",
        rustix::io::pread(fd, &mut [0; 16][..], 0),
        &[Errno::ISDIR],
    )
}

/// A name that was missing a moment ago is not remembered as missing.
fn created_by_other(ctx: &Ctx) -> Result<()> {
    for (number, who) in [Who::Other, Who::Host, Who::Other, Who::Host]
        .into_iter()
        .enumerate()
    {
        let name = format!("file{number}");
        fails(
            "before",
            rustix::fs::stat(ctx.a(&name)).map(|stat| stat.st_ino),
            &[Errno::NOENT],
        )?;
        ctx.put(who, &name, b"there")?;
        same_bytes(
            "content",
            &std::fs::read(ctx.a(&name)).context("read")?,
            b"there",
        )?;
    }
    Ok(())
}

/// Nearly the 1024 descriptors that a process gets by default; the server needs more than one for each.
fn nine_hundred(ctx: &Ctx) -> Result<()> {
    let mut fds = Vec::new();
    for number in 0..900_u32 {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let fd = files::open(ctx.a(format!("f{number}")), flags)
            .with_context(|| format!("create {number}"))?;
        files::write_at(&fd, number.to_string().as_bytes(), 0)?;
        fds.push(fd);
    }
    for (number, fd) in (0_u32..).zip(&fds) {
        same_bytes(
            "content",
            &files::read_fd(fd)?,
            number.to_string().as_bytes(),
        )?;
    }
    same("names", files::list(&ctx.second)?.len(), 900)
}
