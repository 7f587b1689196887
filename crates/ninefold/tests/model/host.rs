//! What somebody on the host does to the folder meanwhile, and what lies there in the end.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use ninefold::Errno;

use crate::content::{cut, overwrite};
use crate::op::HostOp;
use crate::reference::{Reference, Rules};
use crate::tree::{Attributes, Id, Kind, Object};

const HIDDEN: &str = ".virtfs_metadata";

type Done = Result<(), Errno>;

impl Reference {
    /// Makes the change in the reference. False when it makes no sense now.
    pub fn host(&mut self, op: &HostOp) -> bool {
        let done = match op {
            HostOp::Create {
                path,
                content,
                mode,
            } => self.host_make(path, Kind::File(content.clone()), *mode),
            HostOp::Mkdir { path, mode } => {
                self.host_make(path, Kind::Dir(Default::default()), *mode)
            }
            HostOp::Symlink { path, target } => {
                self.host_make(path, Kind::Symlink((*target).into()), 0o777)
            }
            HostOp::Link { from, to } => self.host_link(from, to),
            HostOp::Rename { from, to } => self.host_rename(from, to),
            HostOp::Remove { path } => self.host_remove(path),
            HostOp::Write { path, offset, data } => {
                let file = self.host_file(path);
                file.map(|file| overwrite(file, *offset, data))
            }
            HostOp::Truncate { path, size } => self.host_file(path).map(|file| cut(file, *size)),
            HostOp::Chmod { path, mode } => self.host_chmod(path, *mode),
        };
        done.is_ok()
    }

    fn host_make(&mut self, path: &str, kind: Kind, mode: u32) -> Done {
        let (dir, name, _) = self.tree.resolve(path)?;
        self.rules.check_name(name)?;
        self.tree.check_free(dir, name)?;
        let own = Attributes {
            uid: Some(self.rules.uid),
            gid: Some(self.rules.gid),
            mode: Some(mode),
        };
        let mut object = Object::new(kind, own);
        object.hosts = true;
        self.tree.add(dir, name, object);
        Ok(())
    }

    fn host_found(&self, path: &str) -> Result<Id, Errno> {
        self.tree.resolve(path)?.2.ok_or(Errno::NOENT)
    }

    fn host_file(&mut self, path: &str) -> Result<&mut Object, Errno> {
        let id = self.host_found(path)?;
        let object = self.tree.object_mut(id);
        match object.kind {
            Kind::File(_) => Ok(object),
            _ => Err(Errno::INVAL),
        }
    }

    fn host_link(&mut self, from: &str, to: &str) -> Done {
        let id = self.host_found(from)?;
        let (dir, name, _) = self.tree.resolve(to)?;
        self.tree.link(id, dir, name)
    }

    fn host_rename(&mut self, from: &str, to: &str) -> Done {
        let (old, old_name, _) = self.tree.resolve(from)?;
        let (new, new_name, target) = self.tree.resolve(to)?;
        if (self.rules.by_file() || self.rules.few_descriptors) && target.is_some() {
            // The host would have to clear away what is kept of it.
            return Err(Errno::EXIST);
        }
        self.tree.rename((old, old_name), (new, new_name))
    }

    fn host_remove(&mut self, path: &str) -> Done {
        if self.rules.few_descriptors {
            return Err(Errno::PERM);
        }
        let id = self.host_found(path)?;
        let (dir, name, _) = self.tree.resolve(path)?;
        let directory = self.tree.object(id).is_dir();
        self.unlink(dir, name, directory)
    }

    fn host_chmod(&mut self, path: &str, mode: u32) -> Done {
        let id = self.host_found(path)?;
        let mapped = self.rules.is_mapped();
        let object = self.tree.object_mut(id);
        if matches!(object.kind, Kind::Symlink(_)) || (mapped && !object.hosts) {
            return Err(Errno::INVAL);
        }
        object.host.mode = Some(mode);
        Ok(())
    }
}

/// Where the metadata of an entry lies.
fn metadata(path: &Path) -> PathBuf {
    let (dir, name) = (path.parent(), path.file_name());
    let dir = dir.expect("below the folder").join(HIDDEN);
    dir.join(name.expect("a name"))
}

/// Makes the change in the folder.
pub fn run(root: &Path, rules: Rules, op: &HostOp) -> std::io::Result<()> {
    let own = |path: &Path| lchown(path, Some(rules.uid), Some(rules.gid));
    let chmod = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    match op {
        HostOp::Create {
            path,
            content,
            mode,
        } => {
            let path = root.join(path);
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)?;
            file.write_all_at(content, 0)?;
            own(&path)?;
            chmod(&path, *mode)
        }
        HostOp::Mkdir { path, mode } => {
            let path = root.join(path);
            fs::create_dir(&path)?;
            own(&path)?;
            chmod(&path, *mode)
        }
        HostOp::Symlink { path, target } => {
            symlink(target, root.join(path))?;
            own(&root.join(path))
        }
        HostOp::Link { from, to } => fs::hard_link(root.join(from), root.join(to)),
        HostOp::Rename { from, to } => rename(&root.join(from), &root.join(to), rules),
        HostOp::Remove { path } => remove(&root.join(path), rules),
        HostOp::Write { path, offset, data } => {
            let file = OpenOptions::new().write(true).open(root.join(path))?;
            file.write_all_at(data, *offset)
        }
        HostOp::Truncate { path, size } => {
            let file = OpenOptions::new().write(true).open(root.join(path))?;
            file.set_len(*size)
        }
        HostOp::Chmod { path, mode } => chmod(&root.join(path), *mode),
    }
}

/// Under mapped-file, as somebody who knows what lies beside.
fn rename(from: &Path, to: &Path, rules: Rules) -> std::io::Result<()> {
    fs::rename(from, to)?;
    if rules.by_file() && from != to && metadata(from).exists() {
        let to = metadata(to);
        fs::create_dir_all(to.parent().expect("the hidden directory"))?;
        fs::rename(metadata(from), to)?;
    }
    Ok(())
}

fn remove(path: &Path, rules: Rules) -> std::io::Result<()> {
    if !path.symlink_metadata()?.is_dir() {
        fs::remove_file(path)?;
    } else if rules.by_file() {
        // It may hold a hidden directory.
        fs::remove_dir_all(path)?;
    } else {
        fs::remove_dir(path)?;
    }
    if rules.by_file() && metadata(path).exists() {
        fs::remove_file(metadata(path))?;
    }
    Ok(())
}

/// Whether the folder holds what the reference says, and nothing else.
pub fn check(root: &Path, reference: &Reference) -> Result<(), String> {
    let mut names = vec![String::new()];
    for (path, id) in reference.tree.paths() {
        let at = root.join(&path);
        let said = check_object(&at, reference, id);
        said.map_err(|error| format!("on the host, {path}: {error}"))?;
        names.push(path);
    }
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let known = names.contains(&path.display().to_string());
        if !known && !is_metadata(&path, &names, reference.rules) {
            return Err(format!("on the host there is also {}", path.display()));
        }
        if root
            .join(&path)
            .symlink_metadata()
            .is_ok_and(|meta| meta.is_dir())
        {
            let entries = fs::read_dir(root.join(&path)).map_err(|error| error.to_string())?;
            left.extend(entries.flatten().map(|entry| path.join(entry.file_name())));
        }
    }
    Ok(())
}

/// Whether it is a hidden directory or what is kept of something that is there.
fn is_metadata(path: &Path, names: &[String], rules: Rules) -> bool {
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name == HIDDEN);
    let above = path.parent().unwrap_or(Path::new(""));
    let of = || {
        let beside = above.parent().unwrap_or(Path::new(""));
        let path = beside.join(path.file_name().expect("a name"));
        names.contains(&path.display().to_string())
    };
    let root = path == Path::new(".virtfs_metadata_root");
    rules.by_file() && (root || is_hidden(path) || (is_hidden(above) && of()))
}

fn check_object(path: &Path, reference: &Reference, id: Id) -> Result<(), String> {
    let object = reference.tree.object(id);
    let meta = path.symlink_metadata().map_err(|error| error.to_string())?;
    let mapped = reference.rules.is_mapped();
    let wanted = match (&object.kind, mapped) {
        (Kind::Dir(_), true) => libc::S_IFDIR,
        (_, true) => libc::S_IFREG,
        _ => object.type_bits(),
    };
    let came = meta.mode() & libc::S_IFMT;
    if came != wanted {
        return Err(format!("expected type {wanted:o}, came {came:o}"));
    }
    let content = match &object.kind {
        Kind::File(content) => Some(content),
        Kind::Symlink(target) if mapped => Some(target),
        _ => None,
    };
    if let Some(content) = content {
        let came = fs::read(path).map_err(|error| error.to_string())?;
        if came != *content {
            return Err(format!("expected {content:?}, came {came:?}"));
        }
    }
    if object.hazy {
        return Ok(());
    }
    let (wanted, came) = if mapped {
        let mode = object.kept.mode.map(|mode| mode | object.type_bits());
        let wanted = Attributes {
            mode,
            ..object.kept
        };
        (wanted, kept(path, reference.rules))
    } else {
        let came = Attributes {
            uid: Some(meta.uid()),
            gid: Some(meta.gid()),
            mode: Some(meta.mode() & 0o7777),
        };
        (object.host, came)
    };
    if came == wanted {
        Ok(())
    } else {
        Err(format!("expected {wanted:?}, came {came:?}"))
    }
}

/// What a mapped model has written down.
fn kept(path: &Path, rules: Rules) -> Attributes {
    let text = fs::read_to_string(metadata(path)).unwrap_or_default();
    let number = |word: &str| {
        if rules.by_file() {
            let prefix = format!("virtfs.{word}=");
            let line = text.lines().find_map(|line| line.strip_prefix(&prefix))?;
            return line.parse().ok();
        }
        let mut bytes = [0; 4];
        let name = format!("user.virtfs.{word}");
        rustix::fs::lgetxattr(path, name, &mut bytes[..]).ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    Attributes {
        uid: number("uid"),
        gid: number("gid"),
        mode: number("mode"),
    }
}
