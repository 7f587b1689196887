//! Listing a directory in parts, while it changes: what is there all the time comes once.

use std::collections::{BTreeMap, HashMap};

use ninefold::Errno;
use ninefold_wire::{Dirents, Reply, Request};

use crate::client::Client;
use crate::tree::{Id, Tree};

/// What an entry takes beside its name, bytes.
const ENTRY_HEAD: usize = 24;

/// How far each opening has been read.
#[derive(Default)]
pub struct Listings(HashMap<u64, Listing>);

/// Names with the numbers of their entries.
type Names = BTreeMap<String, u64>;

#[derive(Default)]
struct Listing {
    offset: u64,
    /// What was there at the start.
    begun: Names,
    seen: Names,
    /// What was there when one of the parts was read: ext4 reads a block ahead, and lists what was
    /// in it although it is gone since.
    ever: Names,
}

/// What is in a directory now.
fn names(tree: &Tree, dir: Id) -> Names {
    let entries = tree.object(dir).entries();
    entries
        .map(|(name, entry)| (name.clone(), entry.number))
        .collect()
}

/// Names and where to read on after each.
fn read(
    client: &mut Client,
    fid: u32,
    offset: u64,
    count: u32,
) -> Result<Vec<(String, u64)>, Errno> {
    let request = Request::Readdir { fid, offset, count };
    let data = client.call(&request, |reply| match reply {
        Reply::Readdir { data } => Some(data.0.to_vec()),
        _ => None,
    })?;
    let entries = Dirents::new(&data).map(|entry| entry.expect("a whole entry"));
    let named = entries.map(|entry| {
        let name = String::from_utf8(entry.name.to_vec()).expect("the test's own names");
        (name, entry.offset)
    });
    Ok(named.collect())
}

impl Listings {
    /// Reads one part more and checks it; from the start again after the end.
    pub fn go_on(
        &mut self,
        client: &mut Client,
        tree: &Tree,
        (fid, count): (u32, u32),
        expected: Result<(u64, Id), Errno>,
    ) -> Result<(), String> {
        let (opening, dir) = match expected {
            Ok(open) => open,
            Err(errno) => {
                let came = read(client, fid, 0, count);
                return match came {
                    Err(came) if came == errno => Ok(()),
                    came => Err(format!("expected {errno:?}, came {came:?}")),
                };
            }
        };
        let listing = self.0.entry(opening).or_insert_with(|| Listing {
            begun: names(tree, dir),
            ..Listing::default()
        });
        let part = read(client, fid, listing.offset, count);
        let now = names(tree, dir);
        listing.ever.extend(now.clone());
        let room = (count as usize).saturating_sub(ENTRY_HEAD);
        if part == Err(Errno::INVAL) && listing.ever.keys().any(|name| name.len() > room) {
            return Ok(());
        }
        let part = part.map_err(|errno| format!("expected a part, came {errno:?}"))?;
        if part.is_empty() {
            let listing = self.0.remove(&opening).unwrap_or_default();
            return listing.check_end(&now);
        }
        part.into_iter()
            .try_for_each(|(name, offset)| listing.take(&name, offset, &now))
    }
}

impl Listing {
    fn take(&mut self, name: &str, offset: u64, now: &Names) -> Result<(), String> {
        self.offset = offset;
        if name == "." || name == ".." {
            return Ok(());
        }
        let Some(number) = now.get(name).or_else(|| self.ever.get(name)) else {
            return Err(format!("{name} is listed and was never there"));
        };
        match self.seen.insert(name.to_owned(), *number) {
            Some(before) if before == *number => Err(format!("{name} is listed twice")),
            _ => Ok(()),
        }
    }

    fn check_end(&self, now: &Names) -> Result<(), String> {
        let stayed = self
            .begun
            .iter()
            .filter(|(name, number)| now.get(*name) == Some(*number));
        match stayed
            .into_iter()
            .find(|(name, _)| !self.seen.contains_key(*name))
        {
            Some((name, _)) => Err(format!("{name} is there all the time and not listed")),
            None => Ok(()),
        }
    }
}
