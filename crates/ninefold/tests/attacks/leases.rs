//! Opens that wait for somebody else's lease: a call that blocks for as long as the holder likes, 45
//! seconds at most. Nobody else waits with it, and what is given up ends at once.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use ninefold_client::Connection;
use ninefold_client::wire::{Dialect, NOTAG, Reply, Request, SetAttr, flags};

use crate::common::{Batch, Server, attach, getattr, walk};

/// Less than a lease lasts: what takes as long has waited for its end.
pub const SOON: Duration = Duration::from_secs(20);

const EINTR: u32 = 4;
const RDWR: u32 = 2;

/// Takes a lease on a file (F_SETLEASE, F_WRLCK), and says so when somebody asks for its end. Perl
/// runs the handler between two of its own steps: a signal that comes just before a read would
/// have to wait for the read's end, so that none of them may be long.
const HOLDER: &str = r#"
    $| = 1;
    $SIG{IO} = sub { print "asked\n" };
    open(my $file, "+<", $ARGV[0]) or die "open: $!";
    fcntl($file, 1024, 1) or die "lease: $!";
    print "held\n";
    vec(my $stdin, 0, 1) = 1;
    1 until select(my $ready = $stdin, undef, undef, 0.01) > 0;
"#;

/// Another program, which has a lease on a file until this is dropped.
pub struct Lease {
    holder: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Lease {
    pub fn of(server: &Server, name: &str) -> Self {
        let mut holder = Command::new("perl")
            .args(["-e", HOLDER])
            .arg(server.path(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("perl, which is needed to hold a lease");
        let stdout = holder.stdout.take().expect("a pipe");
        let lines = BufReader::new(stdout).lines();
        let mut lease = Self { holder, lines };
        lease.hear("held");
        lease
    }

    /// Waits until somebody waits for the end of the lease.
    pub fn wait_until_asked(&mut self) {
        self.hear("asked");
    }

    fn hear(&mut self, what: &str) {
        let line = self.lines.next().expect("the holder lives");
        assert_eq!(line.expect("a line"), what);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

fn server(threads: &str) -> Server {
    Server::with(&[], threads, |dir| {
        fs::write(dir.join("file"), "content").expect("a file");
    })
}

/// A session whose fid 1 is the file.
fn walker(server: &Server) -> Connection {
    let mut connection = server.session();
    assert_eq!(walk(&mut connection, 0, 1, &["file"]).expect("a file"), 1);
    connection
}

fn lopen(fid: u32) -> Request<'static> {
    Request::Lopen { fid, flags: RDWR }
}

/// Receives until the Rflush comes. What it was for may have been answered before, with an error.
pub fn expect_flushed(connection: &mut Connection, oldtag: u16, tag: u16) {
    let (came, reply) = connection.recv().expect("a reply");
    if came == oldtag {
        assert_eq!(reply, Reply::Lerror { ecode: EINTR });
        let (came, reply) = connection.recv().expect("a reply");
        assert_eq!((came, reply), (tag, Reply::Flush {}));
    } else {
        assert_eq!((came, reply), (tag, Reply::Flush {}));
    }
}

pub fn expect_same(connection: &mut Connection, tag: u16, request: &Request<'_>) {
    connection.send(tag, request).expect("to send");
    let (came, reply) = connection.recv().expect("a reply");
    assert_eq!((came, reply.number()), (tag, request.number() + 1));
}

#[test]
fn a_flush_ends_an_open_that_waits() {
    for threads in ["4", "0"] {
        let server = server(threads);
        let mut client = walker(&server);
        let before = server.extra_fds();
        let mut lease = Lease::of(&server, "file");
        let begun = Instant::now();
        client.send(5, &lopen(1)).expect("to send");
        lease.wait_until_asked();
        for tag in 100..120 {
            expect_same(&mut client, tag, &getattr(0));
        }
        client
            .send(6, &Request::Flush { oldtag: 5 })
            .expect("to send");
        expect_flushed(&mut client, 5, 6);
        assert!(begun.elapsed() < SOON, "it waited for the lease");
        assert_eq!(server.extra_fds(), before, "nothing is open");
        // It was not opened, and can be.
        drop(lease);
        expect_same(&mut client, 5, &lopen(1));
    }
}

#[test]
fn a_version_ends_an_open_that_waits() {
    let server = server("0");
    let mut client = walker(&server);
    let mut lease = Lease::of(&server, "file");
    let begun = Instant::now();
    client.send(5, &lopen(1)).expect("to send");
    lease.wait_until_asked();
    client.version(8192, Dialect::Linux).expect("a version");
    assert!(begun.elapsed() < SOON, "it waited for the lease");
    client.call(&attach()).expect("a new session");
    drop(client);
    server.wait_until_idle();
    assert!(begun.elapsed() < SOON, "it waited for the lease");
}

#[test]
fn nothing_is_left_of_a_client_that_vanishes_while_its_opens_wait() {
    for (threads, count) in [("2", 1), ("2", 50), ("0", 1), ("0", 50), ("0", 500)] {
        let server = server(threads);
        let mut lease = Lease::of(&server, "file");
        let mut client = server.session();
        let begun = Instant::now();
        ask_for_all(&mut client, count);
        lease.wait_until_asked();
        drop(client);
        server.wait_until_idle();
        assert!(begun.elapsed() < SOON, "{count} waited for the lease");
        let mut other = server.session();
        other.call(&getattr(0)).expect("it goes on");
    }
}

/// So soon that the server hears of the opens and of the end at once.
#[test]
fn nothing_is_left_of_a_client_that_vanishes_at_once() {
    let server = server("0");
    let _lease = Lease::of(&server, "file");
    let begun = Instant::now();
    for count in [1, 2, 5, 20].repeat(10) {
        let mut client = server.session();
        ask_for_all(&mut client, count);
        drop(client);
        server.wait_until_idle();
        assert!(begun.elapsed() < SOON, "{count} waited for the lease");
    }
}

/// Opens the file many times, each time by another fid and with the fid's number as the tag.
fn ask_for_all(client: &mut Connection, count: u16) {
    for fid in 1..=count {
        assert_eq!(walk(client, 0, fid.into(), &["file"]).expect("a file"), 1);
    }
    let mut batch = Batch::default();
    for fid in 1..=count {
        batch.add(fid, &lopen(fid.into()));
    }
    client.send_raw(&batch.0).expect("to send");
}

/// More opens than the server has threads: the flushes behind them are heard all the same.
#[test]
fn flushes_behind_many_opens_that_wait_are_heard() {
    for threads in ["2", "0"] {
        let server = server(threads);
        let mut lease = Lease::of(&server, "file");
        let (mut client, mut other) = (server.session(), server.session());
        let begun = Instant::now();
        ask_for_all(&mut client, 100);
        lease.wait_until_asked();
        other.call(&getattr(0)).expect("others are served");
        let mut batch = Batch::default();
        for oldtag in 1..=100 {
            batch.add(1000 + oldtag, &Request::Flush { oldtag });
        }
        client.send_raw(&batch.0).expect("to send");
        let mut flushed = HashSet::new();
        while flushed.len() < 100 {
            let (tag, reply) = client.recv().expect("a reply");
            if tag > 1000 {
                assert_eq!(reply, Reply::Flush {});
                assert!(flushed.insert(tag - 1000));
            } else {
                assert_eq!(reply, Reply::Lerror { ecode: EINTR });
                assert!(!flushed.contains(&tag), "{tag} after its flush");
            }
        }
        assert!(begun.elapsed() < SOON, "they waited for the lease");
        drop(lease);
        for fid in 1..=100 {
            expect_same(&mut client, fid, &lopen(fid.into()));
        }
    }
}

#[test]
fn what_is_not_flushed_goes_on_when_the_lease_ends() {
    let server = server("0");
    let mut lease = Lease::of(&server, "file");
    let mut client = server.session();
    ask_for_all(&mut client, 40);
    lease.wait_until_asked();
    // One in two is given up.
    let mut batch = Batch::default();
    for oldtag in (2..=40).step_by(2) {
        batch.add(1000 + oldtag, &Request::Flush { oldtag });
    }
    client.send_raw(&batch.0).expect("to send");
    let mut flushed = 0;
    while flushed < 20 {
        let (tag, reply) = client.recv().expect("a reply");
        match tag {
            1000.. => flushed += 1,
            _ => assert_eq!((tag % 2, reply), (0, Reply::Lerror { ecode: EINTR })),
        }
    }
    drop(lease);
    let mut opened = HashSet::new();
    while opened.len() < 20 {
        let (tag, reply) = client.recv().expect("a reply");
        assert_eq!(reply.number(), lopen(0).number() + 1, "{reply:?}");
        assert!(tag % 2 == 1 && opened.insert(tag), "{tag}");
    }
}

#[test]
fn a_clunk_waits_for_an_open_that_waits_until_it_is_flushed() {
    let server = server("0");
    let mut client = walker(&server);
    let mut lease = Lease::of(&server, "file");
    let begun = Instant::now();
    client.send(5, &lopen(1)).expect("to send");
    lease.wait_until_asked();
    client.send(7, &Request::Clunk { fid: 1 }).expect("to send");
    expect_same(&mut client, 8, &getattr(0));
    client
        .send(6, &Request::Flush { oldtag: 5 })
        .expect("to send");
    expect_flushed(&mut client, 5, 6);
    let (tag, reply) = client.recv().expect("a reply");
    assert_eq!((tag, reply), (7, Reply::Clunk {}));
    assert!(begun.elapsed() < SOON, "it waited for the lease");
}

#[test]
fn a_flush_ends_a_truncation_that_waits() {
    let server = server("0");
    let mut client = walker(&server);
    let mut lease = Lease::of(&server, "file");
    let begun = Instant::now();
    let attr = SetAttr {
        valid: flags::setattr::SIZE,
        ..SetAttr::default()
    };
    let request = Request::Setattr { fid: 1, attr };
    client.send(5, &request).expect("to send");
    lease.wait_until_asked();
    client
        .send(6, &Request::Flush { oldtag: 5 })
        .expect("to send");
    expect_flushed(&mut client, 5, 6);
    assert!(begun.elapsed() < SOON, "it waited for the lease");
    drop(lease);
    let file = fs::read(server.path("file")).expect("a file");
    assert_eq!(file, b"content", "nothing was done");
}

/// The thread that was interrupted in one request is not in the next.
#[test]
fn only_what_is_flushed_is_ended() {
    let server = server("2");
    for round in 0..30 {
        let mut client = walker(&server);
        let mut lease = Lease::of(&server, "file");
        client.send(5, &lopen(1)).expect("to send");
        lease.wait_until_asked();
        let mut batch = Batch::default();
        batch.add(6, &Request::Flush { oldtag: 5 });
        for tag in 10..40 {
            batch.add(tag, &getattr(1));
        }
        client.send_raw(&batch.0).expect("to send");
        drop(lease);
        let mut heard = HashSet::new();
        while !(10..40).all(|tag| heard.contains(&tag)) || !heard.contains(&6) {
            let (tag, reply) = client.recv().expect("a reply");
            assert!(heard.insert(tag), "{tag} twice");
            if tag >= 10 {
                assert_eq!(reply.number(), getattr(1).number() + 1, "round {round}");
            }
        }
    }
}

#[test]
fn a_tag_that_is_flushed_is_free() {
    let server = server("0");
    let mut client = walker(&server);
    let mut lease = Lease::of(&server, "file");
    client.send(5, &lopen(1)).expect("to send");
    lease.wait_until_asked();
    for tag in [6, 7, 8] {
        client
            .send(tag, &Request::Flush { oldtag: 5 })
            .expect("to send");
    }
    expect_flushed(&mut client, 5, 6);
    for tag in [7, 8] {
        let (came, reply) = client.recv().expect("a reply");
        assert_eq!((came, reply), (tag, Reply::Flush {}));
    }
    expect_same(&mut client, 5, &getattr(1));
    expect_same(&mut client, NOTAG - 1, &getattr(1));
}
