//! The names that belong to the server under `mapped-file`, and to nobody else.

use ninefold::Errno;
use ninefold_wire::flags::unlink::REMOVEDIR;

use super::{by_file, by_xattr, create};
use crate::verbs::RDWR;

const HIDDEN: [&str; 2] = [".virtfs_metadata", ".virtfs_metadata_root"];

#[test]
fn hidden_names_are_refused_everywhere() {
    let share = by_file();
    let mut client = share.client();
    client.mkdir(0, "dir", 0o755).expect("a directory");
    create(&mut client, "file", (0, 0), 0o600);
    create(&mut client, "dir/file", (0, 0), 0o600);
    share.write(".virtfs_metadata_root", "virtfs.mode=16877\n");
    share.write("dir/.virtfs_metadata_root", "");
    client.find(1, "dir");
    client.find(2, "file");
    for dfid in [0, 1] {
        for hidden in HIDDEN {
            let refused = Err(Errno::INVAL);
            assert_eq!(client.walk(dfid, 9, &[hidden]).map(drop), refused);
            assert_eq!(client.walk(dfid, 9, &[hidden, "file"]).map(drop), refused);
            assert_eq!(client.mkdir(dfid, hidden, 0o755).map(drop), refused);
            for mode in [0o010_600, 0o100_600] {
                let made = client.mknod(dfid, hidden, mode, (0, 0));
                assert_eq!(made.map(drop), refused);
            }
            assert_eq!(client.symlink(dfid, hidden, b"x").map(drop), refused);
            assert_eq!(client.link(dfid, 2, hidden), refused);
            assert_eq!(client.rename(2, dfid, hidden), refused);
            assert_eq!(client.renameat((0, "file"), (dfid, hidden)), refused);
            assert_eq!(client.renameat((dfid, hidden), (0, "new")), refused);
            assert_eq!(client.renameat((dfid, hidden), (dfid, hidden)), refused);
            for flags in [0, REMOVEDIR] {
                assert_eq!(client.unlinkat(dfid, hidden, flags), refused);
            }
            client.walk(dfid, 9, &[]).expect("a clone");
            assert_eq!(client.lcreate(9, hidden, RDWR, 0o600).map(drop), refused);
            client.clunk(9).expect("a clunk");
        }
    }
    let names = ["dir", HIDDEN[0], "file"];
    assert_eq!(client.walk(0, 9, &names).expect("a part").len(), 1);
    assert!(client.is_unknown(9));
    assert!(share.exists(".virtfs_metadata/file"), "all is as it was");
}

#[test]
fn hidden_names_are_not_listed() {
    let share = by_file();
    let mut client = share.client();
    client.mkdir(0, "dir", 0o755).expect("a directory");
    create(&mut client, "dir/file", (0, 0), 0o600);
    share.write("dir/.virtfs_metadata_root", "");
    share.write(".virtfs_metadata_root", "");
    for (path, wanted) in [("", &[".", "..", "dir"][..]), ("dir", &[".", "..", "file"])] {
        client.walk(0, 1, &[]).expect("a clone");
        if !path.is_empty() {
            client.walk(1, 1, &[path]).expect("a directory");
        }
        client.lopen(1, 0).expect("an open");
        let mut names = Vec::new();
        let mut offset = 0;
        loop {
            // Room for one entry: what is hidden must not end the list.
            let entries = client.readdir(1, offset, 60).expect("entries");
            let Some(last) = entries.last() else {
                break;
            };
            offset = last.offset;
            names.extend(entries.into_iter().map(|entry| entry.name));
        }
        names.sort_unstable();
        assert_eq!(names, wanted);
        client.clunk(1).expect("a clunk");
    }
}

#[test]
fn other_names_are_the_clients() {
    let share = by_file();
    let mut client = share.client();
    for name in [
        ".virtfs_metadata ",
        ".virtfs_metadata_roo",
        "virtfs_metadata",
        ".virtfs_metadata.x",
    ] {
        create(&mut client, name, (1, 2), 0o600);
        client.find(1, name);
        client.unlinkat(0, name, 0).expect(name);
        client.clunk(1).expect("a clunk");
    }
    // A file system that folds cases would find the hidden directory by these.
    for name in [".VIRTFS_METADATA", ".Virtfs_Metadata_Root"] {
        assert_eq!(client.walk(0, 1, &[name]), Err(Errno::INVAL), "{name}");
        assert_eq!(client.mkdir(0, name, 0o755), Err(Errno::INVAL), "{name}");
    }
    let share = by_xattr();
    let mut client = share.client();
    for name in HIDDEN {
        create(&mut client, name, (1, 2), 0o600);
        client.unlinkat(0, name, 0).expect("an ordinary name");
    }
}

#[test]
fn what_is_hidden_does_not_end_a_list() {
    let share = by_file();
    let mut client = share.client();
    // Names so long that the kernel's smallest portion may hold nothing but a hidden one.
    for number in 0..40 {
        share.write(&format!("{number:0>255}"), "");
    }
    share.mkdir(".virtfs_metadata");
    share.write(".virtfs_metadata_root", "");
    client.walk(0, 1, &[]).expect("a clone");
    client.lopen(1, 0).expect("an open");
    let (mut count, mut offset) = (0, 0);
    loop {
        let entries = client.readdir(1, offset, 24 + 255).expect("entries");
        let Some(last) = entries.last() else {
            break;
        };
        offset = last.offset;
        count += entries.len();
    }
    assert_eq!(count, 42);
}
