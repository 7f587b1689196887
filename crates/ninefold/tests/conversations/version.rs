//! Tversion: what is agreed on, and what it ends.

use ninefold::Errno;
use ninefold_wire::Dialect;

use crate::client::{MSIZE_MAX, raw_frame};
use crate::share::Share;
use crate::verbs::RDONLY;

const UNKNOWN: &[u8] = b"unknown";

#[test]
fn agrees_to_the_dialect_asked_for_or_the_next_plainer() {
    let share = Share::new();
    let cases: [(&[u8], &[u8]); 13] = [
        (b"9P2000.L", b"9P2000.L"),
        (b"9P2000.L.Google.7", b"9P2000.L"),
        (b"9P2000.u", b"9P2000.u"),
        (b"9P2000.u.x", b"9P2000.u"),
        (b"9P2000", b"9P2000"),
        (b"9P2000.x", b"9P2000"),
        (b"9P2000.W", b"9P2000"),
        (b"9P2001", b"9P2000"),
        (b"9P2000l", UNKNOWN),
        (b"9P1999", UNKNOWN),
        (b"", UNKNOWN),
        (b"9p2000.l", UNKNOWN),
        (&[b'9'; 8000], UNKNOWN),
    ];
    for (asked, want) in cases {
        let mut client = share.stranger();
        let (msize, version) = client.version(8192, asked).expect("an answer");
        assert_eq!((msize, &version[..]), (8192, want));
        let attached = client.attach(0).map(drop);
        if want == UNKNOWN {
            assert_eq!(attached, Err(Errno::PROTO), "the session stays closed");
        } else {
            assert_eq!(attached, Ok(()));
        }
    }
}

#[test]
fn msize_is_the_smaller_of_both_and_at_least_4096() {
    let share = Share::new();
    let cases = [
        (0, Err(Errno::MSGSIZE)),
        (1, Err(Errno::MSGSIZE)),
        (23, Err(Errno::MSGSIZE)),
        (24, Err(Errno::MSGSIZE)),
        (4095, Err(Errno::MSGSIZE)),
        (4096, Ok(4096)),
        (65536, Ok(65536)),
        (131_096, Ok(131_096)),
        (512_000, Ok(512_000)),
        (1 << 20, Ok(1 << 20)),
        (1 << 31, Ok(MSIZE_MAX)),
        (u32::MAX, Ok(MSIZE_MAX)),
    ];
    for (asked, want) in cases {
        let mut client = share.stranger();
        assert_eq!(client.frame_max(), 8192, "before a version");
        let agreed = client.version(asked, b"9P2000.L").map(|(msize, _)| msize);
        assert_eq!(agreed, want, "msize {asked}");
        assert_eq!(client.frame_max(), want.unwrap_or(8192));
        assert_eq!(client.attach(0).is_ok(), want.is_ok());
    }
}

#[test]
fn nothing_before_a_version() {
    let share = Share::new();
    let mut client = share.stranger();
    assert_eq!(client.attach(0), Err(Errno::PROTO));
    assert_eq!(client.walk(0, 1, &[]), Err(Errno::PROTO));
    assert_eq!(client.getattr(0, 0), Err(Errno::PROTO));
    assert_eq!(client.clunk(0), Err(Errno::PROTO));
}

#[test]
fn a_second_version_begins_anew() {
    let share = Share::new();
    share.write("file", "content");
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    let (msize, _) = client.version(8192, b"9P2000.L").expect("a version");
    assert_eq!(msize, 8192);
    assert_eq!(client.read(1, 0, 10), Err(Errno::BADF));
    assert_eq!(client.getattr(0, 0), Err(Errno::BADF));
    client.attach(0).expect("a root");
    client.open(1, "file", RDONLY);
    assert_eq!(client.read(1, 0, 10).as_deref(), Ok(&b"content"[..]));
}

#[test]
fn a_failed_version_ends_the_session_before() {
    let share = Share::new();
    let mut client = share.client();
    assert_eq!(
        client.version(100, b"9P2000.L").map(drop),
        Err(Errno::MSGSIZE)
    );
    assert_eq!(client.getattr(0, 0), Err(Errno::PROTO));
    client.version(4096, b"9P2000.L").expect("a version");
    assert_eq!(client.getattr(0, 0), Err(Errno::BADF), "the fid is gone");
}

#[test]
fn a_refused_version_is_refused_in_its_own_dialect() {
    let share = Share::new();
    for dialect in [Dialect::Legacy, Dialect::Unix, Dialect::Linux] {
        let mut client = share.stranger();
        let refused = client.version(100, dialect.version()).map(drop);
        assert_eq!(refused, Err(Errno::MSGSIZE));
        // There is no session, and so no dialect.
        client.dialect = Dialect::Linux;
        assert_eq!(client.getattr(0, 0), Err(Errno::PROTO));
    }
}

#[test]
fn a_second_version_may_change_the_dialect() {
    let share = Share::new();
    let mut client = share.client();
    for dialect in [Dialect::Legacy, Dialect::Linux, Dialect::Unix] {
        client.version(8192, dialect.version()).expect("a version");
        let expected = match dialect {
            Dialect::Legacy => Errno::OPNOTSUPP,
            Dialect::Unix | Dialect::Linux => Errno::BADF,
        };
        assert_eq!(client.getattr(0, 0), Err(expected));
        client.attach(0).expect("a root");
    }
}

#[test]
fn any_tag_will_do() {
    let share = Share::new();
    let mut client = share.stranger();
    let body = [&8192u32.to_le_bytes()[..], &[8, 0], b"9P2000.L"].concat();
    // FreeBSD numbers its Tversion like any request.
    assert!(client.receive(&raw_frame(1, 100, &body)));
    assert_eq!(client.heard(), [(101, 1)]);
    client.attach(0).expect("a root");
}

#[test]
fn a_version_that_is_none_ends_nothing() {
    let share = Share::new();
    let mut client = share.client();
    assert_eq!(
        client.call_raw(100, &8192u32.to_le_bytes()),
        Err(Errno::INVAL)
    );
    assert!(client.getattr(0, 0).is_ok(), "the session goes on");
}
