//! The models that keep owners, modes and types apart from the host: what is on the disk, byte for
//! byte as QEMU has it, and what a client sees of it. Source of the format: QEMU's `9p-local.c` as
//! measured.

mod at_rest;
mod file_format;
mod life;
mod nameless;
mod names;
mod placeholders;
mod shared;
mod stray;
mod xattr_format;
mod xattr_names;

use std::fs;

use ninefold::{ExportOptions, SecurityModel};
use ninefold_wire::flags::setattr;
use ninefold_wire::{Attr, NOFID, Reply, Request, SetAttr};
use rustix::fs::lgetxattr;

use crate::client::Client;
use crate::share::Share;
use crate::verbs::{Result, name};

pub const BOTH: [SecurityModel; 2] = [SecurityModel::MappedXattr, SecurityModel::MappedFile];

/// User, group and mode that a client sees.
pub type Shown = (u32, u32, u32);

/// Runs a test on an empty folder of either model.
pub fn of_both(test: impl Fn(&Share)) {
    for model in BOTH {
        eprintln!("{model:?}");
        test(&Share::with_options(&ExportOptions::new(model), |_| {}));
    }
}

pub fn by_xattr() -> Share {
    Share::with_options(&ExportOptions::new(SecurityModel::MappedXattr), |_| {})
}

pub fn by_file() -> Share {
    Share::with_options(&ExportOptions::new(SecurityModel::MappedFile), |_| {})
}

/// The bytes of the host's extended attribute.
pub fn xattr(share: &Share, path: &str, attribute: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65536];
    let len = lgetxattr(share.path(path), attribute, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}

/// What is kept of an object: user, group, mode, device.
pub fn kept(share: &Share, path: &str) -> [Option<Vec<u8>>; 4] {
    ["uid", "gid", "mode", "rdev"].map(|word| xattr(share, path, &format!("user.virtfs.{word}")))
}

/// Where the metadata of an entry lies, below the folder.
pub fn beside(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((dir, entry)) => format!("{dir}/.virtfs_metadata/{entry}"),
        None => format!(".virtfs_metadata/{path}"),
    }
}

/// The text of an entry's metadata file.
pub fn text(share: &Share, path: &str) -> Option<String> {
    fs::read_to_string(share.path(&beside(path))).ok()
}

/// Puts the text of a metadata file where it belongs.
pub fn plant(share: &Share, path: &str, text: impl AsRef<[u8]>) {
    let at = share.path(&beside(path));
    fs::create_dir_all(at.parent().expect("a directory")).expect("the hidden directory");
    fs::write(at, text).expect("a metadata file");
}

pub fn chmod(client: &mut Client, fid: u32, mode: u32) -> Result<()> {
    let attr = SetAttr {
        valid: setattr::MODE,
        mode,
        ..SetAttr::default()
    };
    client.setattr(fid, attr)
}

pub fn chown(client: &mut Client, fid: u32, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let bit = |bit, given: bool| if given { bit } else { 0 };
    let attr = SetAttr {
        valid: bit(setattr::UID, uid.is_some()) | bit(setattr::GID, gid.is_some()),
        uid: uid.unwrap_or(0),
        gid: gid.unwrap_or(0),
        ..SetAttr::default()
    };
    client.setattr(fid, attr)
}

pub fn attr(client: &mut Client, fid: u32) -> Attr {
    client.getattr(fid, 0x7ff).expect("attributes")
}

/// User, group and mode of what lies at a path, found anew.
pub fn shown(client: &mut Client, path: &str) -> Shown {
    client.find(900, path);
    let attr = attr(client, 900);
    client.clunk(900).expect("a clunk");
    (attr.uid, attr.gid, attr.mode)
}

/// Makes a file below the root as `uid` and leaves it closed.
pub fn create(client: &mut Client, path: &str, (uid, gid): (u32, u32), mode: u32) {
    let (dir, new) = path.rsplit_once('/').unwrap_or(("", path));
    client.attach_as(901, NOFID, uid).expect("a root");
    if !dir.is_empty() {
        let names: Vec<_> = dir.split('/').collect();
        client.walk(901, 901, &names).expect("the directory");
    }
    let request = Request::Lcreate {
        fid: 901,
        name: name(new),
        flags: 2,
        mode,
        gid,
    };
    let made = |reply: Reply<'_>| matches!(reply, Reply::Lcreate { .. }).then_some(());
    client.call(&request, made).expect("a file");
    client.clunk(901).expect("a clunk");
}

/// Makes one of each in the root as user 1000, of group 1001: `dir`, `link`, `null`, `fifo`.
pub fn make_kinds(client: &mut Client) {
    client.attach_as(901, NOFID, 1000).expect("a root");
    let (dfid, gid) = (901, 1001);
    let done = |_: Reply<'_>| Some(());
    let mkdir = Request::Mkdir {
        dfid,
        name: name("dir"),
        mode: 0o755,
        gid,
    };
    client.call(&mkdir, done).expect("a directory");
    let symlink = Request::Symlink {
        dfid,
        name: name("link"),
        target: b"dir/target",
        gid,
    };
    client.call(&symlink, done).expect("a link");
    for (new, mode, (major, minor)) in [("null", 0o020_666, (5, 1)), ("fifo", 0o010_644, (0, 0))] {
        let mknod = Request::Mknod {
            dfid,
            name: name(new),
            mode,
            major,
            minor,
            gid,
        };
        client.call(&mknod, done).expect(new);
    }
    client.clunk(901).expect("a clunk");
}
