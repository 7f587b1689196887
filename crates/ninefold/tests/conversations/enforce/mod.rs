//! Permissions checked by the host: every request has the rights of the user who attached.

mod rights;
mod users;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use ninefold::{Enforce, Errno, ExportOptions, SecurityModel, Squash, Squashed};
use ninefold_wire::flags::setattr;
use ninefold_wire::{NOFID, Request, SetAttr};

use crate::client::Client;
use crate::share::{Share, is_root};
use crate::verbs::{Result, name};

/// Users that no host has: their group is nobody's.
const ANN: u32 = 3_000_000_001;
const BOB: u32 = 3_000_000_002;
const NOBODY: u32 = 65534;

fn options(model: SecurityModel, who: Squashed) -> ExportOptions {
    let squash = Squash {
        who,
        ..Squash::default()
    };
    ExportOptions {
        enforce: Enforce::Server(squash),
        ..ExportOptions::new(model)
    }
}

fn put(path: &Path, mode: u32, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).expect("only root can give files away");
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).expect("a mode");
}

fn file(root: &Path, name: &str, mode: u32, uid: u32, gid: u32) {
    fs::write(root.join(name), "content").expect("a file");
    put(&root.join(name), mode, uid, gid);
}

fn dir(root: &Path, name: &str, mode: u32, uid: u32, gid: u32) {
    fs::create_dir(root.join(name)).expect("a directory");
    put(&root.join(name), mode, uid, gid);
}

/// A folder that everybody may search, with something of Ann's in it.
fn fill(root: &Path) {
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("a mode");
    file(root, "private", 0o600, ANN, 0);
    file(root, "shown", 0o644, ANN, 0);
    file(root, "open", 0o666, ANN, 0);
    dir(root, "closed", 0o700, ANN, 0);
    file(root, "closed/inner", 0o666, BOB, 0);
    dir(root, "listed", 0o744, ANN, 0);
    dir(root, "shared", 0o1777, 0, 0);
    file(root, "shared/hers", 0o666, ANN, 0);
    file(root, "roots", 0o600, 0, 0);
}

/// The tests' folder, passed through; none when this process may not act for others.
fn share(who: Squashed) -> Option<Share> {
    if !is_root() {
        eprintln!("not proven: only root can act for others");
        return None;
    }
    let options = options(SecurityModel::Passthrough, who);
    Some(Share::with_options(&options, fill))
}

/// Ann is fid 1, Bob is fid 2, root is fid 3.
fn users(share: &Share) -> Client {
    let mut client = share.client();
    for (fid, uid) in [(1, ANN), (2, BOB), (3, 0)] {
        client.attach_as(fid, NOFID, uid).expect("a root");
    }
    client
}

/// Opens what is at `path` as the user of `fid`.
fn open(client: &mut Client, fid: u32, path: &str, flags: u32) -> Result<()> {
    let names: Vec<_> = path.split('/').collect();
    let found = client.walk(fid, 90, &names)?;
    if found.len() < names.len() {
        return Err(Errno::ACCESS);
    }
    let opened = client.lopen(90, flags);
    client.clunk(90).expect("a clunk");
    opened.map(drop)
}

/// Walks and changes attributes as the user of `fid`.
fn set(client: &mut Client, fid: u32, path: &str, attr: SetAttr) -> Result<()> {
    client.walk(fid, 91, &[path]).expect("a file");
    let done = client.setattr(91, attr);
    client.clunk(91).expect("a clunk");
    done
}

fn mode(mode: u32) -> SetAttr {
    SetAttr {
        valid: setattr::MODE,
        mode,
        ..SetAttr::default()
    }
}

fn owner(uid: u32) -> SetAttr {
    SetAttr {
        valid: setattr::UID,
        uid,
        ..SetAttr::default()
    }
}

fn mkdir(client: &mut Client, fid: u32, new: &str, gid: u32) -> Result<()> {
    let request = Request::Mkdir {
        dfid: fid,
        name: name(new),
        mode: 0o755,
        gid,
    };
    client.call(&request, |_| Some(()))
}
