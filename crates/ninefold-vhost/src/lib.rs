//! A virtio-9p device over vhost-user: the file server as a process of its own beside the virtual
//! machine, which reads and writes the guest's memory without a copy.
//!
//! A [`Device`] has a socket that a VMM connects to, and a thread that answers the VMM's requests
//! there. The guest's messages go from the `ring` to a crew of [`ninefold`]; nothing here knows 9P.
//! Whoever connects can have this process map any file that it has open, and is trusted as far as
//! that; the guest is not.

mod backend;
pub mod chain;
mod device;
mod memory;
mod ring;
mod tag;

pub use device::Device;
pub use tag::{Tag, TagError};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. A panic of another thread does not spread: what is guarded here is consistent at
/// every step.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
