//! The table against the rules of POSIX locks.

use super::tally::PER_SESSION_MAX;
use super::*;
use std::sync::mpsc;

use ninefold_wire::Name;

use crate::export::{Budget, ExportOptions, SecurityModel};

/// Files of a stage.
const FILES: usize = 16;

/// A table with files to lock; most tests need but the first.
struct Stage {
    export: Export,
    node: Arc<Node>,
    nodes: Vec<Arc<Node>>,
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self::with(&ExportOptions::new(SecurityModel::None))
    }

    fn with(options: &ExportOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let export = Export::open(dir.path(), options).unwrap();
        let node = |number: usize| {
            let name = format!("file{number}");
            std::fs::write(dir.path().join(&name), "content").unwrap();
            let name = Name::new(name.as_bytes()).unwrap();
            export.child(export.root(), name).unwrap().0
        };
        let nodes: Vec<_> = (0..FILES).map(node).collect();
        Self {
            export,
            node: Arc::clone(&nodes[0]),
            nodes,
            dir,
        }
    }

    fn table(&self) -> &LockTable {
        &self.export.locks
    }

    fn try_take(&self, owner: LockOwner, kind: LockKind, range: Range) -> Result<LockOutcome> {
        let holder = holder(owner.proc_id);
        let wanted = (owner, kind, range);
        self.table().lock(&self.node, holder, wanted, None)
    }

    fn take(&self, who: u32, kind: LockKind, range: Range) -> LockOutcome {
        self.try_take(owner(who), kind, range).unwrap()
    }

    fn unlock(&self, who: u32, range: Range) -> Result<()> {
        self.table().unlock(self.node.id(), &owner(who), range)
    }

    fn release(&self, who: u32) {
        self.table().release(self.node.id(), holder(who));
    }

    /// Kind and range of the lock in the way.
    fn test(&self, who: u32, kind: LockKind, range: Range) -> Option<(LockKind, Range)> {
        let table = self.table();
        let held = table.test(&self.node, &owner(who), kind, range).unwrap();
        held.map(|held| (held.kind, held.range))
    }
}

fn owner_of(session: u64, proc_id: u32) -> LockOwner {
    LockOwner {
        session,
        client_id: b"node".as_slice().into(),
        proc_id,
    }
}

fn owner(proc_id: u32) -> LockOwner {
    owner_of(1, proc_id)
}

fn holder(who: u32) -> HolderId {
    HolderId(u64::from(who) + 1_000_000)
}

fn range(start: u64, length: u64) -> Range {
    Range::new(start, length).unwrap()
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
    let stage = Stage::new();
    assert_eq!(
        stage.take(1, LockKind::Read, range(0, 10)),
        LockOutcome::Granted
    );
    assert_eq!(
        stage.take(2, LockKind::Read, range(5, 10)),
        LockOutcome::Granted
    );
    assert_eq!(
        stage.take(1, LockKind::Write, range(0, 6)),
        LockOutcome::Blocked
    );
    assert_eq!(
        stage.take(1, LockKind::Write, range(0, 5)),
        LockOutcome::Granted
    );
}

#[test]
fn unlocking_the_middle_splits() {
    let stage = Stage::new();
    assert_eq!(
        stage.take(1, LockKind::Write, range(0, 100)),
        LockOutcome::Granted
    );
    stage.unlock(1, range(40, 20)).unwrap();
    assert_eq!(
        stage.take(2, LockKind::Write, range(40, 20)),
        LockOutcome::Granted
    );
    assert_eq!(
        stage.take(2, LockKind::Write, range(39, 1)),
        LockOutcome::Blocked
    );
    assert_eq!(
        stage.take(2, LockKind::Write, range(60, 1)),
        LockOutcome::Blocked
    );
    let held = stage.test(2, LockKind::Read, range(0, 0));
    assert_eq!(held, Some((LockKind::Write, range(0, 40))));
}

#[test]
fn neighbours_of_one_kind_join() {
    let stage = Stage::new();
    for start in (0..100).step_by(10) {
        assert_eq!(
            stage.take(1, LockKind::Read, range(start, 10)),
            LockOutcome::Granted
        );
    }
    let held = stage.test(2, LockKind::Write, range(95, 1));
    assert_eq!(held, Some((LockKind::Read, range(0, 100))));
}

#[test]
fn a_release_wakes_in_order_and_a_cancelled_waiter_is_not_woken() {
    let stage = Stage::new();
    let (sender, woken) = mpsc::channel();
    assert_eq!(
        stage.take(1, LockKind::Write, range(0, 0)),
        LockOutcome::Granted
    );
    let wait = |who: u32, seconds| {
        let sender = sender.clone();
        let wake = Box::new(move |how| sender.send((who, how)).unwrap());
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let wanted = (owner(who), LockKind::Write, range(0, 1));
        let wait = Some(LockWait { deadline, wake });
        let table = stage.table();
        match table.lock(&stage.node, holder(who), wanted, wait).unwrap() {
            LockOutcome::Waits(id) => id,
            other => panic!("expected to wait, came {other:?}"),
        }
    };
    let cancelled = wait(2, 100);
    wait(3, 100);
    wait(4, 1);
    wait(5, 100);
    assert!(stage.table().cancel(cancelled));
    assert!(!stage.table().cancel(cancelled));
    let next = stage
        .table()
        .expire(Instant::now() + Duration::from_secs(2));
    assert!(next.is_some());
    stage.release(5);
    stage.release(1);
    let all: Vec<_> = woken.try_iter().collect();
    assert_eq!(
        all,
        [(4, Woken::Expired), (5, Woken::Closed), (3, Woken::Granted)]
    );
}

#[test]
fn a_session_has_so_many_locks_and_no_more() {
    let stage = Stage::new();
    // Every other byte, so that no two join; and few on a file, because each looks at all others.
    let end = range(1 << 40, 0);
    assert_eq!(stage.take(1, LockKind::Write, end), LockOutcome::Granted);
    for at in 1..PER_SESSION_MAX {
        let (file, at) = (stage.nodes.get(at % FILES), 2 * at as u64);
        let wanted = (owner(1), LockKind::Write, range(at, 1));
        let taken = stage.table().lock(file.unwrap(), holder(1), wanted, None);
        assert_eq!(taken, Ok(LockOutcome::Granted), "lock {at}");
    }
    let beyond = |session| {
        let wanted = (owner_of(session, 1), LockKind::Write, range(1, 1));
        stage.table().lock(&stage.nodes[3], holder(1), wanted, None)
    };
    assert_eq!(beyond(1), Err(Errno::NOLCK));
    assert_eq!(beyond(2), Ok(LockOutcome::Granted), "another session");
    // To unlock the middle of one would make one more.
    assert_eq!(stage.unlock(1, range(1 << 41, 1)), Err(Errno::NOLCK));
    assert_eq!(stage.unlock(1, range(2 * FILES as u64, 1)), Ok(()));
    assert_eq!(stage.unlock(1, range(1 << 41, 1)), Ok(()));
    assert_eq!(beyond(1), Err(Errno::NOLCK));
    stage.release(1);
    assert!(stage.table().tally.of(1) < PER_SESSION_MAX);
    assert_eq!(stage.table().tally.of(2), 1);
    for node in &stage.nodes {
        stage.table().release(node.id(), holder(1));
    }
    assert_eq!(stage.table().tally.of(1), 0);
}

#[test]
fn a_file_has_so_many_locks_and_no_more() {
    let stage = Stage::new();
    let deadline = Instant::now() + Duration::from_secs(1000);
    let ask = |who: u32| {
        let wait = LockWait {
            deadline,
            wake: Box::new(|_| ()),
        };
        let wanted = (
            owner_of(u64::from(who % 2), who),
            LockKind::Write,
            range(5, 1),
        );
        let table = stage.table();
        table.lock(&stage.node, holder(who), wanted, Some(wait))
    };
    let max = u32::try_from(PER_FILE_MAX).unwrap();
    assert_eq!(ask(0), Ok(LockOutcome::Granted));
    for who in 1..max {
        assert!(matches!(ask(who), Ok(LockOutcome::Waits(_))), "lock {who}");
    }
    assert_eq!(ask(max), Err(Errno::NOLCK));
    stage.release(7);
    assert!(matches!(ask(max), Ok(LockOutcome::Waits(_))));
}

#[test]
fn without_a_descriptor_there_is_no_lock() {
    let options = ExportOptions::new(SecurityModel::None);
    let stage = Stage::with(&ExportOptions {
        descriptors: Some(Budget::new(16)),
        ..options.clone()
    });
    let lock = |node: &Arc<Node>| {
        let wanted = (owner(1), LockKind::Write, range(0, 10));
        stage.table().lock(node, holder(1), wanted, None)
    };
    let (held, refused): (Vec<_>, Vec<_>) =
        (stage.nodes.iter()).partition(|node| lock(node) == Ok(LockOutcome::Granted));
    assert!(held.len() > 4 && refused.len() > 2, "{} held", held.len());
    assert_eq!(lock(refused[0]), Err(Errno::NOLCK));
    // Descriptors of files can be given back, those of locks cannot.
    let other = Export::open(stage.dir.path(), &options).unwrap();
    for (number, node) in stage.nodes.iter().enumerate() {
        let name = format!("file{number}");
        let name = Name::new(name.as_bytes()).unwrap();
        let same = other.child(other.root(), name).unwrap().0;
        let seen = other
            .locks
            .test(&same, &owner(1), LockKind::Read, range(0, 0));
        let is_held = held.iter().any(|held| held.id() == node.id());
        assert_eq!(seen.unwrap().is_some(), is_held, "{number}");
    }
    for node in held {
        stage.table().release(node.id(), holder(1));
    }
    assert_eq!(lock(refused[0]), Ok(LockOutcome::Granted));
}

#[test]
fn who_does_not_wait_any_more_is_not_looked_at() {
    let stage = Stage::new();
    assert_eq!(
        stage.take(1, LockKind::Write, range(0, 0)),
        LockOutcome::Granted
    );
    let now = Instant::now();
    let deadline = now + Duration::from_secs(5);
    let wake = Box::new(|_| panic!("it is cancelled"));
    let wanted = (owner(2), LockKind::Write, range(0, 0));
    let table = stage.table();
    let wait = Some(LockWait { deadline, wake });
    let waits = table.lock(&stage.node, holder(2), wanted, wait);
    let Ok(LockOutcome::Waits(id)) = waits else {
        panic!("expected to wait, came {waits:?}");
    };
    assert_eq!(table.expire(now), Some(deadline));
    assert!(table.cancel(id));
    assert_eq!(table.expire(now), None);
}

/// Takes a lock for itself alone, now or after a wait. False when it was given up.
fn own(table: &LockTable, node: &Arc<Node>, who: u32, within: Duration) -> bool {
    let (sender, woken) = mpsc::channel();
    let wait = LockWait {
        deadline: Instant::now() + within,
        wake: Box::new(move |how| sender.send(how).unwrap_or(())),
    };
    let wanted = (owner(who), LockKind::Write, range(3, 4));
    match table.lock(node, holder(who), wanted, Some(wait)) {
        Ok(LockOutcome::Granted) => true,
        Ok(LockOutcome::Waits(id)) if who % 4 == 0 && table.cancel(id) => false,
        Ok(LockOutcome::Waits(_)) => woken.recv() == Ok(Woken::Granted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn threads_exclude_each_other_and_leave_nothing() {
    const THREADS: u32 = 8;
    let stage = Stage::new();
    let owners: Vec<AtomicU64> = (0..FILES).map(|_| AtomicU64::new(0)).collect();
    let running = AtomicU64::new(THREADS.into());
    std::thread::scope(|scope| {
        let (stage, owners, running) = (&stage, &owners, &running);
        for who in 1..=THREADS {
            scope.spawn(move || {
                for round in 0..300 {
                    let file = round % 3;
                    let (table, node) = (stage.table(), &stage.nodes[file]);
                    if own(table, node, who, Duration::from_millis(u64::from(who))) {
                        assert_eq!(owners[file].swap(who.into(), Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        assert_eq!(owners[file].swap(0, Ordering::SeqCst), u64::from(who));
                    }
                    table.release(node.id(), holder(who));
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        scope.spawn(move || {
            while running.load(Ordering::SeqCst) > 0 {
                stage.table().expire(Instant::now());
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    });
    let table = stage.table();
    // A file that was busy when it was to be looked at is to be looked at once more.
    let later = Instant::now() + Duration::from_secs(1);
    assert_eq!(table.expire(later), None);
    assert!(table.shards.iter().all(|shard| locked(shard).is_empty()));
    assert_eq!(table.tally.of(1), 0);
}
