//! Who the clients' users are on the host: the flags, and what they do.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use crate::server::{Served, complaint, failure, run, success};

/// Lines of `stat`, as `ninefold stat` shows the path.
fn stat(served: &Served, path: &str) -> String {
    String::from_utf8(success(served.run(&["stat"], path))).expect("text")
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::metadata(path).expect("it is there");
    (found.uid(), found.gid())
}

#[test]
fn what_the_guest_makes_is_mine_and_seems_its_own() {
    for (flag, shown) in [
        ("--map-guest-to-me", "1000"),
        ("--map-guest-to-me=4321", "4321"),
    ] {
        let args = ["--unix", "socket", "--security-model", "none", flag];
        let served = Served::start_with(&args);
        success(served.run(&["mkdir"], "dir"));
        assert_eq!(owner(&served.host("dir")), owner(&served.host("")));
        let said = stat(&served, "dir");
        assert!(said.contains(&format!("owner: {shown}")), "{said}");
        assert!(said.contains(&format!("group: {shown}")), "{said}");
    }
}

/// The way it is meant: a server that may do nothing but work on its own user's files.
#[test]
fn what_the_guest_makes_is_mine_without_privileges() {
    if !geteuid().is_root() {
        eprintln!("as any other test, when it is not root that runs them");
        return;
    }
    let (uid, gid) = (4321, 4322);
    for model in ["none", "passthrough", "mapped-xattr", "mapped-file"] {
        // Where that user gets at it.
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        let program = dir.path().join("ninefold");
        fs::copy(env!("CARGO_BIN_EXE_ninefold"), &program).expect("room");
        let home = dir.path().join("home");
        fs::create_dir_all(home.join("export")).expect("room");
        for path in [&home, &home.join("export")] {
            chown(path, Some(uid), Some(gid)).expect("root can give files away");
        }
        let mut server = Command::new(&program)
            .current_dir(&home)
            .args(["serve", "--unix", "socket", "--security-model", model])
            .args(["--map-guest-to-me=5:6", "export"])
            .uid(uid)
            .gid(gid)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = server.stdout.take().expect("a pipe was asked for");
        let mut said = String::new();
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut said).expect("a line of text");
        let url = format!("unix://{}/socket/dir", home.display());
        let made = run(["mkdir", &url]);
        let shown = run(["stat", &url]);
        server.kill().expect("it runs");
        server.wait().expect("it ends");
        success(made);
        assert_eq!(owner(&home.join("export/dir")), (uid, gid), "{model}");
        let shown = String::from_utf8(success(shown)).expect("text");
        assert!(
            shown.contains("owner: 5\n") && shown.contains("group: 6\n"),
            "{model}: {shown}"
        );
    }
}

#[test]
fn rules_go_with_plain_flags_and_with_lines_of_qemu() {
    let me = geteuid().as_raw();
    let to_host = format!("--translate-uid=guest:{me}:{me}:1");
    let to_guest = format!("--translate-uid=host:{me}:77:1");
    let groups = "--translate-gid=squash-host:0:78:4294967295";
    let args = ["--unix", "socket", "--security-model", "none"];
    let served = Served::start_with(&[&args[..], &[&to_host, &to_guest, groups]].concat());
    success(served.run(&["mkdir"], "dir"));
    let said = stat(&served, "dir");
    assert!(
        said.contains("owner: 77") && said.contains("group: 78"),
        "{said}"
    );

    let fsdev = "--fsdev=local,id=a,path=/,security_model=none";
    let output = run([
        "serve",
        fsdev,
        "--translate-uid=map:0:0:1",
        "--translate-uid=map:0:9:1",
    ]);
    let said = failure(&output);
    assert!(
        said.contains("the user id rules map:0:0:1 and map:0:9:1 overlap"),
        "{said}"
    );
}

#[test]
fn wrong_words_are_status_2() {
    let cases: [(&[&str], &str); 9] = [
        (
            &["--translate-uid=map:1:2"],
            "expected map:GUEST:HOST:COUNT",
        ),
        (&["--translate-gid=map:1:2:0"], "a count of at least 1"),
        (&["--translate-uid=map:1:x:1"], "in place of \"x\""),
        (
            &["--map-guest-to-me", "--translate-uid=map:0:0:1"],
            "cannot be used with '--translate-uid <RULE>'",
        ),
        (&["--map-guest-to-me=me"], "expected UID or UID:GID"),
        (&["--enforce=guest"], "client, server"),
        (&["--enforce=server", "--squash=some"], "none, root, all"),
        (&["--squash=root"], "--enforce <WHO>"),
        (
            &["--enforce=client", "--squash-to=5:5"],
            "--squash and --squash-to need --enforce server",
        ),
    ];
    for (args, want) in cases {
        let output = run(["serve"].iter().chain(args).chain(&["."]));
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(want), "{args:?}: {said}");
    }
}

#[test]
fn a_server_that_cannot_enforce_says_what_it_needs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path().to_str().expect("a UTF-8 path");
    for model in ["mapped-xattr", "mapped-file"] {
        let model = ["--security-model", model];
        let output = run(["serve", "--enforce", "server", dir].iter().chain(&model));
        let said = failure(&output);
        assert!(
            said.contains("choose the security model passthrough or none"),
            "{said}"
        );
    }
    let serve = [
        "serve",
        "--enforce",
        "server",
        "--security-model",
        "none",
        dir,
    ];
    let output = if geteuid().is_root() {
        // Root that has lost what it takes.
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-setuid", env!("CARGO_BIN_EXE_ninefold")]);
        command.args(serve).output().expect("setpriv of util-linux")
    } else {
        run(serve)
    };
    let said = failure(&output);
    assert!(
        said.contains("run it as root or with CAP_SETUID and CAP_SETGID"),
        "{said}"
    );
}

#[test]
fn the_host_says_who_may_do_what() {
    if !geteuid().is_root() {
        eprintln!("not proven: only root can act for others");
        return;
    }
    let args = ["--unix", "socket", "--security-model", "passthrough"];
    let squash = ["--enforce=server", "--squash=root", "--squash-to=4321"];
    let served = Served::start_with(&[&args[..], &squash].concat());
    fs::set_permissions(served.host(""), fs::Permissions::from_mode(0o755)).expect("a mode");
    let refused = failure(&served.run(&["mkdir"], "dir"));
    assert!(refused.contains("Permission denied"), "{refused}");
    chown(served.host(""), Some(4321), None).expect("root can give files away");
    success(served.run(&["mkdir"], "dir"));
    assert_eq!(owner(&served.host("dir")), (4321, 4321));
}
