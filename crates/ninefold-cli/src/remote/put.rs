//! `ninefold put`: a local file to the server.

use anyhow::Context;
use ninefold_client::wire::SetAttr;
use ninefold_client::wire::flags::{open, setattr};
use ninefold_client::{Fid, File, Url};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::progress::Progress;
use super::{ENOENT, Remote, doing, umask};
use crate::args::{LinkArgs, PutArgs};

/// The permission bits that go along. The set-id and sticky bits do not: they would give rights on
/// another machine that nobody there has granted.
const MODE_KEPT: u32 = 0o777;

/// What is to be copied.
struct Source {
    from: Box<dyn Read>,
    size: Option<u64>,
    /// The permission bits, unless it is standard input.
    mode: Option<u32>,
}

pub fn put(args: &PutArgs) -> anyhow::Result<()> {
    let name = args.local.display();
    let source = open_source(&args.local).with_context(|| format!("opening {name}"))?;
    let target = open_target(&args.url, &args.link, source.mode);
    let file = doing(target, "creating", &args.url)?;
    copy(source, &file, args)?;
    doing(file.close(), "closing", &args.url)
}

fn open_source(local: &Path) -> anyhow::Result<Source> {
    if local.as_os_str() == "-" {
        return Ok(Source {
            from: Box::new(io::stdin().lock()),
            size: None,
            mode: None,
        });
    }
    let file = std::fs::File::open(local)?;
    let found = file.metadata()?;
    if found.is_dir() {
        anyhow::bail!("expected a file, came a directory");
    }
    let size = Some(found.len()).filter(|_| found.is_file());
    let mode = Some(found.permissions().mode() & MODE_KEPT);
    Ok(Source {
        from: Box::new(file),
        size,
        mode,
    })
}

/// Opens the file for writing, emptied or new.
fn open_target(url: &Url, link: &LinkArgs, mode: Option<u32>) -> anyhow::Result<File> {
    let Remote { client, path } = Remote::connect(url, link)?;
    match client.resolve(&path) {
        Ok(fid) => replace(fid),
        Err(error) if error.errno() == Some(ENOENT) => {
            let (parent, name) = client.resolve_parent(&path)?;
            let mode = mode.unwrap_or(0o666 & !umask());
            Ok(parent.create(name, open::WRONLY | open::EXCL, mode)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn replace(fid: Fid) -> anyhow::Result<File> {
    if fid.is_dir() {
        anyhow::bail!("expected a file or a free name, came a directory");
    }
    Ok(fid.open(open::WRONLY | open::TRUNC | open::NOFOLLOW)?)
}

fn copy(mut source: Source, file: &File, args: &PutArgs) -> anyhow::Result<()> {
    let mut buf = vec![0; file.chunk()];
    let mut offset = 0;
    let mut progress = Progress::new(source.size, false);
    loop {
        let read = retry_interrupted(|| source.from.read(&mut buf));
        let count = read.with_context(|| format!("reading {}", args.local.display()))?;
        if count == 0 {
            break;
        }
        doing(
            file.write_all_at(&buf[..count], offset),
            "writing",
            &args.url,
        )?;
        offset += count as u64;
        progress.advance(count);
    }
    // Last: writing would take rights away again, and the server's umask is not ours.
    source.mode.map_or(Ok(()), |mode| {
        let attr = SetAttr {
            valid: setattr::MODE,
            mode,
            ..SetAttr::default()
        };
        doing(
            file.fid().set_attr(attr),
            "setting the permissions of",
            &args.url,
        )
    })
}

fn retry_interrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
