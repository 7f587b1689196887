//! Which entries of a directory may be on another device than the directory itself, so that listing
//! it asks only those for their numbers: mount points, as `/proc` tells them, and whatever a file
//! system of several devices has. Only numbers depend on it, never what a client may do.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, TryLockError};

use ninefold_wire::Name;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};

use super::Node;
use crate::locked;
use crate::sys::{self, FileId, Result, Stat};

/// The mounts of the thread that opens the export: they are those its root belongs to.
const TABLE: &str = "/proc/thread-self/mountinfo";
/// Bytes read of the table. Linux allows 100,000 mounts if nobody says otherwise.
const TABLE_MAX: u64 = 32 << 20;
/// Mount points below the root that are remembered by name.
const POINTS_MAX: usize = 1000;
/// Devices whose layout is remembered.
const LAYOUTS_MAX: usize = 1000;

/// Mount points: the directories that hold them and their names there. None when they are too many
/// or cannot be known.
type Points = Option<HashMap<FileId, HashSet<Box<[u8]>>>>;

/// Where file systems are mounted below the root of an export, at any time.
pub(super) struct Mounts {
    root: Arc<Node>,
    /// The table, which a poll tells to have changed.
    table: Option<Mutex<File>>,
    points: Mutex<Arc<Points>>,
    /// By device.
    layouts: Mutex<HashMap<u64, Layout>>,
}

/// Which entries of a file system's directories, mount points aside, are on its device under the
/// numbers listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// All.
    OneDevice,
    /// All but directories: a subvolume of btrfs is a device of its own, a directory of several
    /// layers of an overlayfs may be listed with the number of another layer than its own.
    Directories,
    /// Perhaps none, until an entry that is no directory shows that it is as with `Directories`. An
    /// overlayfs over several file systems has a device for each of them when `xino` is off; a FUSE
    /// file system may list numbers that it does not use.
    Unproven,
}

impl Layout {
    fn of(magic: Option<u64>) -> Self {
        const BTRFS: u64 = 0x9123_683e;
        const FUSE: u64 = 0x6573_5546;
        const OVERLAYFS: u64 = 0x794c_7630;
        match magic {
            Some(BTRFS) => Self::Directories,
            Some(FUSE | OVERLAYFS) => Self::Unproven,
            _ => Self::OneDevice,
        }
    }
}

/// The entries of one directory that have to be asked which object they are.
pub(super) struct Suspects {
    points: Arc<Points>,
    dir: FileId,
    layout: Layout,
}

impl Suspects {
    /// Whether an entry is one of them.
    pub(super) fn include(&self, name: &[u8], file_type: FileType) -> bool {
        let is_dir = file_type == FileType::Directory;
        match self.layout {
            Layout::Unproven => return true,
            Layout::Directories if is_dir => return true,
            Layout::Directories | Layout::OneDevice => {}
        }
        match &*self.points {
            None => is_dir,
            Some(points) => points
                .get(&self.dir)
                .is_some_and(|names| names.contains(name)),
        }
    }
}

impl Mounts {
    /// The mounts below `root`, now and later; and the objects mounted there now, in the order of
    /// their paths.
    pub(super) fn below(root: &Arc<Node>) -> (Self, Vec<FileId>) {
        let mut table = File::open(TABLE).ok();
        let text = table.as_mut().and_then(|table| read(table).ok());
        let (points, mounted) = survey(root, text.as_deref());
        let mounts = Self {
            root: Arc::clone(root),
            table: table.map(Mutex::new),
            points: Mutex::new(Arc::new(points)),
            layouts: Mutex::default(),
        };
        (mounts, mounted)
    }

    /// The entries of `dir` to ask.
    pub(super) fn suspects(&self, dir: &Arc<Node>) -> Suspects {
        self.refresh();
        Suspects {
            points: Arc::clone(&locked(&self.points)),
            dir: dir.id(),
            layout: self.layout(dir),
        }
    }

    /// Takes note of what a suspect, listed with one number, turned out to be.
    pub(super) fn learn(&self, suspects: &mut Suspects, listed: FileId, stat: &Stat) {
        let proof = stat.id == listed && stat.file_type() != FileType::Directory;
        if suspects.layout == Layout::Unproven && proof {
            suspects.layout = Layout::Directories;
            locked(&self.layouts).insert(suspects.dir.dev, Layout::Directories);
        }
    }

    fn layout(&self, dir: &Arc<Node>) -> Layout {
        let dev = dir.id().dev;
        if let Some(known) = locked(&self.layouts).get(&dev) {
            return *known;
        }
        let figures = dir.fd().and_then(rustix::fs::fstatfs);
        let magic = figures.map(|figures| u64::try_from(figures.f_type).ok());
        let layout = Layout::of(magic.ok().flatten());
        let mut layouts = locked(&self.layouts);
        if layouts.len() < LAYOUTS_MAX {
            layouts.insert(dev, layout);
        }
        layout
    }

    /// Looks where the mount points are if the table has changed. That may have to wait for a
    /// server on the network; others do not wait for it, but go on with what is known.
    fn refresh(&self) {
        let mut table = match self.table.as_ref().map(Mutex::try_lock) {
            Some(Ok(table)) => table,
            Some(Err(TryLockError::Poisoned(table))) => table.into_inner(),
            Some(Err(TryLockError::WouldBlock)) | None => return,
        };
        if !has_changed(&table) {
            return;
        }
        let text = read(&mut table).ok();
        let points = Arc::new(survey(&self.root, text.as_deref()).0);
        *locked(&self.points) = points;
        // Another file system may have got the number of a device that is gone.
        locked(&self.layouts).clear();
    }
}

/// Whether mounts have come or gone since the last look. Source: proc_pid_mounts(5).
fn has_changed(table: &File) -> bool {
    let now = Timespec::default();
    let mut fds = [PollFd::new(table, PollFlags::PRI)];
    let polled = rustix::event::poll(&mut fds, Some(&now));
    polled.is_ok() && fds[0].revents().intersects(PollFlags::PRI | PollFlags::ERR)
}

fn read(table: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    table.rewind()?;
    table.take(TABLE_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Finds the mount points that the table has below `root`, and the objects mounted there.
fn survey(root: &Arc<Node>, table: Option<&[u8]>) -> (Points, Vec<FileId>) {
    let top = root.fd().and_then(|root| sys::path_hint(root.as_fd()));
    let top = top.unwrap_or_default();
    let Some(paths) = table.and_then(|table| paths_below(table, &top)) else {
        return (None, Vec::new());
    };
    let mut points: HashMap<_, HashSet<_>> = HashMap::new();
    let mut mounted = Vec::new();
    for path in paths.iter().take(POINTS_MAX) {
        // What cannot be reached by its path is covered by another mount, or gone.
        if let Ok((dir, name, object)) = find(root, path) {
            points.entry(dir).or_default().insert(name);
            mounted.extend(object);
        }
    }
    let all = paths.len() <= POINTS_MAX;
    (all.then_some(points), mounted)
}

/// Goes down to a mount point, one component at a time and through no links: the directory it is
/// in, its name there, and the object mounted, where the host tells.
fn find(root: &Arc<Node>, path: &[u8]) -> Result<(FileId, Box<[u8]>, Option<FileId>)> {
    let mut names = path.split(|byte| *byte == b'/');
    let last = names.next_back().unwrap_or_default();
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let root = root.fd()?;
    let mut dir = None;
    for name in names {
        let above = dir.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        dir = Some(sys::open_entry(
            above,
            checked(name)?,
            flags,
            Mode::empty(),
        )?);
    }
    let dir = dir.as_ref().map_or(root.as_fd(), AsFd::as_fd);
    let object = sys::identify_entry(dir, checked(last)?).ok();
    Ok((sys::stat(dir)?.id, last.into(), object.map(|stat| stat.id)))
}

fn checked(name: &[u8]) -> Result<Name<'_>> {
    Name::new(name).map_err(|_| rustix::io::Errno::INVAL)
}

/// The mount points of a `mountinfo` text that lie below the directory `top`, relative to it and
/// in order; none when `top` is no absolute path. Lines that are not of the format are passed over.
fn paths_below(table: &[u8], top: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let top = match top {
        b"/" => top,
        [b'/', ..] => &[top, b"/"].concat(),
        _ => return None,
    };
    let mut paths = BTreeSet::new();
    for line in table.split(|byte| *byte == b'\n') {
        let field = line.split(|byte| *byte == b' ').nth(4).unwrap_or_default();
        let path = unescape(field);
        if let Some(below) = path.strip_prefix(top).filter(|below| !below.is_empty()) {
            paths.insert(below.to_vec());
        }
    }
    Some(paths)
}

/// Undoes the kernel's `\ooo` for space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        rest = after;
        let octal = match (first, after) {
            (
                b'\\',
                [
                    a @ b'0'..=b'3',
                    b @ b'0'..=b'7',
                    c @ b'0'..=b'7',
                    after @ ..,
                ],
            ) => {
                rest = after;
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        plain.push(octal.unwrap_or(*first));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(table: &[u8], top: &str) -> Option<Vec<String>> {
        let paths = paths_below(table, top.as_bytes())?;
        let text = |path| String::from_utf8(path).expect("text");
        Some(paths.into_iter().map(text).collect())
    }

    const TABLE: &[u8] = b"\
        21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
        40 21 0:30 / /srv/share/b rw - tmpfs none rw\n\
        41 21 0:31 / /srv/share rw shared:7 master:2 - tmpfs none rw\n\
        42 21 0:32 /x /srv/share/a/with\\040space rw - tmpfs a\\040b rw\n\
        43 21 0:33 / /srv/shared rw - tmpfs none rw\n\
        44 40 0:34 / /srv/share/b rw - tmpfs on-top rw\n";

    #[test]
    fn mount_points_below_a_directory() {
        let below = paths(TABLE, "/srv/share").expect("paths");
        assert_eq!(below, ["a/with space", "b"]);
        let all = paths(TABLE, "/").expect("paths");
        assert_eq!(all.len(), 4, "the root is not below itself: {all:?}");
        assert_eq!(paths(TABLE, "/srv/none"), Some(vec![]));
    }

    #[test]
    fn a_root_that_cannot_be_named_has_unknown_mounts() {
        assert_eq!(paths(TABLE, "(unreachable)/srv"), None);
        assert_eq!(paths(TABLE, ""), None);
    }

    #[test]
    fn odd_lines_are_passed_over() {
        let table: &[u8] = b"\n \n1 2 3\n1 2 3 4\n1 2 3 4 \n1 2 3 4 relative\n1 2 3 4 /e/\n\
            \xff 2 3 4 /e/ok\n1 2 3 4 /e/last";
        let below = paths(table, "/e").expect("paths");
        assert_eq!(below, ["last", "ok"]);
    }

    #[test]
    fn escapes_are_the_kernels() {
        let cases: [(&[u8], &[u8]); 7] = [
            (b"a\\040b\\011c\\012d\\134e", b"a b\tc\nd\\e"),
            (b"\\134040", b"\\040"),
            (b"\\377", b"\xff"),
            (b"\\400\\08a", b"\\400\\08a"),
            (b"\\04", b"\\04"),
            (b"\\", b"\\"),
            (b"", b""),
        ];
        for (field, plain) in cases {
            assert_eq!(unescape(field), plain, "{field:?}");
        }
    }

    #[test]
    fn suspects_are_what_may_be_elsewhere() {
        let dir = FileId { dev: 1, ino: 2 };
        let names = HashSet::from([Box::from(&b"point"[..])]);
        let known = Arc::new(Some(HashMap::from([(dir, names)])));
        let ask = |points: &Arc<Points>, dir, layout| {
            let suspects = Suspects {
                points: Arc::clone(points),
                dir,
                layout,
            };
            let (file, folder) = (FileType::RegularFile, FileType::Directory);
            [(&b"point"[..], file), (b"file", file), (b"dir", folder)]
                .map(|(name, file_type)| suspects.include(name, file_type))
        };
        let other = FileId { dev: 1, ino: 3 };
        assert_eq!(ask(&known, dir, Layout::OneDevice), [true, false, false]);
        assert_eq!(ask(&known, other, Layout::OneDevice), [false; 3]);
        assert_eq!(ask(&known, dir, Layout::Directories), [true, false, true]);
        assert_eq!(ask(&known, other, Layout::Unproven), [true; 3]);
        let unknown = Arc::new(None);
        assert_eq!(ask(&unknown, dir, Layout::OneDevice), [false, false, true]);
    }
}
