//! Each system call of a change failed once: the mapped models lose no attribute, leave no object
//! half made and say what went wrong. Locks hold or are refused.
//!
//! strace(1) attaches to a running server and makes the N-th call of a kind fail.

mod common;
#[path = "failures/full.rs"]
mod full;
#[path = "failures/inject.rs"]
mod inject;
#[path = "failures/locks.rs"]
mod locks;
#[path = "failures/tree.rs"]
mod tree;

use std::collections::BTreeMap;

use ninefold_client::Connection;

use common::Server;
use inject::{Calls, can_attach};
use tree::{OPERATIONS, Operation};

/// Errors that a host's file system may give at any time.
const ERRORS: [(&str, i32); 3] = [("EIO", 5), ("EDQUOT", 122), ("EACCES", 13)];

/// Calls that do not touch the tree.
const APART: [&str; 18] = [
    "recvfrom",
    "recvmsg",
    "sendto",
    "sendmsg",
    "epoll_wait",
    "epoll_ctl",
    "epoll_pwait",
    "futex",
    "read",
    "close",
    "fcntl",
    "restart_syscall",
    "clock_nanosleep",
    "madvise",
    "mmap",
    "munmap",
    "mprotect",
    "brk",
];

/// One server, and a directory of its own for each case.
struct Cases<'a> {
    server: &'a Server,
    connection: Connection,
    made: usize,
}

impl Cases<'_> {
    /// A directory of its own for each case.
    fn dir(&mut self) -> String {
        self.made += 1;
        let dir = format!("case{}", self.made);
        tree::furnish(self.server, &mut self.connection, &dir);
        dir
    }

    /// What the calls are when nothing fails, and how the tree looks before and after.
    fn record(&mut self, operation: &Operation) -> (BTreeMap<String, usize>, [Vec<String>; 2]) {
        let dir = self.dir();
        let before = tree::view(&mut self.server.session(), &dir);
        let calls = Calls::record(self.server);
        let answer = operation.run(&mut self.connection);
        let counts = calls.counts();
        assert_eq!(answer, None, "{}", operation.what);
        let after = tree::view(&mut self.server.session(), &dir);
        assert_ne!(before, after, "{} changes something", operation.what);
        (counts, [before, after])
    }

    /// Runs the operation with one call failing. Says whether the request failed.
    fn fail(&mut self, operation: &Operation, how: &str, states: &[Vec<String>; 2]) -> Option<i32> {
        let dir = self.dir();
        let calls = Calls::inject(self.server, how);
        let answer = operation.run(&mut self.connection);
        calls.end();
        let now = tree::view(&mut self.server.session(), &dir);
        let wanted = &states[usize::from(answer.is_none())];
        assert_eq!(&now, wanted, "{} with {how}: {answer:?}", operation.what);
        answer
    }
}

/// Fails every call with ENOSPC, and each `sample`-th with another error too: a case costs some
/// hundredths of a second.
fn each_call_fails(model: &str, sample: usize) {
    if !can_attach() {
        return;
    }
    let server = Server::of(&[], "1", model, |_| {});
    let connection = server.session();
    let mut cases = Cases {
        server: &server,
        connection,
        made: 0,
    };
    let (mut refused, mut done) = (0, 0);
    for (number, operation) in OPERATIONS.iter().enumerate() {
        let (counts, states) = cases.record(operation);
        for (call, count) in counts {
            if APART.contains(&&call[..]) {
                continue;
            }
            for when in 1..=count {
                let turn = number + when;
                let other = ERRORS[turn % ERRORS.len()];
                let rounds = if turn % sample == 0 { 2 } else { 1 };
                for (name, errno) in [("ENOSPC", 28), other].into_iter().take(rounds) {
                    let how = format!("{call}:error={name}:when={when}");
                    match cases.fail(operation, &how, &states) {
                        Some(answer) => {
                            refused += 1;
                            assert!(
                                [errno, 5].contains(&answer),
                                "{} {how}: {answer}",
                                operation.what
                            );
                        }
                        None => done += 1,
                    }
                }
            }
        }
    }
    eprintln!("{model}: {refused} requests refused, {done} done all the same");
    assert!(refused > 50, "the calls are those of the requests");
}

#[test]
fn each_call_of_mapped_xattr_fails() {
    each_call_fails("mapped-xattr", 1);
}

#[test]
fn each_call_of_mapped_file_fails() {
    each_call_fails("mapped-file", 2);
}
