//! The table in Markdown and the figures in JSON.

use std::fmt::Write;

use serde_json::Value;
use serde_json::json;

use crate::figures;
use crate::figures::Figures;
use crate::run::Measured;
use crate::server::Peer;

const HEAD: &str = "| row | server | per second | p50 us | p99 us | p99.9 us | CPU us | x floor | calls | peak KiB | fds |\n\
                    |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

/// The whole table.
pub fn markdown(rows: &[Measured]) -> String {
    let mut text = String::from(HEAD);
    for measured in rows {
        lines(&mut text, measured);
    }
    text
}

fn lines(text: &mut String, measured: &Measured) {
    let name = &measured.row.name;
    let floor = micros(measured.floor());
    let plain = micros(measured.plain());
    let _ = writeln!(
        text,
        "| {name} | floor | | | | | {floor} | | | | | {plain} us are the system calls |"
    );
    for server in &measured.servers {
        let peer = server.peer;
        let Some(figures) = measured.of(peer) else {
            let why = server.trouble.as_deref().unwrap_or("not measured");
            let _ = writeln!(text, "| | {peer} | | | | | | | | | | {why} |");
            continue;
        };
        let times = [figures.p50, figures.p99, figures.p999, figures.cpu];
        let times = times.map(|nanos| micros(Some(nanos))).join(" | ");
        let above = match peer {
            Peer::Null => String::new(),
            _ => number(measured.above_floor(peer), 2),
        };
        let _ = writeln!(
            text,
            "| | {peer} | {:.0} | {times} | {above} | {} | {:.0} | {:.0} | {} |",
            figures.rate,
            number(server.calls, 1),
            figures.memory_peak,
            figures.descriptors,
            more(&figures),
        );
    }
}

/// What only some rows have, in words.
fn more(figures: &Figures) -> String {
    let words = figures.extras.iter().map(|(&key, &value)| match key {
        figures::FAIRNESS => format!("fairness {value:.3}"),
        figures::P99_ALONE => format!("p99 alone {} us", micros(Some(value))),
        figures::FID_BYTES => format!("{value:.0} bytes a fid"),
        figures::FIRST_WALKS => format!("first walks {} us CPU", micros(Some(value))),
        figures::LAST_WALKS => format!("last walks {} us CPU", micros(Some(value))),
        key => format!("{key} {value}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

fn micros(nanos: Option<f64>) -> String {
    number(nanos.map(|nanos| nanos / 1000.0), 2)
}

fn number(value: Option<f64>, places: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.places$}"))
}

/// All figures of all rounds.
pub fn json(rows: &[Measured]) -> Value {
    rows.iter().map(row_json).collect()
}

fn row_json(measured: &Measured) -> Value {
    let servers = measured.servers.iter().map(|server| {
        json!({
            "server": server.peer.to_string(),
            "median": measured.of(server.peer).map(|figures| figures.json()),
            "rounds": server.runs.iter().map(Figures::json).collect::<Value>(),
            "system_calls": server.calls,
            "trouble": server.trouble,
            "system_calls_trouble": server.calls_trouble,
        })
    });
    json!({
        "row": measured.row.name,
        "depth": measured.row.depth,
        "msize": measured.row.msize,
        "pinned": measured.row.is_pinned(),
        "plain_cpu_ns": measured.plain,
        "floor_cpu_ns": measured.floor(),
        "servers": servers.collect::<Value>(),
    })
}
