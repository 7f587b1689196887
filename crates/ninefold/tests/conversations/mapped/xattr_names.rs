//! Extended attributes of each model: which names there are, and what they are on the host.

use std::os::unix::fs::MetadataExt;

use ninefold::{Errno, ExportOptions, SecurityModel};
use ninefold_wire::flags::xattr::REPLACE;
use rustix::fs::{XattrFlags, setxattr};
use rustix::thread::{self, CapabilitySet};

use super::{by_file, by_xattr, kept, make_kinds, xattr};
use crate::client::Client;
use crate::share::Share;
use crate::verbs::Result;

/// An ACL as Linux sends it: owner rwx, user 7 r--, group r-x, mask r-x, others ---.
const ACL: [u8; 44] = [
    2, 0, 0, 0, // version
    1, 0, 7, 0, 255, 255, 255, 255, //
    2, 0, 4, 0, 7, 0, 0, 0, //
    4, 0, 5, 0, 255, 255, 255, 255, //
    16, 0, 5, 0, 255, 255, 255, 255, //
    32, 0, 0, 0, 255, 255, 255, 255,
];

/// Sets a value through a clone of fid 1.
fn set(client: &mut Client, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
    client.walk(1, 50, &[]).expect("a clone");
    let created = client.xattrcreate(50, name, value.len() as u64, flags);
    if created.is_ok() && !value.is_empty() {
        client.write(50, 0, value).expect("a value");
    }
    let clunked = client.clunk(50);
    created.and(clunked)
}

fn get(client: &mut Client, name: &[u8]) -> Result<Vec<u8>> {
    client.xattrwalk(1, 51, name)?;
    let value = client.read(51, 0, 65536).expect("the value");
    client.clunk(51).expect("a clunk");
    Ok(value)
}

fn list(client: &mut Client) -> Vec<String> {
    let list = get(client, b"").expect("the list");
    assert!(list.is_empty() || list.ends_with(b"\0"));
    let text = String::from_utf8(list).expect("names of the test");
    let mut names: Vec<_> = text.split_terminator('\0').map(str::to_owned).collect();
    names.sort_unstable();
    names
}

fn client_of(share: &Share) -> Client {
    share.write("file", "");
    let mut client = share.client();
    client.find(1, "file");
    client
}

#[test]
fn what_is_kept_cannot_be_forged() {
    let share = by_xattr();
    let mut client = client_of(&share);
    super::chmod(&mut client, 1, 0o4711).expect("a mode");
    let before = kept(&share, "file");
    for name in [
        &b"user.virtfs.uid"[..],
        b"user.virtfs.mode",
        b"user.virtfs.x",
        b"user.virtfs.",
        b"user.virtfs.system.posix_acl_access",
        b"user.virtfs.security.capability",
    ] {
        assert_eq!(get(&mut client, name), Err(Errno::NODATA));
        assert_eq!(set(&mut client, name, b"\0\0\0\0", 0), Err(Errno::ACCESS));
        assert_eq!(set(&mut client, name, b"", 0), Err(Errno::ACCESS));
        assert_eq!(set(&mut client, name, b"", REPLACE), Err(Errno::ACCESS));
    }
    assert_eq!(kept(&share, "file"), before);
    assert!(list(&mut client).is_empty());
    // The dot counts: these are the client's own.
    for name in [&b"user.virtfs"[..], b"user.virtfsx", b"user.other"] {
        set(&mut client, name, b"v", 0).expect("a value");
    }
    assert_eq!(
        list(&mut client),
        ["user.other", "user.virtfs", "user.virtfsx"]
    );
}

#[test]
fn all_name_spaces_have_a_place() {
    let share = by_xattr();
    let mut client = client_of(&share);
    for name in [
        "security.capability",
        "security.selinux",
        "trusted.overlay.opaque",
        "system.posix_acl_access",
        "user.own",
    ] {
        assert_eq!(get(&mut client, name.as_bytes()), Err(Errno::NODATA));
        set(&mut client, name.as_bytes(), b"value", 0).expect(name);
        assert_eq!(
            get(&mut client, name.as_bytes()).as_deref(),
            Ok(&b"value"[..])
        );
        let host = match name {
            "user.own" => name.to_owned(),
            _ => format!("user.virtfs.{name}"),
        };
        assert_eq!(xattr(&share, "file", &host).as_deref(), Some(&b"value"[..]));
    }
    assert_eq!(list(&mut client).len(), 5);
    assert!(list(&mut client).contains(&"security.capability".to_owned()));
    for name in ["security.capability", "trusted.overlay.opaque", "user.own"] {
        set(&mut client, name.as_bytes(), b"", REPLACE).expect("a removal");
        assert_eq!(get(&mut client, name.as_bytes()), Err(Errno::NODATA));
    }
    assert_eq!(list(&mut client).len(), 2);
    for name in [
        &b"security"[..],
        b"security.",
        b"trusted.",
        b"system.posix_acl_x",
        b"user",
        b"os2.x",
        b"\xff",
    ] {
        assert_eq!(get(&mut client, name), Err(Errno::OPNOTSUPP), "{name:?}");
        assert_eq!(set(&mut client, name, b"v", 0), Err(Errno::OPNOTSUPP));
    }
    // On what stands for a link, too.
    make_kinds(&mut client);
    client.clunk(1).expect("a clunk");
    client.find(1, "link");
    set(&mut client, b"security.selinux", b"label", 0).expect("a label");
    assert_eq!(list(&mut client), ["security.selinux"]);
}

#[test]
fn acls_of_mapped_xattr() {
    let share = by_xattr();
    let mut client = client_of(&share);
    let (access, default) = (b"system.posix_acl_access", b"system.posix_acl_default");
    let host = share.mode("file");
    set(&mut client, access, &ACL, 0).expect("an ACL");
    set(&mut client, default, &ACL, 0).expect("kept even of a file");
    let kept = xattr(&share, "file", "user.virtfs.system.posix_acl_access");
    assert_eq!(kept.as_deref(), Some(&ACL[..]));
    assert_eq!(get(&mut client, access).as_deref(), Ok(&ACL[..]));
    assert_eq!(share.mode("file"), host, "the host's mode is its own");
    assert_eq!(
        list(&mut client),
        ["system.posix_acl_access", "system.posix_acl_default"]
    );
    for name in [&access[..], default] {
        for flags in [0, REPLACE, 0] {
            set(&mut client, name, b"", flags).expect("removed, though there is none");
            assert_eq!(get(&mut client, name), Err(Errno::NODATA));
        }
    }
    // The host's own ACL is neither listed nor read.
    let own = setxattr(
        share.path("file"),
        "system.posix_acl_access",
        &ACL,
        XattrFlags::empty(),
    );
    if own.is_err() {
        eprintln!("not proven: the host has no ACLs here");
    }
    assert!(list(&mut client).is_empty());
    assert_eq!(get(&mut client, access), Err(Errno::NODATA));
}

#[test]
fn mapped_file_has_the_hosts() {
    let share = by_file();
    let mut client = client_of(&share);
    for name in ["user.own", "user.virtfs.uid"] {
        set(&mut client, name.as_bytes(), b"value", 0).expect(name);
        assert_eq!(xattr(&share, "file", name).as_deref(), Some(&b"value"[..]));
    }
    assert_eq!(list(&mut client), ["user.own", "user.virtfs.uid"]);
    for name in [
        &b"security.capability"[..],
        b"trusted.x",
        b"user",
        b"system.x",
    ] {
        assert_eq!(get(&mut client, name), Err(Errno::OPNOTSUPP));
        assert_eq!(set(&mut client, name, b"v", 0), Err(Errno::OPNOTSUPP));
    }
    let access = b"system.posix_acl_access";
    match set(&mut client, access, &ACL, 0) {
        Ok(()) => {
            let host = xattr(&share, "file", "system.posix_acl_access");
            assert_eq!(host.as_deref(), Some(&ACL[..]));
            assert_eq!(get(&mut client, access).as_deref(), Ok(&ACL[..]));
            set(&mut client, access, b"", 0).expect("a removal");
            set(&mut client, access, b"", REPLACE).expect("of none");
        }
        Err(errno) => {
            assert_eq!(errno, Errno::OPNOTSUPP);
            eprintln!("not proven: the host has no ACLs here");
        }
    }
}

#[test]
fn without_a_mapping_names_are_the_hosts() {
    let share = Share::with_options(&ExportOptions::new(SecurityModel::None), |_| {});
    let mut client = client_of(&share);
    set(&mut client, b"user.virtfs.uid", b"abcd", 0).expect("a value");
    assert_eq!(list(&mut client), ["user.virtfs.uid"]);
    let access = b"system.posix_acl_access";
    assert_eq!(get(&mut client, access), Err(Errno::OPNOTSUPP));
    assert_eq!(set(&mut client, access, &ACL, 0), Err(Errno::OPNOTSUPP));
}

/// The same for nobody at all, as three entries.
const NOBODY: [u8; 28] = [
    2, 0, 0, 0, // version
    1, 0, 0, 0, 255, 255, 255, 255, //
    4, 0, 0, 0, 255, 255, 255, 255, //
    32, 0, 0, 0, 255, 255, 255, 255,
];

/// Has modes and ACLs keep this thread out, as they do a server without privileges.
fn give_up_overriding() {
    let own = None;
    let mut sets = thread::capabilities(own).expect("own capabilities");
    sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    thread::set_capabilities(own, sets).expect("fewer capabilities");
}

#[test]
fn an_inherited_acl_of_mapped_file_does_not_keep_the_server_out() {
    give_up_overriding();
    let share = by_file();
    share.mkdir("dir");
    let mut client = share.client();
    client.find(1, "dir");
    if set(&mut client, b"system.posix_acl_default", &NOBODY, 0).is_err() {
        eprintln!("not proven: the host has no ACLs here");
        return;
    }
    client.mkdir(1, "below", 0o755).expect("a directory");
    client.walk(1, 2, &[]).expect("a clone");
    client.lcreate(2, "file", 2, 0o644).expect("a file");
    for (path, mode) in [
        ("dir/below", 0o700),
        ("dir/file", 0o600),
        ("dir/.virtfs_metadata", 0o700),
        ("dir/.virtfs_metadata/below", 0o600),
        ("dir/.virtfs_metadata/file", 0o600),
    ] {
        let found = std::fs::metadata(share.path(path)).expect(path).mode();
        assert_eq!(found & 0o7700, mode, "{path}: {found:o}");
    }
}
