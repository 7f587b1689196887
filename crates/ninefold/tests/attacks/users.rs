//! Many users on few threads, where the host checks permissions: none gets what is another's.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::thread;

use ninefold_client::Connection;
use ninefold_client::wire::{Dialect, NOFID, Name, Request};

use crate::common::{MSIZE, Server, attempt, open, walk};

const FIRST: u32 = 3001;
const USERS: u32 = 6;
/// A group that [`FIRST`] and the user after him are in, as the server's host has it.
const TEAM: u32 = 4000;
const EACCES: i32 = 13;
const ROUNDS: usize = 200;

/// A host that knows the users: files of the test's own in the place of the user database's.
fn hosted(program: &str) -> String {
    let users: String = (FIRST..FIRST + USERS)
        .map(|uid| format!("u{uid}:x:{uid}:{uid}::/:/bin/false\\n"))
        .collect();
    format!(
        "set -e
        mount -t tmpfs -o mode=755 tmpfs /etc
        printf 'root:x:0:0::/:/bin/sh\\n{users}' > /etc/passwd
        printf 'root:x:0:\\nteam:x:{TEAM}:u{FIRST},u{}\\n' > /etc/group
        printf 'passwd: files\\ngroup: files\\n' > /etc/nsswitch.conf
        exec {program}",
        FIRST + 1
    )
}

fn fill(root: &Path) {
    fs::set_permissions(root, Permissions::from_mode(0o755)).expect("a mode");
    let put = |name: String, mode, uid, gid| {
        let path = root.join(name);
        fs::write(&path, "content").expect("a file");
        chown(&path, Some(uid), Some(gid)).expect("root can give files away");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    };
    for uid in FIRST..FIRST + USERS {
        put(format!("of {uid}"), 0o600, uid, uid);
    }
    put("of the team".into(), 0o640, 0, TEAM);
    put("of root".into(), 0o600, 0, 0);
    let shared = root.join("shared");
    fs::create_dir(&shared).expect("a directory");
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).expect("a mode");
    let teams = root.join("the team's");
    fs::create_dir(&teams).expect("a directory");
    chown(&teams, None, Some(TEAM)).expect("root can give files away");
    fs::set_permissions(&teams, Permissions::from_mode(0o2777)).expect("a mode");
}

/// A server with two threads; none when this process may not make one.
fn server() -> Option<Server> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not proven: only root can act for others");
        return None;
    }
    let script = hosted("\"$0\" \"$@\"");
    let wrap = ["unshare", "--mount", "sh", "-c", &script];
    let options = ["2", "security_model=passthrough", "enforce=server"];
    Some(Server::with_options(&wrap, &options, fill))
}

/// A connection whose fid 0 is the root, as that user.
fn session_as(server: &Server, uid: u32) -> Connection {
    let mut connection = server.connect();
    connection
        .version(MSIZE, Dialect::Linux)
        .expect("a version");
    connection.call(&attach(0, uid)).expect("a root");
    connection
}

fn attach(fid: u32, uid: u32) -> Request<'static> {
    Request::Attach {
        fid,
        afid: NOFID,
        uname: b"",
        aname: b"",
        n_uname: Some(uid),
    }
}

/// Opens a file as whoever fid 0 is; says what the server says.
fn try_open(connection: &mut Connection, name: &str) -> Option<i32> {
    walk(connection, 0, 1, &[name]).expect("to be seen");
    let refused = attempt(connection, &Request::Lopen { fid: 1, flags: 2 });
    connection
        .call(&Request::Clunk { fid: 1 })
        .expect("a clunk");
    refused
}

#[test]
fn threads_do_not_mix_up_users() {
    let Some(server) = server() else {
        return;
    };
    thread::scope(|scope| {
        for uid in FIRST..FIRST + USERS {
            let mut connection = session_as(&server, uid);
            scope.spawn(move || {
                let neighbour = FIRST + (uid - FIRST + 1) % USERS;
                for _ in 0..ROUNDS {
                    let own = try_open(&mut connection, &format!("of {uid}"));
                    assert_eq!(own, None, "{uid}");
                    for other in [format!("of {neighbour}"), "of root".into()] {
                        let refused = try_open(&mut connection, &other);
                        assert_eq!(refused, Some(EACCES), "{other} for {uid}");
                    }
                }
            });
        }
        let mut root = session_as(&server, 0);
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                assert_eq!(try_open(&mut root, "of root"), None);
            }
        });
    });
}

#[test]
fn one_connection_has_many_users() {
    let Some(server) = server() else {
        return;
    };
    let mut connection = session_as(&server, 0);
    for uid in FIRST..FIRST + USERS {
        connection.call(&attach(uid, uid)).expect("a root");
    }
    for uid in FIRST..FIRST + USERS {
        for of in FIRST..FIRST + USERS {
            let name = format!("of {of}");
            assert_eq!(walk(&mut connection, uid, 1, &[&name]).ok(), Some(1));
            let refused = attempt(&mut connection, &Request::Lopen { fid: 1, flags: 0 });
            let want = (uid != of).then_some(EACCES);
            assert_eq!(refused, want, "{name} for {uid}");
            connection
                .call(&Request::Clunk { fid: 1 })
                .expect("a clunk");
        }
    }
    open(&mut connection, 2, &["of root"], 0).expect("fid 0 is root");
}

#[test]
fn users_have_the_groups_that_the_host_gives_them() {
    let Some(server) = server() else {
        return;
    };
    for uid in FIRST..FIRST + USERS {
        let mut connection = session_as(&server, uid);
        let member = uid < FIRST + 2;
        let opened = open(&mut connection, 1, &["of the team"], 0);
        assert_eq!(opened.is_ok(), member, "{uid}");
        walk(&mut connection, 0, 2, &["shared"]).expect("for all");
        for (gid, may) in [(uid, true), (TEAM, member), (FIRST + USERS, false)] {
            let new = format!("{uid} {gid}");
            assert_eq!(mkdir(&mut connection, 2, &new, gid), may, "{new}");
            if may {
                assert_eq!(owner(&server, "shared", &new), (uid, gid));
            }
        }
        // Such a directory gives its group to whatever anybody makes there.
        walk(&mut connection, 0, 3, &["the team's"]).expect("for all");
        let new = uid.to_string();
        assert!(mkdir(&mut connection, 3, &new, TEAM), "{new}");
        assert_eq!(owner(&server, "the team's", &new), (uid, TEAM));
        assert!(!mkdir(&mut connection, 3, "other", FIRST + USERS));
    }
}

/// Whether the server makes a directory of that group.
fn mkdir(connection: &mut Connection, dfid: u32, new: &str, gid: u32) -> bool {
    let request = Request::Mkdir {
        dfid,
        name: Name::new(new.as_bytes()).expect("a name"),
        mode: 0o700,
        gid,
    };
    attempt(connection, &request).is_none()
}

fn owner(server: &Server, dir: &str, name: &str) -> (u32, u32) {
    let made = fs::metadata(server.path(dir).join(name)).expect("it is there");
    (made.uid(), made.gid())
}
