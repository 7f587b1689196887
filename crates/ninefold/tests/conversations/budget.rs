//! Fewer descriptors than fids: objects are still the same objects.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;

use ninefold::{Budget, Errno, ExportOptions};
use ninefold_wire::SetAttr;
use ninefold_wire::flags::open::{APPEND, TRUNC};
use ninefold_wire::flags::{setattr, unlink};

use crate::client::Client;
use crate::recent::is_open;
use crate::share::{Share, is_root, model};
use crate::verbs::{RDONLY, RDWR};

/// Descriptors there are.
const FEW: usize = 40;
/// Objects that a client knows meanwhile, each once.
const MANY: u32 = 400;
/// Where their fids begin.
const CROWD: u32 = 1000;

fn share(fill: impl Fn(&Path)) -> (Share, Arc<Budget>) {
    let budget = Budget::new(FEW);
    let options = ExportOptions {
        descriptors: Some(Arc::clone(&budget)),
        ..ExportOptions::new(model())
    };
    let share = Share::with_options(&options, |root| {
        fs::create_dir(root.join("crowd")).expect("a directory");
        for number in 0..MANY {
            fs::write(root.join(format!("crowd/{number}")), number.to_string()).expect("a file");
        }
        fill(root);
    });
    (share, budget)
}

/// Has the client know so many other objects that whatever it knew before gives its descriptor back.
fn crowd(client: &mut Client, budget: &Budget) {
    for number in 0..MANY {
        client.find(CROWD + number, &format!("crowd/{number}"));
        assert!(budget.held() <= budget.max(), "{budget:?}");
    }
}

fn disperse(client: &mut Client) {
    for number in 0..MANY {
        client.clunk(CROWD + number).expect("a clunk");
    }
}

fn number(share: &Share, path: &str) -> u64 {
    share.stat(path).ino() * 2 + 1
}

#[test]
fn ten_times_as_many_files_open() {
    let (share, budget) = share(|_| {});
    let mut client = share.client();
    for number in 0..MANY {
        client.open(CROWD + number, &format!("crowd/{number}"), RDWR);
        assert!(budget.held() <= budget.max(), "{budget:?}");
    }
    for round in 1..3 {
        for number in 0..MANY {
            let known = format!("{number}{}", "x".repeat(round - 1));
            let read = client.read(CROWD + number, 0, 99);
            assert_eq!(read, Ok(known.clone().into_bytes()));
            let end = known.len() as u64;
            assert_eq!(client.write(CROWD + number, end, b"x"), Ok(1));
        }
    }
    assert_eq!(share.read("crowd/7"), b"7xx");
}

/// Each walk makes a node of its own, and all of them share what the object costs.
/// While there are plenty nobody takes note of who could do without one. When they become few, that is asked, of
/// the way to an object, too. So it is after they were few for a while, but none had to be given back.
#[test]
fn what_was_held_in_times_of_plenty_is_given_back() {
    let (share, budget) = share(|root| {
        fs::create_dir_all(root.join("a/way")).expect("directories");
        fs::write(root.join("a/way/named"), "named").expect("a file");
        fs::write(root.join("open"), "open").expect("a file");
        fs::create_dir(root.join("listed")).expect("a directory");
    });
    let all = ["a", "a/way", "a/way/named", "open", "listed"];
    let mut client = share.client();
    let some = CROWD..CROWD + 30;
    for fid in some.clone() {
        client.find(fid, &format!("crowd/{}", fid - CROWD));
    }
    for fid in some {
        client.clunk(fid).expect("a clunk");
    }
    for round in 0..2 {
        client.find(1, "a/way/named");
        client.open(2, "open", RDONLY);
        client.open(3, "listed", RDONLY);
        for path in all {
            assert!(is_open(&share.path(path)), "{path}, round {round}");
        }
        crowd(&mut client, &budget);
        for path in all {
            assert!(!is_open(&share.path(path)), "{path}, round {round}");
        }
        client.getattr(1, 0x7ff).expect("it is found again");
        assert_eq!(client.read(2, 0, 9).expect("content"), b"open");
        disperse(&mut client);
        for fid in 1..4 {
            client.clunk(fid).expect("a clunk");
        }
    }
}

#[test]
fn many_walks_to_one_file_cost_as_much_as_one() {
    let (share, budget) = share(|_| {});
    let mut client = share.client();
    client.find(1, "crowd/1");
    let attr = SetAttr {
        valid: setattr::MODE,
        mode: 0o640,
        ..SetAttr::default()
    };
    client.setattr(1, attr).expect("a mode");
    let held = budget.held();
    for fid in 2..MANY {
        client.find(fid, "crowd/1");
        assert_eq!(client.getattr(fid, 0).expect("attributes").mode, 0o100_640);
    }
    assert!(budget.held() <= held + 1, "{budget:?}, {held} before");
    drop(client);
    assert!(budget.held() < held, "{budget:?}, {held} before");
}

#[test]
fn an_object_is_found_again() {
    let (share, budget) = share(|root| {
        fs::create_dir_all(root.join("a/b/c")).expect("directories");
        fs::write(root.join("a/b/c/file"), "content").expect("a file");
        symlink("file", root.join("a/b/c/link")).expect("a link");
    });
    let mut client = share.client();
    for (fid, path) in [(1, "a/b/c/file"), (2, "a/b/c"), (3, "a/b/c/link")] {
        client.find(fid, path);
    }
    crowd(&mut client, &budget);
    let wanted = number(&share, "a/b/c/file");
    assert_eq!(
        client.getattr(1, 0x7ff).map(|attr| attr.qid.path),
        Ok(wanted)
    );
    assert_eq!(client.readlink(3).as_deref(), Ok(&b"file"[..]));
    client.lcreate(2, "new", RDWR, 0o644).expect("a file");
    assert!(share.exists("a/b/c/new"));
    client.lopen(1, RDONLY).expect("an open file");
    assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
}

#[test]
fn an_object_is_found_where_a_client_moved_it() {
    let (share, budget) = share(|root| {
        fs::create_dir_all(root.join("old/sub")).expect("directories");
        fs::create_dir(root.join("new")).expect("a directory");
        fs::write(root.join("old/sub/file"), "content").expect("a file");
    });
    let (mut client, mut other) = (share.client(), share.client());
    client.find(1, "old/sub/file");
    client.find(2, "old/sub");
    crowd(&mut client, &budget);
    other.find(1, "new");
    other.find(2, "old/sub");
    other
        .renameat((2, "file"), (1, "renamed"))
        .expect("a rename");
    other.rename(2, 1, "moved").expect("a rename");
    disperse(&mut client);
    crowd(&mut client, &budget);
    let wanted = number(&share, "new/renamed");
    assert_eq!(
        client.getattr(1, 0x7ff).map(|attr| attr.qid.path),
        Ok(wanted)
    );
    client.mkdir(2, "inner", 0o755).expect("a directory");
    assert!(share.exists("new/moved/inner"));
    client.rename(1, 2, "back").expect("a rename");
    assert_eq!(share.read("new/moved/back"), b"content");
}

/// The object of a fid that gave its descriptor back outlives its last name, and the new object of
/// that name is left alone.
fn outlives(remove: impl FnOnce(&Share, &mut Client)) {
    let (share, budget) = share(|root| {
        fs::write(root.join("file"), "content").expect("a file");
        fs::write(root.join("other"), "other").expect("a file");
    });
    let (mut client, mut remover) = (share.client(), share.client());
    client.find(1, "file");
    client.open(2, "file", RDWR);
    crowd(&mut client, &budget);
    remove(&share, &mut remover);
    disperse(&mut client);
    crowd(&mut client, &budget);
    let before = share.exists("file").then(|| share.read("file"));
    assert_eq!(client.getattr(1, 0x7ff).map(|attr| attr.nlink), Ok(0));
    assert_eq!(client.read(2, 0, 99).as_deref(), Ok(&b"content"[..]));
    assert_eq!(client.write(2, 7, b" kept"), Ok(5));
    let change = SetAttr {
        valid: setattr::MODE | setattr::SIZE,
        mode: 0o600,
        size: 9,
        ..SetAttr::default()
    };
    client.setattr(1, change).expect("a change");
    client.lopen(1, RDONLY).expect("an open file");
    assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content k"[..]));
    assert_eq!(share.exists("file").then(|| share.read("file")), before);
}

#[test]
fn an_object_outlives_its_removal() {
    outlives(|_, remover| remover.unlinkat(0, "file", 0).expect("a removal"));
    outlives(|share, remover| {
        remover.unlinkat(0, "file", 0).expect("a removal");
        share.write("file", "another");
    });
    outlives(|_, remover| {
        remover.find(1, "file");
        remover.remove(1).expect("a removal");
    });
}

#[test]
fn an_object_outlives_its_replacement() {
    outlives(|_, remover| {
        remover
            .renameat((0, "other"), (0, "file"))
            .expect("a rename");
    });
}

#[test]
fn a_directory_outlives_its_removal() {
    let (share, budget) = share(|root| fs::create_dir(root.join("dir")).expect("a directory"));
    let mut client = share.client();
    client.find(1, "dir");
    crowd(&mut client, &budget);
    client
        .unlinkat(0, "dir", unlink::REMOVEDIR)
        .expect("a removal");
    disperse(&mut client);
    crowd(&mut client, &budget);
    share.mkdir("dir");
    assert_eq!(client.mkdir(1, "inner", 0o755).map(drop), Err(Errno::NOENT));
    client.getattr(1, 0x7ff).expect("attributes");
    assert!(!share.exists("dir/inner"));
}

/// What the host removes while no descriptor holds it is gone, and never another object.
#[test]
fn what_the_host_removes_meanwhile_is_stale() {
    let (share, budget) = share(|root| {
        fs::write(root.join("file"), "content").expect("a file");
    });
    let mut client = share.client();
    client.find(1, "file");
    crowd(&mut client, &budget);
    fs::remove_file(share.path("file")).expect("a removal");
    // Mostly with the number of the one before.
    share.write("file", "another");
    assert_eq!(client.getattr(1, 0x7ff).map(drop), Err(Errno::STALE));
    assert_eq!(client.lopen(1, RDWR | TRUNC).map(drop), Err(Errno::STALE));
    assert_eq!(share.read("file"), b"another");
    client.clunk(1).expect("a clunk");
    client.find(1, "file");
    client.lopen(1, RDONLY).expect("an open file");
    assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"another"[..]));
}

/// QEMU opens a file once more with the flags that it was opened with, and so empties it.
#[test]
fn an_open_file_is_not_emptied_by_another_opening() {
    let (share, budget) = share(|root| {
        fs::write(root.join("file"), "content").expect("a file");
    });
    let mut client = share.client();
    client.open(1, "file", RDWR | TRUNC | APPEND);
    assert_eq!(client.write(1, 0, b"one"), Ok(3));
    client.walk(0, 2, &[]).expect("a clone");
    client
        .lcreate(2, "made", RDWR | TRUNC, 0o644)
        .expect("a file");
    assert_eq!(client.write(2, 0, b"made"), Ok(4));
    crowd(&mut client, &budget);
    let mut host = File::options().append(true).open(share.path("file"));
    write!(host.as_mut().expect("a file"), " two").expect("to write");
    // At the end, wherever it is said to go.
    assert_eq!(client.write(1, 0, b" three"), Ok(6));
    assert_eq!(share.read("file"), b"one two three");
    assert_eq!(client.read(2, 0, 99).as_deref(), Ok(&b"made"[..]));
}

#[test]
fn a_listing_goes_on_where_it_was() {
    let (share, budget) = share(|_| {});
    let mut client = share.client();
    client.open(1, "crowd", RDONLY);
    let mut names = Vec::new();
    let mut offset = 0;
    loop {
        let entries = client.readdir(1, offset, 400).expect("entries");
        let Some(last) = entries.last() else { break };
        offset = last.offset;
        names.extend(entries.into_iter().map(|entry| entry.name));
        for number in 0..2 * u32::try_from(FEW).expect("a small number") {
            client.find(CROWD + number, &format!("crowd/{number}"));
        }
        for number in 0..2 * u32::try_from(FEW).expect("a small number") {
            client.clunk(CROWD + number).expect("a clunk");
        }
    }
    assert!(budget.held() <= budget.max(), "{budget:?}");
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!((names.len(), all), (MANY as usize + 2, MANY as usize + 2));
}

/// An object is asked to give its descriptor back whichever of its fids has gone.
#[test]
fn who_came_later_and_went_leaves_nothing_behind() {
    let (share, budget) = share(|_| {});
    let mut client = share.client();
    crowd(&mut client, &budget);
    for number in 0..MANY {
        client.find(1, &format!("crowd/{number}"));
        client.getattr(1, 0x7ff).expect("attributes");
        client.clunk(1).expect("a clunk");
        assert!(budget.held() <= budget.max(), "{budget:?}");
    }
    for number in 0..MANY {
        client.getattr(CROWD + number, 0x7ff).expect("attributes");
    }
}

/// Has the client hold as many files without a name as it can; how many, and what it is told then.
fn hold_nameless(greedy: &mut Client) -> (u32, Errno) {
    for nameless in 0..MANY {
        let fid = CROWD + nameless;
        greedy.walk(0, fid, &[]).expect("a clone");
        let made = greedy.lcreate(fid, "nameless", RDWR, 0o600);
        if let Err(errno) = made.and_then(|_| greedy.unlinkat(0, "nameless", 0)) {
            return (nameless, errno);
        }
    }
    panic!("it never ends");
}

/// What gave its descriptor back while they were short has none when they are not any more.
#[test]
fn what_was_given_back_before_outlives_its_name() {
    let (share, budget) = share(|root| {
        fs::write(root.join("file"), "content").expect("a file");
    });
    let mut client = share.client();
    client.find(1, "file");
    crowd(&mut client, &budget);
    disperse(&mut client);
    assert!(budget.held() < budget.max() / 2, "{budget:?}");
    client.unlinkat(0, "file", 0).expect("a removal");
    client.lopen(1, RDONLY).expect("an open file");
    assert_eq!(client.read(1, 0, 99).as_deref(), Ok(&b"content"[..]));
}

/// What another client holds and can do without is not its share.
#[test]
fn who_cannot_give_back_is_helped_by_who_can() {
    let (share, budget) = share(|_| {});
    let (mut idle, mut greedy) = (share.client(), share.client());
    crowd(&mut idle, &budget);
    let (nameless, _) = hold_nameless(&mut greedy);
    assert!(nameless >= 8, "{nameless} only");
    idle.getattr(CROWD, 0x7ff).expect("attributes");
}

/// Files without a name cannot be opened once more: they are what runs out at last, and leave
/// others enough.
#[test]
fn who_cannot_give_back_is_refused_and_no_other() {
    let (share, budget) = share(|_| {});
    let (mut greedy, mut modest) = (share.client(), share.client());
    let (nameless, refused) = hold_nameless(&mut greedy);
    assert_eq!(refused, Errno::MFILE);
    assert!(nameless >= 8, "{nameless} only");
    assert!(budget.held() <= budget.max(), "{budget:?}");
    modest.open(1, "crowd/1", RDWR);
    assert_eq!(modest.read(1, 0, 9).as_deref(), Ok(&b"1"[..]));
    crowd(&mut modest, &budget);
    assert_eq!(modest.write(1, 1, b"x"), Ok(1));
    // And goes on once it has given back.
    for fid in CROWD..CROWD + nameless {
        greedy.clunk(fid).expect("a clunk");
    }
    greedy.find(2, "crowd/2");
    greedy.lopen(2, RDWR).expect("an open file");
}

/// Has a second fid for each of the crowd, which the client knows; returns their qids.
fn walk_again(client: &mut Client, budget: &Budget) -> Vec<u64> {
    (0..MANY)
        .map(|number| {
            let fid = CROWD + MANY + number;
            let qid = client.find(fid, &format!("crowd/{number}"));
            assert!(budget.held() <= budget.max(), "{budget:?}");
            qid.path
        })
        .collect()
}

#[test]
fn what_is_known_is_walked_to_again() {
    let (share, budget) = share(|_| {});
    let mut client = share.client();
    crowd(&mut client, &budget);
    // What was another file when the client came to know the name.
    share.write("new", "new");
    let rename = |from, to| fs::rename(share.path(from), share.path(to)).expect("a rename");
    rename("new", "crowd/7");
    // Without file handles, what the host moves is lost.
    if is_root() {
        rename("crowd/8", "crowd/eight");
        rename("crowd/9", "crowd/8");
        rename("crowd/eight", "crowd/9");
    }
    let qids = walk_again(&mut client, &budget);
    for (number, qid) in (0..MANY).zip(qids) {
        assert_eq!(qid, self::number(&share, &format!("crowd/{number}")));
        let fid = CROWD + MANY + number;
        client.lopen(fid, RDONLY).expect("an open file");
        let wanted = share.read(&format!("crowd/{number}"));
        assert_eq!(client.read(fid, 0, 9), Ok(wanted));
    }
    // The first fids are what they were.
    client.lopen(CROWD + 8, RDONLY).expect("an open file");
    assert_eq!(client.read(CROWD + 8, 0, 9).as_deref(), Ok(&b"8"[..]));
}

#[test]
fn what_is_known_outlives_its_removal() {
    let (share, budget) = share(|_| {});
    let mut client = share.client();
    crowd(&mut client, &budget);
    walk_again(&mut client, &budget);
    for number in 0..MANY {
        client.clunk(CROWD + number).expect("a clunk");
    }
    for number in 0..MANY {
        let name = format!("crowd/{number}");
        client.find(1, "crowd");
        client.unlinkat(1, &number.to_string(), 0).expect(&name);
        client.clunk(1).expect("a clunk");
        let fid = CROWD + MANY + number;
        client.lopen(fid, RDONLY).expect("an open file");
        let wanted = number.to_string().into_bytes();
        assert_eq!(client.read(fid, 0, 9), Ok(wanted));
        client.clunk(fid).expect("a clunk");
    }
}
