//! Open files whose name was removed, or given to another file.

use std::os::fd::OwnedFd;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;
use rustix::fs::Stat;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::expect::skip;
use crate::files;
use crate::files::Snapshot;
use crate::row::Row;
use crate::suites::lifetime::file_io;
use crate::suites::lifetime::file_meta;

/// How the file lost its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Unlinked,
    Replaced,
    /// Replaced, but a second hard link remains
    ReplacedWithLink,
    /// Unlinked, and another file made by that name
    MadeAnew,
}

impl Cause {
    fn word(self) -> &'static str {
        match self {
            Self::Unlinked => "unlinked",
            Self::Replaced => "replaced",
            Self::ReplacedWithLink => "replaced-linked",
            Self::MadeAnew => "made-anew",
        }
    }
}

/// What to do with the descriptors afterwards.
pub(super) struct Op {
    pub(super) name: &'static str,
    /// Worth a row for each who may take the name away, not only for this client
    pub(super) by_all: bool,
    /// The file is opened once with each of these while it still has its name
    pub(super) opens: &'static [OFlags],
    pub(super) run: fn(&Ctx, &Gone) -> Result<()>,
}

/// The stage an [`Op`] plays on: open files without the name they were opened by.
pub(super) struct Gone {
    pub(super) fds: Vec<OwnedFd>,
    /// The content of the old object
    pub(super) content: Vec<u8>,
    /// Its attributes while it had its name
    pub(super) stat: Stat,
    pub(super) cause: Cause,
}

impl Gone {
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fds[0]
    }
}

/// The attribute of the old file.
pub(super) const MARK: &str = "user.mark";

/// What is left of the old file's names, if any.
pub(super) const LINK: &str = "link";

const NAME: &str = "file";
const LENGTH: usize = 10_000;

/// What shows by the remaining name.
const SHOWS_BY_LINK: [&str; 7] = [
    "write",
    "truncate-shrink",
    "reopen-truncate",
    "link-count",
    "fchmod",
    "fsetxattr",
    "linkat",
];

/// What could hit the new file that has the old name, if the server went by that.
const COULD_HIT: [&str; 9] = [
    "read",
    "write",
    "truncate-shrink",
    "fstat",
    "fchmod",
    "fchown",
    "futimens",
    "fstatfs",
    "fsetxattr",
];

/// What changes more than the host has.
const CHANGES_METADATA: [&str; 2] = ["fchmod", "fchown"];
/// What shows or changes more than the host has.
const SHOWS_METADATA: [&str; 3] = ["fchmod", "fchown", "fstat"];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |cause: Cause, who: Who, op: &'static Op| {
        let name = format!("{}/{}/{}", cause.word(), who.word(), op.name);
        rows.push(Row::new(name, move |ctx| play(ctx, cause, who, op)));
    };
    for op in file_io::OPS.iter().chain(file_meta::OPS) {
        for who in Who::ALL
            .into_iter()
            .filter(|&who| op.by_all || who == Who::This)
        {
            add(Cause::Unlinked, who, op);
            add(Cause::Replaced, who, op);
            if COULD_HIT.contains(&op.name) {
                add(Cause::MadeAnew, who, op);
            }
        }
        if SHOWS_BY_LINK.contains(&op.name) {
            add(Cause::ReplacedWithLink, Who::This, op);
        }
    }
    rows
}

/// The old object must have changed as asked, and whatever has its name now must not have.
fn play(ctx: &Ctx, cause: Cause, who: Who, op: &Op) -> Result<()> {
    if cause == Cause::Unlinked && who == Who::This && op.opens[0].contains(OFlags::PATH) {
        ctx.not_on_9p("the 9p client clunks what it has only a path of when it unlinks it itself")?;
    }
    let shared = match cause {
        Cause::Replaced => CHANGES_METADATA.contains(&op.name),
        Cause::MadeAnew => SHOWS_METADATA.contains(&op.name),
        Cause::Unlinked | Cause::ReplacedWithLink => false,
    };
    if shared && !ctx.metadata_follows(who) {
        return skip("in this model the host's new file has the old one's mode and owner");
    }
    let gone = stage(ctx, cause, who, op.opens)?;
    let replacement = match cause {
        Cause::Unlinked => None,
        // Through the other client: this one may keep the old name pinned while it has the file open.
        _ => Some(Snapshot::take(&ctx.b(NAME))?),
    };
    (op.run)(ctx, &gone)?;
    match replacement {
        None => same(
            "the name is back",
            files::list(&ctx.second)?.contains(&NAME.into()),
            false,
        ),
        Some(before) => same("the replacement", Snapshot::take(&ctx.b(NAME))?, before),
    }
}

fn stage(ctx: &Ctx, cause: Cause, who: Who, opens: &[OFlags]) -> Result<Gone> {
    let content = files::pattern(1, LENGTH);
    ctx.put(Who::This, NAME, &content)?;
    let path = ctx.a(NAME);
    rustix::fs::chmod(&path, files::mode(0o640)).context("chmod")?;
    rustix::fs::chown(&path, uid(12), gid(34)).context("chown")?;
    files::set_xattr(&path, MARK, b"old").context("setxattr")?;
    if cause == Cause::ReplacedWithLink {
        rustix::fs::link(&path, ctx.a(LINK)).context("link")?;
    }
    let stat = rustix::fs::stat(&path).context("stat")?;
    let fds = opens
        .iter()
        .map(|&flags| files::open(&path, flags))
        .collect::<Result<_, _>>();
    let fds = fds.context("open while the name is there")?;
    match cause {
        Cause::Unlinked => ctx.unlink(who, NAME)?,
        Cause::Replaced | Cause::ReplacedWithLink => {
            replacement(ctx, who, "new")?;
            ctx.rename(who, "new", NAME)?;
        }
        Cause::MadeAnew => {
            ctx.unlink(who, NAME)?;
            replacement(ctx, who, NAME)?;
        }
    }
    Ok(Gone {
        fds,
        content,
        stat,
        cause,
    })
}

fn replacement(ctx: &Ctx, who: Who, name: &str) -> Result<()> {
    ctx.put(who, name, &files::pattern(2, 777))?;
    let path = ctx.b(name);
    rustix::fs::chmod(&path, files::mode(0o604)).context("chmod of the replacement")?;
    rustix::fs::chown(&path, uid(21), gid(43)).context("chown of the replacement")?;
    files::set_xattr(&path, MARK, b"new").context("setxattr of the replacement")
}

#[expect(clippy::unnecessary_wraps, reason = "chown takes options")]
pub(super) fn uid(number: u32) -> Option<rustix::fs::Uid> {
    Some(rustix::fs::Uid::from_raw(number))
}

#[expect(clippy::unnecessary_wraps, reason = "chown takes options")]
pub(super) fn gid(number: u32) -> Option<rustix::fs::Gid> {
    Some(rustix::fs::Gid::from_raw(number))
}
