//! `cat` and `put`.

use crate::server::{Served, complaint, failure, ninefold, run, success};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Output, Stdio};

/// More than a few messages, and no multiple of anything.
const LARGE: usize = 5_000_011;

fn noise(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 11).to_le_bytes()[0])
        .collect()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o7777
}

fn local(served: &Served, content: &[u8], mode: u32) -> String {
    let path = served.host("../local");
    fs::write(&path, content).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("permissions");
    path.to_str().expect("a UTF-8 path").to_owned()
}

fn put_stdin(content: &[u8], url: &str) -> Output {
    let mut child = ninefold()
        .args(["put", "-", url])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    // One that refuses reads nothing.
    let _ = stdin.write_all(content);
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

#[test]
fn content_comes_whole_and_in_order() {
    let served = Served::start();
    let content = noise(LARGE);
    fs::write(served.host("large"), &content).expect("a file");
    fs::write(served.host("small"), "tail").expect("a file");
    fs::write(served.host("empty"), "").expect("a file");
    symlink("small", served.host("link")).expect("a link");
    let urls = ["large", "empty", "link"].map(|name| served.at(name));
    let said = success(run(["cat".to_owned()].into_iter().chain(urls)));
    assert!(
        said == [&content[..], b"tail"].concat(),
        "other content came"
    );
}

#[test]
fn a_small_msize_carries_large_files_too() {
    let served = Served::start_with(&["--unix", "socket", "--msize-max", "4096"]);
    let content = noise(300_001);
    let local = local(&served, &content, 0o600);
    success(run(["put", &local, &served.at("f")]));
    assert!(
        success(served.run(&["cat"], "f")) == content,
        "other content came"
    );
}

#[test]
fn a_reader_that_leaves_is_no_fault_of_ours() {
    let served = Served::start();
    fs::write(served.host("large"), noise(LARGE)).expect("a file");
    let mut child = ninefold()
        .args(["cat", &served.at("large")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdout = child.stdout.take().expect("a pipe was asked for");
    stdout.read_exact(&mut [0; 10]).expect("a beginning");
    drop(stdout);
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(141), "{}", complaint(&output));
    assert_eq!(complaint(&output), "");
}

#[test]
fn put_makes_a_file_with_the_permissions() {
    let served = Served::start();
    let content = noise(LARGE);
    for permissions in [0o600, 0o755, 0o444, 0o666] {
        let local = local(&served, &content, permissions);
        success(run(["put", &local, &served.at("new")]));
        assert!(
            fs::read(served.host("new")).expect("a file") == content,
            "other content came"
        );
        assert_eq!(mode(served.host("new")), permissions);
        fs::remove_file(served.host("new")).expect("removed");
        fs::remove_file(&local).expect("removed");
    }
}

#[test]
fn put_leaves_the_set_id_bits_behind() {
    let served = Served::start();
    let local = local(&served, b"x", 0o4755);
    success(run(["put", &local, &served.at("new")]));
    assert_eq!(mode(served.host("new")), 0o755);
}

#[test]
fn put_replaces_the_content_and_follows_links() {
    let served = Served::start();
    fs::write(served.host("old"), noise(100)).expect("a file");
    symlink("old", served.host("link")).expect("a link");
    let local = local(&served, b"short", 0o640);
    success(run(["put", &local, &served.at("link")]));
    assert_eq!(fs::read(served.host("old")).expect("a file"), b"short");
    assert_eq!(mode(served.host("old")), 0o640);
    assert!(served.host("link").is_symlink());
}

#[test]
fn put_takes_standard_input() {
    let served = Served::start();
    let content = noise(200_000);
    success(put_stdin(&content, &served.at("new")));
    assert!(
        fs::read(served.host("new")).expect("a file") == content,
        "other content came"
    );
    fs::set_permissions(served.host("new"), Permissions::from_mode(0o604)).expect("permissions");
    success(put_stdin(b"", &served.at("new")));
    assert_eq!(fs::read(served.host("new")).expect("a file"), b"");
    assert_eq!(
        mode(served.host("new")),
        0o604,
        "nothing to take permissions from"
    );
}

#[test]
fn put_refuses_folders_on_both_sides() {
    let served = Served::start();
    fs::create_dir(served.host("d")).expect("a directory");
    let said = failure(&put_stdin(b"x", &served.at("d")));
    assert!(
        said.contains("expected a file or a free name, came a directory"),
        "{said}"
    );
    let said = failure(&run(["put", "/", &served.at("new")]));
    assert!(
        said.contains("opening /: expected a file, came a directory"),
        "{said}"
    );
    assert!(!served.host("new").exists());
    let said = failure(&run(["put", "/nonexistent", &served.at("new")]));
    assert!(
        said.contains("opening /nonexistent: No such file"),
        "{said}"
    );
}

#[test]
fn cat_refuses_a_folder() {
    let served = Served::start();
    let said = failure(&served.run(&["cat"], ""));
    assert!(said.contains("expected a file, came a directory"), "{said}");
}
