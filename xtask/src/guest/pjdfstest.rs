//! Judges a run of pjdfstest by the list of cases that Linux's client cannot pass.
//!
//! An expected failure counts as skipped, never as passed.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;
use anyhow::Result;

use crate::failures;
use crate::places;
use crate::totals::Totals;

/// Judges the output of one run.
pub fn judge(output: &[String]) -> Result<Totals> {
    let list = places::recipe().join("pjdfstest-expected.txt");
    let text =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let expected = Expected::parse(&text)?;
    let (totals, remarks) = expected.compare(output);
    for remark in remarks {
        let remark = format!("pjdfstest: {remark}");
        if totals.failed > 0 {
            failures::fail(&remark);
        } else {
            println!("{remark}");
        }
    }
    Ok(totals)
}

/// Cases that fail because of the client, with the reason, and how many cases run at all.
struct Expected {
    failures: BTreeMap<String, String>,
    live: u64,
}

impl Expected {
    fn parse(text: &str) -> Result<Self> {
        let mut failures = BTreeMap::new();
        let mut live = 0;
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (name, rest) = line
                .split_once(' ')
                .with_context(|| format!("expected NAME REASON, found {line}"))?;
            if name == "live" {
                live = rest.trim().parse()?;
            } else {
                failures.insert(name.to_owned(), rest.trim().to_owned());
            }
        }
        Ok(Self { failures, live })
    }

    fn compare(&self, output: &[String]) -> (Totals, Vec<String>) {
        let mut totals = Totals::default();
        let mut remarks = Vec::new();
        let mut live = 0;
        for (name, end) in output.iter().filter_map(|line| case(line)) {
            live += u64::from(end != End::Skipped);
            totals += match (end, self.failures.get(name)) {
                (End::Ok, None) => Totals::PASS,
                (End::Ok, Some(_)) => {
                    remarks.push(format!("{name} passed, yet is listed as failing"));
                    Totals::FAIL
                }
                (End::Failed, None) => {
                    remarks.push(format!("{name} failed"));
                    Totals::FAIL
                }
                (End::Failed, Some(reason)) => {
                    remarks.push(format!("{name} failed as expected: {reason}"));
                    Totals::SKIP
                }
                (End::Skipped, _) => Totals::SKIP,
            };
        }
        if live < self.live || live == 0 {
            remarks.push(format!("expected {} live cases, found {live}", self.live));
            totals += Totals::FAIL;
        }
        (totals, remarks)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ok,
    Failed,
    Skipped,
}

/// A line about one case: its name, and right-aligned how it ended.
fn case(line: &str) -> Option<(&str, End)> {
    let (name, end) = line.split_once(' ')?;
    let end = match end.trim() {
        "ok" => End::Ok,
        "FAILED" => End::Failed,
        "skipped" => End::Skipped,
        _ => return None,
    };
    name.contains("::").then_some((name, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# comment\nlive 3\nutimensat::a   whole seconds\n";

    fn compare(output: &str) -> (Totals, Vec<String>) {
        let output: Vec<_> = output.lines().map(str::to_owned).collect();
        Expected::parse(LIST).unwrap().compare(&output)
    }

    #[test]
    fn a_listed_failure_is_skipped() {
        let (totals, remarks) = compare(
            "open::a   ok\nopen::b   ok\nutimensat::a   FAILED\n\tassertion\nopen::c   skipped",
        );
        assert_eq!(
            totals,
            Totals {
                passed: 2,
                failed: 0,
                skipped: 2
            }
        );
        assert_eq!(remarks, ["utimensat::a failed as expected: whole seconds"]);
    }

    #[test]
    fn surprises_are_failures() {
        let (totals, remarks) = compare("open::a   ok\nopen::b   FAILED\nutimensat::a   ok");
        assert_eq!(
            totals,
            Totals {
                passed: 1,
                failed: 2,
                skipped: 0
            }
        );
        assert_eq!(remarks.len(), 2);
    }

    #[test]
    fn too_few_cases_are_a_failure() {
        let (totals, _) = compare("open::a   ok\nopen::b   ok");
        assert_eq!(
            totals,
            Totals {
                passed: 2,
                failed: 1,
                skipped: 0
            }
        );
    }
}
