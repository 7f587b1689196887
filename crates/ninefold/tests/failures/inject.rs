//! strace(1) attached to the server for the time of one request.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::common::Server;

/// Whether strace is here and may attach to other processes.
pub fn can_attach() -> bool {
    let Ok(mut child) = Command::new("sleep").arg("60").spawn() else {
        return false;
    };
    let id = child.id().to_string();
    let attached = Command::new("timeout")
        .args(["1", "strace", "-qq", "-o", "/dev/null", "-p", &id])
        .output();
    child.kill().expect("to end it");
    child.wait().expect("its end");
    // It goes on until its time is over, unless it could not begin.
    let can = attached
        .as_ref()
        .is_ok_and(|output| output.status.code() == Some(124));
    if !can {
        eprintln!("not proven: strace cannot attach here: {attached:?}");
    }
    can
}

/// The calls of the server, watched or made to fail.
pub struct Calls {
    strace: Child,
    trace: NamedTempFile,
}

impl Calls {
    pub fn record(server: &Server) -> Self {
        Self::attach(server, &[])
    }

    /// Makes calls fail as strace's `inject=` says.
    pub fn inject(server: &Server, how: &str) -> Self {
        let call = how.split(':').next().expect("a name");
        let (trace, inject) = (format!("trace={call}"), format!("inject={how}"));
        Self::attach(server, &["-e", &trace, "-e", &inject])
    }

    fn attach(server: &Server, expressions: &[&str]) -> Self {
        let trace = NamedTempFile::new().expect("a temporary file");
        let mut strace = Command::new("strace")
            .args(["-f", "-p", &server.id().to_string(), "-o"])
            .arg(trace.path())
            .args(expressions)
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace");
        let mut lines = BufReader::new(strace.stderr.take().expect("a pipe"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        assert!(line.contains("attached"), "{line}");
        strace.stderr = Some(lines.into_inner());
        Self { strace, trace }
    }

    /// Lets the server go; returns what was traced.
    pub fn end(mut self) -> String {
        let id = i32::try_from(self.strace.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a process"), Signal::TERM).expect("to end strace");
        self.strace.wait().expect("the end of strace");
        fs::read_to_string(self.trace.path()).expect("a trace")
    }

    /// How often each call was made, of those that strace knows and can make fail.
    pub fn counts(self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.end().lines() {
            let call = line
                .split_once(' ')
                .map_or("", |(_, call)| call.trim_start());
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let (name, rest) = call.split_once('(').unwrap_or(("", ""));
            let is_known = !name.starts_with("syscall_") && name.bytes().all(is_name);
            if !rest.is_empty() && !name.is_empty() && is_known {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}
