//! What `ninefold-guest-bench` says, line by line.

use std::collections::BTreeMap;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use super::stage::QEMU;
use super::stage::SHARES;

/// One work on one share, once. Seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// As the guest sees it
    pub elapsed: f64,
    /// Of the server's process; 0 where QEMU serves
    pub server: f64,
    /// Of QEMU without the guest's processor
    pub qemu: f64,
    /// Of the guest's processor
    pub processor: f64,
}

impl Sample {
    /// What serving has cost: the server, and QEMU between it and the guest.
    pub fn serving(&self) -> f64 {
        self.server + self.qemu
    }
}

/// One line of the table: a work with its samples by share, round by round.
#[derive(Debug, Default)]
pub struct Work {
    pub name: String,
    /// What it is, for people
    pub what: String,
    pub shares: BTreeMap<String, Vec<Sample>>,
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Samples(Vec<Work>);

impl Samples {
    /// Takes a line; those that are something else are none of ours.
    pub fn take(&mut self, line: &str) -> Result<()> {
        if let Some((name, what)) = line.strip_prefix("work ").and_then(|l| l.split_once('\t')) {
            self.0.push(Work {
                name: name.to_owned(),
                what: what.to_owned(),
                ..Work::default()
            });
        } else if let Some(words) = line.strip_prefix("sample ") {
            self.add(words).with_context(|| line.to_owned())?;
        }
        Ok(())
    }

    fn add(&mut self, words: &str) -> Result<()> {
        let words: Vec<_> = words.split(' ').collect();
        let [name, share, _round, elapsed, costs @ ..] = &words[..] else {
            anyhow::bail!("expected a work, a share, a round, a time and costs");
        };
        let work = self.0.last_mut().filter(|work| work.name == *name);
        let work = work.context("expected a sample of the last work")?;
        let sample = sample(share, elapsed, costs)?;
        let samples = work.shares.entry((*share).to_owned()).or_default();
        samples.push(sample);
        Ok(())
    }

    /// An error unless each work has as many samples of each share.
    pub fn ensure_whole(&self, rounds: u32) -> Result<()> {
        ensure!(!self.0.is_empty(), "expected samples, came none");
        for work in &self.0 {
            for share in SHARES {
                let came = work.shares.get(share).map_or(0, Vec::len);
                ensure!(
                    came == rounds as usize,
                    "{} on {share}: expected {rounds} samples, came {came}",
                    work.name
                );
            }
        }
        Ok(())
    }

    /// In the order in which they were measured.
    pub fn works(&self) -> &[Work] {
        &self.0
    }
}

fn sample(share: &str, elapsed: &str, costs: &[&str]) -> Result<Sample> {
    let cost = |process: &str| {
        let mut costs = costs.iter().filter_map(|cost| cost.split_once('='));
        let (_, cost) = costs.find(|(name, _)| *name == process)?;
        let (all, processors) = cost.split_once(':')?;
        Some((seconds(all)?, seconds(processors)?))
    };
    let (qemu, processor) = cost(QEMU).context("expected the costs of QEMU")?;
    ensure!(
        processor > 0.0,
        "expected the guest's processor to be one of QEMU's threads that can be told by its name"
    );
    let server = if share == QEMU {
        0.0
    } else {
        cost(share).context("expected the costs of the server")?.0
    };
    Ok(Sample {
        elapsed: seconds(elapsed).context("expected nanoseconds")?,
        server,
        qemu: (qemu - processor).max(0.0),
        processor,
    })
}

fn seconds(nanoseconds: &str) -> Option<f64> {
    let nanoseconds = nanoseconds.parse().ok()?;
    Some(std::time::Duration::from_nanos(nanoseconds).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [&str; 3] = [
        "work find\tfind many",
        "sample find qemu 1 2000000000 qemu=1500000000:1000000000 tcp=1:0 vhost=2:0",
        "sample find tcp 1 1000000000 qemu=1500000000:1250000000 tcp=500000000:0 vhost=2:0",
    ];

    fn taken(lines: &[&str]) -> Samples {
        let mut samples = Samples::default();
        lines.iter().for_each(|line| samples.take(line).unwrap());
        samples
    }

    #[test]
    fn qemu_serves_in_what_is_no_processor() {
        let samples = taken(&TWO);
        let work = &samples.works()[0];
        assert_eq!(work.what, "find many");
        let qemu = work.shares["qemu"][0];
        assert_eq!((qemu.server, qemu.qemu, qemu.elapsed), (0.0, 0.5, 2.0));
        let tcp = work.shares["tcp"][0];
        assert_eq!((tcp.server, tcp.qemu, tcp.processor), (0.5, 0.25, 1.25));
        assert_eq!(tcp.serving(), 0.75);
    }

    #[test]
    fn what_is_missing_is_an_error() {
        assert!(taken(&TWO).ensure_whole(1).is_err());
        assert!(taken(&[]).ensure_whole(1).is_err());
        let mut samples = taken(&TWO[..1]);
        assert!(samples.take("sample find qemu 1 5 tcp=1:0").is_err());
        assert!(samples.take("sample find qemu 1 5 qemu=5:0").is_err());
        assert!(samples.take("sample other qemu 1 5 qemu=1:0").is_err());
        samples.take("anything else").unwrap();
    }
}
