//! One of the three at work in a row's directory: a thread of the guest on either mount, or the host.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use rustix::fs::OFlags;

use crate::ctx::Ctx;
use crate::ctx::Who;
use crate::deeds;
use crate::files;
use crate::host::Host;
use crate::talk::Reply;

/// Somebody with a directory; may act while others do.
pub(crate) struct Party {
    pub(super) who: Who,
    place: Place,
}

enum Place {
    Here(File),
    Host(Host, Vec<u8>),
}

impl Party {
    /// In the row's directory.
    pub(crate) fn of(ctx: &Ctx, who: Who) -> Result<Self> {
        Self::below(ctx, who, ".")
    }

    /// In a directory of the row's, which is held open by those of the guest.
    pub(super) fn below(ctx: &Ctx, who: Who, name: &str) -> Result<Self> {
        let place = match who {
            Who::This => here(ctx.a(name))?,
            Who::Other => here(ctx.b(name))?,
            Who::Host => Place::Host(ctx.host.another(), ctx.h(name)),
        };
        Ok(Self { who, place })
    }

    /// The three in the row's directory.
    pub(super) fn all(ctx: &Ctx) -> Result<Vec<Self>> {
        Who::ALL.into_iter().map(|who| Self::of(ctx, who)).collect()
    }

    /// Does what the words say; see [`deeds::act`].
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Reply> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        match &self.place {
            Place::Here(dir) => Ok(deeds::act(dir, &words)),
            Place::Host(host, path) => {
                let reply = host.ask(&[&[b"in".as_slice(), path], &words[..]].concat())?;
                let is_list = words.first() == Some(&b"list".as_slice());
                Ok(if is_list {
                    reply.map(|names| without_metadata(&names))
                } else {
                    reply
                })
            }
        }
    }

    /// The same where it must succeed.
    pub(crate) fn must(&self, words: &[&str]) -> Result<Vec<u8>> {
        let reply = self.ask(words)?;
        reply.with_context(|| format!("{}: {}", self.who.word(), words.join(" ")))
    }
}

/// The names of a listing but that of the directory that `mapped-file` keeps attributes in.
fn without_metadata(names: &[u8]) -> Vec<u8> {
    let names: Vec<_> = names
        .split(|byte| *byte == b' ')
        .filter(|name| *name != b".virtfs_metadata")
        .collect();
    names.join(&b' ')
}

fn here(path: PathBuf) -> Result<Place> {
    let dir = files::open(path, OFlags::RDONLY | OFlags::DIRECTORY).context("open directory")?;
    Ok(Place::Here(File::from(dir)))
}

/// All of them at once, each with its own words; what each had to say, in their order.
pub(super) fn together(parties: Vec<(Party, Vec<&str>)>) -> Result<Vec<String>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = parties
            .into_iter()
            .map(|(party, words)| scope.spawn(move || party.must(&words)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                let said = thread.join().ok().context("a thread died")??;
                Ok(String::from_utf8_lossy(&said).into_owned())
            })
            .collect()
    })
}
