//! What the host does.

use super::{Chooser, NAMES};
use crate::op::HostOp;
use crate::tree::ROOT;

impl Chooser<'_> {
    /// A path, mostly of something that is there.
    pub(super) fn path(&mut self) -> String {
        let paths = self.reference.tree.paths();
        if paths.is_empty() || self.chance(3) {
            return self.new_path();
        }
        paths[self.random.below(paths.len())].0.clone()
    }

    /// A path of something new, mostly.
    pub(super) fn new_path(&mut self) -> String {
        let tree = &self.reference.tree;
        let all = tree.paths().into_iter();
        let mut dirs: Vec<_> = all.filter(|(_, id)| tree.object(*id).is_dir()).collect();
        dirs.push((String::new(), ROOT));
        let dir = &dirs[self.random.below(dirs.len())].0;
        let name = self.one(&NAMES);
        if dir.is_empty() {
            name.to_owned()
        } else {
            format!("{dir}/{name}")
        }
    }

    pub(super) fn host(&mut self) -> HostOp {
        let rules = self.reference.rules;
        let mask = if rules.is_mapped() { 0o777 } else { 0o7777 };
        let mut mode = self.mode() & mask;
        if rules.uid != 0 {
            mode |= 0o700;
        }
        let path = self.path();
        match self.random.below(12) {
            0 => HostOp::Create {
                path: self.new_path(),
                content: self.data(),
                mode,
            },
            1 => HostOp::Mkdir {
                path: self.new_path(),
                mode,
            },
            2 if !rules.is_mapped() => HostOp::Symlink {
                path: self.new_path(),
                target: "../b",
            },
            3 if !rules.by_file() => HostOp::Link {
                from: path,
                to: self.new_path(),
            },
            4..7 => HostOp::Rename {
                from: path,
                to: self.path(),
            },
            7 | 8 => HostOp::Remove { path },
            9 => HostOp::Truncate {
                path,
                size: self.random.below(100) as u64,
            },
            10 => HostOp::Chmod { path, mode },
            _ => HostOp::Write {
                path,
                offset: self.random.below(80) as u64,
                data: self.data(),
            },
        }
    }
}
