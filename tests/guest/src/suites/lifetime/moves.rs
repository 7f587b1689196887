//! The ways a file or directory gets elsewhere while it is open.
//!
//! Whatever the move, something else then has the old path, so that whoever follows the path
//! instead of the object does harm that shows.

use anyhow::Result;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::expect::same;
use crate::files;
use crate::files::Snapshot;

/// Where the open file starts.
pub(super) const FILE: &str = "top/mid/file";
/// The directory it is in, which may be open as well.
pub(super) const DIRECTORY: &str = "top/mid";
/// What the decoy at the old path contains.
const DECOY: &[u8] = b"decoy at the old path";

/// One way to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) name: &'static str,
    /// Renames in this order
    renames: &'static [(&'static str, &'static str)],
    /// Both of these change places in one step, which only the host can do
    exchange: Option<(&'static str, &'static str)>,
    /// Where the file ends
    pub(super) file: &'static str,
    /// Where the directory ends, if it did move
    pub(super) directory: Option<&'static str>,
}

pub(super) const MOVES: [Move; 9] = [
    simple(
        "file-renamed",
        &[("top/mid/file", "top/mid/other")],
        "top/mid/other",
        None,
    ),
    simple(
        "file-moved",
        &[("top/mid/file", "top/elsewhere/other")],
        "top/elsewhere/other",
        None,
    ),
    simple("file-moved-up", &[("top/mid/file", "other")], "other", None),
    simple(
        "parent-renamed",
        &[("top/mid", "top/mid2")],
        "top/mid2/file",
        Some("top/mid2"),
    ),
    simple(
        "parent-moved",
        &[("top/mid", "top/elsewhere/mid")],
        "top/elsewhere/mid/file",
        Some("top/elsewhere/mid"),
    ),
    simple(
        "grandparent-renamed",
        &[("top", "top2")],
        "top2/mid/file",
        Some("top2/mid"),
    ),
    simple(
        "everything-renamed",
        &[
            ("top/mid/file", "top/mid/other"),
            ("top/mid", "top/elsewhere/mid"),
            ("top", "top2"),
        ],
        "top2/elsewhere/mid/other",
        Some("top2/elsewhere/mid"),
    ),
    exchange(
        "file-exchanged",
        ("top/mid/file", "top/elsewhere/twin"),
        "top/elsewhere/twin",
        None,
    ),
    exchange(
        "parent-exchanged",
        ("top/mid", "top/twin"),
        "top/twin/file",
        Some("top/twin"),
    ),
];

const fn simple(
    name: &'static str,
    renames: &'static [(&'static str, &'static str)],
    file: &'static str,
    directory: Option<&'static str>,
) -> Move {
    Move {
        name,
        renames,
        exchange: None,
        file,
        directory,
    }
}

const fn exchange(
    name: &'static str,
    pair: (&'static str, &'static str),
    file: &'static str,
    directory: Option<&'static str>,
) -> Move {
    Move {
        name,
        renames: &[],
        exchange: Some(pair),
        file,
        directory,
    }
}

impl Move {
    /// Linux's 9p client refuses to exchange, so only the host does.
    pub(super) fn actors(self) -> &'static [Who] {
        if self.exchange.is_some() {
            &[Who::Host]
        } else {
            &Who::ALL
        }
    }

    /// The move is by somebody who leaves behind what this model keeps under `name`; only what is kept under the names
    /// above or below it comes along.
    pub(super) fn loses_metadata(self, ctx: &Ctx, who: Who, name: &str) -> bool {
        let mut moved = self.renames.iter().chain(self.exchange.as_ref());
        !ctx.metadata_follows(who) && moved.any(|(from, _)| *from == name)
    }

    /// Makes the move and puts a decoy where the file was.
    pub(super) fn make(self, ctx: &Ctx, who: Who) -> Result<()> {
        if let Some((one, other)) = self.exchange {
            // The other side of an exchange is the decoy.
            return ctx.host.exchange(&ctx.h(one), &ctx.h(other));
        }
        for (from, to) in self.renames {
            ctx.rename(who, from, to)?;
        }
        let old = |name: &str| self.renames.iter().any(|(from, _)| *from == name);
        for directory in ["top", "top/mid"] {
            if old(directory) || (directory == "top/mid" && old("top")) {
                ctx.mkdir(who, directory)?;
            }
        }
        ctx.put(who, FILE, DECOY)
    }
}

/// The tree before the move.
pub(super) fn plant(ctx: &Ctx, content: &[u8]) -> Result<()> {
    for directory in ["top", "top/mid", "top/elsewhere", "top/twin"] {
        ctx.mkdir(Who::This, directory)?;
    }
    ctx.put(Who::This, FILE, content)?;
    ctx.put(Who::This, "top/mid/neighbour", b"neighbour")?;
    ctx.put(Who::This, "top/elsewhere/twin", DECOY)?;
    ctx.put(Who::This, "top/twin/file", DECOY)
}

/// What is at the old path after the move, through the client that holds nothing open.
pub(super) struct Decoy {
    before: Snapshot,
    names: Vec<Vec<u8>>,
    of_directory: bool,
}

impl Decoy {
    pub(super) fn look(ctx: &Ctx, of_directory: bool) -> Result<Self> {
        let before = Snapshot::take(&ctx.b(FILE))?;
        Ok(Self {
            before,
            names: files::list(&ctx.b(DIRECTORY))?,
            of_directory,
        })
    }

    /// Nothing that was done through descriptors got here.
    pub(super) fn check(&self, ctx: &Ctx) -> Result<()> {
        same(
            "what has the old path now",
            &Snapshot::take(&ctx.b(FILE))?,
            &self.before,
        )?;
        if self.of_directory {
            same(
                "names in the old place",
                &files::list(&ctx.b(DIRECTORY))?,
                &self.names,
            )?;
        }
        Ok(())
    }
}
