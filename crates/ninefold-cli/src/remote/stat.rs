//! `ninefold stat`: all that the server says about one object. Links are not followed.

use ninefold_client::wire::flags::getattr;
use ninefold_client::{Metadata, Url};

use super::output::{Output, OutputError};
use super::show::{mode_text, type_name, utc};
use super::{Remote, doing};
use crate::args::{LinkArgs, StatArgs};

/// An object's attributes, and what it points to if it is a symbolic link.
type Found = (Metadata, Option<Vec<u8>>);

pub fn stat(args: &StatArgs) -> anyhow::Result<()> {
    let (metadata, target) = doing(find(&args.url, &args.link), "looking at", &args.url)?;
    let mut out = Output::new();
    out.put(format!("{:>8}: {}\n", "url", args.url).as_bytes())?;
    for (label, value) in lines(&metadata) {
        out.put(format!("{label:>8}: {value}\n").as_bytes())?;
    }
    put_target(&mut out, target.as_deref())?;
    Ok(out.flush()?)
}

fn find(url: &Url, link: &LinkArgs) -> Result<Found, ninefold_client::Error> {
    let Remote { client, path } = Remote::connect(url, link)?;
    let fid = client.walk(&path)?;
    let metadata = fid.metadata()?;
    let target = if metadata.is_symlink() {
        Some(fid.read_link()?)
    } else {
        None
    };
    Ok((metadata, target))
}

fn put_target(out: &mut Output, target: Option<&[u8]>) -> Result<(), OutputError> {
    let Some(target) = target else { return Ok(()) };
    out.put(b"  target: ")?;
    out.put_name(target)?;
    out.put(b"\n")
}

fn lines(metadata: &Metadata) -> Vec<(&'static str, String)> {
    let attr = &metadata.0;
    let mut lines = vec![
        ("type", type_name(attr.mode).to_owned()),
        (
            "mode",
            format!("{:04o} {}", metadata.permissions(), mode_text(attr.mode)),
        ),
        ("size", attr.size.to_string()),
        (
            "blocks",
            format!(
                "{} of 512 bytes, best read by {}",
                attr.blocks, attr.blksize
            ),
        ),
        ("links", attr.nlink.to_string()),
        ("owner", attr.uid.to_string()),
        ("group", attr.gid.to_string()),
        (
            "qid",
            format!(
                "type {:#04x} version {} path {}",
                attr.qid.kind, attr.qid.version, attr.qid.path
            ),
        ),
        ("access", time(attr.atime_sec, attr.atime_nsec)),
        ("modify", time(attr.mtime_sec, attr.mtime_nsec)),
        ("change", time(attr.ctime_sec, attr.ctime_nsec)),
    ];
    if matches!(mode_text(attr.mode).as_bytes(), [b'b' | b'c', ..]) {
        lines.push(("device", device(attr.rdev)));
    }
    // Some servers call the time of birth valid and leave it zero.
    if attr.valid & getattr::BTIME != 0 && attr.btime_sec != 0 {
        lines.push(("birth", time(attr.btime_sec, attr.btime_nsec)));
    }
    lines
}

fn time(seconds: u64, nanoseconds: u64) -> String {
    format!("{}.{nanoseconds:09} UTC", utc(seconds))
}

/// Major and minor number out of Linux's 32-bit encoding.
fn device(rdev: u64) -> String {
    let (major, minor) = (rdev >> 8 & 0xfff, rdev & 0xff | rdev >> 12 & 0xf_ff00);
    format!("{major}, {minor}")
}
