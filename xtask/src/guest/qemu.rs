//! One guest: QEMU under software emulation, and what it says on its console.
//!
//! It knows nothing of suites beyond the marks in the output; the guest's own limits and ours are kept by the session.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;

use super::emulator::Emulator;
use super::kernel::Kernel;
use crate::process::Running;
use crate::process::TICK;
use crate::stop;

/// Begins a line that is meant for us.
const MARK: &str = "@@ninefold ";
/// `quiet` and a panic that ends QEMU at once; the rest only makes an emulated boot shorter.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr audit=0 apparmor=0 random.trust_cpu=on tsc=reliable";
/// Has a guest that reboots do so, which otherwise ends QEMU.
pub const REBOOTING: [&str; 2] = ["-action", "reboot=reset"];
/// Mebibytes.
pub const MEMORY: &str = "1280";

/// What the guest says.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// It is up; which kernel
    Ready(String),
    /// A suite begins
    Begin(String),
    /// A suite has ended, with this exit status
    End(String, i32),
    /// A line of output
    Line(String),
    /// QEMU has ended
    Gone,
}

/// A running guest; dropping it ends it.
pub struct Guest {
    running: Running,
    lines: Receiver<String>,
}

impl Guest {
    /// Starts to boot in `emulator` with `devices` beyond those of every guest; `payload` is appended to the kernel's
    /// early userland in `dir`.
    pub fn boot(
        emulator: &Emulator,
        kernel: &Kernel,
        root: &Path,
        payload: &[u8],
        dir: &Path,
        devices: &[String],
    ) -> Result<Self> {
        let mut initramfs = fs::read(kernel.initramfs())?;
        initramfs.extend_from_slice(payload);
        let place = dir.join("initramfs.cpio");
        fs::write(&place, initramfs).context("cannot write the initramfs")?;
        let mut command = command(emulator, kernel, root, &place);
        command.args(devices);
        let (running, lines) = Running::start_lines("qemu", &command)?;
        Ok(Self { running, lines })
    }

    /// QEMU's process id.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// The next event, or nothing if there is none until `deadline`.
    pub fn next(&self, deadline: Instant) -> Result<Option<Event>> {
        while Instant::now() < deadline {
            stop::check()?;
            match self.lines.recv_timeout(TICK) {
                Ok(line) => return Ok(Some(parse(line))),
                Err(RecvTimeoutError::Disconnected) => return Ok(Some(Event::Gone)),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(None)
    }
}

fn command(emulator: &Emulator, kernel: &Kernel, root: &Path, initramfs: &Path) -> Command {
    let mut qemu = emulator.command();
    // Software emulation: a build machine rarely may use its own virtualisation.
    // One processor: then neither the guest's kernel nor the emulation pays for atomic operations, and two guests
    // share a machine of two processors in 0.6 of the time.
    qemu.args([
        "-machine",
        "q35",
        "-accel",
        "tcg",
        "-cpu",
        "max,la57=off",
        "-smp",
        "1",
        "-m",
        MEMORY,
    ]);
    qemu.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
    ]);
    qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]);
    qemu.arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(initramfs);
    qemu.args(["-append", KERNEL_ARGUMENTS]);
    qemu.arg("-drive").arg(format!(
        "file={},format=raw,if=none,id=root,readonly=on",
        root.display()
    ));
    qemu.args(["-device", "virtio-blk-pci,drive=root"]);
    qemu.args([
        "-netdev",
        "user,id=net",
        "-device",
        "virtio-net-pci,netdev=net,romfile=",
    ]);
    qemu
}

/// The kernel may have begun the line with words of its own, so the mark is looked for anywhere in it.
fn parse(line: String) -> Event {
    let Some((_, words)) = line.split_once(MARK) else {
        return Event::Line(line);
    };
    match *words.split_whitespace().collect::<Vec<_>>() {
        ["ready", release] => Event::Ready(release.to_owned()),
        ["begin", suite] => Event::Begin(suite.to_owned()),
        ["end", suite, status] => Event::End(suite.to_owned(), status.parse().unwrap_or(-1)),
        _ => Event::Line(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_behind_kernel_messages() {
        let event = parse("[    3.1] 9p: noise@@ninefold end locks 137".to_owned());
        assert_eq!(event, Event::End("locks".to_owned(), 137));
    }

    #[test]
    fn other_lines_are_output() {
        for line in ["", "hello", "@@ninefold whatever"] {
            assert_eq!(parse(line.to_owned()), Event::Line(line.to_owned()));
        }
    }
}
