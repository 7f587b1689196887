//! How a client notices that content has changed: the version of the qid, and `data_version`.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ninefold::{ExportOptions, SecurityModel};
use ninefold_wire::flags::getattr as ask;

use crate::client::Client;
use crate::share::{Share, one_of_each};
use crate::verbs::RDWR;

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

/// Both signs of a change, of fid 1.
fn signs(client: &mut Client) -> (u32, u64) {
    let attr = client.getattr(1, ask::DATA_VERSION).expect("attributes");
    assert_eq!(attr.valid & ask::DATA_VERSION, ask::DATA_VERSION);
    (attr.qid.version, attr.data_version)
}

#[test]
fn the_signs_follow_the_content() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDWR);
    share.settle();
    let first = signs(&mut client);
    assert_eq!(signs(&mut client), first);
    assert!(first.0 != 0 && first.1 != 0);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(share.path("file"));
    file.expect("an open").set_modified(old).expect("a time");
    let second = signs(&mut client);
    assert!(second.0 != first.0 && second.1 != first.1);
    assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
    share.settle();
    let settled = signs(&mut client);
    client.read(1, 0, 99).expect("the content");
    share.settle();
    assert_eq!(signs(&mut client), settled, "reading changes nothing");
}

/// Many writes in one tick of the host's clock, by the client and by the host, all as long as the
/// content is.
#[test]
fn no_two_contents_have_the_same_signs() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDWR);
    let (mut versions, mut changes) = (HashSet::new(), HashSet::new());
    for round in 0..400_u16 {
        let content = format!("{round:07}");
        if round % 2 == 0 {
            assert_eq!(client.write(1, 0, content.as_bytes()), Ok(7));
        } else {
            share.write("file", content);
        }
        let (version, change) = signs(&mut client);
        assert!(
            versions.insert(version) && changes.insert(change),
            "{round}"
        );
    }
    share.settle();
    let (version, change) = signs(&mut client);
    // What a client has kept of the last content it has now to look at again.
    assert!(versions.insert(version) && changes.insert(change));
}

#[test]
fn each_look_at_what_has_just_changed_brings_another_version() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDWR);
    // A thread may be held up for longer than a tick.
    let mut differed = (0..100).map(|_| {
        client.write(1, 0, b"CONTENT").expect("a write");
        signs(&mut client).0 != signs(&mut client).0
    });
    assert!(differed.any(|differed| differed));
}

#[test]
fn signs_and_numbers_outlive_the_server() {
    for model in [SecurityModel::None, SecurityModel::MappedFile] {
        let options = ExportOptions::new(model);
        let share = Share::with_options(&options, one_of_each);
        share.settle();
        for name in ["file", "dir", "dir/inner"] {
            let mut seen = HashSet::new();
            for export in [Arc::clone(share.export()), share.another(&options)] {
                let mut client = Client::new(&export);
                client.version(1 << 20, b"9P2000.L").expect("a version");
                client.attach(0).expect("a root");
                let found = client.find(1, name);
                let attr = client.getattr(1, ask::DATA_VERSION).expect("attributes");
                assert_eq!(attr.qid, found);
                let opened = client.lopen(1, 0).expect("an open").0;
                assert_eq!(opened, found);
                seen.insert((found.version, found.path, attr.data_version));
            }
            assert_eq!(seen.len(), 1, "{name}: {seen:?}");
        }
    }
}
