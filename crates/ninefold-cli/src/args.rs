//! The command line, as types that hold only what makes sense.
//!
//! Nothing is done here, and nothing is looked up but the user's id for a default.

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgGroup, CommandFactory, Parser, Subcommand, ValueEnum};
use ninefold_client::Url;
use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fsdev::{parse_fsdev, parse_virtfs};
use crate::serve::WayFlags;
use crate::share::{GuestFlags, ShareError, ShareFlags, ShareOptions};

/// What `--msize-max` may be, bytes.
const MSIZE_RANGE: RangeInclusive<u32> = 4096..=16 << 20;

const URLS: &str = "\
URL is unix:///PATH/OF/SOCKET[/PATH], tcp://HOST[:PORT][/PATH], vsock://CID[:PORT][/PATH] or \
vsock+unix:///PATH/OF/SOCKET:PORT[/PATH]; %xx stands for a byte. The port is 564 if none is given. \
CID 2 is the host. vsock+unix is a port in a guest of Firecracker or Cloud Hypervisor, whose vsock \
socket is named.";

/// Serve a folder over 9P, and look into one that is served
#[derive(Debug, Parser)]
#[command(name = "ninefold", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a folder
    Serve(Box<ServeArgs>),
    /// Mount a folder that is served
    #[command(after_help = URLS)]
    Mount(MountArgs),
    /// List a folder, or one file
    #[command(after_help = URLS)]
    Ls(LsArgs),
    /// Show all attributes of a file or folder
    #[command(after_help = URLS)]
    Stat(StatArgs),
    /// Write the content of files to standard output
    #[command(after_help = URLS)]
    Cat(CatArgs),
    /// Copy a local file to the server, with its permission bits
    #[command(after_help = URLS)]
    Put(PutArgs),
    /// Make a folder
    #[command(after_help = URLS)]
    Mkdir(MkdirArgs),
    /// Remove a file, or with -r a folder and all that is in it
    #[command(after_help = URLS)]
    Rm(RmArgs),
}

#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group(ArgGroup::new("folder").required(true).args(["dir", "fsdev", "virtfs"])))]
pub struct ServeArgs {
    #[command(flatten)]
    pub ways: WayFlags,

    /// The longest message that clients may agree on, 4096 to 16M bytes (K and M are understood)
    #[arg(long, value_name = "N", default_value = "1M", value_parser = parse_msize)]
    pub msize_max: u32,

    /// Threads that serve; 0 chooses by the number of processors
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: u16,

    /// What to log to standard error
    #[arg(
        long,
        value_name = "LEVEL",
        env = "NINEFOLD_LOG",
        default_value = "warn"
    )]
    pub log: LogLevel,

    /// Serve what follows -fsdev in a QEMU command line, local,id=ID,path=DIR,security_model=...
    #[arg(
        long,
        value_name = "OPTIONS",
        value_parser = OsStringValueParser::new().try_map(|text| parse_fsdev(&text))
    )]
    fsdev: Option<ShareOptions>,

    /// Serve what follows -virtfs in a QEMU command line, local,path=DIR,mount_tag=TAG,...
    #[arg(
        long,
        value_name = "OPTIONS",
        value_parser = OsStringValueParser::new().try_map(|text| parse_virtfs(&text))
    )]
    virtfs: Option<ShareOptions>,

    #[command(flatten)]
    flags: ShareFlags,

    #[command(flatten)]
    guests: GuestFlags,

    /// The folder to serve
    dir: Option<PathBuf>,
}

impl ServeArgs {
    /// What to share, by whichever of the three ways it was said.
    ///
    /// # Errors
    /// [`ShareError`], a matter of wrong usage.
    pub fn share(&self) -> Result<ShareOptions, ShareError> {
        let string = self.fsdev.as_ref().or(self.virtfs.as_ref());
        let share = string.cloned().unwrap_or_else(|| {
            // There is one: the arguments demand it.
            self.flags
                .options(self.dir.as_deref().unwrap_or(Path::new("")))
        });
        self.guests.apply(share)
    }
}

/// Ends the program as wrong arguments of `serve` end it.
pub fn wrong_usage(error: impl fmt::Display) -> ! {
    let mut command = Args::command();
    command.build();
    let serve = command.find_subcommand_mut("serve");
    match serve {
        Some(serve) => serve.error(ErrorKind::ArgumentConflict, error).exit(),
        None => command.error(ErrorKind::ArgumentConflict, error).exit(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, clap::Args)]
pub struct MountArgs {
    /// Options of the mount, as of mount(8) and of the kernel's 9p client; they take the place of
    /// those chosen by looking at the server (may be repeated)
    #[arg(short, value_name = "OPTIONS")]
    pub options: Vec<String>,
    /// Print the line for /etc/fstab instead
    #[arg(long)]
    pub fstab: bool,
    /// Do all but mount; as mount(8) says it
    #[arg(short, hide = true)]
    pub fake: bool,
    /// What mount(8) may tell its helpers beyond that
    #[command(flatten)]
    pub helper: HelperArgs,
    #[arg(value_parser = url_parser())]
    pub url: Url,
    /// The folder to mount on
    pub dir: PathBuf,
}

/// What mount(8) may tell its helpers, and is nothing to this one.
#[derive(Debug, clap::Args)]
pub struct HelperArgs {
    #[arg(short, hide = true)]
    sloppy: bool,
    #[arg(short, hide = true)]
    no_mtab: bool,
    #[arg(short, hide = true)]
    verbose: bool,
    #[arg(short = 't', hide = true)]
    fs_type: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct LsArgs {
    /// Show type, permissions, links, owner, group, size and time of change (UTC)
    #[arg(short)]
    pub long: bool,
    /// Show names that begin with a dot too
    #[arg(short)]
    pub all: bool,
    #[command(flatten)]
    pub link: LinkArgs,
    #[arg(value_parser = url_parser())]
    pub url: Url,
}

#[derive(Debug, clap::Args)]
pub struct StatArgs {
    #[command(flatten)]
    pub link: LinkArgs,
    #[arg(value_parser = url_parser())]
    pub url: Url,
}

#[derive(Debug, clap::Args)]
pub struct CatArgs {
    #[command(flatten)]
    pub link: LinkArgs,
    #[arg(required = true, value_name = "URL", value_parser = url_parser())]
    pub urls: Vec<Url>,
}

#[derive(Debug, clap::Args)]
pub struct PutArgs {
    #[command(flatten)]
    pub link: LinkArgs,
    /// The file to copy; - is standard input
    pub local: PathBuf,
    /// The file to make or replace
    #[arg(value_parser = url_parser())]
    pub url: Url,
}

#[derive(Debug, clap::Args)]
pub struct MkdirArgs {
    /// Make the folders above it too; be content if it is there
    #[arg(short)]
    pub parents: bool,
    #[command(flatten)]
    pub link: LinkArgs,
    #[arg(value_parser = url_parser())]
    pub url: Url,
}

#[derive(Debug, clap::Args)]
pub struct RmArgs {
    /// Remove a folder and all that is in it; symbolic links are removed, not followed
    #[arg(short)]
    pub recursive: bool,
    #[command(flatten)]
    pub link: LinkArgs,
    #[arg(value_parser = url_parser())]
    pub url: Url,
}

/// How to talk to the server.
#[derive(Debug, clap::Args)]
pub struct LinkArgs {
    /// The tree to attach to, for servers that export several
    #[arg(long, hide = true, default_value = "")]
    pub aname: OsString,
}

/// Reads a URL from bytes: a path in it need not be UTF-8.
fn url_parser() -> impl TypedValueParser<Value = Url> {
    OsStringValueParser::new().try_map(|text| Url::parse(text.as_bytes()))
}

/// Reads a number of bytes with an optional K or M.
fn parse_msize(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => text
            .strip_suffix(['M', 'm'])
            .map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let bytes = digits
        .parse::<u32>()
        .ok()
        .and_then(|count| count.checked_mul(unit));
    bytes
        .filter(|bytes| MSIZE_RANGE.contains(bytes))
        .ok_or_else(|| {
            format!("expected a number from 4096 to 16M, with K or M if you like, came {text:?}")
        })
}

#[cfg(test)]
mod tests {
    use super::{Args, parse_msize};
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_with_and_without_units() {
        assert_eq!(parse_msize("4096"), Ok(4096));
        assert_eq!(parse_msize("64K"), Ok(65536));
        assert_eq!(parse_msize("16m"), Ok(16 << 20));
        for text in [
            "",
            "K",
            "4095",
            "3K",
            "17M",
            "16777217",
            "-1",
            "1G",
            "4294967295M",
            "1 M",
        ] {
            assert!(parse_msize(text).is_err(), "{text}");
        }
    }
}
