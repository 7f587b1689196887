//! Who may connect, by the lists of users.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use tempfile::NamedTempFile;

use crate::server::{Served, failure, ninefold, success};

/// Some user who is not us, and not root.
const STRANGER: u32 = 65534;

/// A server with these users on its list, and what it says.
fn serve(uids: &str) -> (Served, NamedTempFile) {
    let log = NamedTempFile::new().expect("a temporary file");
    let mut command = ninefold();
    command.stderr(log.reopen().expect("the log"));
    let args = [
        "--unix",
        "socket",
        "--security-model",
        "none",
        "--allow-uid",
        uids,
    ];
    (Served::start_by(command, &args), log)
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn who_is_on_the_list_comes_in() {
    let (served, log) = serve(&format!("{STRANGER},{}", own_uid()));
    assert_eq!(success(served.run(&["ls"], "")), b"");
    assert_eq!(fs::read_to_string(log).expect("the log"), "");
}

#[test]
fn who_is_not_is_shut_out_with_one_line() {
    let uids = [own_uid() + 1, own_uid() + 2];
    let (served, log) = serve(&format!("{},{}", uids[0], uids[1]));
    let said = failure(&served.run(&["ls"], ""));
    assert!(said.contains("the server closed the connection"), "{said}");
    let said = fs::read_to_string(log).expect("the log");
    let want = format!(
        "refused a connection to {}: expected uid {} or {}, came uid {}",
        served.url,
        uids[0],
        uids[1],
        own_uid()
    );
    assert!(said.contains(&want) && said.lines().count() == 1, "{said}");
}

/// A list is for users other than the server's: the file must let them.
#[test]
fn another_user_comes_in_by_the_list_alone() {
    let (served, _) = serve(&STRANGER.to_string());
    let socket = served.url.strip_prefix("unix://").expect("a unix socket");
    let mode = fs::metadata(socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    if !rustix::process::geteuid().is_root() {
        // Only root can be somebody else for a moment.
        return;
    }
    let open = Permissions::from_mode(0o755);
    fs::set_permissions(served.host("..").as_path(), open).expect("ours");
    fs::write(served.host("file"), "").expect("room");
    assert_eq!(success(ls_as(STRANGER, &served.url)), b"file\n");
    failure(&ls_as(STRANGER - 1, &served.url));
    failure(&ls_as(0, &served.url));
}

fn ls_as(uid: u32, url: &str) -> Output {
    // A copy, because the original may be where only root gets.
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("ours");
    let program = dir.path().join("ninefold");
    fs::copy(env!("CARGO_BIN_EXE_ninefold"), &program).expect("room");
    Command::new("setpriv")
        .args([&format!("--reuid={uid}"), "--clear-groups"])
        .arg(program)
        .args(["ls", url])
        .output()
        .expect("setpriv")
}
