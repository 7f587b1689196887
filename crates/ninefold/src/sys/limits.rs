//! The process's limits.

use rustix::process::{Resource, getrlimit, setrlimit};

/// RLIMIT_NOFILE, as it is now.
#[must_use]
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises RLIMIT_NOFILE to its hard limit, because objects that clients know cost
/// descriptors. Returns the limit now in force.
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
