//! How newcomers get in.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::channel::Channel;
use super::{Connection, Listener, Shared};
use crate::export::Export;
use crate::locked;

/// Most connections at once; further ones are closed at once.
const CONNECTIONS_MAX: usize = 16384;

/// A listener and what is behind it.
pub(super) struct Door {
    listener: Listener,
    export: Arc<Export>,
    /// Times that somebody was told of newcomers since the last look at the door.
    knocks: AtomicUsize,
}

impl Door {
    pub(super) fn new(listener: Listener, export: &Arc<Export>) -> Self {
        Self {
            listener,
            export: Arc::clone(export),
            knocks: AtomicUsize::new(0),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.listener.fd()
    }
}

impl Shared {
    /// Lets newcomers in. One thread does: when there are no descriptors left it stays at the door,
    /// and the others are for those who are inside.
    pub(super) fn accept(self: &Arc<Self>, id: u64) {
        let Some(door) = locked(&self.listeners).get(&id).cloned() else {
            return;
        };
        if door.knocks.fetch_add(1, Ordering::SeqCst) > 0 {
            return;
        }
        let mut heard = 1;
        while heard > 0 {
            self.accept_all(&door);
            heard = door.knocks.fetch_sub(heard, Ordering::SeqCst) - heard;
        }
    }

    fn accept_all(self: &Arc<Self>, door: &Door) {
        while !self.is_stopping() {
            match door.listener.accept() {
                Ok(socket) => self.let_in(socket, door),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => {
                    tracing::warn!(%errno, "cannot accept a connection, trying again");
                    // Out of descriptors, most likely: the door stays open for when there are some.
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Whom the listener does not want is closed at once.
    fn let_in(self: &Arc<Self>, socket: OwnedFd, door: &Door) {
        if let Err(error) = door.listener.admit(&socket) {
            tracing::warn!("refused a connection to {}: {error}", door.listener.url());
            return;
        }
        if let Err(errno) = self.adopt(socket, &door.export) {
            tracing::warn!(%errno, "cannot serve a new connection");
        }
    }

    pub(super) fn adopt(
        self: &Arc<Self>,
        socket: OwnedFd,
        export: &Arc<Export>,
    ) -> Result<(), Errno> {
        let id = self.new_id();
        let channel = Channel::new(self, id, socket, export)?;
        let mut channels = locked(&self.channels);
        if channels.len() >= CONNECTIONS_MAX {
            return Err(Errno::MFILE);
        }
        let connection: Arc<dyn Connection> = Arc::<Channel>::clone(&channel);
        channels.insert(id, connection);
        self.visited.store(true, Ordering::SeqCst);
        drop(channels);
        let added = channel.register();
        if added.is_err() {
            self.forget(id);
        }
        added
    }
}
