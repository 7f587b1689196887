//! The bars themselves. Every one is a ratio inside one run, or a count.

use super::Bar;
use super::Rows;
use crate::figures;
use crate::measured::Measured;
use crate::row::BULK_DEPTHS;
use crate::row::MSIZES;
use crate::server::Peer;

/// Rows whose cost at depth 1 is to be near the floor.
const NEAR_FLOOR: [&str; 4] = [
    "getattr",
    "walk 4 + getattr + clunk",
    "open + read 4K + close",
    "create + write 4K + unlink",
];
/// Below this a message is too short for what bulk rows are to show, bytes.
const BULK_MSIZE: u32 = 128 << 10;

/// All bars, met or not.
pub fn all(rows: &Rows<'_>) -> Vec<Bar> {
    let mut bars = near_floor(rows);
    bars.extend(rates(rows));
    bars.extend(bulk(rows));
    bars.extend(listings(rows));
    bars.extend(models(rows));
    bars.extend(growth(rows));
    bars.extend(many(rows));
    bars.extend(calls(rows));
    bars
}

fn near_floor(rows: &Rows<'_>) -> Vec<Bar> {
    let bar = |name| {
        let name = format!("{name}, depth 1");
        let row = rows.get(&name);
        let peers = row.and_then(|row| {
            let costs = row.ratios(Peer::Ninefold, |figures| figures.cpu);
            costs.max_by(f64::total_cmp)
        });
        Bar::new(format!("CPU of {name}"))
            .at_most(above_floor(row), 1.25, "x floor")
            .at_most(peers, 1.0, "x best peer")
            .bare(row.and_then(|row| row.above_floor(Peer::Bare)), "x floor")
    };
    NEAR_FLOOR.into_iter().map(bar).collect()
}

fn above_floor(row: Option<&Measured>) -> Option<f64> {
    row?.above_floor(Peer::Ninefold)
}

/// A server's rate on a row in terms of the best peer's.
fn against_best(row: &Measured, one: Peer) -> Option<f64> {
    let rates = row.ratios(one, |figures| figures.rate);
    rates.min_by(f64::total_cmp)
}

/// The same in terms of diod's.
fn against_diod(row: &Measured, one: Peer) -> Option<f64> {
    row.ratio(one, Peer::Diod, |figures| figures.rate)
}

fn rates(rows: &Rows<'_>) -> Vec<Bar> {
    let deep = rows.0.iter().filter(|measured| {
        let row = &measured.row;
        row.depth >= 16 && row.model.is_none() && !row.work.is_bulk() && !row.work.is_wide()
    });
    deep.map(|row| {
        Bar::new(row.row.name.clone())
            .at_least(against_best(row, Peer::Ninefold), 1.0, "x best peer's rate")
            .at_least(against_diod(row, Peer::Ninefold), 3.0, "x diod's")
            .at_most(above_floor(Some(row)), 2.0, "x floor's CPU")
            .bare(against_best(row, Peer::Bare), "x best peer's rate")
            .bare(row.above_floor(Peer::Bare), "x floor's CPU")
    })
    .collect()
}

fn bulk(rows: &Rows<'_>) -> Vec<Bar> {
    let mut bars = Vec::new();
    for name in ["sequential read", "sequential write"] {
        for msize in MSIZES.into_iter().filter(|&msize| msize >= BULK_MSIZE) {
            for depth in BULK_DEPTHS {
                let name = format!("{name}, msize {}K, depth {depth}", msize >> 10);
                let row = rows.get(&name);
                let of_floor = |one| figures::ratio(1.0, row?.above_floor(one)?);
                let diod = |one| against_diod(row?, one);
                let bar = Bar::new(name)
                    .at_least(of_floor(Peer::Ninefold), 0.9, "of the floor per CPU second")
                    .at_least(diod(Peer::Ninefold), 1.5, "x diod's rate")
                    .bare(of_floor(Peer::Bare), "of the floor per CPU second")
                    .bare(diod(Peer::Bare), "x diod's rate");
                bars.push(bar);
            }
        }
    }
    bars
}

fn listings(rows: &Rows<'_>) -> Vec<Bar> {
    let bar = |name: &str, most, calls: &str| {
        let row = rows.get(name);
        let above = row.and_then(|row| row.above_plain(Peer::Ninefold));
        Bar::new(format!("CPU of {name}")).at_most(above, most, calls)
    };
    vec![
        bar("readdir, each entry, depth 1", 1.5, "x getdents"),
        bar(
            "readdir with getattr, each entry, depth 64",
            2.0,
            "x getdents and statx",
        ),
    ]
}

fn models(rows: &Rows<'_>) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (model, most) in [("mapped-xattr", 1.6), ("mapped-file", 1.2)] {
        for work in ["getattr", "walk 4 + getattr + clunk"] {
            for depth in [1, 16] {
                let ratio = rows.cpu_ratio(
                    &format!("{model}: {work}, depth {depth}"),
                    &format!("passthrough: {work}, depth {depth}"),
                );
                let bar = Bar::new(format!("CPU of {model}: {work}, depth {depth}"));
                bars.push(bar.at_most(ratio, most, "x passthrough"));
            }
        }
    }
    bars
}

fn growth(rows: &Rows<'_>) -> Vec<Bar> {
    let depth = rows.cpu_ratio(
        "path of 100 names + getattr + clunk, depth 1",
        "path of 10 names + getattr + clunk, depth 1",
    );
    let fids = "1M fids, each walk, depth 16";
    // The rate of a server is the inverse of what it spends.
    let walks = rows
        .extras(fids, figures::FIRST_WALKS)
        .zip(rows.extras(fids, figures::LAST_WALKS))
        .and_then(|(first, last)| figures::median_ratio(&first, &last));
    let bytes = rows.extra(fids, figures::FID_BYTES);
    vec![
        Bar::new("CPU of a path of 100 names").at_most(depth, 12.0, "x 10 names"),
        Bar::new("1M fids")
            .at_most(bytes, 300.0, "bytes each")
            .at_least(walks, 0.8, "of the walk rate at 10k"),
    ]
}

fn many(rows: &Rows<'_>) -> Vec<Bar> {
    let slow = "getattr beside a slow request, depth 1";
    let beside = rows
        .get(slow)
        .map(|row| row.series(Peer::Ninefold, |run| run.p99));
    let slow_ratio = beside
        .zip(rows.extras(slow, figures::P99_ALONE))
        .and_then(|(beside, alone)| figures::median_ratio(&beside, &alone));
    let crowd = "getattr on 512 connections, depth 1";
    let p99 = rows.get(crowd).and_then(|row| {
        let times = row.ratios(Peer::Ninefold, |figures| figures.p99);
        times.max_by(f64::total_cmp)
    });
    let fairness = rows.extra(crowd, figures::FAIRNESS);
    vec![
        Bar::new("p99 beside a slow request").at_most(slow_ratio, 2.0, "x alone"),
        Bar::new("512 connections")
            .at_least(fairness, 0.95, "fairness")
            .at_most(p99, 1.0, "x best peer's p99"),
    ]
}

/// One receive and one send for each message, and the calls that do the work. Rounded: a server goes to sleep at times.
fn calls(rows: &Rows<'_>) -> Vec<Bar> {
    let bar = |work: &str, most| {
        let name = format!("{work}, depth 1");
        let row = rows.get(&name);
        let calls = row.and_then(|row| row.server(Peer::Ninefold)?.calls);
        Bar::new(format!("system calls of {name}")).at_most(calls.map(f64::round), most, "")
    };
    vec![
        bar("getattr", 3.0),
        bar("walk 1 + getattr + clunk", 10.0),
        bar("walk 4 + getattr + clunk", 13.0),
        bar("walk 12 + getattr + clunk", 21.0),
    ]
}
