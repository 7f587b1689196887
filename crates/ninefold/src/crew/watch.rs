//! The one thread that looks at the clock.
//!
//! It ends the waits for locks that have lasted long enough, has throttled requests go on when their
//! time has come, and looks after the connections
//! that a thread keeps for itself: when that thread is stuck in a request, nobody would receive the
//! next one, so that the connection goes back to the epoll set.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::channel::Channel;
use crate::export::Export;
use crate::locked;

/// How long a kept connection may be without progress before it is given back.
const STUCK: Duration = Duration::from_millis(2);

/// What is watched.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    exports: Vec<Weak<Export>>,
    held: Vec<(Weak<Channel>, u64)>,
    /// Somebody may have begun to wait.
    news: bool,
}

impl Watch {
    /// Looks after the waits of an export from now on.
    pub(super) fn add_export(self: &Arc<Self>, export: &Arc<Export>) {
        let weak = Arc::downgrade(export);
        let mut state = locked(&self.state);
        if state.exports.iter().any(|known| known.ptr_eq(&weak)) {
            return;
        }
        state.exports.push(weak);
        drop(state);
        // Who unlocks may leave a waiter that only the host is in the way of.
        let watch = Arc::downgrade(self);
        export.locks().on_sooner(move || {
            let watch = watch.upgrade();
            watch.is_some_and(|watch| {
                watch.waiting();
                true
            })
        });
    }

    /// Looks after a connection that its thread keeps.
    pub(super) fn hold(&self, channel: &Arc<Channel>) {
        let mut state = locked(&self.state);
        state
            .held
            .push((Arc::downgrade(channel), channel.progress()));
        self.tell(&mut state);
    }

    /// Says that a request waits.
    pub(super) fn waiting(&self) {
        self.tell(&mut locked(&self.state));
    }

    fn tell(&self, state: &mut State) {
        state.news = true;
        self.changed.notify_one();
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.waiting();
    }

    /// The life of the thread.
    pub(super) fn run(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            let next = self.expire();
            self.release_stuck();
            self.sleep(next);
        }
    }

    fn expire(&self) -> Option<Instant> {
        let exports: Vec<_> = locked(&self.state)
            .exports
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        exports
            .iter()
            .filter_map(|export| export.expire(Instant::now()))
            .min()
    }

    /// Gives back the connections without progress since the last look, and forgets those that are
    /// kept no more.
    fn release_stuck(&self) {
        let held = std::mem::take(&mut locked(&self.state).held);
        let mut still = Vec::new();
        for (weak, seen) in held {
            let Some(channel) = weak.upgrade().filter(|channel| channel.is_held()) else {
                continue;
            };
            let progress = channel.progress();
            if progress == seen && !channel.is_receiving() {
                channel.let_go();
            } else {
                still.push((weak, progress));
            }
        }
        locked(&self.state).held.append(&mut still);
    }

    fn sleep(&self, next: Option<Instant>) {
        let mut state = locked(&self.state);
        let until = next.map(|next| next.saturating_duration_since(Instant::now()));
        if !state.held.is_empty() {
            // A deadline is not so exact that it has to shorten this.
            let slept = self.changed.wait_timeout(state, STUCK);
            state = slept.unwrap_or_else(PoisonError::into_inner).0;
        } else if !state.news {
            state = match until {
                Some(until) => {
                    let slept = self.changed.wait_timeout(state, until);
                    slept.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.news = false;
    }
}
