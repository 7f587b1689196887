//! `ORCLOSE`: the file is removed when its fid is clunked.

use std::fs;

use ninefold::Errno;
use ninefold_wire::flags::classic_open as bits;

use super::ALL;
use crate::client::Client;
use crate::share::Share;

fn client(share: &Share, dialect: ninefold_wire::Dialect) -> Client {
    share.write("file", "content");
    let mut client = share.speaker(dialect);
    client.topen_path(1, "file", bits::READ | bits::RCLOSE);
    client
}

#[test]
fn a_clunk_removes() {
    for dialect in ALL {
        let share = Share::new();
        let mut client = client(&share, dialect);
        client.walk(1, 2, &[]).expect("a clone");
        client.clunk(2).expect("a clunk");
        assert!(share.exists("file"), "a clone does not remove");
        client.clunk(1).expect("a clunk");
        assert!(!share.exists("file"));
        client
            .create_at_root(3, "new", 0o600, bits::RDWR | bits::RCLOSE)
            .expect("a file");
        assert!(share.exists("new"));
        client.clunk(3).expect("a clunk");
        assert!(!share.exists("new"));
    }
}

#[test]
fn every_end_of_a_fid_is_a_clunk() {
    for dialect in ALL {
        let share = Share::new();
        drop(client(&share, dialect));
        assert!(!share.exists("file"), "the end of the connection");
        let mut client = client(&share, dialect);
        client.version(8192, dialect.version()).expect("a version");
        assert!(!share.exists("file"), "a new session");
    }
}

#[test]
fn the_object_is_removed_and_nothing_else() {
    for dialect in ALL {
        let share = Share::new();
        let mut client = client(&share, dialect);
        fs::rename(share.path("file"), share.path("moved")).expect("a rename");
        share.write("file", "another");
        client.clunk(1).expect("a clunk");
        assert!(!share.exists("moved"), "the file, wherever it is");
        assert_eq!(share.read("file"), b"another", "not what has its name");
    }
}

#[test]
fn one_removed_before_is_no_error() {
    for dialect in ALL {
        let share = Share::new();
        let mut client = client(&share, dialect);
        fs::remove_file(share.path("file")).expect("a removal");
        client.clunk(1).expect("a clunk");
        assert!(client.clunk(1) == Err(Errno::BADF), "the fid is gone");
    }
}
