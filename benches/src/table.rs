//! The table in Markdown and the figures in JSON.

use std::fmt::Write;

use serde_json::Value;
use serde_json::json;

use crate::figures;
use crate::figures::Figures;
use crate::measured::Measured;
use crate::server::Peer;

const HEAD: &str = "| row | server | per second | p50 us | p99 us | p99.9 us | CPU us | x floor | calls | peak KiB | fds | more |\n\
                    |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n";
const SUMMARY_HEAD: &str = "| row | floor | bare | ninefold | x floor | diod | p9 | unpfs | per second | x best peer | p50 us | p99 us | p99.9 us | calls | peak KiB |\n\
                            |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

/// Each row on one line: the processor time of all, microseconds, and what else there is to say of ours.
pub fn summary(rows: &[Measured]) -> String {
    let mut text = String::from(SUMMARY_HEAD);
    for measured in rows {
        let Some(ours) = measured.of(Peer::Ninefold) else {
            continue;
        };
        let cpu = |peer| micros(measured.of(peer).map(|figures| figures.cpu));
        let peers = [Peer::Diod, Peer::P9, Peer::Unpfs].map(cpu).join(" | ");
        let rates = measured.ratios(Peer::Ninefold, |figures| figures.rate);
        let best = rates.min_by(f64::total_cmp);
        let times = [ours.p50, ours.p99, ours.p999];
        let times = times.map(|nanos| micros(Some(nanos))).join(" | ");
        let calls = measured.server(Peer::Ninefold);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {peers} | {:.0} | {} | {times} | {} | {:.0} |",
            measured.row.name,
            micros(measured.floor()),
            cpu(Peer::Bare),
            micros(Some(ours.cpu)),
            number(measured.above_floor(Peer::Ninefold), 2),
            ours.rate,
            number(best, 2),
            number(calls.and_then(|server| server.calls), 1),
            ours.memory_peak,
        );
    }
    text
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::ByServer;
    use crate::row;

    fn measured() -> Measured {
        let run = Figures {
            rate: 1000.0,
            cpu: 9000.0,
            ..Figures::default()
        };
        let null = Figures {
            cpu: 5000.0,
            ..Figures::default()
        };
        let mut servers: Vec<_> = [Peer::Ninefold, Peer::Null, Peer::Diod]
            .map(ByServer::new)
            .into();
        servers[0].runs.push(run);
        servers[0].calls = Some(3.04);
        servers[1].runs.push(null);
        servers[2].trouble = Some("no such thing".to_owned());
        Measured {
            row: row::all()[0].clone(),
            servers,
            plain: vec![1000.0],
        }
    }

    #[test]
    fn ninefold_is_compared_with_the_floor() {
        let text = markdown(&[measured()]);
        let line = text.lines().find(|line| line.contains("ninefold")).unwrap();
        // 9 us are one and a half times 1 us of calls and 5 us of the null responder.
        assert!(line.contains("| 9.00 | 1.50 | 3.0 |"), "{line}");
    }

    #[test]
    fn lines_have_as_many_columns_as_the_head() {
        for text in [markdown(&[measured()]), summary(&[measured()])] {
            let columns = |line: &str| line.matches('|').count();
            let head = columns(text.lines().next().unwrap());
            assert!(text.lines().count() > 2);
            assert!(text.lines().all(|line| columns(line) == head), "{text}");
        }
    }

    #[test]
    fn trouble_is_told() {
        assert!(markdown(&[measured()]).contains("| | diod | | | | | | | | | | no such thing |"));
        let json = json(&[measured()]);
        assert_eq!(json[0]["servers"][2]["trouble"], "no such thing");
        assert_eq!(json[0]["floor_cpu_ns"], 6000.0);
    }
}
