//! Locks of users who may not do everything with a file.

use ninefold::Squashed;
use ninefold_wire::flags::lock::{BLOCKED, SUCCESS};

use super::{share, users};
use crate::foreign::Foreigner;
use crate::verbs::{RDONLY, RDWR, range};

const READ: u8 = 0;
const WRITE: u8 = 1;

/// The descriptor of a file's locks is the server's, whoever was the first to lock.
#[test]
fn locks_hold_whoever_is_first() {
    let Some(share) = share(Squashed::Nobody) else {
        return;
    };
    let host = Foreigner::open(&share.path("shown"));
    let mut client = users(&share);
    for (user, fid, flags) in [(2, 5, RDONLY), (1, 6, RDWR)] {
        client.walk(user, fid, &["shown"]).expect("a file");
        client.lopen(fid, flags).expect("for all to read");
    }
    let bob = range(0, 10, 1);
    assert_eq!(client.lock(5, READ, 0, bob), Ok(SUCCESS));
    // Linux asks for it after flock(2), which a descriptor that only reads may use.
    assert_eq!(client.lock(5, WRITE, 0, bob), Ok(SUCCESS));
    assert!(!host.lock(READ, 0, 1), "exclusive on the host");
    let ann = range(20, 10, 2);
    assert_eq!(client.lock(6, WRITE, 0, ann), Ok(SUCCESS));
    assert!(!host.lock(READ, 20, 1), "exclusive on the host");
    assert_eq!(client.lock(6, WRITE, 0, range(0, 0, 2)), Ok(BLOCKED));
}
