//! `ninefold cat`: the content of files, one after another.

use ninefold_client::Url;
use ninefold_client::wire::flags::open;

use super::output::Output;
use super::progress::Progress;
use super::{Remote, doing};
use crate::args::{CatArgs, LinkArgs};

pub fn cat(args: &CatArgs) -> anyhow::Result<()> {
    let mut out = Output::new();
    for url in &args.urls {
        copy(url, &args.link, &mut out)?;
    }
    Ok(out.flush()?)
}

fn copy(url: &Url, link: &LinkArgs, out: &mut Output) -> anyhow::Result<()> {
    let (file, size) = doing(open_file(url, link), "opening", url)?;
    let mut buf = vec![0; file.chunk()];
    let mut offset = 0;
    // On a terminal the content itself shows that something moves.
    let mut progress = Progress::new(Some(size), out.is_terminal());
    loop {
        let count = doing(file.read_at(&mut buf, offset), "reading", url)?;
        if count == 0 {
            return Ok(());
        }
        out.put(&buf[..count])?;
        offset += count as u64;
        progress.advance(count);
    }
}

fn open_file(url: &Url, link: &LinkArgs) -> anyhow::Result<(ninefold_client::File, u64)> {
    let Remote { client, path } = Remote::connect(url, link)?;
    let fid = client.resolve(&path)?;
    let metadata = fid.metadata()?;
    if metadata.is_dir() {
        anyhow::bail!("expected a file, came a directory");
    }
    Ok((fid.open(open::NOFOLLOW)?, metadata.size()))
}
