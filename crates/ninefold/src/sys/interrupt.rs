//! Ending a system call that another thread waits in.
//!
//! A call that waits - an open of a file that somebody has a lease on, a read from a file system
//! whose server hangs - returns EINTR when its thread receives a signal. It must hit that call and
//! nothing else:
//!
//! - A thread opens a window around a call that may be ended, and only through it a signal is sent.
//!   Who sends holds the window meanwhile, so that it closes before or after. A thread that closes a
//!   window takes the signal that has come through it, before it does anything else.
//! - What a request does after it was ended, to leave things as they were, is not disturbed: no
//!   window opens for it any more.
//! - A signal that comes just before the call is lost. Who sends does so again until the request
//!   is over.
//!
//! EINTR without a signal of ours is nobody's wish, and the call is made again.

use std::cell::OnceCell;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use libc::{c_int, pid_t};
use rustix::io::Errno;

use super::Result;

/// What a thread is at: two numbers that mean something to its user.
pub type Job = (u64, u64);

/// A call is under way that may be ended.
const OPEN: u64 = 1;
/// Somebody is sending a signal, and the window stays as it is.
const SENDING: u64 = 2;
/// A signal has been sent through this window.
const SENT: u64 = 4;
/// A call of this job was ended.
const ENDED: u64 = 8;
/// Above these bits is the number of the job, so that a window of one is not taken for one of
/// another.
const NEXT_JOB: u64 = 16;

thread_local! {
    static THIS: OnceCell<Arc<Calls>> = const { OnceCell::new() };
}

/// The calls of one thread, as far as they may be ended.
pub struct Calls {
    thread: pid_t,
    signal: c_int,
    state: AtomicU64,
    job: [AtomicU64; 2],
}

/// The signal that ends calls: the first real-time signal that nobody has a use for, from when it is
/// first asked for. Its handler does nothing. None when there is no such signal.
pub fn signal() -> Option<c_int> {
    static SIGNAL: OnceLock<Option<c_int>> = OnceLock::new();
    *SIGNAL.get_or_init(|| (libc::SIGRTMIN()..=libc::SIGRTMAX()).find(|signal| claim(*signal)))
}

extern "C" fn nothing(_signal: c_int) {}

/// Gives a signal a handler, unless it has one.
fn claim(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction writes the whole structure or fails, and all zeroes are one, too: a plain
    // structure of numbers. The handler has the type that is called without SA_SIGINFO, and does
    // nothing that a handler must not do. Without SA_RESTART calls end with EINTR.
    unsafe {
        if libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) != 0 {
            return false;
        }
        let mut action = action.assume_init();
        if action.sa_sigaction != libc::SIG_DFL {
            return false;
        }
        action.sa_sigaction = nothing as extern "C" fn(c_int) as libc::sighandler_t;
        action.sa_flags = 0;
        libc::sigaction(signal, &raw const action, ptr::null_mut()) == 0
    }
}

/// Lets this thread receive a signal, whatever it has inherited.
fn unblock(signal: c_int) {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is initialised before it is used, and only this thread's mask changes.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
    }
}

/// Has this thread hear of a peer that has gone by EPIPE alone, which splice(2) cannot be told.
pub fn block_sigpipe() {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: as in `unblock`.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut());
    }
}

impl Calls {
    /// Those of this thread, which others may end with this signal from now on.
    pub fn of_this_thread(signal: c_int) -> Arc<Self> {
        let calls = THIS.with(|this| {
            let calls = this.get_or_init(|| {
                Arc::new(Self {
                    thread: rustix::thread::gettid().as_raw_nonzero().get(),
                    signal,
                    state: AtomicU64::new(0),
                    job: [AtomicU64::new(0), AtomicU64::new(0)],
                })
            });
            Arc::clone(calls)
        });
        unblock(signal);
        calls
    }

    /// Says what this thread is at from now on. To be called by itself, outside of any call.
    fn begin(&self, job: Job) {
        let number = self.state.load(Ordering::Relaxed) & !(NEXT_JOB - 1);
        self.state
            .store(number.wrapping_add(NEXT_JOB), Ordering::Release);
        self.job[0].store(job.0, Ordering::Release);
        self.job[1].store(job.1, Ordering::Release);
    }

    /// Ends the call that the thread waits in, if it is at a job that `is_over`. Perhaps the thread
    /// is just about to wait; so this is to be repeated until the job has ended.
    pub fn interrupt(&self, is_over: impl FnOnce(Job) -> bool) {
        let seen = self.state.load(Ordering::Acquire);
        if seen & (OPEN | SENDING) != OPEN {
            return;
        }
        let job = [0, 1].map(|at: usize| self.job[at].load(Ordering::Acquire));
        // A job that has begun since has another number.
        let unchanged = || {
            let sending = seen | SENDING;
            let (done, failed) = (Ordering::AcqRel, Ordering::Relaxed);
            let exchanged = self.state.compare_exchange(seen, sending, done, failed);
            exchanged.is_ok()
        };
        if is_over((job[0], job[1])) && unchanged() {
            let sent = if self.send() { SENT } else { 0 };
            self.state.store(seen | sent, Ordering::Release);
        }
    }

    fn send(&self) -> bool {
        // SAFETY: the call takes three numbers. The thread is one of this process that has a window
        // open, so that it lives, and the signal has a handler.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.thread, self.signal) == 0 }
    }

    fn open(&self) {
        // While it is closed nobody else changes it.
        let state = self.state.load(Ordering::Relaxed);
        if state & ENDED == 0 {
            self.state.store(state | OPEN, Ordering::Release);
        }
    }

    /// Closes the window; true when a signal has come through it.
    fn close(&self) -> bool {
        let mut seen = self.state.load(Ordering::Acquire);
        loop {
            if seen & SENDING != 0 {
                thread::yield_now();
                seen = self.state.load(Ordering::Acquire);
                continue;
            }
            let closed = seen & !(OPEN | SENT);
            let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
            match self.state.compare_exchange(seen, closed, done, failed) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        if seen & SENT != 0 {
            // The signal stands at this thread, which takes it when it returns from any call.
            let _ = rustix::thread::gettid();
        }
        seen & SENT != 0
    }

    /// A call of this job was ended: no other is.
    fn note_ended(&self) {
        self.state.fetch_or(ENDED, Ordering::AcqRel);
    }
}

/// While it lives, others may end the calls of this thread.
struct Window;

impl Window {
    fn open() -> Self {
        with_calls((), Calls::open);
        Self
    }

    /// Closes it; true when a signal has come through it.
    fn close(self) -> bool {
        mem::forget(self);
        with_calls(false, Calls::close)
    }
}

/// A panic closes it, too.
impl Drop for Window {
    fn drop(&mut self) {
        with_calls(false, Calls::close);
    }
}

/// Does something with the calls of this thread, if others may end them.
fn with_calls<T>(otherwise: T, act: impl FnOnce(&Calls) -> T) -> T {
    THIS.with(|this| match this.get() {
        Some(calls) => act(calls),
        None => otherwise,
    })
}

/// Says what this thread is at from now on, if others may end its calls.
pub fn begin(job: Job) {
    with_calls((), |calls| calls.begin(job));
}

/// Makes a call that may wait for long, and that has done nothing when it fails with EINTR. It does
/// so only when nobody waits for the end of this thread's job any more.
///
/// # Errors
/// EINTR, and those of the call.
#[inline]
pub fn interruptible<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        let window = Window::open();
        let done = call();
        let ended = window.close();
        match done {
            Err(Errno::INTR) if ended => {
                with_calls((), Calls::note_ended);
                return Err(Errno::INTR);
            }
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;
    use std::time::Duration;

    use rustix::io::{read, write};
    use rustix::pipe::pipe;

    use super::*;

    /// Ends whatever it can of a job until told to stop.
    fn pester(calls: &Calls, over: u64, done: &AtomicBool) {
        while !done.load(Ordering::Acquire) {
            calls.interrupt(|(job, _)| job == over);
            thread::sleep(Duration::from_micros(10));
        }
    }

    #[test]
    fn a_call_that_waits_is_ended() {
        let (reader, _writer) = pipe().expect("a pipe");
        let (tell, told) = mpsc::channel();
        let done = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&done);
        let waiting = thread::spawn(move || {
            let calls = Calls::of_this_thread(signal().expect("a free signal"));
            tell.send(calls).expect("a listener");
            begin((7, 0));
            let read = interruptible(|| read(&reader, &mut [0; 1]));
            ended.store(true, Ordering::Release);
            read
        });
        let calls = told.recv().expect("the thread's calls");
        pester(&calls, 7, &done);
        assert_eq!(waiting.join().expect("no panic"), Err(Errno::INTR));
    }

    /// One job after the other waits a moment; every other one is to be ended, and no signal for
    /// it reaches the one after, nor a call outside of a window.
    #[test]
    fn no_other_call_is_ended() {
        let (reader, writer) = pipe().expect("a pipe");
        let (tell, told) = mpsc::channel();
        let done = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&done);
        let waiting = thread::spawn(move || {
            let calls = Calls::of_this_thread(signal().expect("a free signal"));
            tell.send(calls).expect("a listener");
            let (mut number, mut hits) = (0, 0);
            while hits < 100 {
                number += 1;
                begin((number % 2, number));
                let other = interruptible(|| read(&reader, &mut [0; 1]));
                let plain = read(&reader, &mut [0; 1]);
                assert!(plain.is_ok(), "{plain:?}");
                let second = interruptible(|| read(&reader, &mut [0; 1]));
                let both = [other, second];
                let ended = both
                    .iter()
                    .filter(|read| **read == Err(Errno::INTR))
                    .count();
                assert!(
                    both.iter()
                        .all(|read| matches!(read, Ok(1) | Err(Errno::INTR)))
                );
                hits += ended;
                // At most once, and only what was to be.
                assert!(
                    ended <= usize::from(number % 2 == 1),
                    "job {number}: {both:?}"
                );
            }
            ended.store(true, Ordering::Release);
        });
        // So slow that reads wait.
        let feeding = thread::spawn(move || {
            while write(&writer, b"x").is_ok() {
                thread::sleep(Duration::from_micros(50));
            }
        });
        let calls = told.recv().expect("the thread's calls");
        pester(&calls, 1, &done);
        waiting
            .join()
            .expect("no call was ended that was not to be");
        feeding.join().expect("no panic");
    }

    /// Others have signals, too.
    #[test]
    fn a_call_that_another_signal_ends_is_made_again() {
        let mut failures = 3;
        let done = interruptible(|| {
            failures -= 1;
            if failures > 0 {
                Err(Errno::INTR)
            } else {
                Ok(())
            }
        });
        assert_eq!((done, failures), (Ok(()), 0));
    }
}
