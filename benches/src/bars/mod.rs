//! What the figures should be, and whether they are. Statements in a table: nothing fails by them.

mod rules;

use std::fmt::Write;

use crate::figures;
use crate::measured::Measured;
use crate::server::Peer;

const HEAD: &str = "| bar | wanted | measured | met |\n|---|---|---|---|\n";

/// The table of bars, those only for which there are figures.
pub fn markdown(rows: &[Measured]) -> String {
    let mut text = String::from(HEAD);
    for bar in rules::all(&Rows(rows)) {
        bar.line(&mut text);
    }
    text
}

/// One bar and where we stand.
struct Bar {
    name: String,
    parts: Vec<Part>,
    /// What else is told beside the figures.
    notes: Vec<String>,
}

/// One of the conditions of a bar.
struct Part {
    wanted: String,
    /// None where there is nothing to say it of.
    measured: Option<String>,
    met: bool,
}

impl Bar {
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            parts: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// What the bare server comes to, which nothing is judged by.
    fn bare(mut self, figure: Option<f64>, unit: &str) -> Self {
        let note = figure.map(|figure| format!("bare {figure:.2} {unit}"));
        self.notes.extend(note);
        self
    }

    /// A figure that is to be `most` at most, both in `unit`.
    fn at_most(self, figure: Option<f64>, most: f64, unit: &str) -> Self {
        let met = figure.is_some_and(|figure| figure <= most);
        self.part(told("at most", most, unit), figure, unit, met)
    }

    /// A figure that is to be `least` at least, both in `unit`.
    fn at_least(self, figure: Option<f64>, least: f64, unit: &str) -> Self {
        let met = figure.is_some_and(|figure| figure >= least);
        self.part(told("at least", least, unit), figure, unit, met)
    }

    fn part(mut self, wanted: String, figure: Option<f64>, unit: &str, met: bool) -> Self {
        self.parts.push(Part {
            wanted,
            measured: figure.map(|figure| format!("{figure:.2} {unit}").trim_end().to_owned()),
            met,
        });
        self
    }

    fn line(&self, text: &mut String) {
        let told = self.parts.iter().filter(|part| part.measured.is_some());
        let told: Vec<_> = told.collect();
        if told.is_empty() {
            return;
        }
        let join = |each: fn(&Part) -> &str| {
            told.iter()
                .map(|part| each(part))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let wanted = join(|part| &part.wanted);
        let mut measured = join(|part| part.measured.as_deref().unwrap_or_default());
        if !self.notes.is_empty() {
            let _ = write!(measured, " ({})", self.notes.join(", "));
        }
        let met = if told.iter().all(|part| part.met) {
            "yes"
        } else {
            "**no**"
        };
        let _ = writeln!(text, "| {} | {wanted} | {measured} | {met} |", self.name);
    }
}

fn told(side: &str, bound: f64, unit: &str) -> String {
    format!("{side} {bound} {unit}").trim_end().to_owned()
}

/// All rows, to be looked up by name.
struct Rows<'a>(&'a [Measured]);

impl<'a> Rows<'a> {
    fn get(&self, name: &str) -> Option<&'a Measured> {
        self.0.iter().find(|measured| measured.row.name == name)
    }

    /// Our processor time on one row in terms of that on another one, which was measured in the same rounds.
    fn cpu_ratio(&self, name: &str, other: &str) -> Option<f64> {
        let cpu = |row: &Measured| row.series(Peer::Ninefold, |run| run.cpu);
        figures::median_ratio(&cpu(self.get(name)?), &cpu(self.get(other)?))
    }

    /// The median of one of our further figures on a row.
    fn extra(&self, name: &str, key: &str) -> Option<f64> {
        self.get(name)?.of(Peer::Ninefold)?.extras.get(key).copied()
    }

    /// The same in each round.
    fn extras(&self, name: &str, key: &str) -> Option<Vec<f64>> {
        let runs = self.get(name)?.server(Peer::Ninefold)?.runs.iter();
        runs.map(|run| run.extras.get(key).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bar: &Bar) -> String {
        let mut text = String::new();
        bar.line(&mut text);
        text
    }

    #[test]
    fn a_bar_is_met_by_all_its_parts() {
        let bar = Bar::new("cpu").at_most(Some(1.2), 1.25, "x floor");
        assert_eq!(
            line(&bar),
            "| cpu | at most 1.25 x floor | 1.20 x floor | yes |\n"
        );
        let bar = bar.at_least(Some(0.9), 1.0, "x diod");
        assert!(line(&bar).ends_with("| 1.20 x floor, 0.90 x diod | **no** |\n"));
        let bar = bar.bare(Some(2.0), "x diod").bare(None, "x floor");
        let told = "| 1.20 x floor, 0.90 x diod (bare 2.00 x diod) | **no** |\n";
        assert!(line(&bar).ends_with(told), "nothing is judged by it");
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let bar = Bar::new("cpu").at_most(None, 1.25, "x floor");
        assert_eq!(line(&bar), "");
        let bar = bar.at_most(Some(2.0), 2.0, "x diod");
        assert_eq!(
            line(&bar),
            "| cpu | at most 2 x diod | 2.00 x diod | yes |\n"
        );
    }
}
