//! `mkdir` and `rm`, and what a read-only server makes of them.

use crate::server::{Served, failure, run, success};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn mkdir_makes_one_folder() {
    let served = Served::start();
    success(served.run(&["mkdir"], "d"));
    assert!(served.host("d").is_dir());
    let said = failure(&served.run(&["mkdir"], "d"));
    assert!(said.contains("File exists"), "{said}");
    let said = failure(&served.run(&["mkdir"], "x/y"));
    assert!(said.contains("No such file or directory"), "{said}");
    let said = failure(&served.run(&["mkdir"], ""));
    assert!(
        said.contains("expected a path that ends in a name"),
        "{said}"
    );
}

#[test]
fn mkdir_p_makes_what_is_missing() {
    let served = Served::start();
    success(served.run(&["mkdir", "-p"], "a/b/c"));
    success(served.run(&["mkdir", "-p"], "a//b/./c/"));
    success(served.run(&["mkdir", "-p"], ""));
    assert!(served.host("a/b/c").is_dir());
    symlink("a/b", served.host("link")).expect("a link");
    success(served.run(&["mkdir", "-p"], "link/d"));
    assert!(served.host("a/b/d").is_dir());
    fs::write(served.host("f"), "").expect("a file");
    for path in ["f", "f/x"] {
        let said = failure(&served.run(&["mkdir", "-p"], path));
        assert!(
            said.contains("expected a directory at \"/f\", came a file"),
            "{said}"
        );
    }
}

#[test]
fn rm_removes_files_and_links_only() {
    let served = Served::start();
    fs::create_dir(served.host("d")).expect("a directory");
    fs::write(served.host("f"), "").expect("a file");
    symlink("d", served.host("link")).expect("a link");
    success(served.run(&["rm"], "f"));
    success(served.run(&["rm"], "link"));
    let said = failure(&served.run(&["rm"], "d"));
    assert!(
        said.contains("expected a file, came a directory (-r removes it"),
        "{said}"
    );
    let said = failure(&served.run(&["rm", "-r"], ""));
    assert!(
        said.contains("expected a path that ends in a name"),
        "{said}"
    );
    let left: Vec<_> = fs::read_dir(served.host(""))
        .expect("a directory")
        .collect();
    assert_eq!(left.len(), 1);
}

#[test]
fn rm_r_removes_a_tree_and_nothing_else() {
    let served = Served::start();
    fs::create_dir_all(served.host("keep/inner")).expect("directories");
    fs::create_dir_all(served.host("d").join("n/".repeat(200))).expect("directories");
    for number in 0..2500 {
        fs::write(served.host(format!("d/n/{number}")), "").expect("a file");
    }
    symlink("../../keep", served.host("d/n/link")).expect("a link");
    symlink("/keep", served.host("d/absolute")).expect("a link");
    success(served.run(&["rm", "-r"], "d"));
    assert!(!served.host("d").exists());
    assert!(served.host("keep/inner").is_dir());
}

#[test]
fn rm_r_removes_a_file_too() {
    let served = Served::start();
    fs::write(served.host("f"), "").expect("a file");
    success(served.run(&["rm", "-r"], "f"));
    assert!(!served.host("f").exists());
}

#[test]
fn a_read_only_server_refuses_and_says_why() {
    let served = Served::start_with(&["--unix", "socket", "--readonly"]);
    fs::create_dir(served.host("d")).expect("a directory");
    fs::write(served.host("f"), "kept").expect("a file");
    for args in [&["mkdir"][..], &["put", "/dev/null"]] {
        let said = failure(&served.run(args, "new"));
        assert!(said.contains("Read-only file system"), "{said}");
    }
    for args in [&["rm"][..], &["put", "/dev/null"]] {
        let said = failure(&served.run(args, "f"));
        assert!(said.contains("Read-only file system"), "{said}");
    }
    // What is there already needs no writing.
    success(served.run(&["mkdir", "-p"], "d"));
    assert_eq!(success(run(["cat", &served.at("f")])), b"kept");
}
