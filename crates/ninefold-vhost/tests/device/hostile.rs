//! Guests that break the rules: the server reads and writes nothing but their memory, says so, and
//! serves the next driver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ninefold_wire::{Data, Dialect, Reply, Request};
use vm_memory::{Bytes, GuestAddress};

use crate::conversation::{pattern, read_in_pages};
use crate::vm::{
    BASE, Buffer, DATA, END, Host, INDIRECT, LIMIT, NEXT, REGION, Style, Vm, WRITE, wait,
};
use crate::waits::waiting_lock;

const STATFS: Request<'static> = Request::Statfs { fid: 1 };

fn direct() -> Style {
    Style {
        indirect: false,
        ..Style::default()
    }
}

/// A sound request's buffers.
fn sound(vm: &mut Vm) -> (Buffer, Buffer) {
    let (_, frame) = vm.encode(&STATFS);
    (vm.bytes(&frame), (vm.room(4096), 4096))
}

fn is_mounted(vm: &mut Vm) {
    vm.ok(&STATFS, |it| {
        matches!(it, Reply::Statfs { .. }).then_some(())
    });
}

/// The device stops the queue, and begins anew with the next driver.
fn breaks(style: Style, attack: impl FnOnce(&mut Vm)) {
    let host = Host::new();
    std::fs::write(host.path("file"), b"").expect("a file");
    let mut vm = Vm::new(&host.socket(), style);
    vm.mount();
    attack(&mut vm);
    assert!(wait(&vm.error, LIMIT), "expected the queue to be stopped");
    vm.reboot();
    vm.mount();
    is_mounted(&mut vm);
}

/// The device is sound after it, whatever became of the request.
fn survives(attack: impl FnOnce(&mut Vm)) {
    let host = Host::new();
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    attack(&mut vm);
    vm.reboot();
    vm.mount();
    is_mounted(&mut vm);
}

#[test]
fn chains_that_do_not_end_stop_the_queue() {
    breaks(direct(), |vm| {
        let (out, _) = sound(vm);
        vm.descriptor(5, out.0, out.1, NEXT, 6);
        vm.descriptor(6, out.0, out.1, NEXT, 5);
        vm.offer(5);
    });
    breaks(Style::default(), |vm| {
        let (out, _) = sound(vm);
        let table = vm.room(64);
        vm.set_descriptor(table, 0, (out.0, out.1, NEXT, 1));
        vm.set_descriptor(table, 1, (out.0, out.1, NEXT, 0));
        vm.descriptor(5, table, 32, INDIRECT, 0);
        vm.offer(5);
    });
    // As long as its table may be, and no end.
    breaks(Style::default(), |vm| {
        let table = vm.room(16 * 4000);
        for at in 0..4000 {
            vm.set_descriptor(table, at, (DATA, 1, NEXT, at + 1));
        }
        vm.descriptor(5, table, 16 * 4000, INDIRECT, 0);
        vm.offer(5);
    });
}

#[test]
fn tables_in_the_wrong_place_stop_the_queue() {
    for (place, len, flags) in [
        // Nothing, half a descriptor, outside, over the end, at the end of all addresses.
        (DATA, 0, INDIRECT),
        (DATA, 24, INDIRECT),
        (END, 32, INDIRECT),
        (END - 8, 32, INDIRECT),
        (u64::MAX - 15, 32, INDIRECT),
        (DATA, 32, INDIRECT | NEXT),
    ] {
        breaks(Style::default(), |vm| {
            vm.put(DATA, &[0; 64]);
            vm.descriptor(5, place, len, flags, 6);
            vm.offer(5);
        });
    }
    breaks(Style::default(), |vm| {
        let table = vm.room(64);
        vm.set_descriptor(table, 0, (table, 32, INDIRECT, 0));
        vm.descriptor(5, table, 32, INDIRECT, 0);
        vm.offer(5);
    });
    // To a descriptor that the table does not have.
    breaks(direct(), |vm| {
        vm.descriptor(5, DATA, 8, NEXT, 128);
        vm.offer(5);
    });
}

#[test]
fn buffers_outside_of_memory_stop_the_queue() {
    for (place, len) in [
        (0, 8),
        (BASE - 1, 8),
        (END, 1),
        (END - 4, 8),
        (BASE, u32::MAX),
        (u64::MAX - 3, 8),
        (u64::MAX, 1),
    ] {
        for flags in [0, WRITE] {
            breaks(direct(), |vm| {
                let (out, _) = sound(vm);
                vm.descriptor(5, out.0, out.1, NEXT, 6);
                vm.descriptor(6, place, len, flags, 0);
                vm.offer(5);
            });
        }
    }
    // 4 GiB in pieces that are all there.
    breaks(Style::default(), |vm| {
        let count = 1024;
        let table = vm.room(16 * 1024);
        for at in 0..count {
            let len = 2 * u32::try_from(REGION).expect("a length");
            vm.set_descriptor(table, at, (BASE, len, NEXT, at + 1));
        }
        vm.descriptor(5, table, 16 * u32::from(count), INDIRECT, 0);
        vm.offer(5);
    });
}

#[test]
fn a_request_behind_its_reply_stops_the_queue() {
    breaks(direct(), |vm| {
        let (out, into) = sound(vm);
        vm.descriptor(5, into.0, into.1, NEXT | WRITE, 6);
        vm.descriptor(6, out.0, out.1, 0, 0);
        vm.offer(5);
    });
}

#[test]
fn rings_that_run_ahead_or_name_what_is_not_there_stop_the_queue() {
    breaks(direct(), |vm| {
        vm.set_available_and_kick(vm.offered.wrapping_add(129));
    });
    breaks(direct(), |vm| {
        vm.set_available_and_kick(vm.offered.wrapping_sub(1));
    });
    breaks(direct(), |vm| vm.offer(128));
    breaks(direct(), |vm| vm.offer(u16::MAX));
}

#[test]
fn a_chain_offered_twice_stops_the_queue() {
    breaks(Style::default(), |vm| {
        let (head, _) = waiting_lock(vm);
        is_mounted(vm);
        vm.offer(head);
    });
}

#[test]
fn buffers_of_no_bytes_say_nothing() {
    let host = Host::new();
    let mut vm = Vm::new(&host.socket(), direct());
    vm.mount();
    let (out, into) = sound(&mut vm);
    let chain = vm.chain(&[(0, 0), out, (u64::MAX, 0)], &[(END, 0), into, (0, 0)]);
    vm.offer(chain);
    let (used, len) = vm.wait_used();
    assert_eq!(used, chain);
    assert!(len > 11);
}

#[test]
fn buffers_go_across_regions() {
    let host = Host::new();
    std::fs::write(host.path("file"), pattern(5000)).expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 0);
    let read = Request::Read {
        fid: 2,
        offset: 0,
        count: 5000,
    };
    let (_, frame) = vm.encode(&read);
    let out = vm.bytes(&frame);
    let into = (BASE + REGION - 2000, 6000);
    let chain = vm.chain(&[out], &[into]);
    vm.offer(chain);
    assert_eq!(vm.wait_used(), (chain, 5011));
    assert_eq!(vm.get(into.0 + 11, 5000), pattern(5000));
}

#[test]
fn requests_that_cannot_be_answered_are_given_back() {
    let host = Host::new();
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    let (out, into) = sound(&mut vm);
    let cases: [(&[Buffer], &[Buffer]); 5] = [
        (&[], &[into]),
        (&[out], &[]),
        (&[(out.0, 6)], &[into]),
        (&[out], &[(into.0, 10)]),
        (&[], &[]),
    ];
    for (out, into) in cases
        .into_iter()
        .filter(|case| !case.0.is_empty() || !case.1.is_empty())
    {
        let chain = vm.chain(out, into);
        vm.offer(chain);
        assert_eq!(vm.wait_used(), (chain, 0));
    }
    is_mounted(&mut vm);
}

#[test]
fn sizes_that_are_wrong_are_refused() {
    let host = Host::new();
    std::fs::write(host.path("file"), b"").expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 2);
    let write = Request::Write {
        fid: 2,
        offset: 0,
        data: Data(&[7; 100]),
    };
    for request in [STATFS, write] {
        for size in [0, 7, 22, 23, 122, 124, 600_000, u32::MAX] {
            let (_, mut frame) = vm.encode(&request);
            if frame.len() == size as usize {
                continue;
            }
            frame[..4].copy_from_slice(&size.to_le_bytes());
            let (out, into) = (vm.bytes(&frame), (vm.room(4096), 4096));
            let chain = vm.chain(&[out], &[into]);
            vm.offer(chain);
            assert_eq!(vm.wait_used(), (chain, 11), "{request:?} {size}");
            let reply = vm.get(into.0, 11);
            let (_, reply) = Reply::decode(&reply, Dialect::Linux).expect("a reply");
            assert!(matches!(reply, Reply::Lerror { ecode: 22 }), "{reply:?}");
        }
    }
    assert_eq!(std::fs::read(host.path("file")).expect("a file"), b"");
}

#[test]
fn a_write_longer_than_agreed_is_refused() {
    let host = Host::new();
    std::fs::write(host.path("file"), b"").expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 2);
    let content = pattern(600_000);
    let write = Request::Write {
        fid: 2,
        offset: 0,
        data: Data(&content),
    };
    let reply = vm.ask(&write);
    assert_eq!(reply[4], 7, "expected an Rlerror");
    assert_eq!(std::fs::read(host.path("file")).expect("a file"), b"");
}

#[test]
fn a_reply_over_its_own_request_or_the_ring_harms_only_the_guest() {
    survives(|vm| {
        let (out, _) = sound(vm);
        let chain = vm.chain(&[out], &[(out.0, 4096)]);
        vm.offer(chain);
        vm.wait_used();
    });
    // Over all of the ring: descriptors, available and used.
    survives(|vm| {
        let (out, _) = sound(vm);
        let chain = vm.chain(&[out], &[(BASE + 0x8000 - 20, 4096)]);
        vm.offer(chain);
        let (out, _) = sound(vm);
        let chain = vm.chain(&[out], &[(BASE + 0x1_0000 - 20, 4096)]);
        vm.offer(chain);
    });
}

#[test]
fn memory_that_changes_during_requests_harms_only_the_guest() {
    let host = Host::new();
    std::fs::write(host.path("file"), pattern(100_000)).expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 2);
    let (done, memory) = (AtomicBool::new(false), vm.memory.clone());
    let data = vm.data;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut value = 0u64;
            while !done.load(Ordering::Relaxed) {
                // Numbers, sizes, tags and fids of what is about to be read, and the tables.
                for place in (data..data + 0x4000).step_by(24) {
                    value = value
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let byte = value.to_le_bytes()[7];
                    let place = GuestAddress(place + u64::from(byte % 16));
                    memory.write_obj(byte, place).expect("guest memory");
                }
            }
        });
        for round in 0..200 {
            vm.data = data;
            let (_, frame) = vm.encode(&Request::Read {
                fid: 2,
                offset: 0,
                count: 3000,
            });
            let (out, into) = (vm.bytes(&frame), (vm.room(4096), 4096));
            let chain = vm.chain(&[out], &[into]);
            vm.offer(chain);
            thread::yield_now();
            if round % 20 == 0 {
                vm.reboot();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    vm.reboot();
    vm.mount();
    vm.open("file", 2, 0);
    assert_eq!(read_in_pages(&mut vm, 2, 0, 50_000).len(), 50_000);
}

#[test]
fn a_used_index_that_the_guest_writes_changes_nothing() {
    let host = Host::new();
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.put(BASE + 0x1_0000, &[0xff; 4]);
    let (head, into) = vm.send(&STATFS);
    // The device knows where it is: the next entry is the right one, once it has written its index.
    let until = Instant::now() + LIMIT;
    while vm.get(BASE + 0x1_0002, 2) == [0xff; 2] {
        assert!(Instant::now() < until, "expected a reply");
        thread::yield_now();
    }
    let (used, len) = vm.wait_used();
    assert_eq!(used, head);
    assert_eq!(vm.get(into, len as usize)[4], 9);
}

#[test]
fn memory_that_is_taken_away_stops_the_queue_at_most() {
    let host = Host::new();
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    // Only the second region is left: ring and requests are gone.
    vm.share_only_the_second_region();
    vm.kick.write(1).expect("a kick");
    vm.share_memory();
    vm.reboot();
    vm.mount();
    is_mounted(&mut vm);
}

#[test]
fn one_tag_for_two_requests_stops_the_queue() {
    breaks(Style::default(), |vm| {
        let (_, tag) = waiting_lock(vm);
        is_mounted(vm);
        let (_, mut frame) = vm.encode(&STATFS);
        frame[5..7].copy_from_slice(&tag.to_le_bytes());
        let (out, into) = (vm.bytes(&frame), (vm.room(4096), 4096));
        let chain = vm.chain(&[out], &[into]);
        vm.offer(chain);
    });
}
