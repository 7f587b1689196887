//! Where objects are: the way up from a directory, and the name of what is known by its descriptor.

use std::os::fd::AsFd;
use std::sync::Arc;

use ninefold_wire::Name;
use rustix::io::Errno;

use super::{Export, Node, Place};
use crate::sys::{self, Result, identity};

impl Export {
    /// The parent of a directory. The root is its own parent; so is a directory that the host has
    /// moved out of the tree.
    pub(super) fn parent(&self, dir: &Arc<Node>) -> Result<Arc<Node>> {
        if dir.id() == self.root.id() {
            return Ok(self.root.root_in(dir.tree()));
        }
        let below = dir.fd()?;
        let fd = dir.keeper().open(|| sys::open_parent(below.as_fd()))?;
        let stat = sys::stat(fd.as_fd())?;
        if stat.id == self.root.id() {
            return Ok(self.root.root_in(dir.tree()));
        }
        if let Some(place) = dir.place().filter(|place| place.parent().id() == stat.id) {
            return Ok(Arc::clone(place.parent()));
        }
        let parent = Node::new(dir.tree(), fd, &stat, None);
        let contained = identity::as_server(|| self.contains(&parent));
        Ok(if contained? { parent } else { Arc::clone(dir) })
    }

    /// Whether the way up from a directory comes to the root of the tree.
    fn contains(&self, dir: &Arc<Node>) -> Result<bool> {
        let mut fd = sys::open_parent(dir.fd()?.as_fd())?;
        let mut below = dir.id();
        loop {
            let id = sys::stat(fd.as_fd())?.id;
            if id == self.root.id() {
                return Ok(true);
            }
            if id == below {
                return Ok(false);
            }
            below = id;
            fd = sys::open_parent(fd.as_fd())?;
        }
    }

    /// Where an object is now: a directory and the name in it. For the messages that name an
    /// object to be moved or removed by its fid.
    ///
    /// # Errors
    /// ENOENT when it has no name below the root any more, EBUSY for the root.
    pub(crate) fn locate(&self, node: &Arc<Node>) -> Result<Place> {
        if node.id() == self.root.id() {
            return Err(Errno::BUSY);
        }
        if let Some(place) = node.place() {
            if place.names(node)? {
                return Ok(place.clone());
            }
            if Self::has_names_of_others(node)? {
                return Err(Errno::NOENT);
            }
        }
        if let Some(place) = node.moved() {
            if place.names(node)? {
                return Ok(place);
            }
        }
        identity::as_server(|| self.locate_by_hint(node))
    }

    /// Whether the object has names by which others came to it. Where it was moved to then says
    /// nothing of the name by which this client did.
    fn has_names_of_others(node: &Arc<Node>) -> Result<bool> {
        let may_have = node.is_shared() && !node.is_dir();
        Ok(may_have && sys::stat(node.fd()?.as_fd())?.nlink > 1)
    }

    /// Follows the host's own idea of the path down from the root, one component at a time.
    fn locate_by_hint(&self, node: &Arc<Node>) -> Result<Place> {
        let path = sys::path_hint(node.fd()?.as_fd())?;
        let root = sys::path_hint(self.root.fd()?.as_fd())?;
        let below = if root == b"/" {
            &path[..]
        } else {
            path.strip_prefix(&root[..]).ok_or(Errno::NOENT)?
        };
        let mut names = below
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty());
        let last = names.next_back().ok_or(Errno::NOENT)?;
        let mut dir = self.root.root_in(node.tree());
        for name in names {
            let name = Name::new(name).map_err(|_| Errno::NOENT)?;
            dir = match self.child(&dir, name) {
                // Something else has taken the name since: the hint is a wrong one.
                Err(Errno::NOTDIR | Errno::INVAL | Errno::NODEV) => return Err(Errno::NOENT),
                found => found?.0,
            };
        }
        let place = Place::new(&dir, Name::new(last).map_err(|_| Errno::NOENT)?);
        if place.names(node)? {
            Ok(place)
        } else {
            Err(Errno::NOENT)
        }
    }
}
