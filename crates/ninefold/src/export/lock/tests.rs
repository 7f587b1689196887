//! The table against the rules of POSIX locks.

use super::*;
use std::sync::mpsc;
use std::time::Duration;

const FILE: FileId = FileId { dev: 1, ino: 2 };

fn owner(proc_id: u32) -> LockOwner {
    LockOwner {
        session: 1,
        client_id: b"node".as_slice().into(),
        proc_id,
    }
}

fn range(start: u64, length: u64) -> Range {
    Range::new(start, length).unwrap()
}

fn take(table: &LockTable, who: u32, kind: LockKind, range: Range) -> LockOutcome {
    let holder = HolderId(u64::from(who) + 1000);
    table
        .lock(FILE, holder, (owner(who), kind, range), None)
        .unwrap()
}

#[test]
fn ranges_end_at_the_largest_offset() {
    assert_eq!(range(0, 0).end, u64::MAX);
    assert_eq!(range(5, 2), Range { start: 5, end: 6 });
    assert_eq!(range(1, i64::MAX as u64).length(), 0);
    assert_eq!(Range::new(u64::MAX, 2), Err(Errno::INVAL));
    assert_eq!(Range::new(2, u64::MAX), Err(Errno::INVAL));
}

#[test]
fn readers_share_and_writers_do_not() {
    let table = LockTable::default();
    assert_eq!(
        take(&table, 1, LockKind::Read, range(0, 10)),
        LockOutcome::Granted
    );
    assert_eq!(
        take(&table, 2, LockKind::Read, range(5, 10)),
        LockOutcome::Granted
    );
    assert_eq!(
        take(&table, 1, LockKind::Write, range(0, 6)),
        LockOutcome::Blocked
    );
    assert_eq!(
        take(&table, 1, LockKind::Write, range(0, 5)),
        LockOutcome::Granted
    );
}

#[test]
fn unlocking_the_middle_splits() {
    let table = LockTable::default();
    assert_eq!(
        take(&table, 1, LockKind::Write, range(0, 100)),
        LockOutcome::Granted
    );
    table.unlock(FILE, &owner(1), range(40, 20));
    assert_eq!(
        take(&table, 2, LockKind::Write, range(40, 20)),
        LockOutcome::Granted
    );
    assert_eq!(
        take(&table, 2, LockKind::Write, range(39, 1)),
        LockOutcome::Blocked
    );
    assert_eq!(
        take(&table, 2, LockKind::Write, range(60, 1)),
        LockOutcome::Blocked
    );
    let (kind, held, _) = table
        .test(FILE, &owner(2), LockKind::Read, range(0, 0))
        .unwrap();
    assert_eq!((kind, held), (LockKind::Write, range(0, 40)));
}

#[test]
fn neighbours_of_one_kind_join() {
    let table = LockTable::default();
    for start in (0..100).step_by(10) {
        assert_eq!(
            take(&table, 1, LockKind::Read, range(start, 10)),
            LockOutcome::Granted
        );
    }
    let (_, held, _) = table
        .test(FILE, &owner(2), LockKind::Write, range(95, 1))
        .unwrap();
    assert_eq!(held, range(0, 100));
}

#[test]
fn a_release_wakes_in_order_and_a_cancelled_waiter_is_not_woken() {
    let table = LockTable::default();
    let (sender, woken) = mpsc::channel();
    assert_eq!(
        take(&table, 1, LockKind::Write, range(0, 0)),
        LockOutcome::Granted
    );
    let wait = |who: u32, seconds| {
        let sender = sender.clone();
        let wake = Box::new(move |how| sender.send((who, how)).unwrap());
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let holder = HolderId(u64::from(who) + 1000);
        let wanted = (owner(who), LockKind::Write, range(0, 1));
        match table
            .lock(FILE, holder, wanted, Some(LockWait { deadline, wake }))
            .unwrap()
        {
            LockOutcome::Waits(id) => id,
            other => panic!("expected to wait, came {other:?}"),
        }
    };
    let cancelled = wait(2, 100);
    wait(3, 100);
    wait(4, 1);
    wait(5, 100);
    assert!(table.cancel(cancelled));
    assert!(!table.cancel(cancelled));
    let next = table.expire(Instant::now() + Duration::from_secs(2));
    assert!(next.is_some());
    table.release(FILE, HolderId(1005));
    table.release(FILE, HolderId(1001));
    let all: Vec<_> = woken.try_iter().collect();
    assert_eq!(
        all,
        [(4, Woken::Expired), (5, Woken::Closed), (3, Woken::Granted)]
    );
}
