//! Directories that stay open for a while after a walk: what a client finds is what is there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninefold::{Budget, Enforce, Errno, ExportOptions, SecurityModel, Squash};
use ninefold_wire::flags::qid;
use ninefold_wire::flags::unlink::REMOVEDIR;
use ninefold_wire::{NOFID, SetAttr};
use rustix::mount::{self, MountFlags, UnmountFlags};

use crate::client::Client;
use crate::multidevs::{bind, tmpfs, unmount, with_own_mounts};
use crate::share::{Share, is_root, model};
use crate::verbs::{RDONLY, RDWR};

/// A folder with `a/b/c/file`, and descriptors enough whatever the run.
fn options() -> ExportOptions {
    ExportOptions {
        descriptors: Some(Budget::new(1000)),
        ..ExportOptions::new(model())
    }
}

fn fill(root: &Path) {
    fs::create_dir_all(root.join("a/b/c")).expect("directories");
    fs::write(root.join("a/b/c/file"), "content").expect("a file");
}

fn share() -> Share {
    Share::with_options(&options(), fill)
}

/// Walks somewhere and forgets it at once.
fn pass(client: &mut Client, path: &str) {
    client.find(90, path);
    client.clunk(90).expect("a clunk");
}

/// Whether this process has the directory open that the host has at `path`, or had before it was
/// removed.
pub fn is_open(path: &Path) -> bool {
    let gone = format!("{} (deleted)", path.display());
    let fds = fs::read_dir("/proc/self/fd").expect("descriptors");
    let targets = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    targets
        .into_iter()
        .any(|target| target == path || target == Path::new(&gone))
}

fn number(share: &Share, path: &str) -> u64 {
    share.stat(path).ino() * 2 + 1
}

fn content(client: &mut Client, path: &str) -> Vec<u8> {
    client.open(91, path, RDONLY);
    let content = client.read(91, 0, 99).expect("content");
    client.clunk(91).expect("a clunk");
    content
}

#[test]
fn a_directory_stays_open_for_a_while() {
    let share = share();
    let mut client = share.client();
    pass(&mut client, "a/b/c/file");
    for dir in ["a", "a/b", "a/b/c"] {
        assert!(is_open(&share.path(dir)), "{dir}");
    }
    assert!(!is_open(&share.path("a/b/c/file")), "no file is");
    let start = Instant::now();
    let after = |seconds| share.export().expire(start + Duration::from_secs(seconds));
    assert!(after(0).is_some(), "there is something to do");
    after(2);
    pass(&mut client, "a/b");
    after(4);
    assert!(is_open(&share.path("a/b")), "walked to since");
    assert!(!is_open(&share.path("a/b/c")), "not walked to since");
    after(6);
    assert!(!is_open(&share.path("a")));
    assert_eq!(after(8), None, "nothing to do");
    pass(&mut client, "a/b/c/file");
    assert!(after(9).is_some(), "again");
}

#[test]
fn all_are_closed_with_the_session() {
    let share = share();
    let mut client = share.client();
    pass(&mut client, "a/b/c/file");
    assert!(is_open(&share.path("a/b")));
    drop(client);
    assert!(!is_open(&share.path("a/b")));
}

#[test]
fn no_more_stay_open_than_a_limit() {
    let share = share();
    for number in 0..500 {
        share.mkdir(&format!("many/{number}"));
    }
    let mut client = share.client();
    for number in 0..500 {
        pass(&mut client, &format!("many/{number}"));
    }
    let open = (0..500).filter(|number| is_open(&share.path(&format!("many/{number}"))));
    let open = open.count();
    assert!((1..=130).contains(&open), "{open}");
}

/// What the host puts in the place of `a/b`, which was moved away.
type Other = (&'static str, fn(&Share));

#[test]
fn the_host_puts_something_else_there() {
    let others: [Other; 4] = [
        ("another directory", |share| {
            share.mkdir("a/b/c");
            share.write("a/b/c/file", "another");
        }),
        ("a link to the old one", |share| {
            share.symlink("moved", "a/b");
        }),
        ("a file", |share| share.write("a/b", "file")),
        ("nothing", |_| {}),
    ];
    for (what, put) in others {
        let share = share();
        let mut client = share.client();
        client.find(1, "a");
        pass(&mut client, "a/b/c/file");
        fs::rename(share.path("a/b"), share.path("a/moved")).expect("a rename");
        put(&share);
        let found = client.walk(0, 2, &["a", "b", "c", "file"]).expect("partly");
        match what {
            "another directory" => {
                assert_eq!(found[1].path, number(&share, "a/b"), "{what}");
                client.lopen(2, RDWR).expect("a file");
                assert_eq!(client.read(2, 0, 99).as_deref(), Ok(&b"another"[..]));
            }
            "nothing" => assert_eq!(found.len(), 1, "{what}"),
            _ => {
                assert_eq!(found.len(), 2, "{what}");
                let host = share.stat("a/b").file_type();
                assert_eq!(found[1].kind & qid::DIR, 0, "{what}");
                assert_eq!(found[1].kind == qid::SYMLINK, host.is_symlink(), "{what}");
                assert_eq!(found[1].path, number(&share, "a/b"), "{what}");
            }
        }
        assert!(!is_open(&share.path("a/moved")), "{what}");
        assert_eq!(content(&mut client, "a/moved/c/file"), b"content", "{what}");
    }
}

/// A mount on a name that was walked to: another file system, or another view of the same directory.
#[test]
fn the_host_mounts_something_there() {
    with_own_mounts(|| {
        let share = Share::with_options(
            &ExportOptions {
                descriptors: Some(Budget::new(1000)),
                ..ExportOptions::new(SecurityModel::None)
            },
            fill,
        );
        let mut client = share.client();
        pass(&mut client, "a/b/c/file");
        tmpfs(&share.path("a/b"));
        share.write("a/b/new", "new");
        assert_eq!(content(&mut client, "a/b/new"), b"new");
        assert_eq!(
            client.walk(0, 2, &["a", "b", "c"]).map(|qids| qids.len()),
            Ok(2)
        );
        // Nothing keeps it from being unmounted.
        mount::unmount(share.path("a/b"), UnmountFlags::empty()).expect("nobody has it open");
        pass(&mut client, "a/b/c/file");
        bind(&share.path("a/b"), &share.path("a/b"));
        let flags = MountFlags::RDONLY | MountFlags::BIND;
        mount::mount_remount(share.path("a/b"), flags, "").expect("a mount that is read-only");
        let found = client.walk(0, 2, &["a", "b"]).map(|qids| qids.len());
        assert_eq!(found, Ok(2));
        assert_eq!(client.mkdir(2, "new", 0o755), Err(Errno::ROFS));
        client.clunk(2).expect("a clunk");
        unmount(&share.path("a/b"));
        client.find(2, "a/b");
        client.mkdir(2, "new", 0o755).expect("a directory");
    });
}

/// What was passed knows the tree, and the tree knows it: somebody has to end that.
#[test]
fn who_goes_leaves_no_directory_open() {
    let share = share();
    let mut client = share.client();
    for _ in 0..3 {
        pass(&mut client, "a/b/c/file");
    }
    assert!(is_open(&share.path("a/b")));
    drop(client);
    for dir in ["a", "a/b", "a/b/c"] {
        assert!(!is_open(&share.path(dir)), "{dir}");
    }
}

#[test]
fn a_client_moves_a_directory() {
    let share = share();
    let mut client = share.client();
    client.find(1, "a");
    pass(&mut client, "a/b/c/file");
    let old = number(&share, "a/b");
    client.renameat((1, "b"), (0, "moved")).expect("a rename");
    assert!(!is_open(&share.path("moved")), "closed at once");
    assert_eq!(client.walk(0, 2, &["a", "b"]).map(|qids| qids.len()), Ok(1));
    assert_eq!(client.find(2, "moved").path, old);
    assert_eq!(content(&mut client, "moved/c/file"), b"content");
    // By the fid, too, and its name is the new one.
    client.rename(2, 1, "again").expect("a rename");
    assert_eq!(client.walk(0, 3, &["moved"]), Err(Errno::NOENT));
    assert_eq!(client.find(3, "a/again").path, old);
    // Over an empty one that was walked to.
    client.mkdir(0, "empty", 0o755).expect("a directory");
    pass(&mut client, "empty");
    client
        .renameat((1, "again"), (0, "empty"))
        .expect("a rename");
    assert_eq!(client.find(4, "empty").path, old);
}

#[test]
fn a_removed_directory_is_closed() {
    let share = share();
    let (mut client, mut other) = (share.client(), share.client());
    for name in ["one", "two", "three", "four"] {
        share.mkdir(name);
        pass(&mut client, name);
        assert!(is_open(&share.path(name)), "{name}");
    }
    client.unlinkat(0, "one", REMOVEDIR).expect("a removal");
    assert!(!is_open(&share.path("one")), "removed by its name");
    client.find(1, "two");
    client.remove(1).expect("a removal");
    assert!(!is_open(&share.path("two")), "removed by its fid");
    // By others: with the next walk, or in a second or two.
    other.unlinkat(0, "three", REMOVEDIR).expect("a removal");
    assert_eq!(client.walk(0, 1, &["three"]), Err(Errno::NOENT));
    assert!(!is_open(&share.path("three")), "looked for since");
    fs::remove_dir(share.path("four")).expect("a removal");
    let now = Instant::now();
    for second in [0, 2, 4] {
        share.export().expire(now + Duration::from_secs(second));
    }
    assert!(!is_open(&share.path("four")), "not used since");
}

/// Whoever walks needs the right to.
#[test]
fn permissions_are_those_of_the_moment() {
    if !is_root() {
        eprintln!("not proven: only root can act for others");
        return;
    }
    let all = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let options = ExportOptions {
        enforce: Enforce::Server(Squash::default()),
        descriptors: Some(Budget::new(1000)),
        ..ExportOptions::new(SecurityModel::Passthrough)
    };
    let share = Share::with_options(&options, |root| {
        fill(root);
        for dir in ["", "a", "a/b", "a/b/c"] {
            all(&root.join(dir), 0o755);
        }
    });
    let mut client = share.client();
    client.attach_as(1, NOFID, 3_000_000_001).expect("a root");
    let walk = |client: &mut Client, fid| {
        let found = client.walk(fid, 2, &["a", "b", "c"]).map(|qids| qids.len());
        if found == Ok(3) {
            client.clunk(2).expect("a clunk");
        }
        found
    };
    assert_eq!(walk(&mut client, 1), Ok(3));
    all(&share.path("a"), 0o700);
    assert_eq!(walk(&mut client, 1), Ok(1), "a is not to be searched");
    assert_eq!(walk(&mut client, 0), Ok(3), "by root it is");
    assert_eq!(walk(&mut client, 1), Ok(1), "as before");
    all(&share.path("a"), 0o711);
    assert_eq!(walk(&mut client, 1), Ok(3));
}

#[test]
fn they_are_the_first_to_go_when_descriptors_are_short() {
    let budget = Budget::new(40);
    let options = ExportOptions {
        descriptors: Some(Arc::clone(&budget)),
        ..ExportOptions::new(model())
    };
    let share = Share::with_options(&options, |root| {
        fill(root);
        for number in 0..100 {
            fs::write(root.join(number.to_string()), "").expect("a file");
        }
    });
    let mut client = share.client();
    pass(&mut client, "a/b/c/file");
    assert!(is_open(&share.path("a/b")));
    for number in 0..100 {
        client.open(100 + number, &number.to_string(), RDWR);
        assert!(budget.held() <= budget.max(), "{budget:?}");
    }
    assert!(!is_open(&share.path("a/b")));
    pass(&mut client, "a/b/c/file");
    assert_eq!(content(&mut client, "a/b/c/file"), b"content");
    assert!(budget.held() <= budget.max(), "{budget:?}");
}

/// What the attributes are does not come from the walk before.
#[test]
fn attributes_are_those_of_the_moment() {
    for model in [
        SecurityModel::None,
        SecurityModel::MappedXattr,
        SecurityModel::MappedFile,
    ] {
        let options = ExportOptions {
            descriptors: Some(Budget::new(1000)),
            ..ExportOptions::new(model)
        };
        let share = Share::with_options(&options, |_| {});
        let (mut client, mut other) = (share.client(), share.client());
        client.mkdir(0, "dir", 0o751).expect("a directory");
        let mode = |client: &mut Client| {
            client.find(1, "dir");
            let mode = client.getattr(1, 0x7ff).expect("attributes").mode & 0o7777;
            client.clunk(1).expect("a clunk");
            mode
        };
        assert_eq!(mode(&mut client), 0o751, "{model:?}");
        other.find(1, "dir");
        let attr = SetAttr {
            valid: ninefold_wire::flags::setattr::MODE,
            mode: 0o715,
            ..SetAttr::default()
        };
        other.setattr(1, attr).expect("a mode");
        assert_eq!(mode(&mut client), 0o715, "{model:?}");
        if model == SecurityModel::MappedFile {
            // Another server makes the metadata anew.
            let kept = share.path(".virtfs_metadata/dir");
            let text = fs::read_to_string(&kept).expect("metadata");
            let old = format!("virtfs.mode={}", 0o040_715);
            assert!(text.contains(&old), "{text}");
            let text = text.replace(&old, &format!("virtfs.mode={}", 0o040_700));
            fs::remove_file(&kept).expect("a removal");
            fs::write(&kept, text).expect("metadata");
            assert_eq!(mode(&mut client), 0o700, "{model:?}");
        }
    }
}

/// The root of a tree stays the root, and the way up is what it was.
#[test]
fn up_and_down_again() {
    let share = share();
    let mut client = share.client();
    for _ in 0..3 {
        let names = ["a", "b", "..", "b", "c", "..", "..", "..", "..", "a"];
        let qids = client.walk(0, 1, &names).expect("a walk");
        assert_eq!(qids.len(), names.len());
        assert_eq!(qids[9].path, number(&share, "a"));
        client.clunk(1).expect("a clunk");
    }
    symlink("/", share.path("out")).expect("a link");
    assert_eq!(
        client.walk(0, 1, &["out", "etc"]).map(|qids| qids.len()),
        Ok(1)
    );
}
