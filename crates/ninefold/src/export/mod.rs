//! One shared tree: the objects a client can reach, and what can be done with them.
//!
//! Objects are held, not named: see [`Node`]. All changes go through a [`Writer`], which a
//! read-only export does not hand out. Nothing here knows messages, fids or sockets.

mod budget;
mod dir;
mod enforce;
mod error;
mod file;
mod ids;
mod leaving;
mod locate;
mod lock;
mod mounts;
mod node;
mod object;
mod opened;
mod options;
mod ownership;
mod place;
mod qid;
mod recent;
mod walk;
mod writer;
mod xattr;

pub(crate) use budget::Holder;
pub use budget::{Budget, Keeper};
pub use dir::{Cursor, Entry};
pub use enforce::{Enforce, Squash, Squashed};
pub use error::ExportError;
pub use file::{Access, OpenFile, OpenMode};
pub use ids::{IdOverlap, IdRule, IdRuleError, IdTranslation};
pub use lock::{
    HolderId, LockHold, LockKind, LockOutcome, LockOwner, LockTable, LockWait, Range, WaitId, Woken,
};
pub use node::Node;
pub use options::ExportOptions;
pub use ownership::{Owner, SecurityModel};
pub use place::Place;
pub use qid::Multidevs;
pub use writer::{HostOwner, SetTime, Writer};

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ninefold_wire::{Name, Qid};
use rustix::fs::{Mode, OFlags, StatFs};
use rustix::io::Errno;

use crate::sys::{self, Result, Stat, XattrTarget, identity, interruptible};
use crate::throttle::Throttle;
use enforce::Enforcer;
use ids::Ids;
use mounts::Mounts;
use node::Tree;
use object::Objects;
use ownership::Ownership;
use qid::QidMap;
use recent::Recents;

/// Whether the file system knows `user.` attributes.
fn has_xattrs(dir: BorrowedFd<'_>) -> bool {
    let asked = sys::xattr_get(XattrTarget::Named(dir), b"user.virtfs.mode", &mut [0; 4]);
    asked != Err(Errno::OPNOTSUPP)
}

/// The root, held by the export itself.
fn shared_root(fd: OwnedFd, stat: &Stat, budget: &Arc<Budget>) -> Arc<Node> {
    let objects = Arc::new(Objects::new(fd.as_fd()));
    let tree = Tree::new(objects, Keeper::new(budget));
    Node::root(&tree, fd, stat)
}

/// One shared tree. Immutable after start; used by all sessions at once.
pub struct Export {
    root: Arc<Node>,
    ownership: Box<dyn Ownership>,
    ids: Option<Ids>,
    enforcer: Option<Enforcer>,
    mounts: Mounts,
    recents: Recents,
    qids: QidMap,
    locks: LockTable,
    readonly: bool,
    throttle: Option<Throttle>,
    writeout: bool,
    max_xattr: u32,
    budget: Arc<Budget>,
    /// Whether an open file can be opened once more whatever a client does to its mode.
    reopens: bool,
}

impl Export {
    /// Opens `path`, which may be a symbolic link to a directory.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn open(path: &Path, options: &ExportOptions) -> std::result::Result<Self, ExportError> {
        let throttle = Throttle::new(&options.throttle)?;
        let ids = Ids::new(&options.ids)?;
        let enforcer = Enforcer::new(options)?;
        sys::open_proc().map_err(|errno| ExportError::Proc(errno.into()))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty())
            .and_then(|fd| sys::stat(fd.as_fd()).map(|stat| (fd, stat)));
        let (fd, stat) = opened.map_err(|errno| ExportError::Open {
            path: path.to_owned(),
            source: errno.into(),
        })?;
        if options.security_model == SecurityModel::MappedXattr && !has_xattrs(fd.as_fd()) {
            return Err(ExportError::NoXattrs(path.to_owned()));
        }
        let budget = options.descriptors.clone();
        let budget = budget.unwrap_or_else(Budget::of_process);
        let root = shared_root(fd, &stat, &budget);
        let (mounts, mounted) = Mounts::below(&root);
        let export = Self {
            root,
            ownership: options.security_model.ownership(options),
            ids,
            enforcer,
            mounts,
            recents: Recents::new(&stat),
            qids: QidMap::new(stat.id.dev, options.multidevs, &mounted),
            locks: LockTable::new(!options.readonly),
            readonly: options.readonly,
            throttle,
            writeout: options.writeout,
            max_xattr: options.max_xattr,
            budget,
            reopens: options.security_model.is_mapped() || identity::overrides_modes(),
        };
        export.check_owner(path)?;
        Ok(export)
    }

    /// The directory that is shared.
    #[must_use]
    pub fn root(&self) -> &Arc<Node> {
        &self.root
    }

    /// What a client holds of the export's descriptors: one for each session.
    #[must_use]
    pub fn keeper(&self) -> Arc<Keeper> {
        Keeper::new(&self.budget)
    }

    /// The directory that is shared, for a client to begin with.
    #[must_use]
    pub fn root_for(&self, keeper: &Arc<Keeper>) -> Arc<Node> {
        self.root.root_for(keeper)
    }

    /// The byte-range locks held on this tree's files.
    #[must_use]
    pub fn locks(&self) -> &LockTable {
        &self.locks
    }

    /// What reads and writes have to ask before they begin, if anything.
    pub(crate) fn throttle(&self) -> Option<&Throttle> {
        self.throttle.as_ref()
    }

    /// Most fids of one session that hold extended attributes; 0: no limit of their own.
    #[must_use]
    pub fn max_xattr(&self) -> u32 {
        self.max_xattr
    }

    /// Ends the waits whose time has come, for locks and for reading and writing, and closes
    /// directories that were not walked through of late. Returns when to come back; none when nobody
    /// waits. [`LockTable::on_sooner`] says when that changes.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        let lock = self.locks.expire(now);
        let throttle = self.throttle.as_ref();
        let transfer = throttle.and_then(|throttle| throttle.release(now));
        let recents = self.recents.expire(now);
        lock.into_iter().chain(transfer).chain(recents).min()
    }

    /// The way to change something.
    ///
    /// # Errors
    /// EROFS when the tree is shared read-only.
    pub fn writer(&self) -> Result<Writer<'_>> {
        if self.readonly {
            Err(Errno::ROFS)
        } else {
            Ok(Writer::new(self))
        }
    }

    /// The attributes of an object, as the client is to see them.
    ///
    /// # Errors
    /// EOVERFLOW when the client has no id for the owner or the group, else the errno of the host.
    pub fn stat(&self, node: &Arc<Node>) -> Result<Stat> {
        self.stat_held(node, node.fd()?.as_fd())
    }

    /// The same for what is held by `fd`.
    fn stat_held(&self, node: &Arc<Node>, fd: BorrowedFd<'_>) -> Result<Stat> {
        let mut stat = sys::stat(fd)?;
        self.ownership.complete(self, node, &mut stat)?;
        self.show_owner(&mut stat)?;
        Ok(stat)
    }

    /// The qid of an object with these attributes.
    ///
    /// # Errors
    /// Under [`Multidevs::Forbid`], ENODEV for an object on another device than the root. ENFILE
    /// when the numbers for odd inode numbers have run out.
    pub fn qid(&self, stat: &Stat) -> Result<Qid> {
        let path = self.qids.path(stat.id)?;
        Ok(Qid {
            kind: qid::kind(stat.file_type()),
            version: qid::version(stat),
            path,
        })
    }

    /// A number that is another whenever the content has changed.
    #[must_use]
    pub fn data_version(&self, stat: &Stat) -> u64 {
        qid::change(stat)
    }

    /// Checks that a name is not one of the security model's own.
    fn check_name(&self, name: Name<'_>) -> Result<()> {
        if self.ownership.hides(name.bytes()) {
            Err(Errno::INVAL)
        } else {
            Ok(())
        }
    }

    /// The target of a symbolic link, written to `target`; returns its length.
    ///
    /// # Errors
    /// EINVAL when the object is something else, else the errno of readlinkat(2).
    pub fn read_link(&self, node: &Arc<Node>, target: &mut [u8]) -> Result<usize> {
        self.ownership.read_link(self, node, target)
    }

    /// The figures of the file system that holds the object, and its id, which rustix shows only
    /// in the other form of the same call.
    ///
    /// # Errors
    /// The errno of fstatfs(2).
    pub fn statfs(&self, node: &Arc<Node>) -> Result<(StatFs, u64)> {
        let fd = node.fd()?;
        let figures = interruptible(|| rustix::fs::fstatfs(&fd))?;
        let id = interruptible(|| rustix::fs::fstatvfs(&fd))?.f_fsid;
        Ok((figures, id))
    }
}
