//! Objects of several devices under one root: `multidevs`, with real mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::thread;

use ninefold::{Errno, ExportOptions, Multidevs, SecurityModel};
use ninefold_wire::flags::open::TRUNC;
use rustix::mount::{self, MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use crate::client::Client;
use crate::dir::list;
use crate::share::Share;
use crate::verbs::{RDONLY, WRONLY};

/// Runs a test in a thread that has mounts and temporary files of its own; they vanish with it.
/// Where that is refused, says so and proves nothing.
pub fn with_own_mounts(test: impl FnOnce() + Send + 'static) {
    #[expect(
        deprecated,
        reason = "what its successor is unsafe for is not done here"
    )]
    let unshared = || rustix::thread::unshare(UnshareFlags::NEWNS);
    let run = move || match unshared() {
        Ok(()) => {
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount::mount_change("/", private).expect("private mounts");
            tmpfs(&std::env::temp_dir());
            test();
        }
        Err(Errno::PERM) => eprintln!("not proven: this user cannot mount"),
        Err(errno) => panic!("unshare: {errno}"),
    };
    if let Err(panic) = thread::spawn(run).join() {
        resume_unwind(panic);
    }
}

pub fn tmpfs(path: &Path) {
    mount::mount("none", path, "tmpfs", MountFlags::empty(), None).expect("a mount");
}

pub fn bind(from: &Path, to: &Path) {
    mount::mount_bind(from, to).expect("a bind mount");
}

pub fn unmount(path: &Path) {
    mount::unmount(path, UnmountFlags::DETACH).expect("an unmount");
}

fn options(multidevs: Multidevs) -> ExportOptions {
    ExportOptions {
        multidevs,
        ..ExportOptions::new(SecurityModel::None)
    }
}

/// `a` and `b b/deep` are other devices with the same inode numbers, `over` is a file of one of
/// them, `same` a directory of the root's own device.
fn mounted(root: &Path) {
    let (a, b) = (root.join("a"), root.join("b b/deep"));
    for dir in ["a", "b b/deep", "plain/inner", "same"] {
        fs::create_dir_all(root.join(dir)).expect("a directory");
    }
    fs::write(root.join("over"), "covered").expect("a file");
    // The later in the order of paths is mounted first.
    for dir in [&b, &a] {
        tmpfs(dir);
        for name in ["one", "two", "three"] {
            fs::create_dir(dir.join(name)).expect("a directory");
            fs::write(dir.join(name).join("file"), name).expect("a file");
        }
    }
    bind(&a.join("one/file"), &root.join("over"));
    bind(&root.join("plain"), &root.join("same"));
}

/// All objects below a directory by their paths and qid paths. On the way, what a listing says
/// about each entry is compared with what a walk and a getattr say.
fn survey(client: &mut Client, at: &[&str], found: &mut BTreeMap<String, u64>) {
    client.walk(0, 1, at).expect("a walk");
    client.lopen(1, RDONLY).expect("an open");
    let entries = list(client, 1, 65536);
    client.clunk(1).expect("a clunk");
    for entry in &entries {
        let path = [at, &[&entry.name[..]]].concat();
        let walked = client.walk(0, 2, &path).expect("a walk");
        let walked = walked.last().expect("a qid");
        let shown = client.getattr(2, 0).expect("attributes");
        client.clunk(2).expect("a clunk");
        let listed = (entry.qid.path, entry.qid.kind);
        assert_eq!(listed, (walked.path, walked.kind), "walk of {path:?}");
        assert_eq!(listed, (shown.qid.path, shown.qid.kind), "{path:?}");
        assert_eq!(u32::from(entry.kind), shown.mode >> 12, "type of {path:?}");
        if [".", ".."].contains(&&entry.name[..]) {
            continue;
        }
        found.insert(path.join("/"), entry.qid.path);
        if entry.kind == 4 {
            survey(client, &path, found);
        }
    }
}

fn survey_all(client: &mut Client) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    survey(client, &[], &mut found);
    found
}

fn names(client: &mut Client, at: &[&str], count: u32) -> BTreeSet<String> {
    client.walk(0, 1, at).expect("a walk");
    client.lopen(1, RDONLY).expect("an open");
    let entries = list(client, 1, count);
    client.clunk(1).expect("a clunk");
    entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn remap_gives_each_object_its_own_number() {
    with_own_mounts(|| {
        let share = Share::with_options(&options(Multidevs::Remap), mounted);
        let mut found = survey_all(&mut share.client());
        assert_eq!(found.len(), 20, "all is seen: {found:?}");
        // The same objects under other names.
        assert_eq!(found.remove("over"), found.get("a/one/file").copied());
        assert_eq!(found.remove("same"), found.get("plain").copied());
        assert_eq!(
            found.remove("same/inner"),
            found.get("plain/inner").copied()
        );
        let paths: BTreeSet<_> = found.values().collect();
        assert_eq!(paths.len(), found.len(), "{found:?}");
    });
}

#[test]
fn remap_gives_the_same_numbers_after_a_restart() {
    with_own_mounts(|| {
        let share = Share::with_options(&options(Multidevs::Remap), mounted);
        let before = survey_all(&mut share.client());
        // The other device is looked at first, and all devices have other numbers.
        let again = Share::with_options(&options(Multidevs::Remap), mounted);
        let mut client = again.client();
        client.find(9, "b b/deep/one");
        client.clunk(9).expect("a clunk");
        let after = survey_all(&mut client);
        let foreign = |found: &BTreeMap<String, u64>| {
            let below = |path: &str| path.starts_with("a/") || path.starts_with("b b/deep/");
            let found = found.clone().into_iter();
            found.filter(|(path, _)| below(path)).collect::<Vec<_>>()
        };
        assert_eq!(foreign(&before).len(), 12);
        assert_eq!(foreign(&before), foreign(&after));
        let low = |path: &str| after[path] & 7;
        assert_eq!(
            [low("a/one"), low("b b/deep/one")],
            [2, 6],
            "QEMU's suffixes"
        );
    });
}

#[test]
fn warn_keeps_inode_numbers() {
    with_own_mounts(|| {
        let share = Share::with_options(&options(Multidevs::Warn), mounted);
        let found = survey_all(&mut share.client());
        assert_eq!(found["a/one"], found["b b/deep/one"], "not unique");
        for (path, number) in found {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(number, share.stat(&path).ino(), "{path}");
        }
    });
}

#[test]
fn mounts_that_come_and_go_are_noticed() {
    with_own_mounts(|| {
        let share = Share::with_options(&options(Multidevs::Remap), mounted);
        let mut client = share.client();
        let before = survey_all(&mut client);
        let late = share.path("plain/inner");
        tmpfs(&late);
        fs::write(late.join("file"), "").expect("a file");
        bind(&late.join("file"), &share.path("a/two/file"));
        let with = survey_all(&mut client);
        assert_eq!(with["a/two/file"], with["plain/inner/file"]);
        assert_ne!(with["plain/inner"], before["plain/inner"]);
        // Two over one another.
        tmpfs(&late);
        survey_all(&mut client);
        for path in [&share.path("a/two/file"), &late, &late] {
            unmount(path);
        }
        assert_eq!(survey_all(&mut client), before);
    });
}

/// More mount points than are remembered by name.
#[test]
fn a_thousand_mounts() {
    with_own_mounts(|| {
        let share = Share::with_options(&options(Multidevs::Remap), |root| {
            let foreign = root.join("foreign");
            fs::create_dir(&foreign).expect("a directory");
            tmpfs(&foreign);
            for number in 0..1010 {
                let point = root.join(format!("{number}"));
                fs::create_dir(&point).expect("a directory");
                bind(&foreign, &point);
            }
        });
        let found = survey_all(&mut share.client());
        assert_eq!(found.len(), 1011);
        let paths: BTreeSet<_> = found.values().collect();
        assert_eq!(paths.len(), 1, "all are one directory");
    });
}

#[test]
fn forbid_keeps_other_devices_out_of_reach() {
    with_own_mounts(|| {
        let share = Share::with_options(&options(Multidevs::Forbid), mounted);
        let mut client = share.client();
        let found = survey_all(&mut client);
        let seen: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(seen, ["b b", "plain", "plain/inner", "same", "same/inner"]);
        for name in ["a", "over"] {
            assert_eq!(client.walk(0, 1, &[name]), Err(Errno::NODEV), "{name}");
        }
        let partly = client.walk(0, 1, &["b b", "deep", "one"]);
        assert_eq!(partly.map(|qids| qids.len()), Ok(1));
        assert!(client.is_unknown(1));
        client.walk(0, 1, &[]).expect("a clone");
        let opened = client.lcreate(1, "over", WRONLY | TRUNC, 0o644);
        assert_eq!(opened, Err(Errno::NODEV));
        assert_eq!(share.read("over"), b"one", "nor is it emptied");
        assert_eq!(client.unlinkat(0, "over", 0), Err(Errno::BUSY));
    });
}

#[test]
fn what_forbid_hides_is_not_the_end_of_a_listing() {
    with_own_mounts(|| {
        let share = Share::with_options(&options(Multidevs::Forbid), |root| {
            let foreign = root.join("../foreign");
            fs::create_dir(&foreign).expect("a directory");
            tmpfs(&foreign);
            for number in 0..40 {
                let point = root.join(format!("{number}{}", "n".repeat(200)));
                fs::create_dir(&point).expect("a directory");
                // Every fifth is to be seen.
                if number % 5 != 0 {
                    bind(&foreign, &point);
                }
            }
        });
        let mut client = share.client();
        for count in [300, 600, 5000, 65536] {
            assert_eq!(names(&mut client, &[], count).len(), 10, "count {count}");
        }
    });
}

/// An overlay of a layer `lower` and a layer `upper`, as `over`; false where there is none.
fn overlay(root: &Path, layers: &Path, xino: &str) -> bool {
    let path = |name: &str| {
        let path = layers.join(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    };
    for (layer, names) in [("lower", ["low", "both"]), ("upper/data", ["up", "both"])] {
        for name in names {
            let dir = path(layer).join(name);
            fs::create_dir_all(&dir).expect("a directory");
            fs::write(dir.join(layer.replace('/', "-")), name).expect("a file");
            fs::write(path(layer).join(format!("{name}.file")), name).expect("a file");
        }
    }
    let (lower, upper, work) = (path("lower"), path("upper/data"), path("upper/work"));
    let layers = format!(
        "lowerdir={},upperdir={},workdir={},xino={xino}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let layers = CString::new(layers).expect("no NUL");
    let over = root.join("over");
    fs::create_dir(&over).expect("a directory");
    let mounted = mount::mount("none", &over, "overlay", MountFlags::empty(), &*layers);
    if let Err(errno) = mounted {
        eprintln!("not proven for xino={xino}: no overlay can be mounted here: {errno}");
    }
    mounted.is_ok()
}

#[test]
fn overlays_of_one_and_of_several_file_systems() {
    for (apart, xino) in [(false, "off"), (true, "off"), (true, "on")] {
        with_own_mounts(move || {
            let layers = tempfile::tempdir().expect("a temporary directory");
            if apart {
                let upper = layers.path().join("upper");
                fs::create_dir(&upper).expect("a directory");
                tmpfs(&upper);
            }
            let share = Share::with_options(&options(Multidevs::Remap), |_| {});
            let mut client = share.client();
            if overlay(&share.path(""), layers.path(), xino) {
                let found = survey_all(&mut client);
                assert_eq!(found.len(), 11, "{found:?}");
                let paths: BTreeSet<_> = found.values().collect();
                assert_eq!(paths.len(), 11, "{found:?}");
            }
        });
    }
}

/// A btrfs in a file, mounted; false where it cannot be had.
fn btrfs(image: &Path, at: &Path) -> bool {
    fs::File::create(image)
        .and_then(|file| file.set_len(256 << 20))
        .expect("a file");
    let run = |command: &mut Command| command.output().is_ok_and(|done| done.status.success());
    run(Command::new("mkfs.btrfs").arg(image))
        && run(Command::new("mount").args(["-o", "loop"]).args([image, at]))
        && run(Command::new("btrfs")
            .args(["subvolume", "create"])
            .arg(at.join("volume")))
}

#[test]
fn subvolumes_of_btrfs() {
    with_own_mounts(|| {
        let share = Share::with_options(&options(Multidevs::Remap), |_| {});
        if !btrfs(&share.outside("image"), &share.path("")) {
            eprintln!("not proven: no btrfs can be made here (apt install btrfs-progs)");
            return;
        }
        for path in ["dir", "volume/dir"] {
            share.mkdir(path);
            share.write(&format!("{path}/file"), path);
        }
        // Anew, because the mount hides the root that was opened.
        let options = options(Multidevs::Remap);
        let export = ninefold::Export::open(&share.path(""), &options).expect("an export");
        let mut client = Client::new(&std::sync::Arc::new(export));
        client.version(1 << 20, b"9P2000.L").expect("a version");
        client.attach(0).expect("a root");
        let found = survey_all(&mut client);
        assert_eq!(found.len(), 5, "{found:?}");
        let paths: BTreeSet<_> = found.values().collect();
        assert_eq!(paths.len(), 5, "{found:?}");
        drop(client);
        unmount(&share.path(""));
    });
}
