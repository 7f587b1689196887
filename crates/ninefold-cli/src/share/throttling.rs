//! The flags `--throttling.*`: nineteen numbers, named and described by rule.
//!
//! Which of them go together is for the library to say.

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

use super::OPTION_STRINGS;

/// QEMU's names of the limits.
pub const THROTTLING: [&str; 19] = [
    "throttling.bps-total",
    "throttling.bps-read",
    "throttling.bps-write",
    "throttling.iops-total",
    "throttling.iops-read",
    "throttling.iops-write",
    "throttling.bps-total-max",
    "throttling.bps-read-max",
    "throttling.bps-write-max",
    "throttling.iops-total-max",
    "throttling.iops-read-max",
    "throttling.iops-write-max",
    "throttling.bps-total-max-length",
    "throttling.bps-read-max-length",
    "throttling.bps-write-max-length",
    "throttling.iops-total-max-length",
    "throttling.iops-read-max-length",
    "throttling.iops-write-max-length",
    "throttling.iops-size",
];

/// A limit's name in the library.
pub fn bare(name: &str) -> &str {
    name.strip_prefix("throttling.").unwrap_or(name)
}

/// The limits given as flags, by their names in [`THROTTLING`].
#[derive(Clone, Debug, Default)]
pub struct ThrottlingFlags(pub Vec<(&'static str, u64)>);

impl Args for ThrottlingFlags {
    fn augment_args(command: Command) -> Command {
        let flags = THROTTLING.map(|name| {
            Arg::new(name)
                .long(name)
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help(help(name))
                .help_heading("Throttling (reads and writes of files)")
                .hide_short_help(true)
                .conflicts_with_all(OPTION_STRINGS)
        });
        command.args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ThrottlingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.clear();
        for name in THROTTLING {
            let value = matches
                .try_get_one(name)
                .map_err(|error| Error::raw(ErrorKind::InvalidValue, error))?;
            self.0.extend(value.map(|value| (name, *value)));
        }
        Ok(())
    }
}

/// What a limit limits, from the parts of its name.
fn help(name: &str) -> StyledStr {
    if name.ends_with("iops-size") {
        return "Count a longer request as several of this many bytes".into();
    }
    let unit = if name.contains(".bps-") {
        "Bytes"
    } else {
        "Requests"
    };
    let way = if name.contains("-total") {
        "read and written"
    } else if name.contains("-read") {
        "read"
    } else {
        "written"
    };
    if name.ends_with("-max-length") {
        format!("{unit} {way}: seconds that a burst may last [default: 1]").into()
    } else if name.ends_with("-max") {
        format!("{unit} {way} a second in a burst").into()
    } else {
        format!("{unit} {way} a second").into()
    }
}

#[cfg(test)]
mod tests {
    use super::{OPTION_STRINGS, THROTTLING, ThrottlingFlags, help};
    use clap::{Arg, Args, Command, FromArgMatches};

    fn parsed(args: &[String]) -> Result<ThrottlingFlags, clap::Error> {
        let command = Command::new("x")
            .no_binary_name(true)
            .args(OPTION_STRINGS.map(Arg::new));
        let command = ThrottlingFlags::augment_args(command);
        ThrottlingFlags::from_arg_matches(&command.try_get_matches_from(args)?)
    }

    #[test]
    fn each_flag_arrives_under_its_name() {
        assert_eq!(parsed(&[]).expect("nothing").0, []);
        for (number, name) in (7..).zip(THROTTLING) {
            let given = parsed(&[format!("--{name}"), number.to_string()]).expect("a number");
            assert_eq!(given.0, [(name, number)]);
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "1k", "0x10", "-1", "18446744073709551616"] {
            assert!(
                parsed(&[format!("--throttling.bps-total={text}")]).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn no_two_have_the_same_help() {
        let mut helps = THROTTLING.map(|name| help(name).to_string());
        helps.sort_unstable();
        assert!(helps.windows(2).all(|pair| pair[0] != pair[1]), "{helps:?}");
    }
}
