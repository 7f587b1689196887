//! Txattrwalk and Txattrcreate.

use ninefold::{Errno, ExportOptions, SecurityModel};
use ninefold_wire::flags::xattr::{CREATE, REPLACE};
use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::client::Client;
use crate::share::{Share, is_root, one_of_each};
use crate::verbs::{RDONLY, RDWR, Result};

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

/// The value on the host.
fn host(share: &Share, path: &str, name: &str) -> Result<Vec<u8>> {
    let mut value = vec![0; 65536];
    let len = getxattr(share.path(path), name, &mut value[..])?;
    value.truncate(len);
    Ok(value)
}

fn host_set(share: &Share, path: &str, name: &str, value: &[u8]) -> Result<()> {
    setxattr(share.path(path), name, value, XattrFlags::empty())
}

/// Sets a value through a clone of fid 1, whole.
fn set(client: &mut Client, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
    client.walk(1, 50, &[]).expect("a clone");
    let created = client.xattrcreate(50, name, value.len() as u64, flags);
    if created.is_ok() && !value.is_empty() {
        let written = client.write(50, 0, value).expect("a value");
        assert_eq!(written as usize, value.len());
    }
    let clunked = client.clunk(50);
    assert!(client.is_unknown(50), "gone in any case");
    created.and(clunked)
}

/// Reads a value through fid 1.
fn get(client: &mut Client, name: &[u8]) -> Result<Vec<u8>> {
    let size = client.xattrwalk(1, 51, name)?;
    let value = client.read(51, 0, 65536).expect("the value");
    assert_eq!(value.len() as u64, size);
    client.clunk(51).expect("a clunk");
    Ok(value)
}

#[test]
fn values_come_and_go() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    assert_eq!(get(&mut client, b"user.a"), Err(Errno::NODATA));
    assert!(client.is_unknown(51), "no fid for what is not there");
    set(&mut client, b"user.a", b"value", 0).expect("a value");
    assert_eq!(host(&share, "file", "user.a").as_deref(), Ok(&b"value"[..]));
    assert_eq!(get(&mut client, b"user.a").as_deref(), Ok(&b"value"[..]));
    assert_eq!(set(&mut client, b"user.a", b"x", CREATE), Err(Errno::EXIST));
    assert_eq!(
        set(&mut client, b"user.b", b"x", REPLACE),
        Err(Errno::NODATA)
    );
    set(&mut client, b"user.a", b"other", REPLACE).expect("another value");
    set(&mut client, b"user.b", b"\0\xff", CREATE).expect("a value");
    assert_eq!(
        host(&share, "file", "user.b").as_deref(),
        Ok(&b"\0\xff"[..])
    );
    assert_eq!(get(&mut client, b"user.a").as_deref(), Ok(&b"other"[..]));
}

#[test]
fn an_empty_value_is_no_removal() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    set(&mut client, b"user.a", b"value", 0).expect("a value");
    set(&mut client, b"user.a", b"", 0).expect("an empty value");
    assert_eq!(host(&share, "file", "user.a").as_deref(), Ok(&b""[..]));
    assert_eq!(get(&mut client, b"user.a").as_deref(), Ok(&b""[..]));
    set(&mut client, b"user.b", b"", CREATE).expect("an empty value");
    assert_eq!(set(&mut client, b"user.b", b"", CREATE), Err(Errno::EXIST));
    set(&mut client, b"user.a", b"", REPLACE).expect("a removal");
    assert_eq!(host(&share, "file", "user.a"), Err(Errno::NODATA));
    assert_eq!(
        set(&mut client, b"user.a", b"", REPLACE),
        Err(Errno::NODATA)
    );
}

#[test]
fn reading_is_from_a_copy() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    host_set(&share, "file", "user.a", b"0123456789").expect("a value");
    assert_eq!(client.xattrwalk(1, 2, b"user.a"), Ok(10));
    host_set(&share, "file", "user.a", b"another").expect("a value");
    assert_eq!(client.read(2, 0, 4).as_deref(), Ok(&b"0123"[..]));
    assert_eq!(client.read(2, 8, 4).as_deref(), Ok(&b"89"[..]));
    for offset in [10, 11, (1 << 63) - 1, 1 << 63, u64::MAX] {
        assert_eq!(
            client.read(2, offset, 4).as_deref(),
            Ok(&b""[..]),
            "{offset}"
        );
    }
    assert_eq!(client.read(2, 0, 0).as_deref(), Ok(&b""[..]));
    assert_eq!(client.write(2, 0, b"x"), Err(Errno::BADF));
}

#[test]
fn a_value_may_come_in_parts() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    client.walk(1, 2, &[]).expect("a clone");
    client.xattrcreate(2, b"user.a", 6, 0).expect("a place");
    assert_eq!(client.read(2, 0, 1), Err(Errno::BADF));
    assert_eq!(client.write(2, 0, b"abc"), Ok(3));
    assert_eq!(client.write(2, 2, b"CDE"), Ok(3), "over what was written");
    assert_eq!(client.write(2, 6, b""), Err(Errno::INVAL), "a gap");
    assert_eq!(client.write(2, 5, b"FG"), Err(Errno::NOSPC), "too much");
    assert_eq!(client.write(2, u64::MAX, b"F"), Err(Errno::INVAL));
    assert_eq!(client.write(2, 5, b"F"), Ok(1));
    assert_eq!(
        host(&share, "file", "user.a"),
        Err(Errno::NODATA),
        "not yet"
    );
    client.clunk(2).expect("a clunk");
    assert_eq!(
        host(&share, "file", "user.a").as_deref(),
        Ok(&b"abCDEF"[..])
    );
}

#[test]
fn a_value_cut_short_is_not_set() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    host_set(&share, "file", "user.a", b"old").expect("a value");
    for written in [&b""[..], b"new"] {
        client.walk(1, 2, &[]).expect("a clone");
        client.xattrcreate(2, b"user.a", 4, 0).expect("a place");
        client.write(2, 0, written).expect("a part");
        assert_eq!(client.clunk(2), Err(Errno::INVAL));
        assert!(client.is_unknown(2));
    }
    // Nor is it when the client goes without a clunk.
    client.walk(1, 2, &[]).expect("a clone");
    client.xattrcreate(2, b"user.a", 3, 0).expect("a place");
    client.write(2, 0, b"new").expect("all of it");
    drop(client);
    assert_eq!(host(&share, "file", "user.a").as_deref(), Ok(&b"old"[..]));
}

#[test]
fn the_list_shows_what_the_model_has() {
    let share = share();
    host_set(&share, "file", "user.one", b"1").expect("a value");
    host_set(&share, "file", "user.two", b"2").expect("a value");
    if is_root() {
        host_set(&share, "file", "trusted.host", b"3").expect("a value");
    }
    let mut client = share.client();
    client.find(1, "file");
    let list = get(&mut client, b"").expect("the list");
    let mut names: Vec<_> = list.split(|byte| *byte == 0).collect();
    names.sort_unstable();
    assert_eq!(names, [&b""[..], b"user.one", b"user.two"]);
    for hidden in [
        &b"trusted.host"[..],
        b"security.selinux",
        b"system.posix_acl_access",
        b"x",
    ] {
        assert_eq!(get(&mut client, hidden), Err(Errno::OPNOTSUPP));
        assert_eq!(set(&mut client, hidden, b"x", 0), Err(Errno::OPNOTSUPP));
        assert_eq!(
            set(&mut client, hidden, b"", REPLACE),
            Err(Errno::OPNOTSUPP)
        );
    }
    client.find(2, "dir");
    assert_eq!(client.xattrwalk(2, 3, b""), Ok(0), "nothing to list");
    assert_eq!(client.read(3, 0, 10).as_deref(), Ok(&b""[..]));
}

#[test]
fn passthrough_has_all_name_spaces() {
    if !is_root() {
        eprintln!("not proven: only root has trusted attributes");
        return;
    }
    let share = Share::with(SecurityModel::Passthrough, false, one_of_each);
    let mut client = share.client();
    client.find(1, "file");
    set(&mut client, b"trusted.t", b"1", 0).expect("a value");
    set(&mut client, b"user.u", b"2", 0).expect("a value");
    let list = get(&mut client, b"").expect("the list");
    let has = |name: &[u8]| list.split(|byte| *byte == 0).any(|found| found == name);
    assert!(has(b"trusted.t") && has(b"user.u"), "{list:?}");
    assert_eq!(get(&mut client, b"trusted.t").as_deref(), Ok(&b"1"[..]));
    assert_eq!(get(&mut client, b"other.o"), Err(Errno::OPNOTSUPP));
}

#[test]
fn limits() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    client.walk(1, 2, &[]).expect("a clone");
    for size in [65537, 1 << 32, u64::MAX] {
        assert_eq!(
            client.xattrcreate(2, b"user.a", size, 0),
            Err(Errno::TOOBIG)
        );
    }
    for flags in [4, 8, u32::MAX] {
        assert_eq!(
            client.xattrcreate(2, b"user.a", 1, flags),
            Err(Errno::INVAL)
        );
    }
    client.lopen(2, RDWR).expect("the fid is as it was");
    // The largest value: what becomes of it is the host's decision.
    let largest = vec![b'v'; 65536];
    let wanted = host_set(&share, "dir", "user.large", &largest);
    assert_eq!(set(&mut client, b"user.large", &largest, 0), wanted);
    assert_eq!(
        get(&mut client, b"user.large").map(|value| value == largest),
        wanted.map(|()| true).map_err(|_| Errno::NODATA)
    );
    let longest = [b"user.".as_slice(), &[b'n'; 250]].concat();
    set(&mut client, &longest, b"v", 0).expect("a name of 255 bytes");
    let too_long = [&longest[..], b"n"].concat();
    assert_eq!(set(&mut client, &too_long, b"v", 0), Err(Errno::RANGE));
    assert_eq!(set(&mut client, b"user.a\0b", b"v", 0), Err(Errno::INVAL));
    assert_eq!(get(&mut client, b"user.a\0b"), Err(Errno::INVAL));
}

#[test]
fn there_is_room_for_as_many_as_the_export_says() {
    let share = |max_xattr| {
        let options = ExportOptions {
            max_xattr,
            ..ExportOptions::new(SecurityModel::None)
        };
        let share = Share::with_options(&options, one_of_each);
        host_set(&share, "file", "user.a", b"value").expect("a value");
        share
    };
    let two = share(2);
    let (mut client, mut other) = (two.client(), two.client());
    for client in [&mut client, &mut other] {
        client.find(1, "file");
        assert_eq!(client.xattrwalk(1, 2, b"user.a"), Ok(5));
        client.walk(1, 3, &[]).expect("a clone");
        client.xattrcreate(3, b"user.b", 1, 0).expect("a place");
        assert_eq!(client.xattrwalk(1, 4, b"user.a"), Err(Errno::NOSPC));
        client.walk(1, 5, &[]).expect("a clone");
        let created = client.xattrcreate(5, b"user.b", 1, 0);
        assert_eq!(created, Err(Errno::NOSPC));
    }
    // 0 is no limit.
    let any = share(0);
    let mut client = any.client();
    client.find(1, "file");
    for fid in 100..1200 {
        assert_eq!(client.xattrwalk(1, fid, b"user.a"), Ok(5));
    }
}

#[test]
fn there_is_room_for_1024_at_once() {
    let share = share();
    host_set(&share, "file", "user.a", b"value").expect("a value");
    let mut client = share.client();
    client.find(1, "file");
    for fid in 100..1100 {
        assert_eq!(client.xattrwalk(1, fid, b"user.a"), Ok(5));
    }
    for fid in 1100..1124 {
        client.walk(1, fid, &[]).expect("a clone");
        client.xattrcreate(fid, b"user.b", 1, 0).expect("a place");
    }
    assert_eq!(client.xattrwalk(1, 2, b"user.a"), Err(Errno::NOSPC));
    assert!(client.is_unknown(2));
    client.walk(1, 3, &[]).expect("a clone");
    assert_eq!(client.xattrcreate(3, b"user.b", 1, 0), Err(Errno::NOSPC));
    client.clunk(100).expect("a clunk");
    assert_eq!(client.xattrwalk(1, 2, b"user.a"), Ok(5));
    assert_eq!(client.xattrwalk(1, 4, b"user.none"), Err(Errno::NOSPC));
    client.clunk(2).expect("a clunk");
    // One that fails gives its place back.
    assert_eq!(client.xattrwalk(1, 4, b"user.none"), Err(Errno::NODATA));
    assert_eq!(client.xattrwalk(1, 4, b"user.a"), Ok(5));
}

#[test]
fn fids_are_checked() {
    let share = share();
    host_set(&share, "file", "user.a", b"value").expect("a value");
    let mut client = share.client();
    client.find(1, "file");
    assert_eq!(
        client.xattrwalk(1, 1, b"user.a"),
        Err(Errno::INVAL),
        "itself"
    );
    assert_eq!(
        client.xattrwalk(1, 0, b"user.a"),
        Err(Errno::INVAL),
        "in use"
    );
    assert_eq!(client.xattrwalk(1, u32::MAX, b"user.a"), Err(Errno::BADF));
    assert_eq!(client.xattrwalk(9, 10, b"user.a"), Err(Errno::BADF));
    client.xattrwalk(1, 2, b"user.a").expect("a value");
    client.open(3, "file", RDONLY);
    assert_eq!(
        client.xattrcreate(3, b"user.b", 1, 0),
        Err(Errno::INVAL),
        "open"
    );
    assert_eq!(client.xattrwalk(3, 4, b"user.a"), Ok(5), "of an open file");
    client.walk(1, 5, &[]).expect("a clone");
    client.xattrcreate(5, b"user.b", 1, 0).expect("a place");
    for fid in [2, 5] {
        // Fids of attributes are good for data and a clunk.
        assert_eq!(client.getattr(fid, 0), Err(Errno::BADF));
        assert_eq!(client.walk(fid, 20, &[]), Err(Errno::BADF));
        assert_eq!(client.lopen(fid, RDONLY), Err(Errno::BADF));
        assert_eq!(client.statfs(fid), Err(Errno::BADF));
        assert_eq!(client.fsync(fid, Some(0)), Err(Errno::BADF));
        assert_eq!(client.xattrwalk(fid, 21, b"user.a"), Err(Errno::BADF));
        assert_eq!(client.xattrcreate(fid, b"user.a", 1, 0), Err(Errno::BADF));
        assert_eq!(client.link(0, fid, "x"), Err(Errno::BADF));
        assert_eq!(client.rename(fid, 0, "x"), Err(Errno::BADF));
        assert_eq!(client.readdir(fid, 0, 100), Err(Errno::NOTDIR));
    }
    assert_eq!(client.remove(2), Err(Errno::BADF));
    assert!(client.is_unknown(2), "gone all the same");
    assert!(share.exists("file") && !share.exists("x"));
}

#[test]
fn objects_of_all_kinds() {
    let share = share();
    let mut client = share.client();
    client.find(1, "dir");
    set(&mut client, b"user.a", b"v", 0).expect("of a directory");
    assert_eq!(host(&share, "dir", "user.a").as_deref(), Ok(&b"v"[..]));
    client.clunk(1).expect("a clunk");
    // The host has no user attributes for these; what a link points to is not touched.
    for name in ["link", "fifo", "sock"] {
        client.find(1, name);
        assert_eq!(get(&mut client, b"user.a"), Err(Errno::NODATA), "{name}");
        assert_eq!(
            set(&mut client, b"user.a", b"v", 0),
            Err(Errno::PERM),
            "{name}"
        );
        client.clunk(1).expect("a clunk");
    }
    assert_eq!(host(&share, "file", "user.a"), Err(Errno::NODATA));
}
