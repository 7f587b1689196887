//! A file system that is really full.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::Server;
use crate::tree::{self, OPERATIONS};

/// A small file system, mounted until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// An ext4 whose inodes have no room for attributes.
    fn new(image: &Path, dir: &Path) -> Option<Self> {
        File::create(image)
            .and_then(|file| file.set_len(4 << 20))
            .expect("a file");
        let made = run(
            "mkfs.ext4",
            &["-q", "-I", "128", "-m", "0", "-b", "1024"],
            [image, image],
        );
        let mounted = made && run("mount", &["-o", "loop"], [image, dir]);
        mounted.then(|| Self(dir.to_owned()))
    }
}

/// Runs a program that takes one path, or two that differ.
fn run(program: &str, options: &[&str], paths: [&Path; 2]) -> bool {
    let count = if paths[0] == paths[1] { 1 } else { 2 };
    let output = Command::new(program)
        .args(options)
        .args(&paths[..count])
        .output();
    let done = output.as_ref().is_ok_and(|output| output.status.success());
    if !done {
        eprintln!("not proven: {program}: {output:?}");
    }
    done
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &["-l"], [&self.0, &self.0]);
    }
}

/// Takes the last block.
fn fill(dir: &Path) {
    let mut filler = File::create(dir.join("filler")).expect("a file");
    for size in [64 << 10, 1024] {
        while filler.write_all(&vec![b'x'; size]).is_ok() {
            // Or what there is room for would only be promised.
            if filler.sync_all().is_err() {
                break;
            }
        }
    }
    let mut made = 0;
    while fs::create_dir(dir.join(format!("filler{made}"))).is_ok() {
        made += 1;
    }
}

fn nothing_is_lost(model: &str) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not proven: only root may mount");
        return;
    }
    let images = tempfile::tempdir().expect("a temporary directory");
    let mut mounted = None;
    let server = Server::of(&[], "2", model, |dir| {
        mounted = Mounted::new(&images.path().join("image"), dir);
    });
    let Some(_mounted) = mounted else {
        return;
    };
    let mut connection = server.session();
    let dirs = |number| (format!("roomy{number}"), format!("tight{number}"));
    let mut states = Vec::new();
    for (number, operation) in OPERATIONS.iter().enumerate() {
        let (roomy, tight) = dirs(number);
        tree::furnish(&server, &mut connection, &tight);
        tree::furnish(&server, &mut connection, &roomy);
        let before = tree::view(&mut server.session(), &roomy);
        assert_eq!(operation.run(&mut connection), None, "{}", operation.what);
        states.push([before, tree::view(&mut server.session(), &roomy)]);
    }
    fill(&server.path(""));
    let mut refused = 0;
    for (number, (operation, states)) in OPERATIONS.iter().zip(&states).enumerate() {
        let (_, tight) = dirs(number);
        tree::point_to(&mut connection, &tight);
        let answer = operation.run(&mut connection);
        assert!(
            [None, Some(28)].contains(&answer),
            "{}: {answer:?}",
            operation.what
        );
        refused += usize::from(answer.is_some());
        let now = tree::view(&mut server.session(), &tight);
        let wanted = &states[usize::from(answer.is_none())];
        assert_eq!(&now, wanted, "{}: {answer:?}", operation.what);
    }
    eprintln!("{model}: {refused} requests refused");
    assert!(refused > 0, "it was full");
}

#[test]
fn a_full_disk_under_mapped_xattr() {
    nothing_is_lost("mapped-xattr");
}

#[test]
fn a_full_disk_under_mapped_file() {
    nothing_is_lost("mapped-file");
}
