//! A row: one named behaviour, asked in a process of its own.

use std::time::Duration;

use anyhow::Result;

use crate::ctx::Ctx;

/// How long a row may take unless it says otherwise.
const LIMIT: Duration = Duration::from_secs(60);

/// What a row does.
type Run = Box<dyn Fn(&Ctx) -> Result<()>>;

/// One behaviour with a name.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) limit: Duration,
    pub(crate) run: Run,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, run: impl Fn(&Ctx) -> Result<()> + 'static) -> Self {
        Self {
            name: name.into(),
            limit: LIMIT,
            run: Box::new(run),
        }
    }

    /// A row that is asked only where `check` does not skip it.
    pub(crate) fn needing(self, check: fn(&Ctx) -> Result<()>) -> Self {
        let run = self.run;
        Self {
            run: Box::new(move |ctx| {
                check(ctx)?;
                run(ctx)
            }),
            ..self
        }
    }

    /// A row known to be slow: emulated guests are.
    pub(crate) fn within(self, seconds: u64) -> Self {
        Self {
            limit: Duration::from_secs(seconds),
            ..self
        }
    }
}

/// What a row came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ok,
    NotOk(String),
    Skip(String),
}

impl Verdict {
    /// What a row's function returned, as a verdict.
    pub(crate) fn of(result: &Result<()>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(error) => match error.downcast_ref::<crate::expect::Skip>() {
                Some(skip) => Self::Skip(skip.to_string()),
                None => Self::NotOk(format!("{error:#}")),
            },
        }
    }

    /// One line of the report.
    pub(crate) fn line(&self, name: &str) -> String {
        match self {
            Self::Ok => format!("ok {name}"),
            Self::NotOk(why) => format!("not ok {name} - {}", one_line(why)),
            Self::Skip(why) => format!("skip {name} - {}", one_line(why)),
        }
    }

    /// For the pipe from the row's process to the runner.
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Ok => "verdict ok\n".to_owned(),
            Self::NotOk(why) => format!("verdict not ok\n{why}"),
            Self::Skip(why) => format!("verdict skip\n{why}"),
        }
    }

    /// The reverse of [`Verdict::encode`]; `None` when the process did not get that far.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let (head, rest) = text.split_once('\n')?;
        match head {
            "verdict ok" => Some(Self::Ok),
            "verdict not ok" => Some(Self::NotOk(rest.to_owned())),
            "verdict skip" => Some(Self::Skip(rest.to_owned())),
            _ => None,
        }
    }
}

/// A reason on one line, however long the program's output was.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let line = words
        .join(" | ")
        .replace(|letter: char| letter.is_control(), "?");
    match line.char_indices().nth(1500) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_survive_the_pipe() {
        for verdict in [
            Verdict::Ok,
            Verdict::NotOk("a\nb".into()),
            Verdict::Skip("why".into()),
        ] {
            assert_eq!(Verdict::decode(&verdict.encode()), Some(verdict));
        }
        assert_eq!(Verdict::decode(""), None);
        assert_eq!(Verdict::decode("thread panicked\n"), None);
    }

    #[test]
    fn a_reason_is_one_line() {
        let line = Verdict::NotOk("expected\n\n  this".into()).line("row");
        assert_eq!(line, "not ok row - expected | this");
    }
}
