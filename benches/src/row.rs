//! The rows of the table: which work, how many of it at a time, and where.

use crate::work::Work;

/// What Linux's client asks for when it is told nothing.
const MSIZE: u32 = 128 << 10;

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub work: Work,
    /// Operations under way at the same time.
    pub depth: u16,
    /// The longest message to ask for, bytes.
    pub msize: u32,
}

impl Row {
    fn new(name: &str, work: Work, depth: u16) -> Self {
        Self {
            name: format!("{name}, depth {depth}"),
            work,
            depth,
            msize: MSIZE,
        }
    }

    fn with_msize(name: &str, work: Work, depth: u16, msize: u32) -> Self {
        let name = format!("{name}, msize {}K", msize >> 10);
        Self {
            msize,
            ..Self::new(&name, work, depth)
        }
    }

    /// Load and server share one processor, so that nothing is gained or lost by waking another one.
    pub fn is_pinned(&self) -> bool {
        self.depth == 1
    }
}

/// All of them.
pub fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for depth in [1, 16, 64] {
        rows.push(Row::new("getattr", Work::Getattr, depth));
    }
    for names in [1, 4, 12] {
        for depth in [1, 16, 64] {
            let name = format!("walk {names} + getattr + clunk");
            rows.push(Row::new(&name, Work::Walk { names }, depth));
        }
    }
    for depth in [1, 16, 64] {
        rows.push(Row::new("open + read 4K + close", Work::OpenRead, depth));
    }
    for depth in [1, 16, 64] {
        rows.push(Row::new(
            "create + write 4K + unlink",
            Work::CreateWrite,
            depth,
        ));
    }
    for (name, work) in [
        ("sequential read", Work::ReadOnwards),
        ("sequential write", Work::WriteOnwards),
    ] {
        for msize in [8 << 10, 128 << 10, 512 << 10, 1 << 20] {
            for depth in [1, 8] {
                rows.push(Row::with_msize(name, work, depth, msize));
            }
        }
    }
    for depth in [1, 32] {
        rows.push(Row::new("random read 4K", Work::ReadAnywhere, depth));
    }
    rows
}
