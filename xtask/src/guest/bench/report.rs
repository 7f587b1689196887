//! Tables of the samples: one of processor time and one of time in the guest.
//!
//! Each figure is the median over the rounds with the least and the most in brackets; × is the median against that of
//! QEMU's own server.

use std::fmt::Write;

use anyhow::Context;
use anyhow::Result;
use serde_json::json;

use super::sample::Sample;
use super::sample::Samples;
use super::sample::Work;
use super::stage::QEMU;
use super::stage::TCP;
use super::stage::VHOST;

type Figure = fn(&Sample) -> f64;

/// The tables, for people.
pub fn markdown(samples: &Samples, machine: &str) -> Result<String> {
    let mut text = format!("{machine}.\n");
    text.push_str("\nProcessor seconds of the serving side on the host (server + QEMU without the guest's processor):\n\n");
    text.push_str(&table(samples, Sample::serving, parts)?);
    text.push_str("\nSeconds in the guest:\n\n");
    text.push_str(&table(samples, |sample| sample.elapsed, |_| String::new())?);
    text.push_str("\nProcessor seconds of the guest's processor, emulated on the host:\n\n");
    text.push_str(&table(
        samples,
        |sample| sample.processor,
        |_| String::new(),
    )?);
    Ok(text)
}

fn table(samples: &Samples, figure: Figure, more: fn(&[Sample]) -> String) -> Result<String> {
    let mut text =
        "| | QEMU's virtio-9p | ninefold, vhost-user | × | ninefold, tcp | × |\n".to_owned();
    text.push_str("|---|---|---|---|---|---|\n");
    for work in samples.works() {
        let shares = [QEMU, VHOST, TCP].map(|share| work.shares.get(share));
        let [Some(qemu), Some(vhost), Some(tcp)] = shares else {
            anyhow::bail!("expected samples of all shares for {}", work.name);
        };
        let cell = |samples: &[Sample]| Some(spread(samples, figure)? + &more(samples));
        let times = |samples: &[Sample]| {
            let ratio = median(samples, figure)? / median(qemu, figure)?;
            Some(format!("{ratio:.2}"))
        };
        let line = || {
            Some(format!(
                "| {} | {} | {} | {} | {} | {} |",
                work.what,
                spread(qemu, figure)?,
                cell(vhost)?,
                times(vhost)?,
                cell(tcp)?,
                times(tcp)?
            ))
        };
        writeln!(text, "{}", line().context("a work without samples")?)?;
    }
    Ok(text)
}

/// How the sum comes about.
fn parts(samples: &[Sample]) -> String {
    let server = median(samples, |sample| sample.server).unwrap_or_default();
    let qemu = median(samples, |sample| sample.qemu).unwrap_or_default();
    format!(" = {server:.2} + {qemu:.2}")
}

fn spread(samples: &[Sample], figure: Figure) -> Option<String> {
    let (median, sorted) = (median(samples, figure)?, sorted(samples, figure));
    let (least, most) = (sorted.first()?, sorted.last()?);
    Some(format!("{median:.2} ({least:.2}..{most:.2})"))
}

fn median(samples: &[Sample], figure: Figure) -> Option<f64> {
    let sorted = sorted(samples, figure);
    let high = *sorted.get(sorted.len() / 2)?;
    let low = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(low, high))
}

fn sorted(samples: &[Sample], figure: Figure) -> Vec<f64> {
    let mut figures: Vec<f64> = samples.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures
}

/// Every sample, for programs. Seconds.
pub fn json(samples: &Samples, machine: &str) -> String {
    let works: Vec<_> = samples.works().iter().map(work).collect();
    format!("{:#}\n", json!({ "machine": machine, "works": works }))
}

fn work(work: &Work) -> serde_json::Value {
    let shares = work.shares.iter().map(|(name, samples)| {
        let samples = samples.iter().map(|sample| {
            json!({
                "elapsed": sample.elapsed,
                "server": sample.server,
                "qemu": sample.qemu,
                "processor": sample.processor,
            })
        });
        (name.clone(), samples.collect())
    });
    let shares: serde_json::Map<_, _> = shares.collect();
    json!({ "name": work.name, "what": work.what, "shares": shares })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rounds: usize) -> Samples {
        let mut samples = Samples::default();
        samples.take("work find\tfind many").unwrap();
        for round in 1..=rounds {
            for (share, milliseconds) in [(VHOST, 500), (QEMU, 1000), (TCP, 3000)] {
                let cost = milliseconds * round * 1_000_000;
                let line = format!(
                    "sample find {share} {round} {cost} qemu={cost}:1 vhost={cost}:0 tcp={cost}:0"
                );
                samples.take(&line).unwrap();
            }
        }
        samples
    }

    #[test]
    fn medians_and_what_they_are_to_qemus() {
        let text = markdown(&samples(3), "here").unwrap();
        let times = "| find many | 2.00 (1.00..3.00) | 1.00 (0.50..1.50) | 0.50 | 6.00 (3.00..9.00) | 3.00 |";
        assert!(text.contains(times), "{text}");
        let costs = "| 2.00 (1.00..3.00) = 1.00 + 1.00 | 1.00 |";
        assert!(text.contains(costs), "{text}");
        assert!(markdown(&samples(2), "here").unwrap().contains("| 1.50 ("));
    }

    #[test]
    fn programs_get_every_sample() {
        let value: serde_json::Value = serde_json::from_str(&json(&samples(3), "here")).unwrap();
        let shares = &value["works"][0]["shares"];
        assert_eq!(shares["tcp"].as_array().unwrap().len(), 3);
        assert_eq!(shares["vhost"][1]["elapsed"], 1.0);
    }
}
