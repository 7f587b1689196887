//! The same tree over 9P2000.u and over 9P2000, by Linux's client, beside the mounts of 9P2000.L.

mod attributes;
mod data;
mod dirs;
mod kinds;
mod place;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::row::Row;
use place::Place;

/// What a mount speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Unix,
    Plain,
}

/// A row that is asked of a mount of one dialect.
type Run = fn(&Ctx, &Place) -> Result<()>;

pub(crate) fn rows() -> Vec<Row> {
    let tables = [data::ROWS, dirs::ROWS, kinds::ROWS, attributes::ROWS];
    let mut rows = Vec::new();
    for dialect in [Dialect::Unix, Dialect::Plain] {
        for &(name, run) in tables.iter().copied().flatten() {
            let name = format!("{}/{name}", dialect.word());
            rows.push(Row::new(name, move |ctx| {
                run(ctx, &Place::new(ctx, dialect)?)
            }));
        }
    }
    rows
}

impl Dialect {
    fn word(self) -> &'static str {
        match self {
            Self::Unix => "u",
            Self::Plain => "plain",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Unix => "9p2000.u",
            Self::Plain => "9p2000",
        }
    }
}
