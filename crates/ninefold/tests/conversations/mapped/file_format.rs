//! `mapped-file` on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt;

use ninefold::{Errno, ExportOptions, SecurityModel};
use ninefold_wire::NOFID;

use super::{Shown, attr, beside, by_file, chmod, chown, create, make_kinds, plant, shown, text};
use crate::share::Share;

#[test]
fn what_is_written() {
    let share = by_file();
    let mut client = share.client();
    create(&mut client, "file", (1000, 1001), 0o644);
    make_kinds(&mut client);
    create(&mut client, "dir/inner", (1 << 31, u32::MAX - 1), 0o600);
    for (path, rest) in [
        ("file", "mode=33188\n"),
        ("dir", "mode=16877\n"),
        ("link", "mode=41471\n"),
        ("null", "mode=8630\nvirtfs.rdev=1281\n"),
        ("fifo", "mode=4516\nvirtfs.rdev=0\n"),
    ] {
        let wanted = format!("virtfs.uid=1000\nvirtfs.gid=1001\nvirtfs.{rest}");
        assert_eq!(text(&share, path), Some(wanted), "{path}");
        assert_eq!(share.mode(&beside(path)), 0o600);
        let permissions = if path == "dir" { 0o700 } else { 0o600 };
        assert_eq!(share.mode(path), permissions, "{path}");
    }
    assert_eq!(
        text(&share, "dir/inner").as_deref(),
        Some("virtfs.uid=-2147483648\nvirtfs.gid=-2\nvirtfs.mode=33152\n")
    );
    assert_eq!(shown(&mut client, "dir/inner").0, 1 << 31);
    assert_eq!(share.mode(".virtfs_metadata"), 0o700);
    assert_eq!(share.read("link"), b"dir/target");
}

#[test]
fn only_what_is_known_is_written() {
    let share = by_file();
    share.write("file", "");
    let mut client = share.client();
    client.find(1, "file");
    attr(&mut client, 1);
    assert!(!share.exists(".virtfs_metadata"), "reading makes nothing");
    chmod(&mut client, 1, 0o640).expect("a mode");
    assert_eq!(text(&share, "file").as_deref(), Some("virtfs.mode=33184\n"));
    chown(&mut client, 1, None, Some(7)).expect("a group");
    assert_eq!(
        text(&share, "file").as_deref(),
        Some("virtfs.gid=7\nvirtfs.mode=33184\n")
    );
    client.attach_as(2, NOFID, u32::MAX).expect("a root");
    client.lcreate(2, "nobodys", 2, 0o600).expect("a file");
    assert_eq!(
        text(&share, "nobodys").as_deref(),
        Some("virtfs.mode=33152\n")
    );
    // The root's is beside it, because there is nothing above.
    chmod(&mut client, 0, 0o1777).expect("a mode");
    chown(&mut client, 0, Some(1), Some(2)).expect("an owner");
    let root = fs::read_to_string(share.path(".virtfs_metadata_root"));
    assert_eq!(
        root.expect("metadata"),
        "virtfs.uid=1\nvirtfs.gid=2\nvirtfs.mode=17407\n"
    );
}

#[test]
fn it_is_rewritten_in_place() {
    let share = by_file();
    share.write("file", "");
    plant(
        &share,
        "file",
        "# a comment\nvirtfs.uid=1\nvirtfs.gid=2\nvirtfs.mode=33188\nother=3\n",
    );
    let before = share.stat(&beside("file")).ino();
    let mut client = share.client();
    client.find(1, "file");
    chmod(&mut client, 1, 0o4755).expect("a mode");
    let wanted = "virtfs.uid=1\nvirtfs.gid=2\nvirtfs.mode=35309\n";
    assert_eq!(text(&share, "file").as_deref(), Some(wanted));
    assert_eq!(share.stat(&beside("file")).ino(), before);
}

#[test]
fn what_is_read() {
    let share = by_file();
    share.write("file", "");
    let mut client = share.client();
    let host = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
        share.stat("file").mode(),
    );
    let uid = |uid| (uid, host.1, host.2);
    let many = "virtfs.gid=4\n".repeat(4000);
    let long_line = format!("{}virtfs.uid=5", "x".repeat(99));
    let binary: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let cases: [(&[u8], Shown); 16] = [
        (
            b"virtfs.uid=1000\nvirtfs.gid=1001\nvirtfs.mode=33188\n",
            (1000, 1001, 33188),
        ),
        (b"virtfs.mode=33188", (host.0, host.1, 33188)),
        (b"virtfs.uid=-2\n", uid(u32::MAX - 1)),
        (b"virtfs.uid=-1\n", uid(host.0)),
        (b"virtfs.uid=1\r\nvirtfs.gid=2\r\n", (1, 2, host.2)),
        (b"virtfs.uidX7\n", uid(7)),
        (b"virtfs.uid= \t+7 trailing\n", uid(7)),
        (b"virtfs.uid=0100644\n", uid(100_644)),
        (b"virtfs.uid=99999999999\n", uid(1_215_752_191)),
        (b"virtfs.uid=1\nvirtfs.uid=2\n", uid(2)),
        (b"virtfs.uid=4\x005\nvirtfs.gid=6\n", (4, 6, host.2)),
        (long_line.as_bytes(), uid(5)),
        (many.as_bytes(), (host.0, 4, host.2)),
        (&binary, host),
        (b"", host),
        (b"\0\0\0\n\n\n=", host),
    ];
    for (planted, wanted) in cases {
        plant(&share, "file", planted);
        let got = shown(&mut client, "file");
        let text = String::from_utf8_lossy(&planted[..planted.len().min(80)]);
        assert_eq!(got, wanted, "{text:?}");
    }
}

#[test]
fn a_huge_file_is_read_up_to_a_limit() {
    let share = by_file();
    share.write("file", "");
    plant(&share, "file", "virtfs.uid=3\n");
    let path = share.path(&beside("file"));
    let file = fs::File::options().write(true).open(&path);
    file.expect("a file").set_len(1 << 30).expect("a length");
    let mut client = share.client();
    assert_eq!(shown(&mut client, "file").0, 3);
    client.find(1, "file");
    chmod(&mut client, 1, 0o600).expect("a mode");
    let wanted = "virtfs.uid=3\nvirtfs.mode=33152\n";
    assert_eq!(fs::read_to_string(path).expect("a text"), wanted);
}

#[test]
fn what_the_format_cannot_hold() {
    let share = by_file();
    let mut client = share.client();
    let all_bits = (4095, (1 << 20) - 1);
    for device in [(4096, 0), (0, 1 << 20), all_bits] {
        assert_eq!(
            client.mknod(0, "dev", 0o020_600, device),
            Err(Errno::OVERFLOW),
            "{device:?}"
        );
    }
    assert!(!share.exists("dev"));
    client
        .mknod(0, "dev", 0o020_600, (4095, (1 << 20) - 2))
        .expect("a device");
    client.find(1, "dev");
    let (rdev, text) = (attr(&mut client, 1).rdev, text(&share, "dev"));
    assert_eq!(rdev, 0xffff_fffe);
    assert!(text.expect("metadata").ends_with("virtfs.rdev=-2\n"));
    assert_eq!(
        chown(&mut client, 1, Some(u32::MAX), None),
        Ok(()),
        "nobody is asked for"
    );
}

#[test]
fn modes_of_the_host_are_options() {
    let options = ExportOptions {
        fmode: 0o664,
        dmode: 0o775,
        ..ExportOptions::new(SecurityModel::MappedFile)
    };
    let share = Share::with_options(&options, |_| {});
    let mut client = share.client();
    create(&mut client, "file", (0, 0), 0o600);
    make_kinds(&mut client);
    for path in ["file", "link", "null", "fifo"] {
        assert_eq!(share.mode(path), 0o664, "{path}");
    }
    assert_eq!(share.mode("dir"), 0o775);
    assert_eq!(share.mode(&beside("file")), 0o600);
    assert_eq!(share.mode(".virtfs_metadata"), 0o700);
}
