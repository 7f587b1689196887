//! `ninefold ls`: the names in a folder.

use ninefold_client::{Error, Fid, Metadata, Url};
use std::cmp::max;

use super::output::{Output, OutputError};
use super::show::{mode_text, utc};
use super::{ENOENT, Remote, doing};
use crate::args::LsArgs;

/// Most names listed: they are sorted, hence all held, and a server can make up any number.
const NAMES_MAX: usize = 4 << 20;

/// Bytes of a time as `ls -l` shows it: without the seconds.
const MINUTE_LEN: usize = 16;

/// One line of the list.
struct Row {
    name: Vec<u8>,
    details: Option<Details>,
}

/// What `-l` adds.
struct Details {
    metadata: Metadata,
    target: Option<Vec<u8>>,
}

pub fn ls(args: &LsArgs) -> anyhow::Result<()> {
    let rows = doing(rows(args, &args.url), "listing", &args.url)?;
    print(&rows, args.long)?;
    Ok(())
}

fn rows(args: &LsArgs, url: &Url) -> anyhow::Result<Vec<Row>> {
    let Remote { client, path } = Remote::connect(url, &args.link)?;
    // The long list shows a link itself, the short one what is behind it: as ls does.
    let fid = if args.long {
        client.walk(&path)?
    } else {
        client.resolve(&path)?
    };
    if !fid.is_dir() {
        let name = path
            .rsplit(|&byte| byte == b'/')
            .find(|name| !name.is_empty());
        return Ok(vec![row(
            name.unwrap_or_default().to_vec(),
            &fid,
            args.long,
        )?]);
    }
    let mut names = names(&fid, args.all)?;
    names.sort_unstable();
    let rows = names
        .into_iter()
        .filter_map(|name| entry_row(&fid, name, args.long).transpose());
    Ok(rows.collect::<Result<_, _>>()?)
}

fn names(dir: &Fid, all: bool) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in dir.walk("")?.read_dir()? {
        let name = entry?.name;
        if all || !name.starts_with(b".") {
            names.push(name);
        }
        if names.len() > NAMES_MAX {
            anyhow::bail!("expected at most {NAMES_MAX} names, the server sent more");
        }
    }
    Ok(names)
}

/// The row of an entry, none if it went away meanwhile.
fn entry_row(dir: &Fid, name: Vec<u8>, long: bool) -> Result<Option<Row>, Error> {
    if !long {
        return Ok(Some(Row {
            name,
            details: None,
        }));
    }
    let found = dir.walk(&name).and_then(|fid| row(name, &fid, long));
    match found {
        Err(error) if error.errno() == Some(ENOENT) => Ok(None),
        found => found.map(Some),
    }
}

fn row(name: Vec<u8>, fid: &Fid, long: bool) -> Result<Row, Error> {
    if !long {
        return Ok(Row {
            name,
            details: None,
        });
    }
    let metadata = fid.metadata()?;
    let target = if metadata.is_symlink() {
        Some(fid.read_link()?)
    } else {
        None
    };
    Ok(Row {
        name,
        details: Some(Details { metadata, target }),
    })
}

fn print(rows: &[Row], long: bool) -> Result<(), OutputError> {
    let mut out = Output::new();
    let widths = if long { widths(rows) } else { [0; 4] };
    for row in rows {
        if let Some(details) = &row.details {
            put_details(&mut out, &details.metadata, widths)?;
        }
        out.put_name(&row.name)?;
        if let Some(target) = row
            .details
            .as_ref()
            .and_then(|details| details.target.as_ref())
        {
            out.put(b" -> ")?;
            out.put_name(target)?;
        }
        out.put(b"\n")?;
    }
    out.flush()
}

/// The columns of numbers: links, owner, group, size.
fn numbers(metadata: &Metadata) -> [String; 4] {
    let attr = &metadata.0;
    [
        attr.nlink.to_string(),
        attr.uid.to_string(),
        attr.gid.to_string(),
        attr.size.to_string(),
    ]
}

fn widths(rows: &[Row]) -> [usize; 4] {
    let details = rows.iter().filter_map(|row| row.details.as_ref());
    details.fold([0; 4], |mut widths, details| {
        for (width, number) in widths.iter_mut().zip(numbers(&details.metadata)) {
            *width = max(*width, number.len());
        }
        widths
    })
}

fn put_details(
    out: &mut Output,
    metadata: &Metadata,
    widths: [usize; 4],
) -> Result<(), OutputError> {
    out.put(mode_text(metadata.0.mode).as_bytes())?;
    for (number, width) in numbers(metadata).iter().zip(widths) {
        out.put(format!(" {number:>width$}").as_bytes())?;
    }
    let time = utc(metadata.0.mtime_sec);
    // A year of more than four digits moves the seconds, not the date.
    let minute = &time[..time.len().saturating_sub(3).max(MINUTE_LEN)];
    out.put(format!(" {minute} ").as_bytes())
}
