//! Mount, read, write: what a guest's client does, in the layouts that guests use.

use ninefold_wire::{Data, Dialect, Reply, Request};

use crate::vm::{Host, MSIZE, Style, Vm};

/// Ways to use the ring.
fn styles() -> impl Iterator<Item = Style> {
    let flags = [false, true];
    let all = flags.into_iter().flat_map(move |indirect| {
        flags.into_iter().map(move |event_idx| Style {
            size: 256,
            indirect,
            event_idx,
        })
    });
    all.chain([8, 64, 1024].map(|size| Style {
        size,
        ..Style::default()
    }))
}

/// Bytes that are nowhere the same.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| u8::try_from((at * 7 + at / 251) % 256).expect("a byte"))
        .collect()
}

/// Sends what Linux sends for a large read: a header of 11 bytes, and pages of which the first and the
/// last are cut. Returns the data.
pub fn read_in_pages(vm: &mut Vm, fid: u32, offset: u64, count: u32) -> Vec<u8> {
    let (_, frame) = vm.encode(&Request::Read { fid, offset, count });
    let out = vm.bytes(&frame);
    let head = (vm.room(11), 11);
    let mut into = vec![head];
    let mut left = count;
    let mut len = 4080;
    while left > 0 {
        let piece = left.min(len);
        let place = vm.room(4096) + u64::from(4096 - len);
        into.push((place, piece));
        (left, len) = (left - piece, 4096);
    }
    let chain = vm.chain(&[out], &into);
    vm.offer(chain);
    let (used, len) = vm.wait_used();
    assert_eq!(used, chain);
    let mut reply: Vec<u8> = Vec::new();
    for (place, len) in into {
        reply.extend(vm.get(place, len as usize));
    }
    reply.truncate(len as usize);
    match Reply::decode(&reply, Dialect::Linux).expect("a reply").1 {
        Reply::Read { data } => data.0.to_vec(),
        other => panic!("expected an Rread, came {other:?}"),
    }
}

/// Writes with the data in pages of their own.
fn write_in_pages(vm: &mut Vm, fid: u32, offset: u64, data: &[u8]) -> u32 {
    let data_of_frame = Data(data);
    let request = Request::Write {
        fid,
        offset,
        data: data_of_frame,
    };
    let (_, frame) = vm.encode(&request);
    let (head, data) = frame.split_at(23);
    let mut out = vec![vm.bytes(head)];
    let (first, rest) = data.split_at(data.len().min(24));
    out.push(vm.bytes(first));
    for page in rest.chunks(4096) {
        let page = vm.bytes(page);
        out.push(page);
    }
    let into = (vm.room(4096), 4096);
    let chain = vm.chain(&out, &[into]);
    vm.offer(chain);
    let (used, len) = vm.wait_used();
    assert_eq!(used, chain);
    let reply = vm.get(into.0, len as usize);
    match Reply::decode(&reply, Dialect::Linux).expect("a reply").1 {
        Reply::Write { count } => count,
        other => panic!("expected an Rwrite, came {other:?}"),
    }
}

#[test]
fn a_file_is_read_in_every_style() {
    for style in styles() {
        let host = Host::new();
        let content = pattern(200_000);
        std::fs::write(host.path("file"), &content).expect("a file");
        let mut vm = Vm::new(&host.socket(), style);
        vm.mount();
        vm.open("file", 2, 0);
        // As much as the ring has descriptors for.
        let pages = if style.indirect { 40 } else { 8 };
        let count = (pages * 4096).min(150_000);
        let data = read_in_pages(&mut vm, 2, 1000, count);
        assert_eq!(data, content[1000..1000 + count as usize]);
        assert_eq!(read_in_pages(&mut vm, 2, 199_000, 8192), content[199_000..]);
        assert_eq!(read_in_pages(&mut vm, 2, 200_000, 8192), b"");
        // Header and data in one buffer.
        let read = Request::Read {
            fid: 2,
            offset: 5,
            count: 1000,
        };
        let data = vm.ok(&read, |reply| match reply {
            Reply::Read { data } => Some(data.0.to_vec()),
            _ => None,
        });
        assert_eq!(data, content[5..1005]);
    }
}

#[test]
fn a_file_is_written_in_every_style() {
    for style in styles() {
        let host = Host::new();
        std::fs::write(host.path("file"), b"").expect("a file");
        let mut vm = Vm::new(&host.socket(), style);
        vm.mount();
        vm.open("file", 2, 1);
        let content = pattern(if style.indirect { 100_000 } else { 20_000 });
        let len = u32::try_from(content.len()).expect("a length");
        if style.size > 8 || style.indirect {
            assert_eq!(write_in_pages(&mut vm, 2, 10, &content), len);
            assert_eq!(
                std::fs::read(host.path("file")).expect("a file")[10..],
                content
            );
        }
        // Header and data in one buffer.
        let write = Request::Write {
            fid: 2,
            offset: 3,
            data: Data(b"one piece"),
        };
        vm.ok(&write, |it| {
            matches!(it, Reply::Write { count: 9 }).then_some(())
        });
        let found = std::fs::read(host.path("file")).expect("a file");
        assert_eq!(&found[3..12], b"one piece");
    }
}

#[test]
fn the_largest_message_goes_through_in_both_directions() {
    let host = Host::new();
    std::fs::write(host.path("file"), b"").expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 2);
    let content = pattern(MSIZE as usize - 24);
    let len = MSIZE - 24;
    assert_eq!(write_in_pages(&mut vm, 2, 0, &content), len);
    assert_eq!(read_in_pages(&mut vm, 2, 0, len), content);
}

#[test]
fn an_attribute_is_written_from_pages() {
    let host = Host::new();
    std::fs::write(host.path("file"), b"").expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 0);
    let value = pattern(3000);
    let create = Request::Xattrcreate {
        fid: 2,
        name: b"user.large",
        size: 3000,
        flags: 0,
    };
    // An open fid cannot become one; a clone can.
    let clone = Request::Walk {
        fid: 1,
        newfid: 3,
        steps: ninefold_wire::Steps::NONE,
    };
    vm.ok(&clone, |it| matches!(it, Reply::Walk { .. }).then_some(()));
    let create = match create {
        Request::Xattrcreate {
            name, size, flags, ..
        } => Request::Xattrcreate {
            fid: 3,
            name,
            size,
            flags,
        },
        other => other,
    };
    vm.ok(&create, |it| {
        matches!(it, Reply::Xattrcreate {}).then_some(())
    });
    assert_eq!(write_in_pages(&mut vm, 3, 0, &value), 3000);
    // What becomes of it at the clunk depends on the host's file system; here the data counts.
    let more = Request::Write {
        fid: 3,
        offset: 3000,
        data: Data(b"x"),
    };
    let reply = vm.ask(&more);
    assert!(matches!(
        Reply::decode(&reply, Dialect::Linux).expect("a reply").1,
        Reply::Lerror { ecode: 28 }
    ));
}

#[test]
fn a_reply_has_no_more_bytes_than_its_place() {
    let host = Host::new();
    std::fs::write(host.path("file"), pattern(5000)).expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 0);
    let read = Request::Read {
        fid: 2,
        offset: 0,
        count: 4000,
    };
    let getattr = Request::Getattr {
        fid: 2,
        request_mask: u64::MAX,
    };
    for (request, room, expected) in [(read, 111, 111), (getattr, 20, 11), (read, 10, 0)] {
        let (_, frame) = vm.encode(&request);
        let (out, into) = (vm.bytes(&frame), vm.room(4096));
        vm.put(into, &[0xee; 4096]);
        let chain = vm.chain(&[out], &[(into, room)]);
        vm.offer(chain);
        assert_eq!(vm.wait_used(), (chain, expected), "{request:?}");
        let after = vm.get(into + u64::from(room), 200);
        assert!(after.iter().all(|byte| *byte == 0xee), "{request:?}");
    }
}

#[test]
fn a_header_may_be_split_anywhere() {
    let host = Host::new();
    std::fs::write(host.path("file"), b"").expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 2);
    for cut in 1..40 {
        let content = pattern(cut + 20);
        let write = Request::Write {
            fid: 2,
            offset: 0,
            data: Data(&content),
        };
        let (_, frame) = vm.encode(&write);
        let out: Vec<_> = frame.chunks(cut).map(|part| vm.bytes(part)).collect();
        let place = vm.room(64);
        let into: Vec<_> = (0..64).map(|at| (place + at, 1)).collect();
        let chain = vm.chain(&out, &into);
        vm.offer(chain);
        assert_eq!(vm.wait_used(), (chain, 11));
        assert_eq!(std::fs::read(host.path("file")).expect("a file"), content);
    }
}
