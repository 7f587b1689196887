//! What to share and how: checked values, whether they came as flags or in QEMU's option string.
//!
//! Texts are read in [`flags`] and in [`crate::fsdev`]; here is what they have in common, and the
//! one way from it to the library's options.

mod flags;
mod guests;
mod throttling;

pub use flags::ShareFlags;
pub use guests::GuestFlags;
pub use throttling::THROTTLING;

use clap::ValueEnum;
use ninefold::{Enforce, ExportOptions, IdTranslation, ThrottleError, ThrottleOptions};
use std::ffi::OsString;
use std::path::PathBuf;

/// The arguments that say everything in QEMU's words; plain flags do not go with them.
const OPTION_STRINGS: [&str; 2] = ["fsdev", "virtfs"];
/// How many fids of a session may hold extended attributes when nothing is said.
pub const MAX_XATTR: u32 = 1024;
/// The bits that `fmode` and `dmode` may have.
pub const MODE_BITS: u32 = 0o777;

/// A folder, and how it is to be shared. Absent values are QEMU's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareOptions {
    pub path: PathBuf,
    pub security_model: SecurityModel,
    /// Mode of new files on the host; mapped models only.
    pub fmode: Option<u32>,
    /// Mode of new directories on the host; mapped models only.
    pub dmode: Option<u32>,
    pub readonly: bool,
    pub multidevs: Multidevs,
    /// Start to write out each write at once.
    pub writeout: bool,
    /// Most fids of a session that may hold extended attributes; 0 is no limit.
    pub max_xattr: u32,
    /// Names of [`THROTTLING`], each at most once, in the order given.
    pub throttling: Vec<(&'static str, u64)>,
    /// What a virtio device would be called in the guest.
    pub mount_tag: Option<OsString>,
    /// What the clients' users and groups are on the host.
    pub ids: IdTranslation,
    /// Who checks permissions.
    pub enforce: Enforce,
}

impl ShareOptions {
    /// This folder with QEMU's defaults for everything else.
    pub fn new(path: PathBuf, security_model: SecurityModel) -> Self {
        Self {
            path,
            security_model,
            fmode: None,
            dmode: None,
            readonly: false,
            multidevs: Multidevs::Remap,
            writeout: false,
            max_xattr: MAX_XATTR,
            throttling: Vec::new(),
            mount_tag: None,
            ids: IdTranslation::default(),
            enforce: Enforce::Client,
        }
    }

    /// The options of the library, checked in QEMU's order: throttling, then modes.
    ///
    /// # Errors
    /// [`ShareError`], a matter of wrong usage.
    pub fn export_options(&self) -> Result<ExportOptions, ShareError> {
        let throttle = self.throttle()?;
        self.check_modes()?;
        let security_model = match self.security_model {
            SecurityModel::Passthrough => ninefold::SecurityModel::Passthrough,
            SecurityModel::None => ninefold::SecurityModel::None,
            SecurityModel::MappedXattr => ninefold::SecurityModel::MappedXattr,
            SecurityModel::MappedFile => ninefold::SecurityModel::MappedFile,
        };
        let default = ExportOptions::new(security_model);
        Ok(ExportOptions {
            security_model,
            fmode: self.fmode.unwrap_or(default.fmode),
            dmode: self.dmode.unwrap_or(default.dmode),
            readonly: self.readonly,
            multidevs: match self.multidevs {
                Multidevs::Remap => ninefold::Multidevs::Remap,
                Multidevs::Forbid => ninefold::Multidevs::Forbid,
                Multidevs::Warn => ninefold::Multidevs::Warn,
            },
            throttle,
            writeout: self.writeout,
            max_xattr: self.max_xattr,
            ids: self.ids.clone(),
            enforce: self.enforce,
            ..default
        })
    }

    fn throttle(&self) -> Result<ThrottleOptions, ShareError> {
        let mut options = ThrottleOptions::default();
        for (name, value) in &self.throttling {
            // The library knows every name of the list: a test says so.
            let _ = options.set(throttling::bare(name), *value);
        }
        options.check().map_err(ShareError::Throttle)?;
        Ok(options)
    }

    fn check_modes(&self) -> Result<(), ShareError> {
        for (name, mode) in [("fmode", self.fmode), ("dmode", self.dmode)] {
            if mode.is_some() && !self.security_model.is_mapped() {
                return Err(ShareError::ModeWithoutMapping(name));
            }
        }
        Ok(())
    }
}

/// Values that do not go together. The texts are QEMU's where QEMU has one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error("{0} is only valid for mapped security modes")]
    ModeWithoutMapping(&'static str),
    #[error("invalid throttle configuration: {0}")]
    Throttle(ThrottleError),
    #[error(
        "--squash and --squash-to need --enforce server (where the client enforces, --translate-uid squash-guest:... says whose files they become)"
    )]
    SquashWithoutServer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SecurityModel {
    /// Owners and modes are those of the files; needs root to be complete
    Passthrough,
    /// Owners, modes and special files are kept in attributes user.virtfs.*; needs no privilege
    #[default]
    #[value(alias = "mapped")]
    MappedXattr,
    /// As mapped-xattr, but kept in files in .virtfs_metadata folders
    MappedFile,
    /// As passthrough, but changes of owner that are not permitted count as done
    None,
}

impl SecurityModel {
    /// Whether owners and modes are kept beside the files, not as theirs.
    fn is_mapped(self) -> bool {
        match self {
            Self::MappedXattr | Self::MappedFile => true,
            Self::Passthrough | Self::None => false,
        }
    }

    /// Whether clients can use POSIX ACLs.
    pub fn has_acls(self) -> bool {
        self != Self::None
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Multidevs {
    /// Number the files of all file systems so that no two are the same
    #[default]
    Remap,
    /// Refuse files of other file systems than the folder's own
    Forbid,
    /// Log a warning; numbers may collide
    Warn,
}

#[cfg(test)]
mod tests {
    use super::{Multidevs, SecurityModel, ShareError, ShareOptions, THROTTLING, throttling};
    use ninefold::ThrottleOptions;

    fn options(security_model: SecurityModel) -> ShareOptions {
        ShareOptions::new("/srv".into(), security_model)
    }

    #[test]
    fn modes_are_for_mapped_models_only() {
        for model in [SecurityModel::Passthrough, SecurityModel::None] {
            let mut wrong = options(model);
            wrong.dmode = Some(0o700);
            assert_eq!(
                wrong.export_options().err(),
                Some(ShareError::ModeWithoutMapping("dmode"))
            );
            wrong.fmode = Some(0o600);
            assert_eq!(
                wrong.export_options().err(),
                Some(ShareError::ModeWithoutMapping("fmode"))
            );
        }
        for model in [SecurityModel::MappedXattr, SecurityModel::MappedFile] {
            let mut right = options(model);
            right.fmode = Some(0o644);
            assert!(right.export_options().is_ok());
        }
    }

    #[test]
    fn what_the_library_has_arrives_there() {
        use ninefold::SecurityModel as Host;
        for (model, want) in [
            (SecurityModel::Passthrough, Host::Passthrough),
            (SecurityModel::MappedXattr, Host::MappedXattr),
            (SecurityModel::MappedFile, Host::MappedFile),
            (SecurityModel::None, Host::None),
        ] {
            let made = options(model).export_options().expect("it says nothing");
            assert_eq!((made.security_model, made.readonly), (want, false));
            assert_eq!((made.fmode, made.dmode), (0o600, 0o700));
        }
        let made = ShareOptions {
            fmode: Some(0o640),
            dmode: Some(0o750),
            readonly: true,
            multidevs: Multidevs::Forbid,
            ..options(SecurityModel::MappedXattr)
        };
        let made = made.export_options().expect("a sound combination");
        assert_eq!((made.fmode, made.dmode), (0o640, 0o750));
        assert!(made.readonly);
        assert_eq!(made.multidevs, ninefold::Multidevs::Forbid);
    }

    #[test]
    fn every_limit_has_its_name_in_the_library() {
        let mut bare = THROTTLING.map(throttling::bare);
        bare.sort_unstable();
        let mut known = ThrottleOptions::NAMES;
        known.sort_unstable();
        assert_eq!(bare, known);
    }

    #[test]
    fn limits_arrive_and_are_checked_before_modes() {
        let mut limited = ShareOptions {
            throttling: vec![
                ("throttling.bps-read", 1_000_000),
                ("throttling.bps-read-max", 2_000_000),
            ],
            writeout: true,
            max_xattr: 0,
            ..options(SecurityModel::None)
        };
        let made = limited.export_options().expect("a sound combination");
        let throttle = made.throttle;
        assert_eq!(
            (throttle.bps_read, throttle.bps_read_max),
            (1_000_000, 2_000_000)
        );
        assert!(made.writeout && made.max_xattr == 0);
        limited.throttling = vec![("throttling.iops-size", 4096)];
        limited.fmode = Some(0o600);
        let error = limited.export_options().expect_err("no rate");
        assert_eq!(
            error.to_string(),
            "invalid throttle configuration: iops size requires an iops value to be set"
        );
    }
}
