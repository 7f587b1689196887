//! What goes in and out of a file that lost its name.

use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::SeekFrom;

use crate::ctx::Ctx;
use crate::expect::holds;
use crate::expect::same;
use crate::expect::same_bytes;
use crate::files;
use crate::suites::lifetime::gone::Gone;
use crate::suites::lifetime::gone::Op;
use crate::sys;

const RW: &[OFlags] = &[OFlags::RDWR];
const RO: &[OFlags] = &[OFlags::RDONLY];
const WO: &[OFlags] = &[OFlags::WRONLY];
const TWO: &[OFlags] = &[OFlags::RDWR, OFlags::RDONLY];
const APPEND: &[OFlags] = &[OFlags::WRONLY.union(OFlags::APPEND), OFlags::RDONLY];

pub(super) static OPS: &[Op] = &[
    Op {
        name: "read",
        by_all: true,
        opens: RO,
        run: read,
    },
    Op {
        name: "read-in-order",
        by_all: false,
        opens: RO,
        run: read_in_order,
    },
    Op {
        name: "write",
        by_all: true,
        opens: RW,
        run: write,
    },
    Op {
        name: "write-only",
        by_all: false,
        opens: TWO_WRITE_FIRST,
        run: write_only,
    },
    Op {
        name: "append",
        by_all: true,
        opens: APPEND,
        run: append,
    },
    Op {
        name: "write-beyond-end",
        by_all: false,
        opens: RW,
        run: write_beyond_end,
    },
    Op {
        name: "truncate-shrink",
        by_all: true,
        opens: RW,
        run: shrink,
    },
    Op {
        name: "truncate-grow",
        by_all: true,
        opens: RW,
        run: grow,
    },
    Op {
        name: "truncate-write-only",
        by_all: false,
        opens: WO,
        run: truncate_write_only,
    },
    Op {
        name: "fsync",
        by_all: true,
        opens: RW,
        run: fsync,
    },
    Op {
        name: "fdatasync",
        by_all: false,
        opens: RW,
        run: fdatasync,
    },
    Op {
        name: "fsync-read-only",
        by_all: false,
        opens: RO,
        run: fsync,
    },
    Op {
        name: "two-descriptors",
        by_all: false,
        opens: TWO,
        run: two,
    },
    Op {
        name: "duplicate",
        by_all: false,
        opens: RW,
        run: duplicate,
    },
    Op {
        name: "inherited",
        by_all: false,
        opens: RO,
        run: inherited,
    },
    Op {
        name: "map-private",
        by_all: true,
        opens: RO,
        run: map_private,
    },
    Op {
        name: "reopen-read",
        by_all: false,
        opens: RO,
        run: reopen_read,
    },
    Op {
        name: "reopen-write",
        by_all: true,
        opens: RO,
        run: reopen_write,
    },
    Op {
        name: "reopen-truncate",
        by_all: false,
        opens: RO,
        run: reopen_truncate,
    },
    Op {
        name: "reopen-path-only",
        by_all: false,
        opens: &[OFlags::PATH],
        run: reopen_read,
    },
];

const TWO_WRITE_FIRST: &[OFlags] = &[OFlags::WRONLY, OFlags::RDONLY];

fn read(_: &Ctx, gone: &Gone) -> Result<()> {
    same_bytes("content", &files::read_fd(gone.fd())?, &gone.content)
}

fn read_in_order(_: &Ctx, gone: &Gone) -> Result<()> {
    let mut came = Vec::new();
    let mut piece = [0; 999];
    loop {
        let length = rustix::io::read(gone.fd(), &mut piece[..]).context("read")?;
        if length == 0 {
            break;
        }
        came.extend_from_slice(&piece[..length]);
    }
    same_bytes("content", &came, &gone.content)?;
    same(
        "end",
        rustix::fs::seek(gone.fd(), SeekFrom::End(0)).context("lseek")?,
        gone.content.len() as u64,
    )
}

fn write(_: &Ctx, gone: &Gone) -> Result<()> {
    files::write_at(gone.fd(), b"changed", 5_000)?;
    same_bytes(
        "content after pwrite",
        &files::read_fd(gone.fd())?,
        &changed(gone),
    )
}

fn changed(gone: &Gone) -> Vec<u8> {
    let mut content = gone.content.clone();
    content[5_000..5_007].copy_from_slice(b"changed");
    content
}

fn write_only(_: &Ctx, gone: &Gone) -> Result<()> {
    files::write_at(gone.fd(), b"changed", 5_000)?;
    same_bytes(
        "content after pwrite",
        &files::read_fd(&gone.fds[1])?,
        &changed(gone),
    )
}

fn append(_: &Ctx, gone: &Gone) -> Result<()> {
    for piece in ["one", "two"] {
        same(
            "write",
            rustix::io::write(gone.fd(), piece.as_bytes()).context("append")?,
            3,
        )?;
    }
    let expected = [&gone.content[..], b"onetwo"].concat();
    same_bytes(
        "content after appending",
        &files::read_fd(&gone.fds[1])?,
        &expected,
    )
}

fn write_beyond_end(_: &Ctx, gone: &Gone) -> Result<()> {
    files::write_at(gone.fd(), b"far", 20_000)?;
    let mut expected = gone.content.clone();
    expected.resize(20_000, 0);
    expected.extend_from_slice(b"far");
    same_bytes(
        "content with a hole",
        &files::read_fd(gone.fd())?,
        &expected,
    )
}

fn size(gone: &Gone) -> Result<i64> {
    Ok(rustix::fs::fstat(gone.fd()).context("fstat")?.st_size)
}

fn shrink(_: &Ctx, gone: &Gone) -> Result<()> {
    rustix::fs::ftruncate(gone.fd(), 100).context("ftruncate")?;
    same("size", size(gone)?, 100)?;
    same_bytes("content", &files::read_fd(gone.fd())?, &gone.content[..100])
}

fn grow(_: &Ctx, gone: &Gone) -> Result<()> {
    rustix::fs::ftruncate(gone.fd(), 12_345).context("ftruncate")?;
    same("size", size(gone)?, 12_345)?;
    let mut expected = gone.content.clone();
    expected.resize(12_345, 0);
    same_bytes("content", &files::read_fd(gone.fd())?, &expected)
}

fn truncate_write_only(_: &Ctx, gone: &Gone) -> Result<()> {
    rustix::fs::ftruncate(gone.fd(), 0).context("ftruncate")?;
    same("size", size(gone)?, 0)
}

fn fsync(_: &Ctx, gone: &Gone) -> Result<()> {
    rustix::fs::fsync(gone.fd()).context("fsync")
}

fn fdatasync(_: &Ctx, gone: &Gone) -> Result<()> {
    files::write_at(gone.fd(), b"x", 0)?;
    rustix::fs::fdatasync(gone.fd()).context("fdatasync")
}

fn two(_: &Ctx, gone: &Gone) -> Result<()> {
    files::write_at(gone.fd(), b"changed", 5_000)?;
    same_bytes(
        "content through the other",
        &files::read_fd(&gone.fds[1])?,
        &changed(gone),
    )?;
    rustix::fs::ftruncate(gone.fd(), 10).context("ftruncate")?;
    same(
        "size through the other",
        rustix::fs::fstat(&gone.fds[1]).context("fstat")?.st_size,
        10,
    )
}

fn duplicate(_: &Ctx, gone: &Gone) -> Result<()> {
    let copy = rustix::io::dup(gone.fd()).context("dup")?;
    files::write_at(&copy, b"changed", 5_000)?;
    drop(copy);
    same_bytes(
        "content after the copy is closed",
        &files::read_fd(gone.fd())?,
        &changed(gone),
    )
}

/// As a shell does with a here-document: the child reads a file that only has a descriptor.
fn inherited(_: &Ctx, gone: &Gone) -> Result<()> {
    let stdin = rustix::io::dup(gone.fd()).context("dup")?;
    let output = Command::new("cat")
        .stdin(stdin)
        .stderr(Stdio::inherit())
        .output()
        .context("cat")?;
    holds("cat succeeds", output.status.success())?;
    same_bytes("what cat read", &output.stdout, &gone.content)
}

fn map_private(_: &Ctx, gone: &Gone) -> Result<()> {
    let came = sys::read_mapped(gone.fd(), gone.content.len()).context("mmap")?;
    same_bytes("mapped content", &came, &gone.content)
}

fn reopen_read(_: &Ctx, gone: &Gone) -> Result<()> {
    let again = files::open(files::by_fd(gone.fd()), OFlags::RDONLY).context("reopen")?;
    same_bytes(
        "content when reopened",
        &files::read_fd(again)?,
        &gone.content,
    )
}

fn reopen_write(_: &Ctx, gone: &Gone) -> Result<()> {
    let again = files::open(files::by_fd(gone.fd()), OFlags::RDWR).context("reopen")?;
    files::write_at(&again, b"changed", 5_000)?;
    same_bytes(
        "content through the first",
        &files::read_fd(gone.fd())?,
        &changed(gone),
    )
}

fn reopen_truncate(_: &Ctx, gone: &Gone) -> Result<()> {
    let again =
        files::open(files::by_fd(gone.fd()), OFlags::RDWR | OFlags::TRUNC).context("reopen")?;
    files::write_at(&again, b"short", 0)?;
    same_bytes(
        "content through the first",
        &files::read_fd(gone.fd())?,
        b"short",
    )
}
