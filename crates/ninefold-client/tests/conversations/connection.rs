//! Frames, tags and timeouts of a raw connection.

use crate::fake::{fake, frame, manners, says};
use ninefold_client::wire::{Dialect, NOTAG, Reply, Request};
use ninefold_client::{Address, Connection, Error, Options};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

const STATFS: Request<'_> = Request::Statfs { fid: 0 };

fn call_error(mut connection: Connection) -> Error {
    connection.call(&STATFS).expect_err("a hostile reply")
}

#[test]
fn a_refusal_is_an_error_with_its_number() {
    let error = call_error(says(frame(0, &Reply::Lerror { ecode: 13 })));
    assert_eq!(error.errno(), Some(13));
    assert_eq!(
        error.to_string(),
        "Permission denied (Tstatfs refused with error 13)"
    );
}

#[test]
fn hostile_replies_are_protocol_errors() {
    let clunk = frame(0, &Reply::Clunk {});
    let resized = |size: u32| [&size.to_le_bytes()[..], &clunk[4..]].concat();
    let cases = [
        (
            frame(9, &Reply::Clunk {}),
            "expected a reply with tag 0, the server sent Rclunk with tag 9",
        ),
        (
            clunk.clone(),
            "expected a reply to Tstatfs, the server sent Rclunk",
        ),
        (
            resized(0),
            "expected a frame of 7 to 8192 bytes, the server sent the size field 0",
        ),
        (
            resized(6),
            "expected a frame of 7 to 8192 bytes, the server sent the size field 6",
        ),
        (
            resized(8193),
            "expected a frame of 7 to 8192 bytes, the server sent the size field 8193",
        ),
        (
            resized(u32::MAX),
            "expected a frame of 7 to 8192 bytes, the server sent the size field 4294967295",
        ),
        (
            frame(0, &Reply::Lerror { ecode: 0 }),
            "expected an error number from 1 to 4095, the server sent 0",
        ),
        (
            vec![7, 0, 0, 0, 250, 0, 0],
            "expected a 9P reply, the server sent 7 bytes of type 250 (UnknownType(250))",
        ),
        (
            vec![8, 0, 0, 0, 121, 0, 0, 1],
            "expected a 9P reply, the server sent 8 bytes of type 121 (Trailing(1))",
        ),
        (
            vec![11, 0, 0, 0, 117, 0, 0, 255, 255, 255, 255],
            "expected a 9P reply, the server sent 11 bytes of type 117 (Truncated)",
        ),
    ];
    for (bytes, want) in cases {
        let error = call_error(says(bytes));
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_server_that_goes_away_is_no_mystery() {
    assert!(matches!(call_error(says(Vec::new())), Error::Closed));
    let (client, server) = UnixStream::pair().expect("a socketpair");
    drop(server);
    assert!(matches!(call_error(client.into()), Error::Closed));
}

#[test]
fn silence_ends_in_a_timeout_and_can_be_resumed() {
    use std::io::Write;
    let (client, mut server) = UnixStream::pair().expect("a socketpair");
    let mut connection = Connection::from(client);
    connection
        .set_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    let reply = frame(3, &Reply::Clunk {});
    assert!(matches!(connection.recv(), Err(Error::Timeout { .. })));
    server.write_all(&reply[..5]).expect("half a frame");
    assert!(matches!(connection.recv(), Err(Error::Timeout { .. })));
    server.write_all(&reply[5..]).expect("the other half");
    assert_eq!(connection.recv().expect("the whole"), (3, Reply::Clunk {}));
}

#[test]
fn requests_can_be_pipelined_and_garbage_sent() {
    let mut connection = Connection::from(fake(|tag, request| match request {
        Request::Clunk { .. } => frame(tag, &Reply::Clunk {}),
        other => panic!("{other:?}"),
    }));
    for tag in 0..100 {
        connection
            .send(tag, &Request::Clunk { fid: tag.into() })
            .expect("room");
    }
    for tag in 0..100 {
        assert_eq!(connection.recv().expect("a reply"), (tag, Reply::Clunk {}));
    }
    connection
        .send_raw(&[11, 0, 0, 0, 120])
        .expect("the first half");
    connection
        .send_raw(&[1, 0, 5, 0, 0, 0])
        .expect("the second half");
    assert_eq!(
        connection.recv_raw().expect("a frame"),
        frame(1, &Reply::Clunk {})
    );
    connection.close_sending().expect("a live socket");
    assert!(matches!(connection.recv(), Err(Error::Closed)));
}

#[test]
fn one_handle_sends_while_another_receives() {
    let mut receiver = Connection::from(fake(|tag, _| frame(tag, &Reply::Clunk {})));
    let mut sender = receiver.try_clone().expect("a second handle");
    let sending = std::thread::spawn(move || {
        (0..1000).try_for_each(|tag| sender.send(tag, &Request::Clunk { fid: 0 }))
    });
    for tag in 0..1000 {
        assert_eq!(receiver.recv().expect("a reply").0, tag);
    }
    sending.join().expect("no panic").expect("no error");
}

#[test]
fn version_agrees_on_less_and_refuses_more() {
    let answer = |msize, version: &'static [u8]| {
        let mut connection = says(frame(NOTAG, &Reply::Version { msize, version }));
        connection
            .version(100_000, Dialect::Linux)
            .map(|agreed| (agreed, connection.msize()))
    };
    assert_eq!(answer(65536, b"9P2000.L").expect("less"), (65536, 65536));
    assert!(matches!(
        answer(100_001, b"9P2000.L"),
        Err(Error::Protocol { .. })
    ));
    assert!(matches!(
        answer(6, b"9P2000.L"),
        Err(Error::Protocol { .. })
    ));
    let error = answer(65536, b"unknown").expect_err("another version");
    assert_eq!(
        error.to_string(),
        "expected the version \"9P2000.L\", the server sent \"unknown\""
    );
}

#[test]
fn what_exceeds_msize_is_not_sent() {
    let mut connection = Connection::from(fake(|tag, request| manners(tag, &request)));
    connection
        .version(8192, Dialect::Linux)
        .expect("an agreement");
    let target = [b'x'; 5000];
    let name = ninefold_client::wire::Name::new(b"n").expect("a name");
    let request = Request::Symlink {
        dfid: 0,
        name,
        target: &target,
        gid: 0,
    };
    let error = connection.send(0, &request).expect_err("too large");
    assert_eq!(
        error.to_string(),
        "expected a request of at most 4096 bytes (msize), Tsymlink is longer"
    );
    connection
        .call(&Request::Clunk { fid: 0 })
        .expect("the connection lives on");
}

#[test]
fn connecting_works_and_fails_with_the_address() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let address = Address::Unix(dir.path().join("s"));
    let error = Connection::connect(&address, None)
        .err()
        .expect("nobody there");
    assert!(
        error.to_string().contains("/s, no connection came about"),
        "{error}"
    );
    let _listener = UnixListener::bind(dir.path().join("s")).expect("a listener");
    Connection::connect(&address, Some(Duration::from_secs(1))).expect("a connection");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let address = Address::Tcp {
        host: "localhost".into(),
        port,
    };
    Connection::connect(&address, Some(Duration::from_secs(1))).expect("a connection");
    drop(listener);
    assert!(Connection::connect(&address, None).is_err());
    assert_eq!(Options::default().msize, 1 << 20);
}
