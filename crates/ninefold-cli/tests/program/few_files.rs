//! A server that may have 256 files open itself, and clients that have very many more.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ninefold_client::{Client, Fid, File, Options, Url};
use ninefold_wire::SetAttr;
use ninefold_wire::flags::{open, setattr};

use crate::server::Served;

/// What a shell with `ulimit -n 256` leaves a program, soft and hard.
const FILES_MAX: u32 = 256;
/// What many systems leave a program.
const USUAL_MAX: u32 = 1_024;
/// Files that clients may have open at once all the same.
const OPEN: usize = 1_500;
const PER_DIRECTORY: usize = 1_000;

/// Models that need no privilege.
const MODELS: [&str; 3] = ["none", "mapped-xattr", "mapped-file"];

/// Of the open files, such as have lost their names: those cannot be closed and opened again. Where a
/// metadata file belongs to each, fewer can be kept.
fn unlinked(model: &str) -> usize {
    if model == "mapped-file" { 20 } else { 50 }
}

fn served(model: &str) -> Served {
    served_with(FILES_MAX, model)
}

fn served_with(files_max: u32, model: &str) -> Served {
    Served::start_with_files(files_max, &["--unix", "socket", "--security-model", model])
}

fn connect(served: &Served) -> Client {
    let url = Url::parse(&served.url).expect("the server's own URL");
    let target = url.locate().expect("a place to connect to");
    Client::connect(&target.address, &Options::default()).expect("the server answers")
}

fn name(number: usize) -> String {
    format!("f{number}")
}

fn create(client: &Client, numbers: std::ops::Range<usize>) -> Vec<File> {
    numbers
        .map(|number| {
            let file = client.create(name(number), open::RDWR, 0o600);
            let file = file.unwrap_or_else(|error| panic!("file {number} of {OPEN}: {error}"));
            let written = file.write_all_at(name(number).as_bytes(), 0);
            written.unwrap_or_else(|error| panic!("write to file {number}: {error}"));
            file
        })
        .collect()
}

/// Reads what is in each, writes something else, and reads that; never in the order of their opening.
fn check(files: &[File]) {
    let mut shuffled = (0..files.len()).map(|number| number * 7_919 % files.len());
    let mut content = [0; 16];
    shuffled.by_ref().for_each(|number| {
        let length = files[number].read_full_at(&mut content, 0).expect("a read");
        assert_eq!(content[..length], *name(number).as_bytes());
        let other = format!("again {number}");
        files[number]
            .write_all_at(other.as_bytes(), 0)
            .expect("a write");
    });
    for (number, file) in files.iter().enumerate() {
        let length = file.read_full_at(&mut content, 0).expect("a read");
        let other = format!("again {number}");
        assert!(content[..length].starts_with(other.as_bytes()), "{number}");
    }
}

#[test]
fn more_files_are_open_than_the_server_may_have() {
    for model in MODELS {
        let served = served(model);
        let client = connect(&served);
        let files = create(&client, 0..OPEN);
        check(&files);
        let on_host = fs::read(served.host(name(OPEN - 1))).expect("the last file");
        assert_eq!(on_host, format!("again {}", OPEN - 1).as_bytes(), "{model}");
    }
}

/// As many objects give their descriptors back, all of which open files hold too, before a file does.
#[test]
fn nor_with_a_thousand_files_is_there_one_too_many() {
    let served = served_with(USUAL_MAX, "none");
    check(&create(&connect(&served), 0..OPEN));
}

#[test]
fn unlinked_files_stay_open_among_many() {
    for model in MODELS {
        let (served, unlinked) = (served(model), unlinked(model));
        let client = connect(&served);
        let mut files = create(&client, 0..unlinked);
        for number in 0..unlinked {
            let removed = client.remove(name(number));
            removed.unwrap_or_else(|error| panic!("{model}: file {number}: {error}"));
        }
        files.extend(create(&client, unlinked..OPEN));
        check(&files);
    }
}

/// Files whose mode lets nobody open them again stay open, those of a server too that has to obey modes.
#[test]
fn a_change_of_mode_closes_nothing() {
    let args = ["--unix", "socket", "--security-model", "none"];
    let served = Served::start_weak_with_files(FILES_MAX, &args);
    let client = connect(&served);
    let files = create(&client, 0..OPEN);
    for number in (0..OPEN).step_by(10) {
        // One in fifty is for nobody, which is what can be kept open.
        let mode = if number % 50 == 0 { 0 } else { 0o640 };
        let change = SetAttr {
            valid: setattr::MODE,
            mode,
            ..SetAttr::default()
        };
        let changed = client.set_attr(name(number), change);
        changed.unwrap_or_else(|error| panic!("mode of file {number}: {error}"));
    }
    check(&files);
    let mode = fs::metadata(served.host(name(50))).expect("a file").mode();
    assert_eq!(mode & 0o7777, 0);
}

/// Directories of empty files, and how many names that makes.
fn plant(root: &Path, directories: usize) -> usize {
    for directory in 0..directories {
        let directory = root.join(format!("d{directory}"));
        fs::create_dir(&directory).expect("a directory");
        for file in 0..PER_DIRECTORY {
            fs::File::create(directory.join(name(file))).expect("a file");
        }
    }
    directories * (PER_DIRECTORY + 1)
}

/// A fid for each name below `dir`, none of them given back.
fn hold_all(dir: &Fid, held: &mut Vec<Fid>) {
    let entries = dir.walk("").and_then(Fid::read_dir).expect("a listing");
    for entry in entries {
        let entry = entry.expect("an entry");
        if [&b"."[..], b".."].contains(&&entry.name[..]) {
            continue;
        }
        let fid = dir.walk(&entry.name);
        let fid = fid.unwrap_or_else(|error| panic!("name {}: {error}", held.len()));
        let is_dir = fid.metadata().expect("its attributes").is_dir();
        if is_dir {
            hold_all(&fid, held);
        }
        held.push(fid);
    }
}

/// Walks over a tree, and everything in it stays known to the client.
fn walk_over(directories: usize) {
    let served = served("none");
    let names = plant(&served.host(""), directories);
    let client = connect(&served);
    let mut held = Vec::new();
    hold_all(client.root(), &mut held);
    assert_eq!(held.len(), names);
    // The first ones were given back long ago.
    for fid in held.iter().step_by(997) {
        let metadata = fid.metadata().expect("attributes as before");
        assert_eq!(metadata.is_dir(), fid.is_dir());
    }
    let file = client.create("one-more", open::RDWR, 0o600);
    file.expect("room for one more").close().expect("a close");
}

#[test]
fn a_hundred_thousand_names_are_known_at_once() {
    walk_over(100);
}

#[test]
#[ignore = "takes minutes; `cargo test --release -p ninefold-cli -- --ignored a_million`"]
fn a_million_names_are_known_at_once() {
    walk_over(1_000);
}
