//! `ls` and `stat`.

use crate::server::{Served, failure, run, success};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, UNIX_EPOCH};

fn lines(output: &[u8]) -> Vec<&[u8]> {
    output.split_inclusive(|&byte| byte == b'\n').collect()
}

#[test]
fn names_are_sorted_bytes_and_dots_are_hidden() {
    let served = Served::start();
    for name in [&b"b"[..], b"a\x1b[31m", b"\xff\xfe", b".hidden"] {
        File::create(served.host(OsStr::from_bytes(name))).expect("a file");
    }
    let plain = success(served.run(&["ls"], ""));
    assert_eq!(lines(&plain), [&b"a\x1b[31m\n"[..], b"b\n", b"\xff\xfe\n"]);
    let all = success(served.run(&["ls", "-a"], ""));
    assert_eq!(lines(&all)[..3], [&b".\n"[..], b"..\n", b".hidden\n"]);
}

#[test]
fn the_long_list_shows_what_stat_knows() {
    let served = Served::start();
    let path = served.host("file");
    fs::write(&path, "12345").expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("permissions");
    let file = File::options().write(true).open(&path).expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(951_782_400))
        .expect("a time");
    symlink("file", served.host("link")).expect("a link");
    let owner = file.metadata().expect("metadata");

    let (uid, gid) = (owner.uid(), owner.gid());
    let said = String::from_utf8(success(served.run(&["ls", "-l"], ""))).expect("text");
    let want = format!("-rw-r----- 1 {uid} {gid} 5 2000-02-29 00:00 file");
    assert_eq!(said.lines().next(), Some(&want[..]));
    assert!(
        said.lines()
            .nth(1)
            .is_some_and(|line| line.starts_with("lrwxrwxrwx")),
        "{said}"
    );
    assert!(said.ends_with("link -> file\n"), "{said}");
}

#[test]
fn a_file_is_listed_by_its_name_and_a_link_leads_to_its_folder() {
    let served = Served::start();
    fs::create_dir_all(served.host("d/inner")).expect("directories");
    symlink("d", served.host("link")).expect("a link");
    symlink("/d/inner", served.host("absolute")).expect("a link");
    fs::write(served.host("d/inner/f"), "").expect("a file");
    assert_eq!(success(served.run(&["ls"], "d/inner/f")), b"f\n");
    assert_eq!(success(served.run(&["ls"], "link")), b"inner\n");
    assert_eq!(success(served.run(&["ls"], "absolute")), b"f\n");
    assert_eq!(success(served.run(&["ls"], "link/../d//inner/.")), b"f\n");
}

#[test]
fn large_folders_are_listed_whole() {
    let served = Served::start();
    for number in 0..3000 {
        File::create(served.host(format!("{number:0200}"))).expect("a file");
    }
    let said = success(served.run(&["ls"], ""));
    assert_eq!(lines(&said).len(), 3000);
}

#[test]
fn stat_shows_the_object_itself() {
    let served = Served::start();
    fs::write(served.host("f"), "abc").expect("a file");
    symlink("nowhere", served.host("link")).expect("a link");
    let said = String::from_utf8(success(served.run(&["stat"], "f"))).expect("text");
    assert!(
        said.contains("    type: regular file\n") && said.contains("    size: 3\n"),
        "{said}"
    );
    let said = String::from_utf8(success(served.run(&["stat"], "link"))).expect("text");
    assert!(
        said.contains("type: symbolic link\n") && said.ends_with("target: nowhere\n"),
        "{said}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let served = Served::start();
    let url = served.at("no/such");
    for (command, doing) in [
        ("ls", "listing"),
        ("stat", "looking at"),
        ("cat", "opening"),
    ] {
        let said = failure(&run([command, &url]));
        let want = format!("ninefold: {doing} {url}: No such file or directory ");
        assert!(said.starts_with(&want), "{said}");
    }
}

#[test]
fn percent_and_tcp_urls_reach_the_same() {
    let served = Served::start_with(&["--tcp", "127.0.0.1:0"]);
    assert!(served.url.starts_with("tcp://127.0.0.1:"), "{}", served.url);
    fs::create_dir(served.host("a b")).expect("a directory");
    fs::write(served.host(OsStr::from_bytes(b"a b/\xff%")), "").expect("a file");
    assert_eq!(success(served.run(&["ls"], "a%20b")), b"\xff%\n");
    assert_eq!(success(served.run(&["ls"], "a b/%ff%25")), b"\xff%\n");
}
