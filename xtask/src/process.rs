//! Children that cannot outlive us and waits that end.
//!
//! Every child leads a process group of its own and gets SIGKILL when we die, however we die; dropping its guard kills the
//! group. Every wait has a time limit and looks at the stop flag. This is not a general process library: no input,
//! no output larger than memory.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;

use crate::stop;

/// How often a wait looks at the clock and at the stop flag.
pub const TICK: Duration = Duration::from_millis(50);
/// How long an ended child's grandchildren may hold its output open.
const LINGER: Duration = Duration::from_secs(2);

/// A running child; dropping it kills its whole process group.
pub struct Running {
    name: String,
    child: Child,
    printers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts `command`; its standard input is empty.
    pub fn start(name: &str, command: &Command) -> Result<Self> {
        Self::spawn(name, guarded(command))
    }

    /// Starts `command` and hands out the lines it prints; errors go where ours go.
    pub fn start_lines(name: &str, command: &Command) -> Result<(Self, Receiver<String>)> {
        let mut command = guarded(command);
        command.stdout(Stdio::piped());
        let mut running = Self::spawn(name, command)?;
        let output = running
            .child
            .stdout
            .take()
            .context("a piped child has an output")?;
        Ok((running, lines(output)))
    }

    /// Starts `command`; all that it says goes into a file.
    pub fn start_logged(name: &str, command: &Command, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let mut command = guarded(command);
        command.stdout(log.try_clone()?).stderr(log);
        Self::spawn(name, command)
    }

    fn spawn(name: &str, mut command: Command) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            printers: Vec::new(),
        })
    }

    /// Prints lines of this child as they come, from a thread of their own.
    pub fn print(&mut self, lines: Receiver<String>) {
        let name = self.name.clone();
        self.printers.push(thread::spawn(move || {
            for line in lines {
                println!("[{name}] {line}");
            }
        }));
    }

    /// The process id: what guards the command becomes it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Waits for the end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.wait_unless(limit, stop::check)
    }

    /// Waits for the end of something that must not be cut short, not even when we are asked to stop.
    pub fn wait_through(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.wait_unless(limit, || Ok(()))
    }

    fn wait_unless(
        &mut self,
        limit: Duration,
        check: impl Fn() -> Result<()>,
    ) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            check()?;
            ensure!(
                Instant::now() < deadline,
                "{} took longer than {} s",
                self.name,
                limit.as_secs()
            );
            thread::sleep(TICK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group is ours even when its leader has ended: grandchildren may still be in it.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _nobody_left = kill_process_group(pid, Signal::KILL);
        }
        let _already_waited_for = self.child.wait();
        // Its last words come before ours, unless somebody outside the group holds its output open.
        let deadline = Instant::now() + LINGER;
        while Instant::now() < deadline && !self.printers.iter().all(JoinHandle::is_finished) {
            thread::sleep(TICK);
        }
    }
}

/// Runs a command to its end; anything but success is an error.
pub fn run(name: &str, command: &Command, limit: Duration) -> Result<()> {
    let status = Running::start(name, command)?.wait(limit)?;
    ensure!(status.success(), "{name} failed: {status}");
    Ok(())
}

/// Runs a command to its end, handing each line it prints to `each`.
pub fn run_lines(
    name: &str,
    command: &Command,
    limit: Duration,
    mut each: impl FnMut(&str),
) -> Result<ExitStatus> {
    let (mut running, lines) = Running::start_lines(name, command)?;
    let deadline = Instant::now() + limit;
    let mut ended = None;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => return running.wait(limit),
            Err(RecvTimeoutError::Timeout) => {
                stop::check()?;
                if ended.is_none() {
                    ended = running.ended()?.map(|status| (status, Instant::now()));
                }
            }
        }
        if let Some((status, _)) = ended.filter(|(_, since)| since.elapsed() > LINGER) {
            return Ok(status);
        }
        if Instant::now() > deadline {
            bail!("{name} took longer than {} s", limit.as_secs());
        }
    }
}

/// Runs a command to its end and returns what it printed.
pub fn output(name: &str, command: &Command, limit: Duration) -> Result<String> {
    let mut text = String::new();
    let status = run_lines(name, command, limit, |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    ensure!(status.success(), "{name} failed: {status}");
    Ok(text)
}

/// The same command behind `setpriv --pdeathsig`: the kernel kills it with us, even when we are killed ourselves.
///
/// Setting that in the child by hand would need unsafe code; setpriv is part of every Debian.
fn guarded(command: &Command) -> Command {
    let mut outer = Command::new("setpriv");
    outer.args(["--pdeathsig", "KILL", "--"]);
    outer.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(key, value),
            None => outer.env_remove(key),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        outer.current_dir(dir);
    }
    outer.stdin(Stdio::null()).process_group(0);
    outer
}

fn lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        // Bytes, not str: a console may print anything.
        while matches!(source.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line)
                .trim_end_matches(['\r', '\n'])
                .to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_whole() {
        let text = output("sh", &shell("echo one; echo two"), Duration::from_secs(20)).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn failure_is_an_error() {
        let error = run("sh", &shell("exit 3"), Duration::from_secs(20)).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_wait_ends() {
        let started = Instant::now();
        assert!(run("sleep", &shell("sleep 60"), Duration::from_millis(300)).is_err());
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn grandchildren_do_not_hold_us() {
        let started = Instant::now();
        let text = output(
            "sh",
            &shell("sleep 60 & echo started"),
            Duration::from_secs(40),
        )
        .unwrap();
        assert_eq!(text, "started\n");
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
