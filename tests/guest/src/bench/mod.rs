//! `ninefold-guest-bench`: the same work on several shares in turn, and what it cost.
//!
//! It measures time as the guest sees it and asks the host's agent what the processes there have used meanwhile. It
//! judges nothing: whoever started it makes a table of its lines. Work that does not do what it should is an error.

mod share;
mod works;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use clap::Parser;

use self::share::Share;
use self::works::Work;
use crate::host::Host;
use crate::talk;

/// Measure work on several shares in turn.
#[derive(Parser)]
#[command(name = "ninefold-guest-bench", version)]
struct Options {
    /// Where ninefold-host-agent listens
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    agent: Option<String>,
    /// How often everything is measured
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    rounds: u32,
    /// How often the shortest works are done for one measurement
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    repeats: u32,
    /// A share: its name, which is that of a directory in it too, and what mount(8) needs
    #[arg(long = "share", value_name = "NAME,SOURCE,OPTIONS", value_parser = Share::parse)]
    shares: Vec<Share>,
    /// Only work whose name contains this
    #[arg(long, value_name = "SUBSTRING", default_value = "")]
    only: String,
    /// Print the works, name and description, and stop
    #[arg(long)]
    list: bool,
}

/// The whole program `ninefold-guest-bench`.
pub fn bench_main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        works::all()
            .iter()
            .for_each(|work| println!("{}\t{}", work.name, work.what));
        return ExitCode::SUCCESS;
    }
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("ninefold-guest-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Work by work, and round by round: what is compared is measured as close together as can be.
fn measure(options: &Options) -> Result<()> {
    let host = Host::new(options.agent.as_deref().unwrap_or_default());
    let mut works = works::all();
    works.retain(|work| work.name.contains(&options.only));
    ensure!(!works.is_empty(), "expected a work's name");
    for work in &works {
        let repeats = if work.repeats { options.repeats } else { 1 };
        let times = match repeats {
            1 => String::new(),
            repeats => format!(", {repeats} times"),
        };
        println!("work {}\t{}{times}", work.name, work.what);
        for round in 1..=options.rounds {
            for share in &options.shares {
                let sample = sample(&host, work, repeats, share);
                let sample = sample.with_context(|| format!("{} on {}", work.name, share.name))?;
                println!("sample {} {} {round} {sample}", work.name, share.name);
            }
        }
    }
    Ok(())
}

/// Nanoseconds in the guest, and what processes have cost. On a fresh mount, so that the guest's kernel knows nothing of earlier rounds.
fn sample(host: &Host, work: &Work, repeats: u32, share: &Share) -> Result<String> {
    let mounted = share.mount(work.cache)?;
    let place = mounted.directory();
    (work.prepare)(&place).context("prepare")?;
    let before = Costs::ask(host)?;
    let start = Instant::now();
    (0..repeats).try_for_each(|_| (work.run)(&place))?;
    let elapsed = start.elapsed();
    let after = Costs::ask(host)?;
    (work.clear)(&place).context("clear")?;
    mounted.unmount()?;
    Ok(format!("{} {}", elapsed.as_nanos(), after.since(&before)?))
}

/// Nanoseconds by process: all, and those of the guest's processors.
struct Costs(BTreeMap<String, [u64; 2]>);

impl Costs {
    fn ask(host: &Host) -> Result<Self> {
        let text = host.cputimes()?;
        let words: Vec<_> = text.split(' ').collect();
        let mut costs = BTreeMap::new();
        for words in words.chunks(3) {
            let &[name, all, processors] = words else {
                anyhow::bail!("expected names with two numbers, came {text:?}");
            };
            let number = |word: &str| talk::number_of(word.as_bytes()).context("a number");
            costs.insert(name.to_owned(), [number(all)?, number(processors)?]);
        }
        Ok(Self(costs))
    }

    /// `NAME=ALL:PROCESSORS` for each.
    fn since(&self, before: &Self) -> Result<String> {
        let mut words = Vec::new();
        for (name, after) in &self.0 {
            let before = before.0.get(name).context("a process began meanwhile")?;
            let [all, processors] = [0, 1].map(|at| after[at].saturating_sub(before[at]));
            words.push(format!("{name}={all}:{processors}"));
        }
        Ok(words.join(" "))
    }
}
