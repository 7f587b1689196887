//! The commands that look into a folder that is served, by way of the client library.
//!
//! Each command is a file; here is what they share: getting to the object that a URL names.

mod cat;
mod ls;
mod mkdir;
mod output;
mod progress;
mod put;
mod rm;
mod show;
mod stat;

pub use cat::cat;
pub use ls::ls;
pub use mkdir::mkdir;
pub use output::OutputError;
pub use put::put;
pub use rm::rm;
pub use show::message;
pub use stat::stat;

use anyhow::Context;
use ninefold_client::{Client, Options, Url};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::args::LinkArgs;

/// How long to wait for a connection. Requests may take their time: disks do.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// No such file or directory.
const ENOENT: i32 = 2;
/// File exists.
const EEXIST: i32 = 17;
/// Directory not empty.
const ENOTEMPTY: i32 = 39;

/// A session, and the path that the URL names in it.
struct Remote {
    client: Client,
    path: Vec<u8>,
}

impl Remote {
    fn connect(url: &Url, link: &LinkArgs) -> Result<Self, ninefold_client::Error> {
        let target = url.locate()?;
        let connection =
            ninefold_client::Connection::connect(&target.address, Some(CONNECT_TIMEOUT))?;
        let aname = link.aname.as_bytes().to_vec();
        let client = Client::over(
            connection,
            &Options {
                aname,
                ..Options::default()
            },
        )?;
        Ok(Self {
            client,
            path: target.path,
        })
    }
}

/// Says of a failure what was being done to which URL.
fn doing<T, E>(result: Result<T, E>, what: &str, url: &Url) -> anyhow::Result<T>
where
    Result<T, E>: Context<T, E>,
{
    result.with_context(|| format!("{what} {url}"))
}

/// The bits that this process wants absent from what it makes.
fn umask() -> u32 {
    use rustix::fs::Mode;
    // It can only be read by setting it; nothing else runs in this process meanwhile.
    let mask = rustix::process::umask(Mode::empty());
    rustix::process::umask(mask);
    mask.bits()
}
