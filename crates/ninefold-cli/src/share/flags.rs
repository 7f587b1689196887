//! How to share, as plain flags of `serve`.

use clap::ValueEnum;
use std::path::Path;

use super::throttling::ThrottlingFlags;
use super::{MAX_XATTR, MODE_BITS, Multidevs, OPTION_STRINGS, SecurityModel, ShareOptions};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct ShareFlags {
    /// How owners and modes are kept [default: mapped-xattr]
    #[arg(long, conflicts_with_all = OPTION_STRINGS, value_name = "MODEL")]
    security_model: Option<SecurityModel>,

    /// Mode of new files on the host, octal (0644 or 644), mapped models only [default: 0600]
    #[arg(long, conflicts_with_all = OPTION_STRINGS, value_name = "MODE", value_parser = parse_mode)]
    fmode: Option<u32>,

    /// Mode of new folders on the host, octal (0755 or 755), mapped models only [default: 0700]
    #[arg(long, conflicts_with_all = OPTION_STRINGS, value_name = "MODE", value_parser = parse_mode)]
    dmode: Option<u32>,

    /// Refuse whatever would change the folder
    #[arg(long, conflicts_with_all = OPTION_STRINGS)]
    readonly: bool,

    /// What to do about other file systems mounted in the folder [default: remap]
    #[arg(long, conflicts_with_all = OPTION_STRINGS, value_name = "HOW")]
    multidevs: Option<Multidevs>,

    /// Start to write data to the disk when it comes
    #[arg(long, conflicts_with_all = OPTION_STRINGS, value_name = "WHEN")]
    writeout: Option<Writeout>,

    /// Extended attributes that a client may have open at once; 0 is no limit [default: 1024]
    #[arg(long, conflicts_with_all = OPTION_STRINGS, value_name = "N")]
    max_xattr: Option<u32>,

    #[command(flatten)]
    throttling: ThrottlingFlags,
}

impl ShareFlags {
    /// What was asked for, with defaults for the rest.
    pub fn options(&self, dir: &Path) -> ShareOptions {
        let security_model = self.security_model.unwrap_or_default();
        ShareOptions {
            fmode: self.fmode,
            dmode: self.dmode,
            readonly: self.readonly,
            multidevs: self.multidevs.unwrap_or_default(),
            writeout: self.writeout.is_some(),
            max_xattr: self.max_xattr.unwrap_or(MAX_XATTR),
            throttling: self.throttling.0.clone(),
            ..ShareOptions::new(dir.to_owned(), security_model)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Writeout {
    /// After each write
    Immediate,
}

/// Reads permission bits as chmod(1) does: octal, whether it begins with 0 or not.
fn parse_mode(text: &str) -> Result<u32, String> {
    let digits = text
        .strip_prefix("0o")
        .or_else(|| text.strip_prefix("0O"))
        .unwrap_or(text);
    // A sign is not a digit, but from_str_radix would take one.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| plain && *mode <= MODE_BITS)
        .ok_or_else(|| format!("expected octal digits from 0 to 0777, came {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::parse_mode;

    #[test]
    fn modes_are_octal() {
        for (text, mode) in [
            ("0644", 0o644),
            ("644", 0o644),
            ("0o644", 0o644),
            ("0O0", 0),
            ("0", 0),
            ("00000777", 0o777),
        ] {
            assert_eq!(parse_mode(text), Ok(mode), "{text}");
        }
        for text in [
            "",
            "0o",
            "0o0o7",
            "8",
            "0x1a4",
            "420d",
            "-1",
            "+7",
            "01000",
            "1777",
            " 7",
            "77777777777777",
        ] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
    }
}
