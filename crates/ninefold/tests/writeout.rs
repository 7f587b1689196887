//! `writeout=immediate`: what strace(1) sees of it, and what the client is told when it fails.

mod common;

use std::fs;
use std::process::Command;

use common::{Server, attempt, open};
use ninefold_client::wire::{Data, Request};

/// Whether strace may trace here.
fn can_trace() -> bool {
    let traced = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status();
    let can = traced
        .expect("expected strace on this machine: apt install strace")
        .success();
    if !can {
        eprintln!("not proven: strace cannot trace here");
    }
    can
}

fn write(offset: u64, data: &[u8]) -> Request<'_> {
    let data = Data(data);
    Request::Write {
        fid: 1,
        offset,
        data,
    }
}

/// Makes three writes, of which the last has no bytes. Returns what became of them, what the file
/// has then, and the calls of sync_file_range(2).
fn writes(options: &[&str], inject: &str) -> (Vec<Option<i32>>, Vec<u8>, Vec<String>) {
    let traces = tempfile::tempdir().expect("a temporary directory");
    let trace = traces.path().join("trace");
    let path = trace.to_str().expect("a path of text");
    let mut wrap = vec!["strace", "-f", "-q", "-e", "trace=sync_file_range"];
    if !inject.is_empty() {
        wrap.extend(["-e", inject]);
    }
    wrap.extend(["-o", path]);
    let options: Vec<_> = ["0"].iter().chain(options).copied().collect();
    let server = Server::with_options(&wrap, &options, |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
    });
    let mut connection = server.session();
    open(&mut connection, 1, &["file"], 2).expect("a file");
    let writes = [write(0, b"CON"), write(5, b"NTS"), write(0, b"")];
    let outcomes = writes.map(|write| attempt(&mut connection, &write));
    let content = fs::read(server.path("file")).expect("a file");
    drop(connection);
    // Its end is the end of the trace.
    drop(server);
    let text = fs::read_to_string(trace).expect("a trace");
    let calls = text.lines().filter_map(|line| {
        let (_, arguments) = line.split_once("sync_file_range(")?;
        let (_, arguments) = arguments.split_once(", ")?;
        Some(arguments.to_owned())
    });
    (outcomes.to_vec(), content, calls.collect())
}

#[test]
fn each_write_begins_its_way_to_the_disk() {
    if !can_trace() {
        return;
    }
    let (outcomes, content, calls) = writes(&["writeout=immediate"], "");
    assert_eq!(outcomes, [None, None, None]);
    assert_eq!(content, b"CONteNTS");
    let flags = "SYNC_FILE_RANGE_WAIT_BEFORE|SYNC_FILE_RANGE_WRITE";
    let wanted = ["0, 3", "5, 3"].map(|range| format!("{range}, {flags}) = 0"));
    assert_eq!(calls, wanted);
    let (outcomes, content, calls) = writes(&[], "");
    assert_eq!((outcomes.len(), &content[..]), (3, &b"CONteNTS"[..]));
    assert!(calls.is_empty(), "only when asked for: {calls:?}");
}

#[test]
fn a_lost_write_is_told_and_a_host_that_cannot_is_not() {
    if !can_trace() {
        return;
    }
    for (error, told) in [("EIO", Some(5)), ("ENOSPC", Some(28)), ("ENOSYS", None)] {
        let inject = format!("inject=sync_file_range:error={error}");
        let (outcomes, content, calls) = writes(&["writeout=immediate"], &inject);
        assert_eq!(outcomes, [told, told, None], "{error}");
        assert_eq!(content, b"CONteNTS");
        assert_eq!(calls.len(), 2, "{calls:?}");
    }
}
