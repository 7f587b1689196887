//! A 9P file server: it shares a folder of the host with virtual machines, containers and other
//! computers.
//!
//! The way of a request, in one direction: a [`Crew`] of threads cuts frames from its connections;
//! a [`Session`] keeps tags and fids of one connection; an operation turns the message into calls
//! on the [`Export`]; the reply goes back from the thread that made it. See ARCHITECTURE.md.

mod crew;
mod export;
mod fid;
mod ops;
mod session;
#[allow(unsafe_code)]
mod sys;
mod throttle;

pub use crew::{
    AdmitError, ConnectionOptions, Crew, CrewOptions, Inherited, ListenError, Listener, Message,
    MessageQueue, QueueLink,
};
pub use export::{
    Budget, Enforce, Export, ExportError, ExportOptions, IdOverlap, IdRule, IdRuleError,
    IdTranslation, Multidevs, SecurityModel, Squash, Squashed,
};
pub use rustix::io::Errno;
pub use session::{Admission, Outlet, Place, Served, Session, SessionOptions, Ticket};
pub use sys::{Memory, act_as_server, inherited_descriptor, raise_descriptor_limit};
pub use throttle::{ThrottleError, ThrottleOptions, UnknownThrottleOption};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. A panic of another thread does not spread: what the mutexes of this crate guard
/// is consistent at every step.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
