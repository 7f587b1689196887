//! Walks: from a directory that is held to an object that is, step by step.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ninefold_wire::{Name, Qid, Step};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::budget::Descriptor;
use super::recent::Found;
use super::{Export, Node, Place};
use crate::sys::{self, Result, Stat};

/// Steps from one object to another.
pub struct Walk<'e> {
    export: &'e Export,
    at: Arc<Node>,
    /// What holds it, if that was just seen.
    held: Option<Arc<Descriptor>>,
}

impl Walk<'_> {
    /// Takes one step: the qid of what it leads to. Of a directory that is only `passed` on the
    /// way to something else, owner and mode are not asked for.
    ///
    /// # Errors
    /// ENOTDIR when the walk has not come to a directory, else the errno of the host. The walk stays
    /// where it is.
    pub fn step(&mut self, step: Step<'_>, passed: bool) -> Result<Qid> {
        if !self.at.is_dir() {
            return Err(Errno::NOTDIR);
        }
        match step {
            Step::Down(name) => self.step_down(name, passed),
            Step::Stay => self.export.qid(&self.export.stat(&self.at)?),
            Step::Up => {
                let parent = self.export.parent(&self.at)?;
                let qid = self.export.qid(&self.export.stat(&parent)?)?;
                (self.at, self.held) = (parent, None);
                Ok(qid)
            }
        }
    }

    fn step_down(&mut self, name: Name<'_>, passed: bool) -> Result<Qid> {
        let above = self.held.take().map_or_else(|| self.at.fd(), Ok)?;
        let found = self
            .export
            .find_child((&self.at, above.as_fd()), (name, passed))?;
        let qid = self.export.qid(&found.stat)?;
        (self.at, self.held) = (found.node, found.held);
        Ok(qid)
    }

    /// What the walk has come to.
    #[must_use]
    pub fn into_node(self) -> Arc<Node> {
        self.at
    }
}

/// An entry of a directory.
struct Child {
    node: Arc<Node>,
    stat: Stat,
    /// What holds it, if that is at hand.
    held: Option<Arc<Descriptor>>,
}

impl Export {
    /// A walk from an object.
    pub fn walk(&self, from: Arc<Node>) -> Walk<'_> {
        Walk {
            export: self,
            at: from,
            held: None,
        }
    }

    /// The entry `name` of a directory, whatever it is.
    ///
    /// # Errors
    /// ENODEV for what [`Multidevs::Forbid`](super::Multidevs::Forbid) keeps out of reach, else the
    /// errno of the host.
    pub fn child(&self, dir: &Arc<Node>, name: Name<'_>) -> Result<(Arc<Node>, Stat)> {
        let above = dir.fd()?;
        let found = self.find_child((dir, above.as_fd()), (name, false))?;
        Ok((found.node, found.stat))
    }

    fn find_child(
        &self,
        (dir, above): (&Arc<Node>, BorrowedFd<'_>),
        (name, passed): (Name<'_>, bool),
    ) -> Result<Child> {
        self.check_name(name)?;
        let _steady = self.ownership.steady(dir);
        let found = self.recent_child(dir, above, (name, passed));
        let mut found = match found.or_else(|| self.known_child(dir, above, name)) {
            Some(found) => found,
            None => self.open_child(dir, above, name)?,
        };
        // A directory is one in every security model; whose it is may be in nobody's way.
        if !(passed && found.node.is_dir() && self.shows_all_owners()) {
            let stat = &mut found.stat;
            self.ownership.found(self, &found.node, stat)?;
            self.show_owner(stat)?;
        }
        Ok(found)
    }

    fn open_child(&self, dir: &Arc<Node>, above: BorrowedFd<'_>, name: Name<'_>) -> Result<Child> {
        let fd =
            (dir.keeper()).open(|| sys::open_entry(above, name, OFlags::PATH, Mode::empty()))?;
        let stat = sys::stat(fd.as_fd())?;
        if !self.qids.admits(stat.id) {
            return Err(Errno::NODEV);
        }
        let node = Node::new(dir.tree(), fd, &stat, Some(Place::new(dir, name)));
        if self.budget.is_short() {
            (dir.tree().repeats).store(node.is_shared(), Ordering::Relaxed);
        } else if self.recents.take(&stat) {
            let is_news = (self.recents).remember(dir.tree(), (dir.id(), name), node.object());
            if is_news {
                self.locks.sound();
            }
        }
        Ok(Child {
            node,
            stat,
            held: None,
        })
    }

    /// The same for a directory that was walked to a moment ago, in one call: if the name leads to
    /// that very object, which is held meanwhile so that its number is its own. The host looks up the
    /// name as it would for an open, permissions included. What else there is, an error or another
    /// object, the open finds out.
    fn recent_child(
        &self,
        dir: &Arc<Node>,
        above: BorrowedFd<'_>,
        (name, passed): (Name<'_>, bool),
    ) -> Option<Child> {
        let recent = &dir.tree().recent;
        let (found, fd) = recent.find(dir, (name, passed))?;
        let stat = match sys::stat_entry(above, name) {
            Ok(stat) if stat.id == found.object().id() && self.recents.take(&stat) => stat,
            _ => {
                recent.forget(dir.id(), name);
                return None;
            }
        };
        let object = match found {
            Found::Passed(node) => {
                let held = Some(fd);
                return Some(Child { node, stat, held });
            }
            Found::Open(object) => object,
        };
        let node = Node::of_held(&object, &fd, &stat, Place::new(dir, name));
        if passed {
            recent.pass(dir.id(), name, &node);
        }
        let held = passed.then_some(fd);
        Some(Child { node, stat, held })
    }

    /// The same for a file that is known already, where descriptors are short: it is not opened, for that would only take
    /// a descriptor from another object, which takes calls of its own. What comes to be asked about it finds it again.
    /// Tried where the walk before came to what was known.
    fn known_child(&self, dir: &Arc<Node>, above: BorrowedFd<'_>, name: Name<'_>) -> Option<Child> {
        let tree = dir.tree();
        if !tree.repeats.load(Ordering::Relaxed) || !self.budget.is_short() {
            return None;
        }
        let stat = sys::stat_entry(above, name).ok()?;
        // Who walks to a directory is about to walk on.
        let is_file = stat.file_type() != FileType::Directory;
        let object = is_file.then(|| tree.objects.enter_entry((above, name), stat.id));
        let object = object.flatten();
        tree.repeats.store(object.is_some(), Ordering::Relaxed);
        Some(Child {
            node: Node::of_known(object?, Place::new(dir, name)),
            stat,
            held: None,
        })
    }
}
