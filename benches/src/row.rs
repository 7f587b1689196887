//! The rows of the table: which work, how many of it at a time, and where.

use crate::bare::Bare;
use crate::server::Peer;
use crate::work::Work;

/// What a client that cares for speed asks for.
const MSIZE: u32 = 128 << 10;
/// What very many connections ask for, bytes.
const SMALL_MSIZE: u32 = 8 << 10;
/// Depths of rows about small operations.
pub const DEPTHS: [u16; 3] = [1, 16, 64];
/// Lengths of messages in rows about data, bytes.
pub const MSIZES: [u32; 4] = [8 << 10, 128 << 10, 512 << 10, 1 << 20];
/// Depths of those.
pub const BULK_DEPTHS: [u16; 2] = [1, 8];
/// All of ninefold's.
pub const MODELS: [&str; 4] = ["passthrough", "none", "mapped-xattr", "mapped-file"];

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub work: Work,
    /// Operations under way at the same time, on each connection.
    pub depth: u16,
    /// The longest message to ask for, bytes.
    pub msize: u32,
    /// The security model that the row is about, if it is about one; clients make its tree.
    pub model: Option<&'static str>,
    /// How often it is measured at most.
    pub rounds_max: usize,
    /// Rows with the same word here follow one another, are compared with each other, and are measured in the same rounds.
    pub group: Option<String>,
}

impl Row {
    fn new(name: &str, work: Work, depth: u16) -> Self {
        Self {
            name: format!("{name}, depth {depth}"),
            work,
            depth,
            msize: MSIZE,
            model: None,
            rounds_max: usize::MAX,
            group: None,
        }
    }

    /// Whether it is measured in the same rounds as `other`.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.group.is_some() && self.group == other.group
    }

    /// Load and server share one processor, so that nothing is gained or lost by waking another one.
    pub fn is_pinned(&self) -> bool {
        self.depth == 1 && !matches!(self.work, Work::Connections { .. })
    }

    /// Whether it is about what a mapped model keeps of objects that are there already.
    pub fn looks_at_metadata(&self) -> bool {
        let is_mapped = self.model.is_some_and(|model| model.starts_with("mapped"));
        is_mapped && self.work != Work::CreateWrite
    }

    /// Whether it is to be measured with `peer`.
    pub fn is_for(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ninefold => true,
            // It waits for nothing.
            Peer::Null => self.work != Work::BesideSlow,
            Peer::Bare => self.model.is_none() && Bare::does(self.work),
            _ => self.model.is_none(),
        }
    }
}

/// All of them.
pub fn all() -> Vec<Row> {
    let mut rows = small();
    rows.extend(bulk());
    rows.extend(growth());
    rows.extend(many());
    rows.extend(models());
    rows
}

fn small() -> Vec<Row> {
    let works = [
        ("getattr", Work::Getattr),
        ("walk 1 + getattr + clunk", Work::Walk { names: 1 }),
        ("walk 4 + getattr + clunk", Work::Walk { names: 4 }),
        ("walk 12 + getattr + clunk", Work::Walk { names: 12 }),
        ("open + read 4K + close", Work::OpenRead),
        ("create + write 4K + unlink", Work::CreateWrite),
        ("rename", Work::Rename),
        ("mkdir + rmdir", Work::MakeDir),
        ("symlink + readlink + unlink", Work::SymbolicLink),
        ("xattr set", Work::XattrSet),
        ("xattr get", Work::XattrGet),
    ];
    let rows = works.into_iter().flat_map(|(name, work)| {
        DEPTHS
            .into_iter()
            .map(move |depth| Row::new(name, work, depth))
    });
    rows.collect()
}

fn bulk() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, work) in [
        ("sequential read", Work::ReadOnwards),
        ("sequential write", Work::WriteOnwards),
    ] {
        for msize in MSIZES {
            for depth in BULK_DEPTHS {
                let name = format!("{name}, msize {}K", msize >> 10);
                rows.push(Row {
                    msize,
                    ..Row::new(&name, work, depth)
                });
            }
        }
    }
    for depth in [1, 32] {
        rows.push(Row::new("random read 4K", Work::ReadAnywhere, depth));
    }
    rows
}

/// What should not cost more where there is more of it.
fn growth() -> Vec<Row> {
    let mut rows = vec![
        Row::new("readdir, each entry", Work::List { attributes: false }, 1),
        Row::new(
            "readdir with getattr, each entry",
            Work::List { attributes: true },
            64,
        ),
    ];
    for names in [10, 100] {
        let name = format!("path of {names} names + getattr + clunk");
        rows.push(Row {
            group: Some("path".to_owned()),
            ..Row::new(&name, Work::Walk { names }, 1)
        });
    }
    for (name, wide) in [("1,000", false), ("100,000", true)] {
        let name = format!("walk among {name} entries + getattr + clunk");
        rows.push(Row {
            group: Some("among".to_owned()),
            ..Row::new(&name, Work::Among { wide }, 1)
        });
    }
    for (name, count) in [("100k", 100_000), ("1M", 1_000_000)] {
        rows.push(Row {
            rounds_max: 3,
            ..Row::new(&format!("{name} fids, each walk"), Work::Fids { count }, 16)
        });
    }
    rows
}

fn many() -> Vec<Row> {
    let connections = [1, 8, 64, 512].into_iter().map(|count| Row {
        msize: SMALL_MSIZE,
        ..Row::new(
            &format!("getattr on {count} connections"),
            Work::Connections { count },
            1,
        )
    });
    let slow = Row::new("getattr beside a slow request", Work::BesideSlow, 1);
    connections.chain([slow]).collect()
}

fn models() -> Vec<Row> {
    let works = [
        ("getattr", Work::Getattr),
        ("walk 4 + getattr + clunk", Work::Walk { names: 4 }),
        ("create + write 4K + unlink", Work::CreateWrite),
    ];
    let mut rows = Vec::new();
    for (name, work) in works {
        for depth in [1, 16] {
            for model in MODELS {
                rows.push(Row {
                    model: Some(model),
                    group: Some(format!("{name}, depth {depth}")),
                    ..Row::new(&format!("{model}: {name}"), work, depth)
                });
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let rows = all();
        let names: HashSet<_> = rows.iter().map(|row| &row.name).collect();
        assert_eq!(names.len(), rows.len());
    }

    #[test]
    fn what_is_compared_follows_one_another() {
        let rows = all();
        let grouped: Vec<_> = rows.chunk_by(Row::is_beside).collect();
        let groups: Vec<_> = grouped
            .iter()
            .filter_map(|rows| rows[0].group.as_ref())
            .collect();
        let once: HashSet<_> = groups.iter().collect();
        assert_eq!(once.len(), groups.len());
        assert!(grouped.iter().any(|rows| rows.len() == MODELS.len()));
    }
}
