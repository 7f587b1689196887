//! Requests that wait: for a lock, for somebody's lease, for their turn.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ninefold_wire::{Dialect, LockRange, Reply, Request, flags};

use crate::vm::{Host, Style, Vm};

/// Less than a lease lasts.
const SOON: Duration = Duration::from_secs(20);

const STATFS: Request<'static> = Request::Statfs { fid: 1 };

/// Holds a write lease on a file (F_SETLEASE) until its input ends.
const HOLDER: &str = r#"
    $| = 1;
    $SIG{IO} = sub {};
    open(my $file, "+<", $ARGV[0]) or die "open: $!";
    fcntl($file, 1024, 1) or die "lease: $!";
    print "held\n";
    vec(my $stdin, 0, 1) = 1;
    1 until select(my $ready = $stdin, undef, undef, 0.01) > 0;
"#;

struct Lease(Child);

impl Lease {
    fn of(host: &Host, name: &str) -> Self {
        let mut holder = Command::new("perl")
            .args(["-e", HOLDER])
            .arg(host.path(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("perl, which is needed to hold a lease");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "held\n");
        Self(holder)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn mounted(host: &Host) -> Vm {
    std::fs::write(host.path("file"), b"content").expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm
}

fn walk(vm: &mut Vm, newfid: u32) {
    let steps = [ninefold_wire::Step::new(b"file").expect("a name")];
    let walk = Request::Walk {
        fid: 1,
        newfid,
        steps: ninefold_wire::Steps::of(&steps).expect("few names"),
    };
    vm.ok(&walk, |it| matches!(it, Reply::Walk { .. }).then_some(()));
}

/// A request for all of a file, by a process of the guest.
fn lock(fid: u32, proc_id: u32) -> Request<'static> {
    Request::Lock {
        fid,
        kind: 1,
        flags: flags::lock::BLOCK,
        range: LockRange {
            start: 0,
            length: 0,
            proc_id,
            client_id: b"guest",
        },
    }
}

/// Has a lock taken, and another request wait for it: its head, its tag.
pub fn waiting_lock(vm: &mut Vm) -> (u16, u16) {
    vm.open("file", 2, 2);
    vm.ok(&lock(2, 1), |it| {
        matches!(it, Reply::Lock { status: 0 }).then_some(())
    });
    let (tag, frame) = vm.encode(&lock(2, 2));
    let (out, into) = (vm.bytes(&frame), (vm.room(64), 64));
    let head = vm.chain(&[out], &[into]);
    vm.offer(head);
    (head, tag)
}

fn is_answered(vm: &mut Vm) {
    vm.ok(&STATFS, |it| {
        matches!(it, Reply::Statfs { .. }).then_some(())
    });
}

#[test]
fn a_lock_that_waits_does_not_stop_the_ring() {
    let host = Host::new();
    let mut vm = mounted(&host);
    let (head, _) = waiting_lock(&mut vm);
    for _ in 0..300 {
        is_answered(&mut vm);
    }
    // The lock is given back, and the one that waited has it.
    let unlock = Request::Lock {
        fid: 2,
        kind: 2,
        flags: 0,
        range: LockRange {
            start: 0,
            length: 0,
            proc_id: 1,
            client_id: b"guest",
        },
    };
    let (unlocking, _) = vm.send(&unlock);
    let mut ended = [vm.wait_used().0, vm.wait_used().0];
    ended.sort_unstable();
    let mut expected = [head, unlocking];
    expected.sort_unstable();
    assert_eq!(ended, expected);
}

#[test]
fn a_flushed_lock_is_given_back_before_the_answer() {
    let host = Host::new();
    let mut vm = mounted(&host);
    let (head, oldtag) = waiting_lock(&mut vm);
    let (flush, into) = vm.send(&Request::Flush { oldtag });
    assert_eq!(vm.wait_used(), (head, 0), "no reply to what was flushed");
    assert_eq!(vm.wait_used(), (flush, 7));
    assert_eq!(vm.get(into, 7)[4], 109);
    is_answered(&mut vm);
}

#[test]
fn a_new_version_gives_back_what_waits() {
    let host = Host::new();
    let mut vm = mounted(&host);
    let (head, _) = waiting_lock(&mut vm);
    let version = Request::Version {
        msize: 8192,
        version: b"9P2000.L",
    };
    let (begun, _) = vm.send(&version);
    assert_eq!(vm.wait_used(), (begun, 21));
    assert_eq!(vm.wait_used(), (head, 0));
}

#[test]
fn opens_that_wait_leave_the_ring_to_others_and_end_when_flushed() {
    let host = Host::new();
    let mut vm = mounted(&host);
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for fid in 10..20 {
        walk(&mut vm, fid);
    }
    let _lease = Lease::of(&host, "file");
    // More than there are threads.
    for fid in 10..20 {
        let (tag, frame) = vm.encode(&Request::Lopen { fid, flags: 2 });
        let (out, into) = (vm.bytes(&frame), (vm.room(64), 64));
        let head = vm.chain(&[out], &[into]);
        vm.offer(head);
        waiting.push((head, tag, into.0));
        if fid == 11 {
            is_answered(&mut vm);
        }
    }
    let mut flushes = Vec::new();
    for (_, oldtag, _) in &waiting {
        let oldtag = *oldtag;
        flushes.push(vm.send(&Request::Flush { oldtag }).0);
    }
    let mut seen = Vec::new();
    while seen.len() < 20 {
        seen.push(vm.wait_used());
    }
    assert!(begun.elapsed() < SOON, "expected the opens to be ended");
    for ((head, _, into), flush) in waiting.iter().zip(&flushes) {
        let place = |wanted: &u16| seen.iter().position(|(head, _)| head == wanted);
        assert!(place(head) < place(flush), "an Rflush has overtaken");
        let (_, len) = seen[place(head).expect("it was given back")];
        if len > 0 {
            let reply = vm.get(*into, len as usize);
            let (_, reply) = Reply::decode(&reply, Dialect::Linux).expect("a reply");
            assert!(matches!(reply, Reply::Lerror { ecode: 4 }), "{reply:?}");
        }
    }
    is_answered(&mut vm);
}

#[test]
fn a_vm_that_goes_leaves_nothing_behind() {
    let host = Host::new();
    let mut vm = mounted(&host);
    let _lease = Lease::of(&host, "file");
    walk(&mut vm, 10);
    let begun = Instant::now();
    vm.send(&Request::Lopen { fid: 10, flags: 2 });
    std::fs::write(host.path("other"), b"").expect("a file");
    vm.open("other", 2, 2);
    vm.ok(&lock(2, 1), |it| {
        matches!(it, Reply::Lock { status: 0 }).then_some(())
    });
    vm.send(&lock(2, 2));
    is_answered(&mut vm);
    drop(vm);
    host.wait_for_no_sessions();
    assert!(
        begun.elapsed() < SOON,
        "expected the requests to be given up"
    );
    // The lock has gone with the guest.
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("other", 2, 2);
    vm.ok(&lock(2, 3), |it| {
        matches!(it, Reply::Lock { status: 0 }).then_some(())
    });
}

#[test]
fn a_pause_answers_who_waits_for_a_lock() {
    let host = Host::new();
    let mut vm = mounted(&host);
    let (head, _) = waiting_lock(&mut vm);
    is_answered(&mut vm);
    let base = vm.stop();
    assert_eq!(vm.wait_used(), (head, 8));
    vm.start(base);
    // The lock is still held, and the session the same.
    let again = vm.ok(&lock(2, 1), |it| {
        matches!(it, Reply::Lock { status: 0 }).then_some(true)
    });
    assert!(again);
    let mine = Request::Getlock {
        fid: 2,
        kind: 1,
        range: LockRange {
            start: 0,
            length: 0,
            proc_id: 9,
            client_id: b"guest",
        },
    };
    vm.ok(&mine, |it| {
        matches!(it, Reply::Getlock { kind: 1, .. }).then_some(())
    });
}

#[test]
fn a_version_that_is_none_ends_nothing() {
    let host = Host::new();
    let mut vm = mounted(&host);
    let (head, oldtag) = waiting_lock(&mut vm);
    let version = Request::Version {
        msize: 8192,
        version: b"9P2000.L",
    };
    let (_, mut frame) = vm.encode(&version);
    frame.push(0);
    let size = u32::try_from(frame.len()).expect("a length");
    frame[..4].copy_from_slice(&size.to_le_bytes());
    let (out, into) = (vm.bytes(&frame), (vm.room(64), 64));
    let refused = vm.chain(&[out], &[into]);
    vm.offer(refused);
    assert_eq!(vm.wait_used(), (refused, 11));
    let (flush, _) = vm.send(&Request::Flush { oldtag });
    assert_eq!(vm.wait_used(), (head, 0));
    assert_eq!(vm.wait_used(), (flush, 7));
}

#[test]
fn a_stop_gives_up_what_does_not_end() {
    let host = Host::new();
    let mut vm = mounted(&host);
    let _lease = Lease::of(&host, "file");
    walk(&mut vm, 10);
    let begun = Instant::now();
    vm.send(&Request::Lopen { fid: 10, flags: 2 });
    is_answered(&mut vm);
    vm.reboot();
    assert!(begun.elapsed() < SOON, "expected the open to be given up");
    vm.mount();
    is_answered(&mut vm);
}

#[test]
fn throttled_writes_keep_their_data_in_place() {
    let host = Host::with(|options| {
        options.throttle.set("bps-write", 200_000).expect("a limit");
    });
    let mut vm = mounted(&host);
    vm.open("file", 2, 1);
    let content = crate::conversation::pattern(30_000);
    let mut heads = Vec::new();
    for at in 0..4u64 {
        let write = Request::Write {
            fid: 2,
            offset: at * 30_000,
            data: ninefold_wire::Data(&content),
        };
        heads.push(vm.send(&write).0);
    }
    for _ in 0..4 {
        let (head, len) = vm.wait_used();
        assert_eq!(len, 11);
        heads.retain(|known| *known != head);
    }
    assert!(heads.is_empty());
    let found = std::fs::read(host.path("file")).expect("a file");
    assert!(found == content.repeat(4), "expected four times the same");
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let host = Host::new();
    let mut vm = mounted(&host);
    vm.open("file", 2, 0);
    let data = vm.data;
    for _ in 0..50 {
        vm.data = data;
        let mut heads = Vec::new();
        for _ in 0..100 {
            let (_, frame) = vm.encode(&Request::Read {
                fid: 2,
                offset: 0,
                count: 100,
            });
            let (out, into) = (vm.bytes(&frame), (vm.room(128), 128));
            let head = vm.chain(&[out], &[into]);
            vm.offer_quietly(head);
            heads.push((head, into.0));
        }
        vm.kick.write(1).expect("a kick");
        for _ in 0..100 {
            let (used, len) = vm.wait_used();
            assert_eq!(len, 18);
            let at = heads.iter().position(|(head, _)| *head == used);
            let (_, into) = heads.swap_remove(at.expect("one of these"));
            assert_eq!(&vm.get(into, 18)[11..], b"content");
        }
    }
}
