//! What is wrong with an option string. Where QEMU has a message, it is QEMU's, hint included.

use super::Form;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FsdevError {
    #[error("Usage: -virtfs fsdriver,mount_tag=tag")]
    IncompleteVirtfs,
    #[error("fsdev: No id specified")]
    NoId,
    #[error("fsdev: No fsdriver specified\nExpected local, as in local,id=fs0,path=/srv")]
    NoDriver,
    #[error("fsdev: fsdriver {0} not found\nExpected local")]
    DriverNotFound(String),
    #[error("Invalid parameter '{key}'\n{}", expected(key, *form))]
    UnknownKey { key: String, form: Form },
    #[error("'{0}' is invalid for fsdriver 'local'")]
    OtherDriver(&'static str),
    #[error("Parameter '{0}' is given twice\nExpected it once")]
    Twice(String),
    #[error("Parameter '{0}' expects a value\nExpected {0}=...")]
    NoValue(String),
    #[error("Parameter '{0}' expects 'on' or 'off'")]
    NotBoolean(&'static str),
    #[error("Parameter '{0}' expects a number")]
    NotNumber(&'static str),
    #[error("Value '{value}' is too large for parameter '{key}'")]
    NumberTooLarge { key: &'static str, value: String },
    #[error(
        "Parameter 'id' expects an identifier\n\
         Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."
    )]
    NotIdentifier,
    #[error("max_xattr value '{0}' too large")]
    MaxXattr(u64),
    #[error("security_model property not set\n{SECURITY_MODELS}")]
    NoSecurityModel,
    #[error("invalid security_model property '{0}'\n{SECURITY_MODELS}")]
    SecurityModel(String),
    #[error("invalid multidevs property '{0}'\nValid options are: multidevs=[remap|forbid|warn]")]
    Multidevs(String),
    #[error("path property not set")]
    NoPath,
    #[error(
        "{key} value '{value}' too large\n\
         Expected 0 to 0777; a number that does not begin with 0 is decimal"
    )]
    Mode { key: &'static str, value: u64 },
    #[error("invalid writeout property '{0}'\nValid options are: writeout=immediate")]
    Writeout(String),
    #[error("mount tag '{tag}' ({len} bytes) is longer than maximum (31 bytes)")]
    MountTag { tag: String, len: usize },
}

const SECURITY_MODELS: &str =
    "Valid options are: security_model=[passthrough|mapped-xattr|mapped-file|none]";

/// What to write instead of a key that this form does not have.
fn expected(key: &str, form: Form) -> String {
    let place = match form {
        Form::Virtfs if key.starts_with("throttling.") => {
            return "Throttling goes with --fsdev".to_owned();
        }
        Form::Fsdev if key == "mount_tag" => {
            return "A mount_tag goes with --virtfs".to_owned();
        }
        Form::Fsdev => "throttling.*",
        Form::Virtfs => "mount_tag",
    };
    format!(
        "Expected id, path, security_model, fmode, dmode, readonly, multidevs, writeout, \
         max_xattr or {place}; a comma in a value is written ,,"
    )
}
