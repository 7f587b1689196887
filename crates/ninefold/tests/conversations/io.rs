//! Tread, Twrite and Tfsync.

use ninefold::{Errno, SecurityModel};
use ninefold_wire::Header;

use crate::client::raw_frame;
use crate::share::{Share, one_of_each};
use crate::verbs::{RDONLY, RDWR, WRONLY};

const LAST: u64 = (1 << 63) - 1;

fn share() -> Share {
    Share::with(SecurityModel::None, false, one_of_each)
}

#[test]
fn reads_give_what_is_there() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    assert_eq!(client.read(1, 0, 7).as_deref(), Ok(&b"content"[..]));
    assert_eq!(client.read(1, 3, 2).as_deref(), Ok(&b"te"[..]));
    assert_eq!(client.read(1, 5, 100).as_deref(), Ok(&b"nt"[..]));
    assert_eq!(client.read(1, 0, 0).as_deref(), Ok(&b""[..]));
    for beyond in [7, 8, 1 << 40] {
        assert_eq!(
            client.read(1, beyond, 10).as_deref(),
            Ok(&b""[..]),
            "{beyond}"
        );
    }
}

#[test]
fn offsets_past_the_largest_are_refused() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDWR);
    for offset in [1 << 63, u64::MAX] {
        assert_eq!(client.read(1, offset, 1), Err(Errno::INVAL), "{offset}");
        assert_eq!(client.write(1, offset, b"x"), Err(Errno::INVAL), "{offset}");
        assert_eq!(client.write(1, offset, b""), Err(Errno::INVAL), "{offset}");
    }
    // What pread(2) and pwrite(2) say of a range that ends past it.
    assert_eq!(client.read(1, LAST, 1), Err(Errno::INVAL));
    assert_eq!(client.read(1, LAST, 0).as_deref(), Ok(&b""[..]));
    assert_eq!(client.write(1, LAST, b"x"), Err(Errno::INVAL));
    assert_eq!(client.write(1, LAST - 1, b"x"), Err(Errno::FBIG));
    assert_eq!(client.write(1, LAST, b""), Ok(0));
    assert_eq!(share.read("file"), b"content");
}

#[test]
fn writes_are_on_the_disk() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", WRONLY);
    assert_eq!(client.write(1, 3, b"TE"), Ok(2));
    assert_eq!(share.read("file"), b"conTEnt");
    assert_eq!(client.write(1, 9, b"!"), Ok(1));
    assert_eq!(share.read("file"), b"conTEnt\0\0!");
    assert_eq!(client.write(1, 0, b""), Ok(0));
    assert_eq!(share.stat("file").len(), 10);
}

#[test]
fn a_reply_never_exceeds_msize() {
    let share = share();
    share.write("large", vec![b'l'; 2 << 20]);
    for msize in [4096, 8192, 65536, 131_096, 512_000, 1 << 20] {
        let mut client = share.stranger();
        client.version(msize, b"9P2000.L").expect("a version");
        client.attach(0).expect("a root");
        client.open(1, "large", RDWR);
        for count in [msize - 24, msize - 11, msize, 1 << 31, u32::MAX] {
            let data = client.read(1, 0, count).expect("data");
            assert_eq!(data.len(), count.min(msize - 11) as usize, "{count}");
        }
        let body = [
            &1u32.to_le_bytes()[..],
            &0u64.to_le_bytes(),
            &msize.to_le_bytes(),
        ]
        .concat();
        assert!(client.receive(&raw_frame(5, 116, &body)));
        let sent = client.sent();
        let header = Header::peek(&sent[0]).expect("a header");
        assert_eq!((header.size, sent[0].len()), (msize, msize as usize));
        let most = vec![b'w'; (msize - 24) as usize];
        assert_eq!(client.write(1, 7, &most), Ok(msize - 24));
    }
}

#[test]
fn what_is_not_open_has_no_data() {
    let share = share();
    let mut client = share.client();
    client.find(1, "file");
    assert_eq!(client.read(1, 0, 1), Err(Errno::BADF));
    assert_eq!(client.write(1, 0, b"x"), Err(Errno::BADF));
    assert_eq!(client.fsync(1, Some(0)), Err(Errno::BADF));
    for unknown in [99, u32::MAX] {
        assert_eq!(client.read(unknown, 0, 1), Err(Errno::BADF));
        assert_eq!(client.write(unknown, 0, b"x"), Err(Errno::BADF));
        assert_eq!(client.fsync(unknown, None), Err(Errno::BADF));
    }
}

#[test]
fn fsync_works_on_all_that_is_open() {
    let share = share();
    let mut client = share.client();
    client.open(1, "file", RDONLY);
    client.open(2, "file", WRONLY);
    client.open(3, "dir", RDONLY);
    for fid in [1, 2, 3] {
        // The last is what senders of the protocol's old text leave out.
        for datasync in [Some(0), Some(1), Some(7), None] {
            client.fsync(fid, datasync).expect("an fsync");
        }
    }
}
