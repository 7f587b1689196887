//! Following symbolic links, which in 9P is the client's part.
//!
//! The server follows none. A link is read as if the export were a machine's whole file system: an
//! absolute target begins at the export's root, and nothing leads out of it.

use std::collections::VecDeque;

use crate::{Client, Error, Fid, Result, path};

/// Most symbolic links followed in one path, as in Linux.
const LINKS_MAX: usize = 40;

/// What is left of a path.
#[derive(Default)]
struct Pending {
    names: VecDeque<Vec<u8>>,
    links: usize,
}

impl Pending {
    /// Puts the names of `path` before those that are left.
    fn push_front(&mut self, path: &[u8]) -> Result<()> {
        for step in path::steps(path)?.into_iter().rev() {
            self.names.push_front(step.bytes().to_vec());
        }
        Ok(())
    }
}

impl Client {
    /// The object that `path` names, with symbolic links followed, the last one too.
    ///
    /// # Errors
    /// The server's; [`Error::TooManyLinks`].
    pub fn resolve(&self, path: impl AsRef<[u8]>) -> Result<Fid> {
        let path = path.as_ref();
        // Most paths hold no link: then one walk does.
        match self.walk(path) {
            Ok(fid) if !fid.is_symlink() => Ok(fid),
            Ok(_) | Err(Error::Server { .. }) => self.resolve_by_name(path),
            Err(error) => Err(error),
        }
    }

    /// As [`Client::walk_parent`], with symbolic links on the way to the parent followed.
    ///
    /// # Errors
    /// As [`Client::resolve`]; [`Error::Nameless`] for the root or a path that ends in `..`.
    pub fn resolve_parent<'p, P>(&self, path: &'p P) -> Result<(Fid, &'p [u8])>
    where
        P: AsRef<[u8]> + ?Sized,
    {
        let (steps, name) = path::parent(path.as_ref())?;
        let above: Vec<&[u8]> = steps.iter().map(|step| step.bytes()).collect();
        Ok((self.resolve(above.join(&b'/'))?, name.bytes()))
    }

    fn resolve_by_name(&self, path: &[u8]) -> Result<Fid> {
        let mut pending = Pending::default();
        pending.push_front(path)?;
        let mut at = self.walk("")?;
        while let Some(name) = pending.names.pop_front() {
            let next = at.walk(&name)?;
            at = if next.is_symlink() {
                self.follow(&mut pending, at, &next, path)?
            } else {
                next
            };
        }
        Ok(at)
    }

    /// Puts what `link`, an entry of `dir`, points to before what is left of `path`; returns
    /// where to go on.
    fn follow(&self, pending: &mut Pending, dir: Fid, link: &Fid, path: &[u8]) -> Result<Fid> {
        pending.links += 1;
        if pending.links > LINKS_MAX {
            return Err(Error::TooManyLinks {
                path: path.to_vec(),
                limit: LINKS_MAX,
            });
        }
        let target = link.read_link()?;
        pending.push_front(&target)?;
        if target.first() == Some(&b'/') {
            self.walk("")
        } else {
            Ok(dir)
        }
    }
}
