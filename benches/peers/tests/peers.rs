//! Each peer answers as the benchmark needs it to: a row that is refused must not pass for a fast one.
//!
//! What they refuse is asserted too, since README.md says which rows a peer takes no part in.

use ninefold_client::wire::flags::open;
use ninefold_client::wire::{Dialect, NOFID, Name, Reply, Request};
use ninefold_client::{Address, Client, Connection, Error, MSIZE_DEFAULT, Options};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// The fid that [`ATTACH`] makes.
const ROOT: u32 = 1;

const ATTACH: Request<'_> = Request::Attach {
    fid: ROOT,
    afid: NOFID,
    uname: b"",
    aname: b"",
    n_uname: Some(0),
};

const EACCES: i32 = 13;
const EOPNOTSUPP: i32 = 95;

/// A peer that serves a folder of its own until it is dropped.
struct Peer {
    child: Child,
    socket: PathBuf,
    dir: PathBuf,
    _temporary: TempDir,
}

impl Peer {
    fn p9() -> Self {
        Self::start(env!("CARGO_BIN_EXE_peer-p9").as_ref(), "socket", |socket| {
            ["--unix".into(), socket.into()].into()
        })
    }

    /// Its socket is the path of the address, a colon and the port of the address.
    fn unpfs() -> Self {
        let installed = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../target/bench/peers/bin/unpfs"
        );
        Self::start(installed.as_ref(), "socket:0", |socket| {
            let mut address = OsString::from("unix!");
            address.push(socket.with_file_name("socket"));
            address.push("!0");
            vec![address]
        })
    }

    fn start(program: &Path, socket: &str, arguments: fn(&Path) -> Vec<OsString>) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let socket = temporary.path().join(socket);
        let dir = temporary.path().join("tree");
        fs::create_dir_all(dir.join("a/b")).expect("directories");
        fs::write(dir.join("a/b/file"), "contents").expect("a file");
        symlink("a/b", dir.join("link")).expect("a symbolic link");
        let child = Command::new(program)
            .args(arguments(&socket))
            .arg(&dir)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self {
            child,
            socket,
            dir,
            _temporary: temporary,
        }
    }

    fn client(&self) -> Client {
        let options = Options {
            timeout: Some(PATIENCE),
            ..Options::default()
        };
        Client::over(self.connection(), &options).expect("a session")
    }

    fn connection(&self) -> Connection {
        let end = Instant::now() + PATIENCE;
        loop {
            match Connection::connect(&Address::Unix(self.socket.clone()), Some(PATIENCE)) {
                Ok(connection) => return connection,
                Err(error) if Instant::now() > end => panic!("{error}"),
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().expect("a peer that still runs");
        self.child.wait().expect("the end of the peer");
    }
}

fn reads(peer: &Peer) {
    let client = peer.client();
    let attr = client.metadata("a/b/file").expect("attributes");
    assert!(attr.is_file());
    assert_eq!(attr.size(), 8);
    let file = client.open("a/b/file", 0).expect("an open file");
    let mut buf = [0; 16];
    assert_eq!(file.read_at(&mut buf, 3).expect("a read"), 5);
    assert_eq!(&buf[..5], b"tents");
    file.close().expect("a clunk");
    let link = client.read_link("link").expect("a link");
    assert_eq!(link, b"a/b");
}

fn writes(peer: &Peer) {
    let client = peer.client();
    let file = client
        .create("a/new", open::WRONLY, 0o640)
        .expect("a new file");
    file.write_all_at(b"written", 0).expect("a write");
    file.close().expect("a clunk");
    let on_disk = fs::read(peer.dir.join("a/new")).expect("the file");
    assert_eq!(on_disk, b"written");
    client.rename("a/new", "a/b/moved").expect("a rename");
    assert!(peer.dir.join("a/b/moved").exists());
    client.create_dir("dir", 0o750).expect("a directory");
    assert!(peer.dir.join("dir").is_dir());
    client.remove("dir").expect("a removed directory");
    client.remove("a/b/moved").expect("a removed file");
    assert!(!peer.dir.join("dir").exists());
    assert!(!peer.dir.join("a/b/moved").exists());
}

/// More entries than one message holds.
fn lists(peer: &Peer) {
    let many = peer.dir.join("many");
    fs::create_dir(&many).expect("a directory");
    let mut expected: Vec<_> = (0..500).map(|n| format!("entry-{n:03}")).collect();
    for name in &expected {
        fs::write(many.join(name), "").expect("a file");
    }
    expected.extend([".".into(), "..".into()]);
    expected.sort();
    let mut entries = peer.client().read_dir("many").expect("an open directory");
    entries.set_chunk(4096);
    let mut names: Vec<_> = entries
        .map(|entry| String::from_utf8(entry.expect("an entry").name).expect("the name"))
        .collect();
    names.sort();
    assert_eq!(names, expected);
}

fn errno<T>(outcome: Result<T, Error>) -> i32 {
    let error = outcome.err().expect("a refusal");
    error.errno().unwrap_or_else(|| panic!("{error}"))
}

#[test]
fn p9_reads() {
    reads(&Peer::p9());
}

#[test]
fn p9_writes() {
    writes(&Peer::p9());
}

#[test]
fn p9_lists() {
    lists(&Peer::p9());
}

#[test]
fn p9_takes_long_messages() {
    assert_eq!(Peer::p9().client().msize(), MSIZE_DEFAULT);
}

/// The first frame in pieces, and the others in one.
#[test]
fn p9_takes_any_fragments() {
    let peer = Peer::p9();
    let mut connection = peer.connection();
    connection.set_timeout(Some(PATIENCE)).expect("a timeout");
    connection.version(8192, Dialect::Linux).expect("a version");
    for piece in frame(0, &ATTACH).chunks(3) {
        connection.send_raw(piece).expect("a sent piece");
        thread::sleep(Duration::from_millis(1));
    }
    let (tag, reply) = connection.recv().expect("a reply");
    assert!(matches!(reply, Reply::Attach { .. }), "{reply:?}");
    assert_eq!(tag, 0);
    let getattr = Request::Getattr {
        fid: ROOT,
        request_mask: 0x7ff,
    };
    let pipelined: Vec<u8> = (1..=100).flat_map(|tag| frame(tag, &getattr)).collect();
    connection.send_raw(&pipelined).expect("sent requests");
    for expected in 1..=100 {
        let (tag, reply) = connection.recv().expect("a reply");
        assert!(matches!(reply, Reply::Getattr { .. }), "{reply:?}");
        assert_eq!(tag, expected);
    }
}

fn frame(tag: u16, request: &Request<'_>) -> Vec<u8> {
    let mut frame = vec![0; 256];
    let len = request.encode(tag, &mut frame).expect("a short request");
    frame.truncate(len);
    frame
}

#[test]
fn p9_refuses_symlink_and_xattr() {
    let peer = Peer::p9();
    let client = peer.client();
    assert_eq!(errno(client.symlink("target", "new")), EACCES);
    refuses_xattr(&peer);
}

#[test]
fn p9_refuses_what_has_no_parent() {
    let peer = Peer::p9();
    let file = peer.client().walk("a/b/file").expect("a fid");
    assert_eq!(errno(file.remove()), EOPNOTSUPP);
    let mut connection = peer.connection();
    connection.version(8192, Dialect::Linux).expect("a version");
    connection.call(&ATTACH).expect("a root");
    let rename = Request::Rename {
        fid: ROOT,
        dfid: ROOT,
        name: Name::new(b"new").expect("a name"),
    };
    assert_eq!(errno(connection.call(&rename)), EOPNOTSUPP);
}

/// More fids than the usual limit of descriptors, and each is one.
#[test]
fn p9_holds_many_fids() {
    let peer = Peer::p9();
    let client = peer.client();
    let fids: Vec<_> = (0..1500).map(|_| client.walk("a/b/file")).collect();
    for fid in &fids {
        fid.as_ref().expect("a fid").metadata().expect("attributes");
    }
}

#[test]
fn p9_links() {
    let peer = Peer::p9();
    let link = peer.client().hard_link("a/b/file", "new");
    link.expect("a hard link");
    let on_disk = fs::read(peer.dir.join("new")).expect("the file");
    assert_eq!(on_disk, b"contents");
}

fn refuses_xattr(peer: &Peer) {
    let file = peer.client().walk("a/b/file").expect("a fid");
    assert_eq!(errno(file.xattr("user.name")), EOPNOTSUPP);
    let set = file.set_xattr("user.name", "value", 0);
    assert_eq!(errno(set), EOPNOTSUPP);
}

#[test]
#[ignore = "needs unpfs installed, see README.md"]
fn unpfs_reads() {
    reads(&Peer::unpfs());
}

#[test]
#[ignore = "needs unpfs installed, see README.md"]
fn unpfs_writes() {
    writes(&Peer::unpfs());
}

#[test]
#[ignore = "needs unpfs installed, see README.md"]
fn unpfs_lists() {
    lists(&Peer::unpfs());
}

#[test]
#[ignore = "needs unpfs installed, see README.md"]
fn unpfs_refuses_links_and_xattr() {
    let peer = Peer::unpfs();
    let client = peer.client();
    assert_eq!(errno(client.symlink("target", "new")), EOPNOTSUPP);
    let link = client.hard_link("a/b/file", "new");
    assert_eq!(errno(link), EOPNOTSUPP);
    refuses_xattr(&peer);
}

#[test]
#[ignore = "needs unpfs installed, see README.md"]
fn unpfs_takes_long_messages() {
    assert_eq!(Peer::unpfs().client().msize(), MSIZE_DEFAULT);
}
