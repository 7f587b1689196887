//! Twalk: where it leads, how far, and what becomes of the fids.

use std::fs;

use ninefold::Errno;
use ninefold_wire::flags::qid;

use crate::share::{Share, one_of_each};
use crate::verbs::{RDONLY, RDWR};
use ninefold::SecurityModel;

#[test]
fn no_names_clone() {
    let share = Share::new();
    share.write("file", "content");
    let mut client = share.client();
    client.find(1, "file");
    assert_eq!(client.walk(1, 2, &[]), Ok(vec![]));
    client.clunk(1).expect("a clunk");
    client.lopen(2, RDONLY).expect("an open");
    assert_eq!(client.read(2, 0, 99).as_deref(), Ok(&b"content"[..]));
    // Linux clones open fids too.
    assert_eq!(client.walk(2, 3, &[]), Ok(vec![]));
    client.lopen(3, RDWR).expect("an open");
}

#[test]
fn sixteen_names_and_in_place() {
    let share = Share::new();
    let names: Vec<String> = (0..21).map(|level| format!("d{level}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    share.mkdir(&names.join("/"));
    let mut client = share.client();
    let qids = client.walk(0, 1, &names[..16]).expect("16 names");
    assert_eq!(qids.len(), 16);
    assert!(qids.iter().all(|found| found.kind == qid::DIR));
    let more = client.walk(1, 1, &names[16..]).expect("5 names in place");
    assert_eq!(more.len(), 5);
    let bottom = client.getattr(1, 0).expect("attributes").qid;
    assert_eq!(bottom.path, more[4].path);
    let up = client.walk(1, 2, &[".."; 16]).expect("16 times up");
    assert_eq!(up[15].path, qids[4].path);
}

#[test]
fn a_walk_that_fails_leaves_no_fid() {
    let share = Share::new();
    share.mkdir("a/b");
    share.write("a/file", "");
    let mut client = share.client();
    assert_eq!(client.walk(0, 1, &["none"]), Err(Errno::NOENT));
    assert!(client.is_unknown(1));
    let partial = client.walk(0, 1, &["a", "b", "none", "x"]).expect("partly");
    assert_eq!(partial.len(), 2);
    assert!(client.is_unknown(1));
    let partial = client.walk(0, 1, &["a", "file", "x"]).expect("partly");
    assert_eq!(partial.len(), 2);
    assert!(client.is_unknown(1));
}

#[test]
fn in_place_a_short_walk_changes_nothing() {
    let share = Share::new();
    share.mkdir("a/b");
    let mut client = share.client();
    let a = client.find(1, "a");
    assert_eq!(client.walk(1, 1, &["none"]), Err(Errno::NOENT));
    assert_eq!(
        client.walk(1, 1, &["b", "none"]).map(|qids| qids.len()),
        Ok(1)
    );
    assert_eq!(client.getattr(1, 0).expect("still a").qid.path, a.path);
    client.walk(1, 1, &["b"]).expect("now b");
    assert_ne!(client.getattr(1, 0).expect("b").qid.path, a.path);
}

#[test]
fn newfid_must_be_free() {
    let share = Share::new();
    share.write("file", "");
    let mut client = share.client();
    client.find(1, "file");
    assert_eq!(client.walk(0, 1, &[]), Err(Errno::INVAL), "in use");
    assert_eq!(client.walk(0, u32::MAX, &[]), Err(Errno::BADF), "NOFID");
    assert_eq!(client.walk(7, 8, &[]), Err(Errno::BADF), "unknown");
    client.lopen(1, RDONLY).expect("an open");
    assert_eq!(
        client.walk(1, 1, &[]),
        Err(Errno::INVAL),
        "an open fid in place"
    );
    assert!(client.read(1, 0, 1).is_ok(), "which is still open");
}

#[test]
fn only_directories_lead_on() {
    let share = Share::with(SecurityModel::None, false, one_of_each);
    let mut client = share.client();
    for (fid, name) in (1..).zip(["file", "link", "fifo", "sock"]) {
        let found = client.find(fid, name);
        let symlink = name == "link";
        assert_eq!(found.kind, if symlink { qid::SYMLINK } else { qid::FILE });
        for step in ["inner", "..", "."] {
            assert_eq!(client.walk(fid, 99, &[step]), Err(Errno::NOTDIR), "{name}");
        }
    }
}

#[test]
fn links_are_not_followed() {
    let share = Share::new();
    fs::create_dir(share.outside("secret")).expect("a directory");
    fs::write(share.outside("secret/file"), "").expect("a file");
    share.mkdir("dir/sub");
    for (name, target) in [
        ("up", ".."),
        ("out", "../secret"),
        ("absolute", "/"),
        ("inside", "dir"),
        ("magic", "/proc/self/root"),
    ] {
        share.symlink(target, name);
        let mut client = share.client();
        assert_eq!(client.find(1, name).kind, qid::SYMLINK);
        for below in ["file", "sub", "..", "etc"] {
            assert_eq!(
                client.walk(0, 2, &[name, below]).map(|qids| qids.len()),
                Ok(1)
            );
            assert!(client.is_unknown(2), "{name}/{below}");
        }
    }
}

#[test]
fn the_root_is_its_own_parent() {
    let share = Share::new();
    share.mkdir("dir");
    let mut client = share.client();
    let root = client.getattr(0, 0).expect("the root").qid.path;
    client.find(1, "dir");
    for from in [0, 1] {
        let up = client.walk(from, 2, &[".."; 16]).expect("a walk");
        assert_eq!(up.len(), 16);
        assert!(up.iter().all(|found| found.path == root));
        assert_eq!(client.getattr(2, 0).expect("the root").qid.path, root);
        client.clunk(2).expect("a clunk");
    }
    assert_eq!(
        client
            .walk(0, 3, &["dir", "..", ".", "dir", ".."])
            .map(|qids| qids.len()),
        Ok(5)
    );
}

#[test]
fn a_directory_moved_out_ends_at_its_own_wall() {
    let share = Share::new();
    fs::create_dir(share.outside("secret")).expect("a directory");
    share.mkdir("dir/sub");
    let mut client = share.client();
    let dir = client.find(1, "dir").path;
    let sub = client.find(2, "dir/sub").path;
    fs::rename(share.path("dir"), share.outside("secret/moved")).expect("a move");
    let up = client.walk(1, 3, &[".."; 16]).expect("a walk");
    assert!(
        up.iter().all(|found| found.path == dir),
        "stays where it is"
    );
    let up = client.walk(2, 4, &["..", "..", ".."]).expect("a walk");
    assert!(up.iter().all(|found| [dir, sub].contains(&found.path)));
    // And when it comes back, the way is open again.
    fs::rename(share.outside("secret/moved"), share.path("dir")).expect("a move");
    let root = client.getattr(0, 0).expect("the root").qid.path;
    let up = client.walk(2, 5, &["..", ".."]).expect("a walk");
    assert_eq!(up[1].path, root);
}

#[test]
fn names_are_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let share = Share::new();
    let odd = OsStr::from_bytes(b"\xff\xfe\n\\");
    fs::write(share.path("").join(odd), "odd").expect("a file");
    let mut client = share.client();
    let body = [
        &0u32.to_le_bytes()[..],
        &1u32.to_le_bytes(),
        &[1, 0, 4, 0],
        odd.as_bytes(),
    ]
    .concat();
    assert_eq!(client.call_raw(110, &body), Ok(()));
    client.lopen(1, RDONLY).expect("an open");
    assert_eq!(client.read(1, 0, 9).as_deref(), Ok(&b"odd"[..]));
    let longest = "n".repeat(255);
    client.mkdir(0, &longest, 0o755).expect("255 bytes");
    client.find(2, &longest);
}
