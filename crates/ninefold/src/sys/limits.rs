//! The process's limits.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises RLIMIT_NOFILE to its hard limit, because each object that a client knows costs a
/// descriptor. Returns the limit now in force.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    let in_force = if setrlimit(Resource::Nofile, limit).is_ok() {
        limit.current
    } else {
        before
    };
    in_force.unwrap_or(u64::MAX)
}
