//! What the host made, without a word of any server about it.

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cli::Model;
use crate::ctx::Ctx;
use crate::expect::same;
use crate::expect::skip;
use crate::row::Row;
use crate::suites::interop::case::Case;
use crate::suites::interop::case::Defect;
use crate::suites::interop::case::MAPPED_FILE;
use crate::suites::interop::case::Sign;
use crate::suites::interop::case::agree;
use crate::suites::interop::hand::Hand;

const NO_METADATA: Defect = Defect {
    models: MAPPED_FILE,
    sign: Sign::Fails(Errno::NOENT),
    why: "QEMU moves and links nothing out of a directory without metadata: ENOENT",
};
const INHERITS: Defect = Defect {
    models: MAPPED_FILE,
    sign: Sign::ChangesWrongly,
    why: "QEMU gives what has no metadata that of the file it replaces",
};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("host-symlink", symlink),
        Row::new("host-changes-content", content),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = seen_and_changed();
    cases.extend(moved());
    cases
}

/// A directory, a file in it, and a FIFO: 0755, 0644 and 0644 of root.
fn by_the_host(hand: &Hand<'_>) -> Result<()> {
    let host = &hand.ctx.host;
    host.mkdir(&hand.on_host("top"))?;
    host.mkfifo(&hand.on_host("fifo"))?;
    host.write(&hand.on_host("top/file"), b"of the host")
}

fn seen_and_changed() -> Vec<Case> {
    vec![
        Case::made(
            "host-made",
            by_the_host,
            &["fifo 10644 0:0", "top 40755 0:0", "top/file 100644 0:0 11"],
        ),
        Case::changed(
            "host-made-chmod",
            by_the_host,
            |hand| {
                hand.chmod("top", 0o3711)?;
                hand.chmod("top/file", 0o4600)
            },
            &["fifo 10644 0:0", "top 43711 0:0", "top/file 104600 0:0 11"],
        ),
        Case::changed(
            "host-made-chown",
            by_the_host,
            |hand| {
                hand.chown("top", Some(12), None)?;
                hand.chown("top/file", None, Some(34))
            },
            &[
                "fifo 10644 0:0",
                "top 40755 12:0",
                "top/file 100644 0:34 11",
            ],
        ),
        Case::changed(
            "host-made-written",
            by_the_host,
            |hand| {
                hand.write("top/file", OFlags::TRUNC, b"new")?;
                hand.put("top/new", 0o600, b"x")
            },
            &[
                "fifo 10644 0:0",
                "top 40755 0:0",
                "top/file 100644 0:0 3",
                "top/new 100600 0:0 1",
            ],
        ),
        Case::changed(
            "host-made-removed",
            by_the_host,
            |hand| {
                hand.unlink("fifo")?;
                hand.unlink("top/file")?;
                hand.rmdir("top")
            },
            &[],
        ),
    ]
}

fn moved() -> Vec<Case> {
    vec![
        Case::changed(
            "host-made-renamed",
            by_the_host,
            |hand| {
                hand.rename("top/file", "top/moved")?;
                hand.rename("top", "moved")?;
                hand.rename("fifo", "moved-fifo")
            },
            &[
                "moved 40755 0:0",
                "moved-fifo 10644 0:0",
                "moved/moved 100644 0:0 11",
            ],
        )
        .but(NO_METADATA),
        Case::changed(
            "host-made-renamed-across-directories",
            by_the_host,
            |hand| hand.rename("top/file", "file"),
            &["fifo 10644 0:0", "file 100644 0:0 11", "top 40755 0:0"],
        )
        .but(NO_METADATA),
        Case::changed(
            "host-made-linked-across-directories",
            by_the_host,
            |hand| hand.link("top/file", "link"),
            &[
                "fifo 10644 0:0",
                "link 100644 0:0 11 x2",
                "top 40755 0:0",
                "top/file 100644 0:0 11 x2",
            ],
        )
        .but(NO_METADATA),
        Case::changed(
            "host-made-renamed-over",
            |hand| {
                by_the_host(hand)?;
                hand.put("top/old", 0o644, b"")?;
                hand.owned("top/old", 7, 8)?;
                hand.chmod("top/old", 0o4711)
            },
            |hand| hand.rename("top/file", "top/old"),
            &["fifo 10644 0:0", "top 40755 0:0", "top/old 100644 0:0 11"],
        )
        .but(INHERITS),
    ]
}

fn symlink(ctx: &Ctx) -> Result<()> {
    if ctx.is_9p() && matches!(ctx.model, Model::MappedXattr | Model::MappedFile) {
        return skip("QEMU 7.2.22 reads no symlink of the host's in this model: ELOOP");
    }
    ctx.host.symlink(b"/no/where", &ctx.h("pointer"))?;
    same(
        "names",
        agree(ctx)?.lines(),
        vec!["pointer 120777 0:0 9".to_owned()],
    )
}

/// The host writes to what the servers made; their metadata stays.
fn content(ctx: &Ctx) -> Result<()> {
    std::fs::write(ctx.a("ours"), b"1").context("write")?;
    std::fs::write(ctx.b("qemus"), b"1").context("write")?;
    for path in [ctx.b("ours"), ctx.a("qemus")] {
        rustix::fs::chmod(path, crate::files::mode(0o4640)).context("chmod")?;
    }
    agree(ctx)?;
    for name in ["ours", "qemus"] {
        ctx.host.append(&ctx.h(name), b" and more")?;
    }
    let expected = ["ours 104640 0:0 10", "qemus 104640 0:0 10"];
    same(
        "names",
        agree(ctx)?.lines(),
        expected.map(str::to_owned).to_vec(),
    )
}
