//! QEMU's `-fsdev local,...` and `-virtfs local,...`: the text as it stands in a QEMU command line,
//! read into [`ShareOptions`].
//!
//! Keys, forms of values, order of checks and messages are QEMU's. What QEMU takes without effect
//! (an unknown `writeout`, modes beyond 0777, a key given twice) is an error here. Whether the
//! values go together is checked with those of the plain flags, in [`ShareOptions`].

mod error;
mod syntax;

pub use error::FsdevError;

use clap::ValueEnum;
use std::ffi::{OsStr, OsString};

use crate::share::{MAX_XATTR, MODE_BITS, Multidevs, SecurityModel, ShareOptions, THROTTLING};
use syntax::{NumberError, Part};

/// The longest mount tag, bytes.
const MOUNT_TAG_MAX: usize = 31;

/// Which of QEMU's two options a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Fsdev,
    Virtfs,
}

/// Reads what follows `-fsdev`.
pub fn parse_fsdev(text: &OsStr) -> Result<ShareOptions, FsdevError> {
    let given = Given::read(text, Form::Fsdev)?;
    if given.id.is_none() {
        return Err(FsdevError::NoId);
    }
    given.checked()
}

/// Reads what follows `-virtfs`.
pub fn parse_virtfs(text: &OsStr) -> Result<ShareOptions, FsdevError> {
    let given = Given::read(text, Form::Virtfs)?;
    let tagged = given.mount_tag.as_ref().is_some_and(|tag| !tag.is_empty());
    if given.driver.is_none() || !tagged {
        return Err(FsdevError::IncompleteVirtfs);
    }
    given.checked()
}

/// The values of an option string, each well-formed by itself.
#[derive(Default)]
struct Given {
    driver: Option<OsString>,
    id: Option<OsString>,
    path: Option<OsString>,
    security_model: Option<OsString>,
    fmode: Option<u64>,
    dmode: Option<u64>,
    readonly: bool,
    multidevs: Option<OsString>,
    writeout: Option<OsString>,
    max_xattr: Option<u64>,
    throttling: Vec<(&'static str, u64)>,
    mount_tag: Option<OsString>,
    /// The first key that only other drivers have.
    foreign: Option<&'static str>,
}

impl Given {
    fn read(text: &OsStr, form: Form) -> Result<Self, FsdevError> {
        let mut given = Self::default();
        let mut seen = Vec::new();
        for part in syntax::parts(text, "fsdriver") {
            let key = match (&part.key[..], &part.value) {
                ("noreadonly", None) => "readonly",
                (key, _) => key,
            };
            let key = key.to_owned();
            given.take(part, form)?;
            if seen.contains(&key) {
                return Err(FsdevError::Twice(key));
            }
            seen.push(key);
        }
        Ok(given)
    }

    fn take(&mut self, part: Part, form: Form) -> Result<(), FsdevError> {
        match &part.key[..] {
            "fsdriver" => self.driver = Some(string(part)?),
            "id" => self.id = Some(identifier(part)?),
            "path" => self.path = Some(string(part)?),
            "security_model" => self.security_model = Some(string(part)?),
            "fmode" => self.fmode = Some(number(part, "fmode")?),
            "dmode" => self.dmode = Some(number(part, "dmode")?),
            "readonly" => self.readonly = boolean(part, "readonly")?,
            // The old way to write readonly=off.
            "noreadonly" if part.value.is_none() => self.readonly = false,
            "multidevs" => self.multidevs = Some(string(part)?),
            "writeout" => self.writeout = Some(string(part)?),
            "max_xattr" => self.max_xattr = Some(number(part, "max_xattr")?),
            "mount_tag" if form == Form::Virtfs => self.mount_tag = Some(string(part)?),
            "socket" => self.foreign = self.foreign.or(Some("socket")),
            "sock_fd" => self.foreign = self.foreign.or(Some("sock_fd")),
            key => match THROTTLING.into_iter().find(|name| *name == key) {
                Some(name) if form == Form::Fsdev => {
                    self.throttling.push((name, number(part, name)?));
                }
                _ => {
                    let key = part.key;
                    return Err(FsdevError::UnknownKey { key, form });
                }
            },
        }
        Ok(())
    }

    /// The checks of the driver, in QEMU's order; those that QEMU does not make come last.
    fn checked(self) -> Result<ShareOptions, FsdevError> {
        let driver = self.driver.ok_or(FsdevError::NoDriver)?;
        if driver != "local" {
            return Err(FsdevError::DriverNotFound(lossy(&driver)));
        }
        if let Some(key) = self.foreign {
            return Err(FsdevError::OtherDriver(key));
        }
        let max_xattr = self.max_xattr.unwrap_or(MAX_XATTR.into());
        let max_xattr = max_xattr
            .try_into()
            .map_err(|_| FsdevError::MaxXattr(max_xattr))?;
        let model = self.security_model.ok_or(FsdevError::NoSecurityModel)?;
        let security_model = choice::<SecurityModel>(&model)
            .ok_or_else(|| FsdevError::SecurityModel(lossy(&model)))?;
        let multidevs = self.multidevs.map_or(Ok(Multidevs::default()), |text| {
            choice(&text).ok_or_else(|| FsdevError::Multidevs(lossy(&text)))
        })?;
        let path = self.path.filter(|path| !path.is_empty());
        let path = path.ok_or(FsdevError::NoPath)?;
        Ok(ShareOptions {
            max_xattr,
            multidevs,
            fmode: mode("fmode", self.fmode)?,
            dmode: mode("dmode", self.dmode)?,
            writeout: writeout(self.writeout)?,
            mount_tag: mount_tag(self.mount_tag)?,
            readonly: self.readonly,
            throttling: self.throttling,
            ..ShareOptions::new(path.into(), security_model)
        })
    }
}

fn string(part: Part) -> Result<OsString, FsdevError> {
    part.value.ok_or(FsdevError::NoValue(part.key))
}

fn identifier(part: Part) -> Result<OsString, FsdevError> {
    let text = string(part)?;
    if syntax::is_identifier(&text) {
        Ok(text)
    } else {
        Err(FsdevError::NotIdentifier)
    }
}

fn boolean(part: Part, key: &'static str) -> Result<bool, FsdevError> {
    let on = part.value.map_or(Some(true), |text| syntax::boolean(&text));
    on.ok_or(FsdevError::NotBoolean(key))
}

fn number(part: Part, key: &'static str) -> Result<u64, FsdevError> {
    let text = part.value.ok_or(FsdevError::NotNumber(key))?;
    syntax::number(&text).map_err(|error| match error {
        NumberError::Malformed => FsdevError::NotNumber(key),
        NumberError::TooLarge => FsdevError::NumberTooLarge {
            key,
            value: lossy(&text),
        },
    })
}

/// A value by one of its names, upper and lower case being different.
fn choice<T: ValueEnum>(text: &OsStr) -> Option<T> {
    T::from_str(text.to_str()?, false).ok()
}

fn mode(key: &'static str, value: Option<u64>) -> Result<Option<u32>, FsdevError> {
    let checked = |value: u64| {
        let mode = u32::try_from(value).ok();
        mode.filter(|mode| *mode <= MODE_BITS)
            .ok_or(FsdevError::Mode { key, value })
    };
    value.map(checked).transpose()
}

fn writeout(text: Option<OsString>) -> Result<bool, FsdevError> {
    match text {
        None => Ok(false),
        Some(text) if text == "immediate" => Ok(true),
        Some(text) => Err(FsdevError::Writeout(lossy(&text))),
    }
}

fn mount_tag(tag: Option<OsString>) -> Result<Option<OsString>, FsdevError> {
    match tag {
        Some(tag) if tag.len() > MOUNT_TAG_MAX => Err(FsdevError::MountTag {
            tag: lossy(&tag),
            len: tag.len(),
        }),
        tag => Ok(tag),
    }
}

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
