//! `ninefold mkdir`: a folder, with `-p` those above it too.

use ninefold_client::{Client, Error};

use super::{EEXIST, ENOENT, Remote, doing, umask};
use crate::args::MkdirArgs;

pub fn mkdir(args: &MkdirArgs) -> anyhow::Result<()> {
    doing(make(args), "making", &args.url)
}

fn make(args: &MkdirArgs) -> anyhow::Result<()> {
    let Remote { client, path } = Remote::connect(&args.url, &args.link)?;
    let mode = 0o777 & !umask();
    if args.parents {
        return make_all(&client, &path, mode);
    }
    make_one(&client, &path, mode)?;
    Ok(())
}

fn make_one(client: &Client, path: &[u8], mode: u32) -> Result<(), Error> {
    let (parent, name) = client.resolve_parent(path)?;
    parent.create_dir(name, mode).map(drop)
}

/// Makes what is missing on the way to `path`.
fn make_all(client: &Client, path: &[u8], mode: u32) -> anyhow::Result<()> {
    let ends = (0..path.len())
        .filter(|&at| path[at] == b'/')
        .chain([path.len()]);
    for end in ends {
        ensure(client, &path[..end], mode)?;
    }
    Ok(())
}

fn ensure(client: &Client, path: &[u8], mode: u32) -> anyhow::Result<()> {
    let found = match client.resolve(path) {
        Err(error) if error.errno() == Some(ENOENT) => match make_one(client, path, mode) {
            // Somebody was faster, or it is a link that leads nowhere; the second look tells.
            Err(error) if error.errno() == Some(EEXIST) => client.resolve(path)?,
            made => return Ok(made?),
        },
        found => found?,
    };
    if !found.is_dir() {
        anyhow::bail!(
            "expected a directory at {:?}, came a file",
            String::from_utf8_lossy(path)
        );
    }
    Ok(())
}
