//! A case: what is made, what is then changed, what both servers have to show in the end; and the rows it becomes.

use std::rc::Rc;

use anyhow::Context;
use anyhow::Result;
use rustix::io::Errno;

use crate::cli::Model;
use crate::ctx::Ctx;
use crate::expect::same;
use crate::expect::skip;
use crate::row::Row;
use crate::suites::interop::hand::Hand;
use crate::suites::interop::hand::Side;
use crate::suites::interop::view::Tree;

/// Models that leave everything to the host's file system.
pub(super) const PLAIN: &[Model] = &[Model::Passthrough, Model::None];
pub(super) const MAPPED_FILE: &[Model] = &[Model::MappedFile];
pub(super) const ALL: &[Model] = &[
    Model::Passthrough,
    Model::None,
    Model::MappedXattr,
    Model::MappedFile,
];

/// QEMU 7.2.22 cannot do this, in `PLAIN` models (fixed in 9.2.1).
pub(super) const NO_SPECIAL: Defect = Defect {
    models: PLAIN,
    sign: Sign::Fails(Errno::NXIO),
    why: "QEMU 7.2.22 makes and changes the mode of no FIFO, socket or device in this model: ENXIO",
};

type Act = fn(&Hand<'_>) -> Result<()>;

/// What QEMU cannot do.
#[derive(Clone, Copy)]
pub(super) struct Defect {
    pub(super) models: &'static [Model],
    pub(super) sign: Sign,
    pub(super) why: &'static str,
}

/// How a defect shows.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    /// The call fails. A QEMU in which it does not is held to the case.
    Fails(Errno),
    /// The change is made wrongly, so QEMU is not asked to.
    ChangesWrongly,
}

/// What is done, and what comes of it.
pub(super) struct Case {
    name: &'static str,
    make: Act,
    change: Option<Act>,
    expected: &'static [&'static str],
    defect: Option<Defect>,
    leaves_out: Vec<(Model, &'static str)>,
}

impl Case {
    /// `expected`: a line for each name, as [`Tree::lines`] has them.
    pub(super) fn made(name: &'static str, make: Act, expected: &'static [&'static str]) -> Self {
        Self {
            name,
            make,
            change: None,
            expected,
            defect: None,
            leaves_out: Vec::new(),
        }
    }

    pub(super) fn changed(
        name: &'static str,
        make: Act,
        change: Act,
        expected: &'static [&'static str],
    ) -> Self {
        let change = Some(change);
        Self {
            change,
            ..Self::made(name, make, expected)
        }
    }

    /// QEMU has a defect here: what it cannot do is skipped.
    pub(super) fn but(self, defect: Defect) -> Self {
        let defect = Some(defect);
        Self { defect, ..self }
    }

    /// In this model the case means nothing.
    pub(super) fn not_in(mut self, model: Model, why: &'static str) -> Self {
        self.leaves_out.push((model, why));
        self
    }

    /// One for each maker and changer, and one for the disk.
    pub(super) fn rows(self) -> Vec<Row> {
        let case = Rc::new(self);
        let row = |how: String, run: fn(&Self, &Ctx, Side, Side) -> Result<()>, maker, changer| {
            let case = Rc::clone(&case);
            let name = format!("{}/{how}", case.name);
            Row::new(name, move |ctx| run(&case, ctx, maker, changer))
        };
        let mut rows = Vec::new();
        for maker in Side::BOTH {
            let by = maker.word();
            if case.change.is_none() {
                rows.push(row(format!("by-{by}"), Self::play, maker, maker));
                continue;
            }
            for changer in Side::BOTH {
                let how = format!("by-{by}-then-{}", changer.word());
                rows.push(row(how, Self::play, maker, changer));
            }
        }
        let disk = "on-the-disk".to_owned();
        rows.push(row(disk, Self::on_the_disk, Side::Ours, Side::Qemus));
        rows
    }

    fn play(&self, ctx: &Ctx, maker: Side, changer: Side) -> Result<()> {
        self.applies(ctx)?;
        let hand = |side| Hand {
            ctx,
            side,
            base: "",
        };
        self.act(self.make, &hand(maker), false)?;
        if let Some(change) = self.change {
            agree(ctx).context("before the change")?;
            self.act(change, &hand(changer), true)?;
        }
        same("names", agree(ctx)?.lines(), self.lines())
    }

    /// The case once by each server, in a directory of its own; the host compares them.
    fn on_the_disk(&self, ctx: &Ctx, first: Side, second: Side) -> Result<()> {
        self.applies(ctx)?;
        for (side, base) in [(first, "one"), (second, "two")] {
            let hand = Hand { ctx, side, base };
            rustix::fs::mkdir(hand.at(""), crate::files::mode(0o755)).context("mkdir")?;
            self.act(self.make, &hand, false)?;
            if let Some(change) = self.change {
                self.act(change, &hand, true)?;
            }
        }
        let ours = described(ctx, "one")?;
        same("nothing there", ours.is_empty(), self.expected.is_empty())?;
        same("on the disk", ours, described(ctx, "two")?)
    }

    fn applies(&self, ctx: &Ctx) -> Result<()> {
        let left_out = self.leaves_out.iter();
        match left_out
            .filter(|_| ctx.is_9p())
            .find(|(model, _)| *model == ctx.model)
        {
            Some((_, why)) => skip(why),
            None => Ok(()),
        }
    }

    fn lines(&self) -> Vec<String> {
        self.expected.iter().map(|&line| line.to_owned()).collect()
    }

    fn act(&self, act: Act, hand: &Hand<'_>, changes: bool) -> Result<()> {
        let Some(defect) = self.defect.filter(|defect| defect.touches(hand)) else {
            return act(hand);
        };
        match defect.sign {
            Sign::ChangesWrongly if changes => skip(defect.why),
            Sign::ChangesWrongly => act(hand),
            Sign::Fails(errno) => match act(hand) {
                Err(error) if error.downcast_ref() == Some(&errno) => skip(defect.why),
                other => other,
            },
        }
    }
}

impl Defect {
    fn touches(&self, hand: &Hand<'_>) -> bool {
        let is_qemu = hand.side == Side::Qemus || hand.ctx.server_is_qemu;
        is_qemu && hand.ctx.is_9p() && self.models.contains(&hand.ctx.model)
    }
}

/// What both servers show, if it is the same.
pub(super) fn agree(ctx: &Ctx) -> Result<Tree> {
    let ours = Tree::take(&ctx.first).context("this server")?;
    ours.same(&Tree::take(&ctx.second).context("QEMU")?)?;
    Ok(ours)
}

/// What lies on the disk, but for the directories of metadata that nothing is in: when they go is each server's choice.
fn described(ctx: &Ctx, name: &str) -> Result<Vec<String>> {
    let text = ctx.host.describe(&ctx.h(name))?;
    let is_used = |directory: &str| {
        let inside = format!("{directory}/");
        text.lines().any(|line| line.starts_with(&inside))
    };
    let kept = text.lines().filter(|line| {
        let path = line.split(' ').next().unwrap_or_default();
        !path.ends_with(".virtfs_metadata") || is_used(path)
    });
    Ok(kept.map(str::to_owned).collect())
}
