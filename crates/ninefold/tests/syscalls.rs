//! What a request costs: the system calls of the thread that serves it, counted by strace(1).

mod common;

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use common::{Server, getattr, open, walk};
use ninefold_client::Connection;
use ninefold_client::wire::flags::unlink;
use ninefold_client::wire::{Dirents, Name, Reply, Request};

/// Requests of each kind that are counted.
const REQUESTS: usize = 200;
/// Requests until the connection has found its thread.
const WARM_UP: usize = 50;
/// Of a hundred, how many must cost just what they should: the others met the thread that looks at
/// the clock, or the tracer was slow.
const EXACT_MIN: usize = 90;
/// The file system of many containers.
const OVERLAYFS: rustix::fs::FsWord = 0x794c_7630;
/// Traces made at most.
const ATTEMPTS: usize = 5;

/// Whether strace runs here and may trace.
fn can_trace() -> bool {
    match Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output()
    {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("expected strace on this machine, came none: install it (apt install strace)")
        }
        Err(error) => panic!("strace: {error}"),
        Ok(traced) if traced.status.success() => true,
        Ok(traced) => {
            let why = String::from_utf8_lossy(&traced.stderr);
            eprintln!("not proven: strace cannot trace here: {why}");
            false
        }
    }
}

/// A Tstatfs stands in the trace for what no other request here does.
fn mark(connection: &mut Connection) {
    let statfs = Request::Statfs { fid: 0 };
    connection.call(&statfs).expect("figures");
}

/// Thread and name of each call in the order of beginning, parted by the marks.
fn phases(trace: &Path) -> Vec<Vec<(String, String)>> {
    let text = fs::read_to_string(trace).expect("a trace");
    let mut phases = vec![Vec::new()];
    let mut marked = false;
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let name = call.trim_start().split('(').next().unwrap_or_default();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        // A debug build looks whether a descriptor is open before it closes it.
        if !name.bytes().all(is_name) || name == "fcntl" {
            continue;
        }
        if name.starts_with("fstatfs") {
            marked = true;
        } else {
            if marked && name == "sendto" {
                // The answer to the mark.
                phases.push(Vec::new());
                marked = false;
                continue;
            }
            let last = phases.last_mut().expect("at least one");
            last.push((thread.to_owned(), name.to_owned()));
        }
    }
    phases
}

/// For each reply, what its thread called since the one before, joined by spaces.
fn costs(phase: &[(String, String)]) -> Vec<String> {
    let mut since: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut costs = Vec::new();
    for (thread, name) in phase {
        let calls = since.entry(thread).or_default();
        calls.push(name);
        if ["sendto", "sendmsg"].contains(&&name[..]) {
            costs.push(calls.join(" "));
            calls.clear();
        }
    }
    costs
}

/// A kind of request, what it should cost, and how many of [`REQUESTS`] cost just that.
type Count = (&'static str, &'static str, usize);

fn count(what: &'static str, wanted: &'static str, costs: &[String]) -> Count {
    let exact = costs.iter().filter(|cost| *cost == wanted).count();
    eprintln!("{what}: {exact} of {REQUESTS} cost exactly {wanted}");
    (what, wanted, exact)
}

/// Makes the requests of one client, one at a time.
fn be_served(server: &Server) {
    let mut connection = server.session();
    walk(&mut connection, 0, 1, &["file"]).expect("a walk");
    for _ in 0..WARM_UP {
        connection.call(&getattr(1)).expect("attributes");
    }
    mark(&mut connection);
    for _ in 0..REQUESTS {
        connection.call(&getattr(1)).expect("attributes");
    }
    mark(&mut connection);
    for _ in 0..REQUESTS {
        // One that no other fid holds: of one inode there is one descriptor.
        walk(&mut connection, 0, 2, &["other"]).expect("a walk");
        connection.call(&getattr(2)).expect("attributes");
        connection
            .call(&Request::Clunk { fid: 2 })
            .expect("a clunk");
    }
    mark(&mut connection);
    for _ in 0..REQUESTS {
        walk(&mut connection, 0, 2, &["a", "b", "c", "file"]).expect("a walk");
        connection.call(&getattr(2)).expect("attributes");
        connection
            .call(&Request::Clunk { fid: 2 })
            .expect("a clunk");
    }
    mark(&mut connection);
    for _ in 0..REQUESTS {
        open(&mut connection, 2, &["other"], 0).expect("an open");
        let read = Request::Read {
            fid: 2,
            offset: 0,
            count: 99,
        };
        connection.call(&read).expect("content");
        connection
            .call(&Request::Clunk { fid: 2 })
            .expect("a clunk");
    }
    mark(&mut connection);
    let name = Name::new(b"made").expect("a name");
    for _ in 0..REQUESTS {
        let mkdir = Request::Mkdir {
            dfid: 0,
            name,
            mode: 0o755,
            gid: 0,
        };
        connection.call(&mkdir).expect("a directory");
        let rmdir = Request::Unlinkat {
            dirfid: 0,
            name,
            flags: unlink::REMOVEDIR,
        };
        connection.call(&rmdir).expect("a removal");
    }
    mark(&mut connection);
}

/// What a server of some model calls for each reply to [`be_served`], by the marks between them.
fn trace(model: &str) -> [Vec<String>; 5] {
    trace_of(model, |_| {})
}

/// The same where more lies in the folder.
fn trace_of(model: &str, fill: impl FnOnce(&Path)) -> [Vec<String>; 5] {
    let traces = tempfile::tempdir().expect("a temporary directory");
    let trace = traces.path().join("trace");
    let path = trace.to_str().expect("a path of text");
    let wrap = ["strace", "-f", "-q", "-e", "trace=all", "-o", path];
    let server = Server::of(&wrap, "8", model, |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
        fs::write(dir.join("other"), "content").expect("a file");
        fs::create_dir_all(dir.join("a/b/c")).expect("directories");
        fs::write(dir.join("a/b/c/file"), "content").expect("a file");
        fill(dir);
    });
    be_served(&server);
    // Its end is the end of the trace.
    drop(server);
    let phases = phases(&trace);
    // There may be one mark more: where attributes are mapped, the server asks for the file system.
    let [.., getattrs, lives, deep, reads, made, _] = &phases[..] else {
        panic!("expected 7 phases, came {}", phases.len());
    };
    eprintln!(
        "all threads: {} calls for {REQUESTS} Tgetattrs",
        getattrs.len()
    );
    let costs = [getattrs, lives, deep, reads, made].map(|phase| costs(phase));
    assert_eq!(
        costs.each_ref().map(Vec::len),
        [1, 3, 3, 4, 2].map(|each| each * REQUESTS),
        "a reply each"
    );
    costs
}

/// Counts them all, where a Tlopen should cost `open`.
fn count_all(model: &str, open: &'static str) -> Vec<Count> {
    let [getattrs, lives, deep, reads, _] = trace(model);
    vec![
        count("Tgetattr", "recvfrom statx sendto", &getattrs),
        count("Twalk of one name", "recvfrom openat2 statx sendto", &lives),
        count("Tgetattr after it", "recvfrom statx sendto", &lives),
        count("Tclunk", "recvfrom close sendto", &lives),
        // Directories that were walked to a moment ago take one call each: with what follows,
        // three more than there are names.
        count(
            "Twalk of four names",
            "recvfrom statx statx statx openat2 statx sendto",
            &deep,
        ),
        count("Tgetattr after that", "recvfrom statx sendto", &deep),
        count("Tclunk after that", "recvfrom close sendto", &deep),
        count("Tlopen", open, &reads),
        count("Tread", "recvfrom pread64 sendto", &reads),
        count(
            "Tclunk of an open file",
            "recvfrom close close sendto",
            &reads,
        ),
    ]
}

#[test]
fn a_quick_client_costs_no_call_too_many() {
    costs_no_call_too_many(|| count_all("none", "recvfrom openat statx sendto"));
}

/// What does not change is read once: of objects at rest the model costs nothing, but for what an
/// open has to know.
#[test]
fn mapped_attributes_cost_no_call_too_many() {
    let temp = rustix::fs::statfs(std::env::temp_dir()).expect("a file system");
    if temp.f_type == OVERLAYFS {
        eprintln!("not proven: on an overlayfs attributes are read each time");
        return;
    }
    costs_no_call_too_many(|| count_all("mapped-xattr", "recvfrom statx openat statx sendto"));
}

/// Nobody asks whose the directories on the way are. For the file itself its metadata is looked for.
#[test]
fn metadata_files_on_the_way_cost_no_call() {
    let wanted = "recvfrom statx statx statx openat2 statx openat2 sendto";
    costs_no_call_too_many(|| {
        let [_, _, deep, _, _] = trace("mapped-file");
        vec![count("Twalk of four names", wanted, &deep)]
    });
}

/// A metadata file at rest is found and held, and neither opened nor read.
#[test]
fn metadata_files_at_rest_are_not_opened() {
    let temp = rustix::fs::statfs(std::env::temp_dir()).expect("a file system");
    if temp.f_type == OVERLAYFS {
        eprintln!("not proven: on an overlayfs metadata is read each time");
        return;
    }
    let fill = |dir: &Path| {
        let hidden = dir.join(".virtfs_metadata");
        fs::create_dir(&hidden).expect("a directory");
        for name in ["file", "other"] {
            fs::write(hidden.join(name), "virtfs.uid=5\n").expect("a file");
        }
        // Until it may be taken for unchanged.
        thread::sleep(Duration::from_millis(2100));
    };
    costs_no_call_too_many(|| {
        let [_, lives, ..] = trace_of("mapped-file", fill);
        vec![
            count(
                "Twalk of one name",
                "recvfrom openat2 statx openat2 statx sendto",
                &lives,
            ),
            count("Tgetattr after it", "recvfrom statx statx sendto", &lives),
            count("Tclunk", "recvfrom close close sendto", &lives),
        ]
    });
}

/// That it is made as its owner-to-be costs nothing as long as the owner is the last one's.
#[test]
fn what_is_made_costs_no_call_too_many() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not proven: only root can act for others");
        return;
    }
    costs_no_call_too_many(|| {
        let [.., made] = trace("passthrough");
        vec![
            count("Tmkdir", "recvfrom mkdirat statx sendto", &made),
            count("Tunlinkat", "recvfrom unlinkat sendto", &made),
        ]
    });
}

fn costs_no_call_too_many(trace: impl Fn() -> Vec<Count>) {
    if !can_trace() {
        return;
    }
    // A machine that is busy with other things gives the client time to be no quick one.
    for attempt in 1..=ATTEMPTS {
        let counts = trace();
        if counts
            .iter()
            .all(|count| count.2 * 100 >= REQUESTS * EXACT_MIN)
        {
            return;
        }
        assert!(
            attempt < ATTEMPTS,
            "expected {EXACT_MIN} in a hundred, came {counts:?}"
        );
    }
}

/// Entries of the directory that is listed.
const ENTRIES: usize = 2000;
/// Objects that a listing may ask, whatever its length.
const ASKED_MAX: usize = 20;

#[test]
fn a_listing_does_not_ask_each_entry() {
    if !can_trace() {
        return;
    }
    let traces = tempfile::tempdir().expect("a temporary directory");
    let trace = traces.path().join("trace");
    let path = trace.to_str().expect("a path of text");
    let wrap = ["strace", "-f", "-q", "-e", "trace=all", "-o", path];
    let server = Server::with(&wrap, "8", |dir| {
        for number in 0..ENTRIES / 2 {
            fs::write(dir.join(format!("file{number}")), "").expect("a file");
            fs::create_dir(dir.join(format!("dir{number}"))).expect("a directory");
        }
    });
    let mut connection = server.session();
    open(&mut connection, 1, &[], 0).expect("an open");
    // The first one learns what file system it is, with a call that looks like a mark.
    list(&mut connection, 1);
    mark(&mut connection);
    let entries = list(&mut connection, 1);
    mark(&mut connection);
    drop(server);
    assert_eq!(entries, ENTRIES + 2);
    let phases = phases(&trace);
    let [.., listing, _] = &phases[..] else {
        panic!("expected a listing, came {} phases", phases.len());
    };
    let count = |part: &str| listing.iter().filter(|call| call.1.contains(part)).count();
    assert!(count("getdents") > 0, "the listing is in the trace");
    let asked = count("stat") + count("open");
    eprintln!("{asked} objects asked, {} calls in all", listing.len());
    assert!(asked < ASKED_MAX, "{asked} calls for {ENTRIES} entries");
}

/// Lists an open directory and says how many entries it has.
fn list(connection: &mut Connection, fid: u32) -> usize {
    let (mut count, mut offset) = (0, 0);
    loop {
        let request = Request::Readdir {
            fid,
            offset,
            count: 32 * 1024,
        };
        let Reply::Readdir { data } = connection.call(&request).expect("entries") else {
            panic!("another reply");
        };
        let before = count;
        for entry in Dirents::new(data.0) {
            let entry = entry.expect("an entry");
            (count, offset) = (count + 1, entry.offset);
        }
        if count == before {
            return count;
        }
    }
}
