//! The table in Markdown and the figures in JSON.

use std::fmt::Write;

use serde_json::Value;
use serde_json::json;

use crate::figures;
use crate::run;
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
    let plain = micros(figures::median(measured.plain.clone()));
    let _ = writeln!(
        text,
        "| {name} | floor | | | | | {floor} ({plain} without protocol) | 1.00 | | | |"
    );
    for server in &measured.servers {
        let peer = server.peer;
        let Some(figures) = measured.of(peer) else {
            let why = server.trouble.as_deref().unwrap_or("not measured");
            let _ = writeln!(text, "| | {peer} | {why} | | | | | | | | |");
            continue;
        };
        let times = [figures.p50, figures.p99, figures.p999, figures.cpu];
        let times = times.map(|nanos| micros(Some(nanos))).join(" | ");
        let above = match peer {
            Peer::Null => String::new(),
            _ => number(run::above_floor(measured, peer), 2),
        };
        let _ = writeln!(
            text,
            "| | {peer} | {:.0} | {times} | {above} | {} | {:.0} | {:.0} |",
            figures.rate,
            number(server.calls, 1),
            figures.memory_peak,
            figures.descriptors,
        );
    }
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
            "rounds": server.runs.iter().map(figures::Figures::json).collect::<Value>(),
            "system_calls": server.calls,
            "trouble": server.trouble,
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
