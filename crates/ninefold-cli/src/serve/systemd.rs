//! What a service manager is told: ready, alive, stopping. Nothing when none asks.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ninefold::Crew;
use sd_notify::NotifyState;

/// Says that clients can come.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// Says that the end has begun.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// How often [`stay_alive`] has to speak: twice as often as the manager wants, if it wants at all.
pub fn heartbeat() -> Option<Duration> {
    let half = sd_notify::watchdog_enabled()? / 2;
    Some(half.max(Duration::from_millis(1)))
}

/// Says that the server is alive, until `end` is dropped. One whose connections cannot be looked at
/// any more says nothing.
pub fn stay_alive(crew: &Crew, heartbeat: Duration, end: &Receiver<()>) {
    loop {
        tracing::trace!(connections = crew.connections(), "alive");
        tell(NotifyState::Watchdog);
        if end.recv_timeout(heartbeat) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell the service manager (NOTIFY_SOCKET)");
    }
}
