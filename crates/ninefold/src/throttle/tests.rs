use std::time::Duration;

use proptest::prelude::*;

use super::ThrottleOptions;
use super::bucket::Direction::{self, Read, Write};
use super::options::ThrottleError;
use super::queue::Queues;

/// Options with these numbers set.
fn options(numbers: &[(&str, u64)]) -> ThrottleOptions {
    let mut options = ThrottleOptions::default();
    for (name, value) in numbers {
        options.set(name, *value).expect("a name");
    }
    options
}

fn queues<T>(numbers: &[(&str, u64)]) -> Queues<T> {
    let options = options(numbers);
    options.check().expect("numbers that go together");
    Queues::new(&options, Duration::ZERO)
}

fn milliseconds(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// When each of the transfers begins that are all asked for at once.
fn begins(queues: &mut Queues<usize>, transfers: &[(Direction, u64)]) -> Vec<Duration> {
    let mut begins = vec![None; transfers.len()];
    for (at, (direction, size)) in transfers.iter().enumerate() {
        if queues
            .ask(*direction, *size, Duration::ZERO, || at)
            .is_none()
        {
            begins[at] = Some(Duration::ZERO);
        }
    }
    while let Some(now) = queues.next() {
        for at in queues.release(now) {
            assert_eq!(begins[at].replace(now), None, "woken once");
        }
    }
    let begins = begins.into_iter();
    begins.map(|begin| begin.expect("woken")).collect()
}

/// When the last of `count` such transfers begins, all asked for at once: seconds.
fn last_of(count: usize, direction: Direction, size: u64, numbers: &[(&str, u64)]) -> f64 {
    let begins = begins(&mut queues(numbers), &vec![(direction, size); count]);
    assert!(begins.is_sorted(), "first come, first served");
    begins.last().expect("at least one").as_secs_f64()
}

/// The same, each asked for when the one before has begun.
fn last_one_by_one(count: usize, size: u64, numbers: &[(&str, u64)]) -> f64 {
    let mut queues = queues(numbers);
    let mut now = Duration::ZERO;
    for _ in 0..count {
        if queues.ask(Read, size, now, || ()).is_some() {
            now = queues.next().expect("a time");
            assert_eq!(queues.release(now).len(), 1);
        }
    }
    now.as_secs_f64()
}

fn near(came: f64, wanted: f64) {
    assert!(
        (came - wanted).abs() < 1e-6,
        "expected {wanted}, came {came}"
    );
}

/// What was measured of QEMU, without what its requests themselves took.
#[test]
fn the_measured_cases() {
    let cases: [(_, _, &[_], _); 4] = [
        (25, 1, &[("iops-total", 20)], 1.1),
        (30, 60_000, &[("bps-total", 1_000_000)], 1.64),
        (12, 4000, &[("iops-total", 20), ("iops-size", 1000)], 2.1),
        (110, 1, &[("iops-total", 10), ("iops-total-max", 100)], 0.9),
    ];
    for (count, size, numbers, wanted) in cases {
        near(last_of(count, Read, size, numbers), wanted);
        near(last_of(count, Write, size, numbers), wanted);
        near(last_one_by_one(count, size, numbers), wanted);
    }
}

#[test]
fn a_limit_of_reads_leaves_writes_alone() {
    let numbers = [("iops-read", 20), ("bps-read", 1000)];
    near(last_of(1000, Write, 1 << 20, &numbers), 0.0);
    assert!(last_of(25, Read, 1, &numbers) > 1.0);
    let numbers = [("iops-write", 20), ("bps-write", 1000)];
    near(last_of(1000, Read, 1 << 20, &numbers), 0.0);
    assert!(last_of(25, Write, 1, &numbers) > 1.0);
}

#[test]
fn a_total_is_shared_by_both_directions() {
    let both: Vec<_> = (0..25)
        .map(|at| (if at % 2 == 0 { Read } else { Write }, 1))
        .collect();
    let begins = begins(&mut queues(&[("iops-total", 20)]), &both);
    let last = begins.iter().max().expect("at least one");
    // Both lines are woken for the same drop; neither asks again.
    assert!(*last >= milliseconds(1100) / 2, "{last:?}");
    assert!(*last <= milliseconds(1200), "{last:?}");
}

#[test]
fn the_size_of_an_operation_counts_in_fractions() {
    let numbers = [("iops-total", 20), ("iops-size", 1000)];
    // 2.5 operations: half of one too many.
    let begins = begins(&mut queues(&numbers), &[(Read, 2500), (Read, 1000)]);
    assert_eq!(begins, [Duration::ZERO, milliseconds(25)]);
    // Up to the size it is one.
    near(last_of(25, Read, 1000, &numbers), 1.1);
}

#[test]
fn a_burst_lasts_as_long_as_it_may() {
    let numbers = [
        ("iops-total", 10),
        ("iops-total-max", 100),
        ("iops-total-max-length", 3),
    ];
    let begins = begins(&mut queues(&numbers), &[(Read, 1); 400]);
    // A tenth of a second's burst at once, then at the burst's rate, then at the usual one.
    assert_eq!(begins[10], Duration::ZERO);
    let seconds = |at: usize| begins[at].as_secs_f64();
    near(seconds(111), 1.01);
    let paces: Vec<_> = (12..399).map(|at| seconds(at + 1) - seconds(at)).collect();
    let slow = paces.iter().position(|pace| *pace > 0.011).expect("an end");
    assert!(paces[..slow].iter().all(|pace| (pace - 0.01).abs() < 1e-6));
    assert!(
        paces[slow + 1..]
            .iter()
            .all(|pace| (pace - 0.1).abs() < 1e-6)
    );
    // The bucket of 300 fills at 100 - 10 a second.
    let end = seconds(12 + slow);
    assert!((3.2..3.4).contains(&end), "{end}");
}

#[test]
fn unused_time_is_not_saved_up() {
    let mut queues = queues(&[("iops-total", 20)]);
    for now in [milliseconds(0), milliseconds(1_000_000)] {
        for _ in 0..3 {
            assert_eq!(queues.ask(Read, 1, now, || ()), None);
        }
        let wait = queues.ask(Read, 1, now, || ()).expect("a wait");
        assert_eq!(queues.next(), Some(now + milliseconds(50)));
        assert_eq!(queues.cancel(wait), Some(()));
    }
}

#[test]
fn who_gives_up_gives_up_its_place() {
    let mut queues = queues(&[("iops-total", 20)]);
    let waits: Vec<_> = (0..8)
        .map(|at| queues.ask(Read, 1, Duration::ZERO, || at))
        .collect();
    assert!(waits[..3].iter().all(Option::is_none));
    for at in [3, 5, 7] {
        assert_eq!(queues.cancel(waits[at].expect("a wait")), Some(at));
        assert_eq!(queues.cancel(waits[at].expect("a wait")), None, "once");
    }
    // What was given up has cost nothing.
    assert_eq!(queues.release(milliseconds(49)), []);
    assert_eq!(queues.release(milliseconds(50)), [4]);
    assert_eq!(queues.next(), Some(milliseconds(100)));
    assert_eq!(queues.release(milliseconds(100)), [6]);
    assert_eq!(queues.next(), None);
    assert_eq!(queues.cancel(waits[6].expect("a wait")), None, "too late");
}

#[test]
fn who_comes_later_waits_behind_who_waits() {
    let mut queues = queues(&[("iops-total", 20)]);
    for at in 0..4 {
        queues.ask(Read, 1, Duration::ZERO, || at);
    }
    // Nobody has looked at the clock: there is room, but the other one was first.
    let late = milliseconds(10_000);
    assert!(queues.ask(Read, 1, late, || 4).is_some());
    assert_eq!(queues.ask(Write, 1, late, || 5), None, "another line");
    assert_eq!(queues.release(late), [3, 4]);
}

#[test]
fn a_large_transfer_on_a_slow_line_ends_in_no_overflow() {
    let mut queues = queues(&[("bps-total", 1)]);
    assert_eq!(queues.ask(Write, u64::MAX, Duration::ZERO, || 0), None);
    assert!(queues.ask(Write, u64::MAX, Duration::ZERO, || 1).is_some());
    assert!(queues.next().expect("a time") > Duration::from_secs(u64::MAX / 2));
    // A clock that goes back is none that leaks.
    assert_eq!(
        queues.ask(Write, 1, Duration::MAX, || 2).map(|_| ()),
        Some(())
    );
    assert!(queues.ask(Write, 1, Duration::ZERO, || 3).is_some());
    assert_eq!(queues.release(Duration::MAX).len(), 1);
    assert_eq!(queues.waiting(), 2);
}

#[test]
fn every_name_sets_its_number() {
    let defaults = ThrottleOptions::default();
    for name in ThrottleOptions::NAMES {
        let mut options = defaults.clone();
        options.set(name, 4711).expect("a name");
        let text = format!("{options:?}");
        let field = format!("{}: 4711", name.replace('-', "_"));
        assert!(text.contains(&field), "{name}: {text}");
        assert_eq!(text.matches("4711").count(), 1);
    }
    let mut options = defaults.clone();
    for name in ["", "iops", "iops-total-length", "throttling.iops-total"] {
        assert!(options.set(name, 1).is_err(), "{name}");
    }
    assert_eq!(options, defaults);
    assert_eq!(defaults.check(), Ok(()));
    assert!(!defaults.is_limited());
}

#[test]
fn what_does_not_go_together_is_refused() {
    const MAX: u64 = 1_000_000_000_000_000;
    const TOTAL: &str =
        "bps/iops/max total values and read/write values cannot be used at the same time";
    const SIZE: &str = "iops size requires an iops value to be set";
    const VALUE: &str = "bps/iops/max values must be within [0, 1000000000000000]";
    const ZERO: &str = "the burst length cannot be 0";
    const ALONE: &str = "burst length set without burst rate";
    const LONG: &str = "burst length too high for this burst rate";
    const RATE: &str = "bps_max/iops_max require corresponding bps/iops values";
    const LOWER: &str = "bps_max/iops_max cannot be lower than bps/iops";
    let cases: &[(&[(&str, u64)], &str)] = &[
        (&[("bps-total", 1), ("bps-read", 1)], TOTAL),
        (&[("bps-total", 1), ("bps-write", 1)], TOTAL),
        (&[("iops-total", 1), ("iops-read", 1)], TOTAL),
        (&[("iops-total", 1), ("iops-write", 1)], TOTAL),
        (&[("bps-total-max", 1), ("bps-read-max", 1)], TOTAL),
        (&[("iops-total-max", 1), ("iops-write-max", 1)], TOTAL),
        (&[("iops-size", 1)], SIZE),
        (&[("iops-size", 1), ("bps-total", 5)], SIZE),
        (&[("iops-write", MAX + 1)], VALUE),
        (&[("bps-read", u64::MAX)], VALUE),
        (&[("bps-total", 1), ("bps-total-max", MAX + 1)], VALUE),
        (&[("iops-read-max-length", 0)], ZERO),
        (&[("iops-read", 1), ("iops-read-max-length", 2)], ALONE),
        (&[("bps-write-max-length", u64::MAX)], ALONE),
        (
            &[
                ("bps-read", 1),
                ("bps-read-max", MAX),
                ("bps-read-max-length", 2),
            ],
            LONG,
        ),
        (&[("iops-total-max", 1)], RATE),
        (&[("iops-total", 10), ("iops-total-max", 9)], LOWER),
        // The order of the checks.
        (
            &[("bps-total", MAX + 1), ("bps-read", 1), ("iops-size", 1)],
            TOTAL,
        ),
        (&[("iops-size", 1), ("bps-read", MAX + 1)], SIZE),
        (&[("bps-read", MAX + 1), ("bps-read-max-length", 0)], VALUE),
        (&[("bps-total-max", 1), ("iops-read", MAX + 1)], RATE),
    ];
    for (numbers, text) in cases {
        let error: ThrottleError = options(numbers).check().expect_err("refused");
        assert_eq!(error.to_string(), *text, "{numbers:?}");
    }
    let sound: &[&[(&str, u64)]] = &[
        &[("bps-total", 1), ("iops-read", 1), ("iops-write", 1)],
        &[("bps-read", MAX), ("bps-read-max", MAX)],
        &[
            ("iops-total", 1),
            ("iops-total-max", 2),
            ("iops-total-max-length", MAX / 2),
        ],
        &[("iops-write", 1), ("iops-size", u64::MAX)],
        &[("bps-total", 1), ("bps-total-max", 1)],
    ];
    for numbers in sound {
        assert_eq!(options(numbers).check(), Ok(()), "{numbers:?}");
    }
}

/// One thing that happens to a throttle.
#[derive(Clone, Debug)]
enum Step {
    Ask(Direction, u64),
    Cancel(prop::sample::Index),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let direction = prop::sample::select(vec![Read, Write]);
    prop_oneof![
        4 => (direction, 0u64..200_000).prop_map(|(direction, size)| Step::Ask(direction, size)),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        2 => (0u64..300).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens: each transfer ends once, in order, nobody is forgotten, and no more
    /// passes than the rates and the one that was let in last allow.
    #[test]
    fn nobody_is_forgotten_and_the_rate_is_kept(
        steps in prop::collection::vec(step(), 1..200),
        bps in 1_000u64..1_000_000,
        iops in 1u64..100,
    ) {
        let numbers = [("bps-total", bps), ("iops-read", iops)];
        let mut queues: Queues<(usize, Direction, u64)> = queues(&numbers);
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        let (mut asked, mut passed, mut cancelled) = (0, Vec::new(), 0);
        for step in steps {
            match step {
                Step::Ask(direction, size) => {
                    let transfer = (asked, direction, size);
                    match queues.ask(direction, size, now, || transfer) {
                        None => passed.push(transfer),
                        Some(wait) => waits.push(wait),
                    }
                    asked += 1;
                }
                Step::Cancel(index) if !waits.is_empty() => {
                    let wait = waits.swap_remove(index.index(waits.len()));
                    cancelled += usize::from(queues.cancel(wait).is_some());
                }
                Step::Cancel(_) => {}
                Step::Pass(ms) => {
                    now += milliseconds(ms);
                    passed.extend(queues.release(now));
                }
            }
            prop_assert_eq!(queues.next().is_some(), queues.waiting() > 0);
            prop_assert_eq!(passed.len() + cancelled + queues.waiting(), asked);
        }
        let mut turns = 0;
        while let Some(next) = queues.next() {
            now = now.max(next);
            let woken = queues.release(now);
            prop_assert!(!woken.is_empty(), "its time had come");
            passed.extend(woken);
            turns += 1;
            prop_assert!(turns <= asked);
        }
        for direction in [Read, Write] {
            let order: Vec<_> = passed.iter().filter(|one| one.1 == direction).collect();
            prop_assert!(order.is_sorted_by_key(|one| one.0));
        }
        let elapsed = now.as_secs_f64();
        let reads = passed.iter().filter(|one| one.1 == Read).count();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let most = (iops as f64).mul_add(elapsed + 0.1, 2.0);
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let reads = reads as f64;
        prop_assert!(reads <= most, "{} reads, at most {}", reads, most);
    }
}
