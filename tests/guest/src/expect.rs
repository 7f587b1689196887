//! How a row says what it expected and what came.

use std::fmt::Debug;

use anyhow::Result;
use anyhow::bail;
use rustix::io::Errno;

/// The error of a row that cannot be asked here. Says why.
#[derive(Debug)]
pub(crate) struct Skip(String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Ends the row as skipped.
pub(crate) fn skip<T>(why: &str) -> Result<T> {
    Err(Skip(why.to_owned()).into())
}

/// Both are equal.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers compare values that they just made"
)]
pub(crate) fn same<T: PartialEq + Debug>(what: &str, came: T, expected: T) -> Result<()> {
    if came == expected {
        return Ok(());
    }
    bail!("{what}: expected {expected:?}, came {came:?}")
}

/// The condition holds.
pub(crate) fn holds(what: &str, condition: bool) -> Result<()> {
    if condition {
        return Ok(());
    }
    bail!("{what}: does not hold")
}

/// Both are the same bytes; tells where they part and does not print them all.
pub(crate) fn same_bytes(what: &str, came: &[u8], expected: &[u8]) -> Result<()> {
    if came == expected {
        return Ok(());
    }
    let at = came
        .iter()
        .zip(expected)
        .position(|(came, expected)| came != expected);
    let at = at.unwrap_or_else(|| came.len().min(expected.len()));
    bail!(
        "{what}: expected {} bytes with {:?} at {at}, came {} bytes with {:?}",
        expected.len(),
        String::from_utf8_lossy(piece(expected, at)),
        came.len(),
        String::from_utf8_lossy(piece(came, at)),
    )
}

fn piece(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[at.min(bytes.len())..(at + 16).min(bytes.len())]
}

/// The call failed with one of these errors.
pub(crate) fn fails<T: Debug>(
    what: &str,
    came: Result<T, impl Into<Code>>,
    expected: &[Errno],
) -> Result<()> {
    let came = came.map_err(Into::into);
    match came {
        Err(Code(errno)) if expected.contains(&errno) => Ok(()),
        Err(Code(errno)) => bail!("{what}: expected {expected:?}, came {errno:?}"),
        Ok(value) => bail!("{what}: expected {expected:?}, came success {value:?}"),
    }
}

/// An error number, whoever reported it.
pub(crate) struct Code(pub(crate) Errno);

impl From<Errno> for Code {
    fn from(errno: Errno) -> Self {
        Self(errno)
    }
}

impl From<std::io::Error> for Code {
    fn from(error: std::io::Error) -> Self {
        Self(Errno::from_io_error(&error).unwrap_or(Errno::NODATA))
    }
}
