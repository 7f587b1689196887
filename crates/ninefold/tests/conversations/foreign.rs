//! Somebody else on the host, who locks the shared files himself.
//!
//! Locks of a descriptor of this process conflict with those of any other descriptor, the server's
//! too, so that no other process is needed to be somebody else.

#![expect(unsafe_code, reason = "fcntl(2) with a lock has no safe wrapper")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use libc::{c_int, c_long};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A file of the share as a program of the host has it open.
pub struct Foreigner(File);

/// Kind, first byte and length of a lock; length 0 is to the end.
pub type Seen = (u8, u64, u64);

impl Foreigner {
    /// Opens a file for reading and writing.
    pub fn open(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path);
        Self(file.expect("the file"))
    }

    /// Opens a file or directory for reading.
    pub fn look(path: &Path) -> Self {
        Self(File::open(path).expect("the file"))
    }

    /// Locks or unlocks bytes through this descriptor. False when somebody is in the way.
    pub fn lock(&self, kind: u8, start: u64, length: u64) -> bool {
        self.set(libc::F_OFD_SETLK, kind, start, length)
    }

    /// The same as a lock of this process.
    pub fn process_lock(&self, kind: u8, start: u64, length: u64) -> bool {
        self.set(libc::F_SETLK, kind, start, length)
    }

    fn set(&self, command: c_int, kind: u8, start: u64, length: u64) -> bool {
        match self.fcntl(command, kind, start, length) {
            Ok(_) => true,
            Err(Errno::AGAIN) => false,
            Err(errno) => panic!("{errno}"),
        }
    }

    /// The lock of somebody else that would be in the way of such a one.
    pub fn sees(&self, kind: u8, start: u64, length: u64) -> Option<Seen> {
        let found = self.fcntl(libc::F_OFD_GETLK, kind, start, length);
        let found = found.expect("an answer");
        let kind = match c_int::from(found.l_type) {
            libc::F_UNLCK => return None,
            libc::F_RDLCK => 0,
            _ => 1,
        };
        Some((
            kind,
            found.l_start.unsigned_abs(),
            found.l_len.unsigned_abs(),
        ))
    }

    /// What others have at one byte: nothing, a lock to read, or one to write.
    pub fn at(&self, byte: u64) -> Option<u8> {
        self.sees(1, byte, 1).map(|(kind, ..)| kind)
    }

    /// Locks or unlocks by flock(2). False when somebody is in the way.
    pub fn flock(&self, kind: u8) -> bool {
        let operation = match kind {
            0 => FlockOperation::NonBlockingLockShared,
            1 => FlockOperation::NonBlockingLockExclusive,
            _ => FlockOperation::Unlock,
        };
        match flock(&self.0, operation) {
            Ok(()) => true,
            Err(Errno::AGAIN) => false,
            Err(errno) => panic!("{errno}"),
        }
    }

    fn fcntl(
        &self,
        command: c_int,
        kind: u8,
        start: u64,
        length: u64,
    ) -> Result<libc::flock, Errno> {
        let kind = [libc::F_RDLCK, libc::F_WRLCK, libc::F_UNLCK][usize::from(kind)];
        let mut record = libc::flock {
            l_type: kind.try_into().expect("a small number"),
            l_whence: 0,
            l_start: start.try_into().expect("an offset"),
            l_len: length.try_into().expect("an offset"),
            l_pid: 0,
        };
        // SAFETY: the descriptor is open, the record outlives the call.
        let status = unsafe { libc::fcntl(self.0.as_raw_fd(), command, &raw mut record) };
        if status == 0 {
            Ok(record)
        } else {
            let error = std::io::Error::last_os_error();
            Err(Errno::from_io_error(&error).expect("a number"))
        }
    }
}

/// While it lives, this thread may do with files what nobody may. Only the superuser can make one;
/// others have no need to.
pub struct Nobody(c_long);

impl Nobody {
    pub fn new() -> Self {
        Self(be(65534))
    }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        be(self.0);
    }
}

/// Has this thread reach files as a user, without the privileges of the superuser for them.
fn be(uid: c_long) -> c_long {
    // SAFETY: no memory is involved, and no other thread concerned.
    unsafe { libc::syscall(libc::SYS_setfsuid, uid) }
}
