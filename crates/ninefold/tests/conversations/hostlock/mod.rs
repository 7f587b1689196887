//! Locks between clients and the host: its programs, and other servers of the same folder.

mod conflicts;
mod shadow;
mod waiting;

use crate::client::Client;
use crate::foreign::Foreigner;
use crate::share::{Share, model, one_of_each};
use crate::verbs::RDWR;

const READ: u8 = 0;
const WRITE: u8 = 1;
const UNLOCK: u8 = 2;

fn share() -> Share {
    Share::with(model(), false, one_of_each)
}

/// A client with the file open as fid 1.
fn locker(share: &Share) -> Client {
    let mut client = share.client();
    client.open(1, "file", RDWR);
    client
}

fn foreigner(share: &Share) -> Foreigner {
    Foreigner::open(&share.path("file"))
}
