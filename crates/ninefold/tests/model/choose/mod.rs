//! What happens next: at random, but mostly what can succeed.

mod content;
mod host;

use std::sync::LazyLock;

use crate::common::Random;
use crate::op::{Name, Op, Step};
use crate::reference::{Fid, NONE, Reference, State};
use crate::tree::{Id, ROOT};

/// Fids of a client.
const FIDS: usize = 14;

const NAMES: [Name; 6] = ["a", "b", "c", "d", "e", "f"];

/// The longest name, letters of another script, and those that a model hides.
static ODD_NAMES: LazyLock<[Name; 4]> = LazyLock::new(|| {
    [
        "x".repeat(255).leak(),
        "h\u{f8}y r\u{f8}yk",
        ".virtfs_metadata",
        ".virtfs_metadata_root",
    ]
});

static TARGETS: LazyLock<[&'static str; 5]> =
    LazyLock::new(|| ["a", "../d/e", "/etc/passwd", "", "t".repeat(5000).leak()]);

const UIDS: [u32; 4] = [0, 1000, 1001, NONE];
const MODES: [u32; 8] = [0o644, 0o600, 0o755, 0o4755, 0o2755, 0o6711, 0o2640, 0];
const TYPES: [u32; 8] = [
    0, 0o100_000, 0o010_000, 0o140_000, 0o020_000, 0o060_000, 0o040_000, 0o120_000,
];
const OPEN_FLAGS: [u32; 9] = [0, 1, 2, 2, 2, 0o1002, 0o1000, 0o2002, 0o200_000];

pub struct Chooser<'a> {
    pub random: &'a mut Random,
    pub reference: &'a Reference,
}

impl Chooser<'_> {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.below(of.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.random.below(one_in) == 0
    }

    /// A fid of a kind, mostly; sometimes one of another kind, or an unknown one.
    fn fid(&mut self, client: usize, wanted: impl Fn(&Self, &Fid) -> bool) -> u32 {
        let fids = &self.reference.clients[client];
        let fit: Vec<u32> = if self.random.below(16) == 0 {
            fids.keys().copied().collect()
        } else {
            let all = fids.iter().filter(|(_, fid)| wanted(self, fid));
            all.map(|(number, _)| *number).collect()
        };
        if fit.is_empty() || self.chance(40) {
            u32::try_from(self.random.below(FIDS + 2)).expect("few")
        } else {
            self.one(&fit)
        }
    }

    fn is_dir(&self, fid: &Fid) -> bool {
        self.reference.tree.object(fid.id).is_dir()
    }

    fn dir(&mut self, client: usize) -> u32 {
        self.fid(client, |this, fid| this.is_dir(fid) && !is_value(fid))
    }

    fn object(&mut self, client: usize) -> u32 {
        self.fid(client, |_, fid| !is_value(fid))
    }

    fn unopened(&mut self, client: usize) -> u32 {
        self.fid(client, |_, fid| {
            matches!(fid.state, State::Path) && fid.id != ROOT
        })
    }

    fn file(&mut self, client: usize) -> u32 {
        self.fid(client, |_, fid| matches!(fid.state, State::File(_)))
    }

    /// A number that is free, mostly.
    fn new_fid(&mut self, client: usize) -> u32 {
        let fids = &self.reference.clients[client];
        let all = 1..u32::try_from(FIDS).expect("few");
        let free: Vec<u32> = all.filter(|fid| !fids.contains_key(fid)).collect();
        if free.is_empty() || self.chance(50) {
            u32::try_from(1 + self.random.below(FIDS)).expect("few")
        } else {
            self.one(&free)
        }
    }

    fn name(&mut self) -> Name {
        if self.chance(30) {
            self.one(&ODD_NAMES[..])
        } else {
            self.one(&NAMES)
        }
    }

    /// The name of something that is in a directory, mostly.
    fn name_in(&mut self, id: Id) -> Name {
        let all = NAMES.iter().chain(&ODD_NAMES[..]);
        let there: Vec<Name> = all
            .copied()
            .filter(|name| self.reference.tree.lookup(id, name).is_ok())
            .collect();
        if there.is_empty() || self.chance(8) {
            self.name()
        } else {
            self.one(&there)
        }
    }

    fn id_of(&self, client: usize, fid: u32) -> Id {
        self.reference.clients[client]
            .get(&fid)
            .map_or(ROOT, |fid| fid.id)
    }

    fn dir_and_name(&mut self, client: usize) -> (u32, Name) {
        let fid = self.dir(client);
        (fid, self.name_in(self.id_of(client, fid)))
    }

    fn data(&mut self) -> Vec<u8> {
        let len = self.random.below(60);
        self.random.bytes(len)
    }

    fn mode(&mut self) -> u32 {
        self.one(&MODES)
    }

    pub fn step(&mut self) -> Step {
        if self.chance(8) {
            return Step::Host(self.host());
        }
        let client = self.random.below(self.reference.clients.len());
        if !self.reference.clients[client].contains_key(&0) {
            let uid = UIDS[client % 2];
            return Step::Client(client, Op::Attach { fid: 0, uid });
        }
        let op = match self.random.below(100) {
            0..20 => self.walk(client),
            20..40 => self.create(client),
            40..52 => self.names(client),
            52..68 => self.content(client),
            68..76 => self.list(client),
            76..82 => self.setattr(client),
            82..89 => self.xattr(client),
            89..94 => self.lock(client),
            _ => self.other(client),
        };
        Step::Client(client, op)
    }

    fn walk(&mut self, client: usize) -> Op {
        let fid = self.object(client);
        let mut at = self.id_of(client, fid);
        let mut steps = Vec::new();
        for _ in 0..self.random.below(4) {
            let step = match self.random.below(12) {
                0 => "..",
                1 => ".",
                _ => self.name_in(at),
            };
            at = match self.reference.tree.lookup(at, step) {
                Ok(entry) => entry.id,
                Err(_) => self.reference.tree.object(at).parent,
            };
            steps.push(step);
        }
        let newfid = if self.chance(10) {
            fid
        } else {
            self.new_fid(client)
        };
        Op::Walk { fid, newfid, steps }
    }

    fn create(&mut self, client: usize) -> Op {
        let (dfid, name) = (self.dir(client), self.name());
        let (mode, gid) = (self.mode(), self.one(&UIDS));
        match self.random.below(12) {
            0..3 => Op::Mkdir {
                dfid,
                name,
                mode,
                gid,
            },
            3 => Op::Mknod {
                dfid,
                name,
                mode: mode | self.one(&TYPES),
                device: (self.one(&[1, 8, 200]), self.one(&[3, 0, 300])),
                gid,
            },
            4 => Op::Symlink {
                dfid,
                name,
                target: self.one(&TARGETS[..]),
                gid,
            },
            5 | 6 => Op::Link {
                dfid,
                fid: self.fid(client, |this, fid| !this.is_dir(fid) && !is_value(fid)),
                name,
            },
            _ => Op::Lcreate {
                fid: self.fid(client, |this, fid| {
                    this.is_dir(fid) && matches!(fid.state, State::Path) && fid.id != ROOT
                }),
                name,
                flags: self.one(&OPEN_FLAGS) | self.one(&[0, 0, 0o200]),
                mode,
                gid,
            },
        }
    }

    fn names(&mut self, client: usize) -> Op {
        let (dfid, name) = self.dir_and_name(client);
        match self.random.below(14) {
            0..4 => {
                let old = self.dir_and_name(client);
                let to = if self.chance(4) { NONE } else { dfid };
                let new = if self.chance(2) { name } else { self.name() };
                Op::Renameat {
                    old,
                    new: (to, new),
                }
            }
            4..6 => Op::Rename {
                fid: self.object(client),
                dfid,
                name: self.name(),
            },
            6..8 => Op::Remove {
                fid: self.unopened(client),
            },
            _ => {
                let dir = self.id_of(client, dfid);
                let found = self.reference.tree.lookup(dir, name);
                let is_dir = found.is_ok_and(|entry| self.reference.tree.object(entry.id).is_dir());
                let directory = is_dir != self.chance(12);
                let flags = if directory { 0x200 } else { 0 };
                Op::Unlinkat { dfid, name, flags }
            }
        }
    }
}

fn is_value(fid: &Fid) -> bool {
    matches!(
        fid.state,
        State::Value(_) | State::Names(_) | State::NewValue { .. }
    )
}
