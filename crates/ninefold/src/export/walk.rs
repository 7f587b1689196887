//! One step of a walk: from a directory that is held to an object that is.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ninefold_wire::{Name, Step};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Export, Node, Place};
use crate::sys::{self, Result, Stat};

impl Export {
    /// One step of a walk: the object found, and its attributes. Of a directory that is only
    /// `passed` on the way to something else, owner and mode may be those that the host has.
    ///
    /// # Errors
    /// ENOTDIR when `from` is not a directory, else the errno of the host.
    pub fn step(
        &self,
        from: &Arc<Node>,
        step: Step<'_>,
        passed: bool,
    ) -> Result<(Arc<Node>, Stat)> {
        if !from.is_dir() {
            return Err(Errno::NOTDIR);
        }
        match step {
            Step::Down(name) => self.find_child(from, name, passed),
            Step::Stay => Ok((Arc::clone(from), self.stat(from)?)),
            Step::Up => {
                let parent = self.parent(from)?;
                let stat = self.stat(&parent)?;
                Ok((parent, stat))
            }
        }
    }

    /// The entry `name` of a directory, whatever it is.
    ///
    /// # Errors
    /// ENODEV for what [`Multidevs::Forbid`](super::Multidevs::Forbid) keeps out of reach, else the
    /// errno of the host.
    pub fn child(&self, dir: &Arc<Node>, name: Name<'_>) -> Result<(Arc<Node>, Stat)> {
        self.find_child(dir, name, false)
    }

    fn find_child(
        &self,
        dir: &Arc<Node>,
        name: Name<'_>,
        passed: bool,
    ) -> Result<(Arc<Node>, Stat)> {
        self.check_name(name)?;
        let _steady = self.ownership.steady(dir);
        let above = dir.fd()?;
        let (node, mut stat) = match self.recent_child(dir, above.as_fd(), name) {
            Some(found) => found,
            None => self.open_child(dir, above.as_fd(), name)?,
        };
        // A directory is one in every security model; whose it is may be in nobody's way.
        if !(passed && node.is_dir() && self.shows_all_owners()) {
            self.ownership.found(self, &node, &mut stat)?;
            self.show_owner(&mut stat)?;
        }
        Ok((node, stat))
    }

    fn open_child(
        &self,
        dir: &Arc<Node>,
        above: BorrowedFd<'_>,
        name: Name<'_>,
    ) -> Result<(Arc<Node>, Stat)> {
        let fd =
            (dir.keeper()).open(|| sys::open_entry(above, name, OFlags::PATH, Mode::empty()))?;
        let stat = sys::stat(fd.as_fd())?;
        if !self.qids.admits(stat.id) {
            return Err(Errno::NODEV);
        }
        let node = Node::new(dir.tree(), fd, &stat, Some(Place::new(dir, name)));
        if self.recents.take(&stat) && !self.budget.is_short() {
            let is_news = (self.recents).remember(dir.tree(), (dir.id(), name), node.object());
            if is_news {
                self.locks.sound();
            }
        }
        Ok((node, stat))
    }

    /// The same for a directory that was walked to a moment ago, in one call: if the name leads to
    /// that very object, which is held meanwhile so that its number is its own. The host looks up the
    /// name as it would for an open, permissions included. What else there is, an error or another
    /// object, the open finds out.
    fn recent_child(
        &self,
        dir: &Arc<Node>,
        above: BorrowedFd<'_>,
        name: Name<'_>,
    ) -> Option<(Arc<Node>, Stat)> {
        let recent = &dir.tree().recent;
        let (object, fd) = recent.find(dir.id(), name)?;
        match sys::stat_entry(above, name) {
            Ok(stat) if stat.id == object.id() && self.recents.take(&stat) => {
                let place = Place::new(dir, name);
                Some((Node::of_held(&object, fd, &stat, place), stat))
            }
            _ => {
                recent.forget(dir.id(), name);
                None
            }
        }
    }
}
