//! The one thread that looks at the clock.
//!
//! It ends the waits for locks that have lasted long enough, has throttled requests go on when their
//! time has come, and ends the system calls that wait for what nobody wants any more. And it looks
//! after the connections that a thread keeps for itself: when that thread is stuck in a request,
//! nobody would receive the next one, so that the connection goes back to the epoll set.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::thread::set_current_timer_slack;

use super::Connection;
use super::channel::Channel;
use crate::export::Export;
use crate::locked;

/// How long a connection may be without progress before another thread comes.
const STUCK: Duration = Duration::from_millis(2);

/// How much later that may be noticed: by then there has been a tick of the clock, which wakes the watch
/// along the way. So looks need no interrupt of their own, and are fewer: that saves up to a twentieth of
/// a busy server's processor time in a virtual machine.
const SLACK: Duration = Duration::from_millis(4);

/// How long a client that sends no more may wait for the replies that are being made: over TCP one
/// that has died looks the same.
const LINGER: Duration = Duration::from_secs(10);
/// How long after an attempt to end a system call the next one follows.
const AGAIN: Duration = Duration::from_millis(5);

/// What is watched.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
}

/// What a connection was like when last looked at.
struct Look {
    connection: Weak<dyn Connection>,
    progress: u64,
    at: Instant,
}

#[derive(Default)]
struct State {
    exports: Vec<Weak<Export>>,
    held: Vec<(Weak<Channel>, u64)>,
    /// Connections whose next request nobody may see.
    watched: Vec<Look>,
    /// Connections on which nothing comes any more, and when they are closed at the latest.
    lingering: Vec<(Weak<Channel>, Instant)>,
    /// Connections with requests that nobody wants any more.
    unwanted: Vec<Weak<dyn Connection>>,
    /// Somebody may have begun to wait.
    news: bool,
}

impl State {
    fn add_unwanted(&mut self, connection: Weak<dyn Connection>) {
        let address = |weak: &Weak<dyn Connection>| weak.as_ptr().cast::<()>();
        let known = &mut self.unwanted;
        if !known.iter().any(|it| address(it) == address(&connection)) {
            known.push(connection);
        }
    }
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

    /// Looks after a connection that has as many threads as it may, or more to receive: somebody has
    /// to come when they are stuck.
    pub(super) fn look_after(&self, connection: Weak<dyn Connection>, progress: u64) {
        let mut state = locked(&self.state);
        state.watched.push(Look {
            connection,
            progress,
            at: Instant::now(),
        });
        self.tell(&mut state);
    }

    /// Ends the system calls of the requests of a connection that its client does not want any more.
    pub(super) fn interrupt(&self, connection: Weak<dyn Connection>) {
        let mut state = locked(&self.state);
        state.add_unwanted(connection);
        self.tell(&mut state);
    }

    /// Closes a connection whose client sends no more, if its requests last too long.
    pub(super) fn linger(&self, channel: &Arc<Channel>) {
        let mut state = locked(&self.state);
        let until = Instant::now() + LINGER;
        state.lingering.push((Arc::downgrade(channel), until));
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
        let mut slack = Slack { wide: false };
        while !self.stopping.load(Ordering::Acquire) {
            let next = self
                .expire()
                .into_iter()
                .chain(self.close_lingering())
                .min();
            self.release_stuck();
            self.look_at_watched();
            self.interrupt_unwanted();
            self.sleep(next, &mut slack);
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

    /// Says when the next one is to be closed.
    fn close_lingering(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = locked(&self.state);
        let mut over = Vec::new();
        state.lingering.retain(|(channel, until)| {
            if *until <= now {
                over.extend(channel.upgrade());
            }
            *until > now && channel.strong_count() > 0
        });
        let next = state.lingering.iter().map(|(_, until)| *until).min();
        drop(state);
        for channel in over {
            channel.close_unless_quiet();
        }
        next
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

    /// Forgets the connections that are stuck, because somebody comes, and those at rest.
    fn look_at_watched(&self) {
        let now = Instant::now();
        let mut watched = std::mem::take(&mut locked(&self.state).watched);
        watched.retain_mut(|look| {
            if now < look.at + STUCK {
                return true;
            }
            look.at = now;
            let connection = look.connection.upgrade();
            connection.is_some_and(|it| it.look(&mut look.progress))
        });
        locked(&self.state).watched.append(&mut watched);
    }

    /// Forgets the connections whose requests have all ended.
    fn interrupt_unwanted(&self) {
        let unwanted = std::mem::take(&mut locked(&self.state).unwanted);
        for weak in unwanted {
            let connection = weak.upgrade();
            if connection.is_some_and(|it| it.interrupt_unwanted()) {
                locked(&self.state).add_unwanted(weak);
            }
        }
    }

    fn sleep(&self, next: Option<Instant>, slack: &mut Slack) {
        let mut state = locked(&self.state);
        let until = next.map(|next| next.saturating_duration_since(Instant::now()));
        let looks = !state.held.is_empty() || !state.watched.is_empty();
        slack.set(looks && next.is_none());
        // A deadline is not so exact that it has to shorten these.
        let pause = if looks {
            Some(STUCK)
        } else if !state.unwanted.is_empty() {
            Some(AGAIN)
        } else if state.news {
            Some(Duration::ZERO)
        } else {
            until
        };
        state = match pause {
            Some(pause) => {
                let slept = self.changed.wait_timeout(state, pause);
                slept.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
        };
        state.news = false;
    }
}

/// How exactly the kernel wakes this thread.
struct Slack {
    wide: bool,
}

impl Slack {
    fn set(&mut self, wide: bool) {
        if self.wide == wide {
            return;
        }
        self.wide = wide;
        let nanoseconds = u64::try_from(SLACK.as_nanos()).unwrap_or(u64::MAX);
        // Where it cannot be set, it is as it was, which is exact enough.
        let _ = set_current_timer_slack(NonZeroU64::new(nanoseconds).filter(|_| wide));
    }
}
